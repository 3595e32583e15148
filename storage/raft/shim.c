/* The workarounds, and why each is there. Every one has a test that fails without it (tests/unit/raft/workarounds_test.cpp).
 *
 * W1  A follower records the index of the first new entry of a message as the index of the change somewhere in it, so the
 *     library would never see that change committed and refuse all later ones.
 * W2  A follower that loses a change rolls back to the last configuration it knows as committed, which may be older than
 *     the last one in its log: servers would count different majorities.
 * W3  A follower that has compacted its log refuses entries anchored below, until the leader goes back to index 0, which
 *     the library does not check: it would append entry 1 behind its last one.
 * W4  A late rejection moves a leader's idea of a follower below what is known to match; the count of entries in flight
 *     underflows and that follower may get no entries any more.
 * W5  Pre-vote answers hide the voter's term, so the server with the best log but a lower term never learns why it is
 *     refused: no leader although a majority is up.
 * W6  A sole voter elects itself without a new term: two leaders in one term, or other entries under a used (index, term).
 * W7  A server refuses its vote when its own, maybe old, configuration does not call it a voter: a newly promoted server
 *     could not elect the only candidate.
 * W8  A vote result that arrives in another state than candidate is read through the wrong member of a union.
 * W9  The library's timeout stays in the past for ever while a spare is a member: a loop without a floor burns a processor.
 * W10 A follower's commit index goes back on a short or late message, and moves while a snapshot is being installed.
 * W11 An announced snapshot is leaked when one is being installed already.
 * W12 Catching up validates nothing: not being leader or an unknown member is undefined behaviour.
 * W13 A refused change in a submission of several entries leaves the ones before it in the library's log only.
 * W14 At every heartbeat a leader takes followers that have not answered since its last heartbeat TO ANYBODY for lost, so
 *     in an idle cluster each waits for a heartbeat before it gets the next entry.
 * W15 A server without a vote never forgets its leader, however long that is silent, and refuses its vote to whoever needs
 *     it under a newer configuration.
 */
#include "storage/raft/shim.h"

#include <raft.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef SIGNET_TEST_HOOKS
#define WORKAROUND(s, n) (((s)->workarounds_off & (1u << (n))) == 0)
#else
#define WORKAROUND(s, n) ((void)(s), true)
#endif

enum { TIMEOUT_FLOOR_MS = 5, LEADERLESS_TIMEOUTS = 4 };

struct known_configuration {
  uint64_t index;
  uint8_t* bytes;
  size_t size;
};

struct shim {
  struct raft raft;
#ifdef SIGNET_TEST_HOOKS
  uint32_t workarounds_off;
#endif
  uint64_t now;
  uint64_t commit;           /* highest ever reported */
  uint64_t leader_seen;      /* when a leader was last known (or the start) */
  uint64_t leads_since;      /* when this leadership began */
  uint64_t self_voted_term;  /* W6: the term that we entered by voting for ourselves */
  uint64_t settled;          /* up to this index committed configurations have been told */
  /* The snapshot's configuration, then every change in the log, by index. */
  struct known_configuration* known;
  size_t known_count;
  /* What the last step has handed out. */
  void* batch;
  struct raft_entry* array;
  struct shim_message* messages;
  void* snapshot_bytes;
};

static void* must(void* allocated) {
  if (allocated == NULL) {
    fputs("signet: out of memory\n", stderr);
    abort();
  }
  return allocated;
}

/* Our own invariants; the library's asserts are compiled out. */
static void ensure(bool holds, const char* what) {
  if (!holds) {
    fprintf(stderr, "signet: raft shim: %s\n", what);
    abort();
  }
}

static void release(struct shim* s) {
  raft_free(s->batch);
  s->batch = NULL;
  free(s->array);
  s->array = NULL;
  free(s->messages);
  s->messages = NULL;
  raft_free(s->snapshot_bytes);
  s->snapshot_bytes = NULL;
}

/* ---- configurations ------------------------------------------------------------------------------------------------ */

static struct raft_configuration decode(struct shim_bytes encoded) {
  struct raft_configuration out;
  struct raft_buffer buffer = {(void*)(uintptr_t)encoded.data, encoded.size};
  ensure(raft_configuration_decode(&buffer, &out) == 0, "a checked configuration does not decode");
  return out;
}

/* Forgets the known configurations at and above `index`; true if there were any. */
static bool forget_from(struct shim* s, uint64_t index) {
  size_t before = s->known_count;
  while (s->known_count > 0 && s->known[s->known_count - 1].index >= index)
    free(s->known[--s->known_count].bytes);
  return before != s->known_count;
}

static void remember(struct shim* s, uint64_t index, const void* bytes, size_t size) {
  struct known_configuration* last;
  s->known = must(realloc(s->known, (s->known_count + 1) * sizeof *s->known));
  last = &s->known[s->known_count++];
  last->index = index;
  last->size = size;
  last->bytes = must(malloc(size));
  memcpy(last->bytes, bytes, size);
}

static const struct known_configuration* known_at(const struct shim* s, uint64_t index) {
  for (size_t i = s->known_count; i > 0; i--)
    if (s->known[i - 1].index <= index)
      return &s->known[i - 1];
  return NULL;
}

/* W1, W2: after the changes in a follower's log have changed, the library must hold the last one of them. */
static void correct_configuration(struct shim* s) {
  struct raft* r = &s->raft;
  const struct known_configuration* last;
  if (r->state == RAFT_LEADER || r->snapshot.installing || s->known_count == 0)
    return;
  last = &s->known[s->known_count - 1];
  if (WORKAROUND(s, 2)) {
    struct raft_configuration c = decode((struct shim_bytes){last->bytes, last->size});
    raft_configuration_close(&r->configuration);
    r->configuration = c;
  }
  if (WORKAROUND(s, 1))
    r->configuration_uncommitted_index = last->index > r->configuration_committed_index ? last->index : 0;
}

static const struct raft_server* self_in_configuration(const struct shim* s) {
  for (unsigned i = 0; i < s->raft.configuration.n; i++)
    if (s->raft.configuration.servers[i].id == s->raft.id)
      return &s->raft.configuration.servers[i];
  return NULL;
}

static bool sole_voter(const struct shim* s) {
  const struct raft_server* self = self_in_configuration(s);
  unsigned voters = 0;
  for (unsigned i = 0; i < s->raft.configuration.n; i++)
    voters += s->raft.configuration.servers[i].role == RAFT_VOTER;
  return voters == 1 && self != NULL && self->role == RAFT_VOTER;
}

/* ---- one step ------------------------------------------------------------------------------------------------------ */

static struct raft_event event_of(enum raft_event_type type) {
  struct raft_event event;
  memset(&event, 0, sizeof event);
  event.type = type;
  return event;
}

/* The library wants every payload of one event in one block, each entry pointing at its start. Only changes have bytes
 * here. The array is the caller's, the block moves into the library. */
static struct raft_entry* entries_for_library(const struct shim_entry* entries, uint32_t count, bool from_raft_malloc) {
  size_t total = 1;
  size_t size = count * sizeof(struct raft_entry);
  struct raft_entry* array = must(from_raft_malloc ? raft_malloc(size) : malloc(size));
  uint8_t* block;
  uint8_t* at;
  for (uint32_t i = 0; i < count; i++)
    total += entries[i].type == RAFT_CHANGE ? entries[i].change.size : 0;
  block = must(raft_malloc(total));
  block[total - 1] = 0;
  at = block;
  for (uint32_t i = 0; i < count; i++) {
    struct raft_entry* e = &array[i];
    memset(e, 0, sizeof *e);
    e->term = entries[i].term;
    e->type = (enum raft_entry_type)entries[i].type;
    e->batch = block;
    e->buf.base = at;
    if (entries[i].type == RAFT_CHANGE) {
      e->buf.len = entries[i].change.size;
      memcpy(at, entries[i].change.data, entries[i].change.size);
      at += entries[i].change.size;
    }
  }
  return array;
}

static void take_entries(struct shim* s, const struct raft_update* update, struct shim_output* out) {
  bool changed = forget_from(s, update->entries.index);
  for (unsigned i = 0; i < update->entries.n; i++) {
    const struct raft_entry* e = &update->entries.batch[i];
    if (e->type != RAFT_CHANGE)
      continue;
    remember(s, update->entries.index + i, e->buf.base, e->buf.len);
    changed = true;
  }
  if (changed)
    correct_configuration(s);
  out->entries_first = update->entries.index;
  out->entries_count = update->entries.n;
  out->entries_barrier = update->entries.batch == &s->raft.barrier;
  s->batch = update->entries.batch[0].batch;
}

static void take_snapshot(struct shim* s, struct raft_update* update, struct shim_output* out) {
  struct raft_buffer encoded = {NULL, 0};
  ensure(raft_configuration_encode(&update->snapshot.metadata.configuration, &encoded) == 0, "cannot encode");
  raft_configuration_close(&update->snapshot.metadata.configuration);
  raft_free(update->snapshot.chunk.base);
  s->snapshot_bytes = encoded.base;
  out->install = true;
  out->snapshot.index = update->snapshot.metadata.index;
  out->snapshot.term = update->snapshot.metadata.term;
  out->snapshot.configuration_index = update->snapshot.metadata.configuration_index;
  out->snapshot.configuration.data = encoded.base;
  out->snapshot.configuration.size = encoded.len;
}

/* The library leaves last_log_index unset in the answer to a message of an older term. */
static bool answers_older_term(const struct raft_event* event, uint64_t term) {
  if (event->type != RAFT_RECEIVE)
    return false;
  switch (event->receive.message->type) {
    case RAFT_APPEND_ENTRIES:
      return event->receive.message->append_entries.term < term;
    case RAFT_INSTALL_SNAPSHOT:
      return event->receive.message->install_snapshot.term < term;
    default:
      return false;
  }
}

static void take_messages(struct shim* s, const struct raft_event* event, const struct raft_update* update,
                          struct shim_output* out) {
  uint32_t count = 0;
  s->messages = must(calloc(update->messages.n + 1, sizeof *s->messages));
  for (unsigned i = 0; i < update->messages.n; i++) {
    const struct raft_message* from = &update->messages.batch[i];
    struct shim_message* to = &s->messages[count];
    to->peer = from->server_id;
    if (to->peer == s->raft.id)
      continue; /* the answer to the vote that we ask of ourselves (W6) */
    switch (from->type) {
      case RAFT_APPEND_ENTRIES:
        to->type = SHIM_APPEND;
        to->term = from->append_entries.term;
        to->prev_index = from->append_entries.prev_log_index;
        to->prev_term = from->append_entries.prev_log_term;
        to->leader_commit = from->append_entries.leader_commit;
        to->count = from->append_entries.n_entries;
        break;
      case RAFT_APPEND_ENTRIES_RESULT:
        to->type = SHIM_APPEND_RESULT;
        to->term = from->append_entries_result.term;
        to->rejected = from->append_entries_result.rejected;
        to->last_index = answers_older_term(event, to->term) ? 0 : from->append_entries_result.last_log_index;
        break;
      case RAFT_REQUEST_VOTE:
        to->type = SHIM_VOTE;
        to->term = from->request_vote.term;
        to->candidate = from->request_vote.candidate_id;
        to->last_index = from->request_vote.last_log_index;
        to->last_term = from->request_vote.last_log_term;
        to->disrupt_leader = from->request_vote.disrupt_leader;
        to->pre_vote = from->request_vote.pre_vote;
        break;
      case RAFT_REQUEST_VOTE_RESULT:
        to->type = SHIM_VOTE_RESULT;
        to->term = from->request_vote_result.term;
        to->granted = from->request_vote_result.vote_granted;
        to->pre_vote = from->request_vote_result.pre_vote;
        break;
      case RAFT_INSTALL_SNAPSHOT:
        to->type = SHIM_INSTALL;
        to->term = from->install_snapshot.term;
        to->snapshot.index = from->install_snapshot.last_index;
        to->snapshot.term = from->install_snapshot.last_term;
        to->snapshot.configuration_index = from->install_snapshot.conf_index;
        break;
      case RAFT_TIMEOUT_NOW:
        to->type = SHIM_TIMEOUT_NOW;
        to->term = from->timeout_now.term;
        to->last_index = from->timeout_now.last_log_index;
        to->last_term = from->timeout_now.last_log_term;
        break;
      default:
        ensure(false, "the library sends a message of an unknown type");
    }
    count++;
  }
  out->messages = s->messages;
  out->messages_count = count;
}

/* W10: what is committed stays committed, and while a snapshot is being installed nothing of it is here yet. */
static void take_commit(struct shim* s, bool flagged, struct shim_output* out) {
  uint64_t commit = s->raft.commit_index;
  if (!WORKAROUND(s, 10)) {
    out->commit = flagged;
    s->commit = commit;
    return;
  }
  if (s->raft.snapshot.installing || commit <= s->commit)
    return;
  s->commit = commit;
  out->commit = true;
}

static enum shim_answer answer_of(int rv) {
  switch (rv) {
    case 0:
      return SHIM_OK;
    case RAFT_NOTLEADER:
      return SHIM_NOT_LEADER;
    case RAFT_CANTCHANGE:
    case RAFT_NOSPACE:
      return SHIM_BUSY;
    case RAFT_BADID:
    case RAFT_NOTFOUND:
      return SHIM_NO_MEMBER;
    case RAFT_SHUTDOWN:
      return SHIM_CONFLICT;
    default:
      return SHIM_DEAD;
  }
}

/* The library subtracts times: backwards would underflow. */
void shim_clock(struct shim* s, uint64_t now) { s->now = now > s->now ? now : s->now; }

static enum shim_answer step(struct shim* s, uint64_t now, struct raft_event* event, struct shim_output* out) {
  struct raft_update update;
  int rv;
  memset(&update, 0, sizeof update);
  memset(out, 0, sizeof *out);
  shim_clock(s, now);
  event->time = s->now;
  rv = raft_step(&s->raft, event, &update);
  if (rv != 0)
    return answer_of(rv);
  out->hard_state = (update.flags & ((RAFT_UPDATE_CURRENT_TERM) | (RAFT_UPDATE_VOTED_FOR))) != 0;
  out->state = (update.flags & (RAFT_UPDATE_STATE)) != 0;
  if (out->state && s->raft.state == RAFT_LEADER)
    s->leads_since = s->now;
  if (update.flags & (RAFT_UPDATE_ENTRIES))
    take_entries(s, &update, out);
  if (update.flags & (RAFT_UPDATE_SNAPSHOT))
    take_snapshot(s, &update, out);
  if (update.flags & (RAFT_UPDATE_MESSAGES))
    take_messages(s, event, &update, out);
  take_commit(s, (update.flags & (RAFT_UPDATE_COMMIT_INDEX)) != 0, out);
  if (shim_leader(s) != 0)
    s->leader_seen = s->now;
  return SHIM_OK;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

struct shim* shim_open(const struct shim_options* options) {
  struct shim* s = must(calloc(1, sizeof *s)); /* raft_init leaves fields as they are: all must be zero */
  char address[32];
  snprintf(address, sizeof address, "%llu", (unsigned long long)options->id); /* the library only carries it around */
  ensure(raft_init(&s->raft, NULL, NULL, options->id, address) == 0, "raft_init failed");
  s->raft.tracer = NULL; /* the default one formats every line, and with static buffers */
#ifdef SIGNET_TEST_HOOKS
  s->workarounds_off = options->workarounds_off;
#endif
  raft_seed(&s->raft, options->seed);
  raft_set_election_timeout(&s->raft, options->election_ms);
  raft_set_heartbeat_timeout(&s->raft, options->heartbeat_ms);
  raft_set_install_snapshot_timeout(&s->raft, options->install_snapshot_ms);
  raft_set_max_inflight_entries(&s->raft, options->in_flight_max);
  raft_set_pre_vote(&s->raft, options->pre_vote);
  return s;
}

void shim_close(struct shim* s) {
  if (s == NULL)
    return;
  release(s);
  forget_from(s, 0);
  free(s->known);
  raft_close(&s->raft, NULL);
  free(s);
}

enum shim_answer shim_start(struct shim* s, uint64_t now, uint64_t term, uint64_t voted_for,
                            const struct shim_snapshot* snapshot, uint64_t first_index, const struct shim_entry* entries,
                            uint32_t count, struct shim_output* out) {
  struct raft_event event = event_of(RAFT_START);
  struct raft_snapshot_metadata metadata;
  struct raft_entry* array = NULL;
  uint64_t known_from = 0;
  enum shim_answer answer;
  event.start.term = term;
  event.start.voted_for = voted_for;
  event.start.start_index = first_index;
  s->leader_seen = now;
  if (snapshot != NULL) {
    memset(&metadata, 0, sizeof metadata);
    metadata.index = snapshot->index;
    metadata.term = snapshot->term;
    metadata.configuration_index = snapshot->configuration_index;
    metadata.configuration = decode(snapshot->configuration);
    event.start.metadata = &metadata;
    remember(s, snapshot->configuration_index, snapshot->configuration.data, snapshot->configuration.size);
    known_from = snapshot->configuration_index;
    s->settled = known_from;
  }
  if (count > 0) {
    array = entries_for_library(entries, count, true); /* an error path of START frees the array with raft_free */
    event.start.entries = array;
    event.start.n_entries = count;
    for (uint32_t i = 0; i < count; i++)
      if (entries[i].type == RAFT_CHANGE && first_index + i > known_from)
        remember(s, first_index + i, entries[i].change.data, entries[i].change.size);
  }
  answer = step(s, now, &event, out);
  if (answer == SHIM_OK && count > 0) {
    raft_free(array[0].batch);
    raft_free(array);
  }
  return answer == SHIM_OK ? SHIM_OK : SHIM_DEAD;
}

/* ---- messages ------------------------------------------------------------------------------------------------------ */

static void fill_append(struct shim* s, const struct shim_message* m, struct raft_append_entries* to) {
  const struct raft_trail* trail = &s->raft.trail;
  uint32_t skip = 0;
  to->term = m->term;
  to->prev_log_index = m->prev_index;
  to->prev_log_term = m->prev_term;
  to->leader_commit = m->leader_commit;
  /* W3: what lies below our snapshot is committed, hence the same as here. Anchor the message at the snapshot. */
  if (WORKAROUND(s, 3) && m->term >= s->raft.current_term && !s->raft.snapshot.installing &&
      m->prev_index <= trail->offset && m->prev_index < trail->snapshot.index) {
    uint64_t below = trail->snapshot.index - m->prev_index;
    skip = below < m->count ? (uint32_t)below : m->count;
    to->prev_log_index = trail->snapshot.index;
    to->prev_log_term = trail->snapshot.term;
  }
  if (m->count > skip) {
    s->array = entries_for_library(m->entries + skip, m->count - skip, false);
    to->entries = s->array;
    to->n_entries = m->count - skip;
  }
}

/* W4; false: drop the message. */
static bool fill_append_result(struct shim* s, const struct shim_message* m, struct raft_append_entries_result* to) {
  raft_index match = 0;
  to->version = 2;
  to->features = 1;
  to->term = m->term;
  to->rejected = m->rejected;
  to->last_log_index = m->last_index;
  if (!WORKAROUND(s, 4) || s->raft.state != RAFT_LEADER || m->term != s->raft.current_term || m->rejected == 0 ||
      raft_match_index(&s->raft, m->peer, &match) != 0)
    return true;
  if (m->rejected <= match)
    return false;
  if (to->last_log_index < match)
    to->last_log_index = match;
  return true;
}

static enum shim_answer receive_vote(struct shim* s, uint64_t now, struct raft_event* event, struct shim_output* out) {
  enum shim_answer answer;
  struct raft_server* self = (struct raft_server*)self_in_configuration(s);
  int role;
  /* W7: who has a vote is the candidate's configuration's business. */
  if (!WORKAROUND(s, 7) || s->raft.state != RAFT_FOLLOWER || self == NULL)
    return step(s, now, event, out);
  role = self->role;
  self->role = RAFT_VOTER;
  answer = step(s, now, event, out);
  self->role = role;
  return answer;
}

static enum shim_answer receive(struct shim* s, uint64_t now, const struct shim_message* m, struct shim_output* out) {
  struct raft_event event = event_of(RAFT_RECEIVE);
  struct raft_message to;
  char address[32];
  memset(&to, 0, sizeof to);
  snprintf(address, sizeof address, "%llu", (unsigned long long)m->peer);
  to.server_id = m->peer;
  to.server_address = address;
  event.receive.message = &to;
  switch (m->type) {
    case SHIM_APPEND:
      to.type = RAFT_APPEND_ENTRIES;
      fill_append(s, m, &to.append_entries);
      break;
    case SHIM_APPEND_RESULT:
      to.type = RAFT_APPEND_ENTRIES_RESULT;
      if (!fill_append_result(s, m, &to.append_entries_result))
        return SHIM_NOTHING;
      break;
    case SHIM_VOTE:
      to.type = RAFT_REQUEST_VOTE;
      to.request_vote.version = 2;
      to.request_vote.term = m->term;
      to.request_vote.candidate_id = m->candidate;
      to.request_vote.last_log_index = m->last_index;
      to.request_vote.last_log_term = m->last_term;
      to.request_vote.disrupt_leader = m->disrupt_leader;
      to.request_vote.pre_vote = m->pre_vote;
      return receive_vote(s, now, &event, out);
    case SHIM_VOTE_RESULT:
      if (WORKAROUND(s, 8) && s->raft.state != RAFT_CANDIDATE)
        return SHIM_NOTHING;
      to.type = RAFT_REQUEST_VOTE_RESULT;
      to.request_vote_result.version = 2; /* below 2 the library cannot tell pre-votes from votes */
      to.request_vote_result.features = 1;
      to.request_vote_result.term = m->term;
      to.request_vote_result.vote_granted = m->granted;
      to.request_vote_result.pre_vote = m->pre_vote;
      break;
    case SHIM_INSTALL:
      if (WORKAROUND(s, 11) && s->raft.snapshot.installing)
        return SHIM_NOTHING;
      to.type = RAFT_INSTALL_SNAPSHOT;
      to.install_snapshot.term = m->term;
      to.install_snapshot.last_index = m->snapshot.index;
      to.install_snapshot.last_term = m->snapshot.term;
      to.install_snapshot.conf_index = m->snapshot.configuration_index;
      to.install_snapshot.conf = decode(m->snapshot.configuration);
      to.install_snapshot.data.base = must(raft_malloc(1)); /* the state travels by other means */
      to.install_snapshot.data.len = 1;
      break;
    case SHIM_TIMEOUT_NOW:
      if (WORKAROUND(s, 6) && sole_voter(s))
        return SHIM_NOTHING;
      to.type = RAFT_TIMEOUT_NOW;
      to.timeout_now.term = m->term;
      to.timeout_now.last_log_index = m->last_index;
      to.timeout_now.last_log_term = m->last_term;
      break;
    default:
      return SHIM_NOTHING;
  }
  return step(s, now, &event, out);
}

enum shim_answer shim_receive(struct shim* s, uint64_t now, const struct shim_message* m, struct shim_output* out) {
  release(s);
  return receive(s, now, m, out);
}

enum shim_answer shim_after_receive(struct shim* s, uint64_t now, uint64_t peer, uint64_t sender_term,
                                    struct shim_output* out) {
  struct shim_message m;
  enum shim_answer answer;
  /* W5: ask ourselves for a vote that we will not give, in the peer's term: it only raises ours. */
  if (!WORKAROUND(s, 5) || sender_term <= s->raft.current_term || shim_leader(s) != 0 ||
      now <= s->leader_seen + (uint64_t)LEADERLESS_TIMEOUTS * s->raft.election_timeout)
    return SHIM_NOTHING;
  memset(&m, 0, sizeof m);
  m.type = SHIM_VOTE;
  m.peer = peer;
  m.candidate = peer;
  m.term = sender_term;
  release(s);
  answer = receive(s, now, &m, out);
  out->messages_count = 0; /* nobody has asked */
  return answer;
}

/* ---- everything else ----------------------------------------------------------------------------------------------- */

enum shim_answer shim_settle_configuration(struct shim* s, uint64_t now, struct shim_output* out) {
  const struct known_configuration* next = NULL;
  struct raft_event event = event_of(RAFT_CONFIGURATION);
  struct shim_bytes encoded;
  enum shim_answer answer;
  if (s->raft.snapshot.installing)
    return SHIM_NOTHING;
  for (size_t i = 0; i < s->known_count && next == NULL; i++)
    if (s->known[i].index > s->settled)
      next = &s->known[i];
  if (next == NULL || next->index > s->commit)
    return SHIM_NOTHING;
  release(s);
  s->settled = next->index;
  encoded = (struct shim_bytes){next->bytes, next->size};
  event.configuration.index = next->index;
  event.configuration.conf = decode(encoded);
  answer = step(s, now, &event, out);
  /* W2: the library ignores it when a later change is in the log already, and would roll back behind it. */
  if (answer == SHIM_OK && WORKAROUND(s, 2) && s->raft.configuration_committed_index < next->index) {
    raft_configuration_close(&s->raft.configuration_committed);
    s->raft.configuration_committed = decode(encoded);
    s->raft.configuration_committed_index = next->index;
  }
  return answer;
}

enum shim_answer shim_persisted(struct shim* s, uint64_t now, uint64_t index, struct shim_output* out) {
  struct raft_event event = event_of(RAFT_PERSISTED_ENTRIES);
  if (s->raft.snapshot.installing || index <= s->raft.last_stored || index > raft_last_index(&s->raft))
    return SHIM_NOTHING;
  ensure(s->raft.state != RAFT_CANDIDATE, "entries become durable in a candidate");
  release(s);
  event.persisted_entries.index = index;
  return step(s, now, &event, out);
}

static struct raft_snapshot_metadata metadata_of(const struct shim_snapshot* snapshot) {
  struct raft_snapshot_metadata out;
  memset(&out, 0, sizeof out);
  out.index = snapshot->index;
  out.term = snapshot->term;
  out.configuration_index = snapshot->configuration_index;
  out.configuration = decode(snapshot->configuration);
  return out;
}

enum shim_answer shim_snapshot_persisted(struct shim* s, uint64_t now, const struct shim_snapshot* snapshot,
                                         struct shim_output* out) {
  struct raft_event event = event_of(RAFT_PERSISTED_SNAPSHOT);
  if (!s->raft.snapshot.installing || s->raft.state != RAFT_FOLLOWER || s->raft.trail.snapshot.index != snapshot->index)
    return SHIM_NOTHING;
  release(s);
  event.persisted_snapshot.metadata = metadata_of(snapshot);
  event.persisted_snapshot.last = true;
  forget_from(s, 0);
  remember(s, snapshot->configuration_index, snapshot->configuration.data, snapshot->configuration.size);
  s->settled = snapshot->configuration_index;
  return step(s, now, &event, out);
}

enum shim_answer shim_snapshot_taken(struct shim* s, uint64_t now, const struct shim_snapshot* snapshot, uint32_t trailing,
                                     struct shim_output* out) {
  struct raft_event event = event_of(RAFT_SNAPSHOT);
  size_t drop = 0;
  if (s->raft.snapshot.installing || snapshot->index <= s->raft.trail.snapshot.index ||
      snapshot->index > raft_last_index(&s->raft) || snapshot->index > s->commit)
    return SHIM_NOTHING;
  release(s);
  event.snapshot.metadata = metadata_of(snapshot);
  event.snapshot.trailing = trailing;
  /* The newest configuration at or below the snapshot stays known. */
  while (drop + 1 < s->known_count && s->known[drop + 1].index <= snapshot->configuration_index)
    free(s->known[drop++].bytes);
  memmove(s->known, s->known + drop, (s->known_count - drop) * sizeof *s->known);
  s->known_count -= drop;
  return step(s, now, &event, out);
}

enum shim_answer shim_timeout(struct shim* s, uint64_t now, struct shim_output* out) {
  struct raft_event event = event_of(RAFT_TIMEOUT);
  enum shim_answer answer;
  bool silent;
  release(s);
  /* W6: enter a new term by voting for ourselves first. Once that is durable, the next timeout elects. */
  if (WORKAROUND(s, 6) && s->raft.state == RAFT_FOLLOWER && now >= raft_timeout(&s->raft) && !s->raft.snapshot.installing &&
      sole_voter(s) && s->self_voted_term != s->raft.current_term) {
    struct shim_message m;
    memset(&m, 0, sizeof m);
    m.type = SHIM_VOTE;
    m.peer = s->raft.id;
    m.candidate = s->raft.id;
    m.term = s->raft.current_term + 1;
    m.last_index = UINT64_MAX; /* we are as up to date as ourselves */
    m.last_term = UINT64_MAX;
    m.disrupt_leader = true;
    answer = receive(s, now, &m, out);
    s->self_voted_term = s->raft.current_term;
    return answer;
  }
  /* W14: who has answered within an election timeout is there; without a majority of them a leader steps down. */
  if (WORKAROUND(s, 14) && s->raft.state == RAFT_LEADER) {
    uint64_t at = now > s->now ? now : s->now;
    uint64_t since = at > s->raft.election_timeout ? at - s->raft.election_timeout : 0;
    s->raft.election_timer_start = since > s->leads_since ? since : s->leads_since;
  }
  silent = WORKAROUND(s, 15) && s->raft.state == RAFT_FOLLOWER && !s->raft.snapshot.installing && shim_leader(s) != 0 &&
           now >= raft_timeout(&s->raft);
  answer = step(s, now, &event, out);
  /* W15: a voter would stand for election now. */
  if (answer == SHIM_OK && silent && s->raft.state == RAFT_FOLLOWER) {
    raft_free(s->raft.follower_state.current_leader.address);
    s->raft.follower_state.current_leader.address = NULL;
    s->raft.follower_state.current_leader.id = 0;
    out->state = true;
  }
  return answer;
}

enum shim_answer shim_submit(struct shim* s, uint64_t now, const struct shim_entry* entries, uint32_t count,
                             struct shim_output* out) {
  struct raft_event event = event_of(RAFT_SUBMIT);
  enum shim_answer answer;
  void* block;
  if (s->raft.state != RAFT_LEADER)
    return SHIM_NOT_LEADER;
  for (uint32_t i = 0; i < count && count > 1; i++)
    if (entries[i].type == RAFT_CHANGE && WORKAROUND(s, 13))
      return SHIM_BUSY;
  release(s);
  s->array = entries_for_library(entries, count, false);
  for (uint32_t i = 0; i < count; i++)
    s->array[i].term = s->raft.current_term;
  block = s->array[0].batch;
  event.submit.entries = s->array;
  event.submit.n = count;
  answer = step(s, now, &event, out);
  if (answer != SHIM_OK)
    raft_free(block); /* not taken */
  return answer;
}

enum shim_answer shim_catch_up(struct shim* s, uint64_t now, uint64_t id, struct shim_output* out) {
  struct raft_event event = event_of(RAFT_CATCH_UP);
  const struct raft* r = &s->raft;
  const struct raft_server* learner = NULL;
  if (WORKAROUND(s, 12)) {
    if (r->state != RAFT_LEADER)
      return SHIM_NOT_LEADER;
    if (r->leader_state.promotee_id != 0 || r->leader_state.transferee != 0 || r->configuration_uncommitted_index != 0)
      return SHIM_BUSY;
    for (unsigned i = 0; i < r->configuration.n; i++)
      if (r->configuration.servers[i].id == id)
        learner = &r->configuration.servers[i];
    if (learner == NULL || id == r->id || learner->role == RAFT_VOTER)
      return SHIM_NO_MEMBER;
  }
  release(s);
  event.catch_up.server_id = id;
  return step(s, now, &event, out);
}

enum shim_answer shim_transfer(struct shim* s, uint64_t now, uint64_t id, struct shim_output* out) {
  struct raft_event event = event_of(RAFT_TRANSFER);
  release(s);
  event.transfer.server_id = id;
  return step(s, now, &event, out);
}

/* ---- what it knows ------------------------------------------------------------------------------------------------- */

uint64_t shim_next_timeout(const struct shim* s) {
  uint64_t due = raft_timeout(&s->raft);
  uint64_t floor = s->now + TIMEOUT_FLOOR_MS;
  return WORKAROUND(s, 9) && due < floor ? floor : due;
}
uint64_t shim_term(const struct shim* s) { return raft_current_term(&s->raft); }
uint64_t shim_voted_for(const struct shim* s) { return raft_voted_for(&s->raft); }
uint64_t shim_commit(const struct shim* s) { return s->commit; }
uint64_t shim_last_index(const struct shim* s) { return raft_last_index((struct raft*)(uintptr_t)&s->raft); }
uint64_t shim_last_stored(const struct shim* s) { return s->raft.last_stored; }
uint64_t shim_snapshot_index(const struct shim* s) { return s->raft.trail.snapshot.index; }
enum shim_role shim_current_role(const struct shim* s) { return (enum shim_role)s->raft.state; }
bool shim_installing(const struct shim* s) { return s->raft.snapshot.installing; }
bool shim_transferring(const struct shim* s) { return raft_transferee(&s->raft) != 0; }
uint64_t shim_pending_change(const struct shim* s) { return s->raft.configuration_uncommitted_index; }

uint64_t shim_leader(const struct shim* s) {
  raft_id id = 0;
  const char* address = NULL;
  raft_leader((struct raft*)(uintptr_t)&s->raft, &id, &address);
  return id;
}

int shim_learner(const struct shim* s, uint64_t id) {
  int status = 0;
  return raft_catch_up(&s->raft, id, &status) == 0 ? status + 1 : 0;
}

uint64_t shim_match(const struct shim* s, uint64_t id) {
  raft_index match = 0;
  return raft_match_index(&s->raft, id, &match) == 0 ? match : 0;
}

uint64_t shim_configuration_at(const struct shim* s, uint64_t index, struct shim_bytes* encoded) {
  const struct known_configuration* found = known_at(s, index);
  *encoded = found != NULL ? (struct shim_bytes){found->bytes, found->size} : (struct shim_bytes){NULL, 0};
  return found != NULL ? found->index : 0;
}

uint32_t shim_library_members(const struct shim* s, uint64_t* ids, uint8_t* roles, uint32_t room) {
  for (uint32_t i = 0; i < s->raft.configuration.n && i < room; i++) {
    ids[i] = s->raft.configuration.servers[i].id;
    roles[i] = (uint8_t)s->raft.configuration.servers[i].role;
  }
  return s->raft.configuration.n;
}
