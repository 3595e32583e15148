/* SHIM: the only door to libraft 0.22.1. Opaque C interface over raft_step(); raft.h is not valid C++ (it defines types
 * inside sizeof), and everything we know to be wrong in the library is put right in shim.c. Used by core.cpp alone.
 *
 * Callers keep the rules that core.cpp checks: configurations are well-formed, messages plausible. Payloads of commands
 * never come here: the library looks only at indexes, terms and configurations. Out of memory ends the process.
 * Pointers in an output or a message from here live until the next step of the same shim. One thread at a time. */
#ifndef SIGNET_STORAGE_RAFT_SHIM_H
#define SIGNET_STORAGE_RAFT_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shim;

/* Answers of the steps. After CONFLICT and DEAD only shim_close() is allowed. */
enum shim_answer {
  SHIM_OK = 0,      /* the output says what to do */
  SHIM_NOTHING,     /* nothing to do, nothing happened */
  SHIM_NOT_LEADER,  /* refused, nothing happened */
  SHIM_BUSY,        /* refused: a change, catch-up or transfer is under way */
  SHIM_NO_MEMBER,   /* refused: no such member, or not in the role that this needs */
  SHIM_CONFLICT,    /* a committed entry conflicts with the leader's */
  SHIM_DEAD         /* the library's state is undefined from here on */
};

enum shim_role { SHIM_FOLLOWER = 1, SHIM_CANDIDATE = 2, SHIM_LEADER = 3 };

struct shim_bytes {
  const uint8_t* data;
  size_t size;
};

struct shim_options {
  uint64_t id;
  uint32_t election_ms;
  uint32_t heartbeat_ms;
  uint32_t install_snapshot_ms;
  uint32_t in_flight_max;
  uint32_t seed;
  bool pre_vote;
  uint32_t workarounds_off; /* bit n: without Wn; heeded only with SIGNET_TEST_HOOKS */
};

struct shim_entry {
  uint64_t term;
  uint8_t type;             /* 1 command, 2 barrier, 3 change */
  struct shim_bytes change; /* encoded configuration of a change; else empty */
};

struct shim_snapshot {
  uint64_t index;
  uint64_t term;
  uint64_t configuration_index;
  struct shim_bytes configuration; /* encoded */
};

enum shim_message_type {
  SHIM_APPEND = 1,
  SHIM_APPEND_RESULT,
  SHIM_VOTE,
  SHIM_VOTE_RESULT,
  SHIM_INSTALL,
  SHIM_TIMEOUT_NOW
};

/* Fields that a type does not use are 0. */
struct shim_message {
  enum shim_message_type type;
  uint64_t peer; /* sender of what comes in, receiver of what goes out */
  uint64_t term;
  /* append */
  uint64_t prev_index, prev_term, leader_commit;
  const struct shim_entry* entries; /* coming in only */
  uint32_t count;
  /* append result, vote, timeout now */
  uint64_t rejected, last_index, last_term;
  /* vote */
  uint64_t candidate;
  bool disrupt_leader, pre_vote, granted;
  /* install; going out: index, term and configuration index only */
  struct shim_snapshot snapshot;
};

struct shim_output {
  bool hard_state; /* term or vote changed */
  bool state;      /* role changed */
  bool commit;     /* shim_commit() rose */
  /* The log is to be cut before entries_first, then entries_count entries appended; 0: no change. They are a suffix of the
   * entries that this step was given, or one barrier of the current term that the library made. */
  uint64_t entries_first;
  uint32_t entries_count;
  bool entries_barrier;
  bool install; /* replace everything by this snapshot */
  struct shim_snapshot snapshot;
  const struct shim_message* messages;
  uint32_t messages_count;
};

struct shim* shim_open(const struct shim_options* options);
void shim_close(struct shim* s);

/* Time passes although no step follows: next_timeout is counted from the latest time known. */
void shim_clock(struct shim* s, uint64_t now);
/* The first step. snapshot may be NULL. */
enum shim_answer shim_start(struct shim* s, uint64_t now, uint64_t term, uint64_t voted_for,
                            const struct shim_snapshot* snapshot, uint64_t first_index, const struct shim_entry* entries,
                            uint32_t count, struct shim_output* out);
enum shim_answer shim_receive(struct shim* s, uint64_t now, const struct shim_message* m, struct shim_output* out);
/* To be called after every receive: `sender_term` is the peer's current term (W5). */
enum shim_answer shim_after_receive(struct shim* s, uint64_t now, uint64_t peer, uint64_t sender_term,
                                    struct shim_output* out);
/* To be called after every step until it answers SHIM_NOTHING: tells the library about committed configurations. */
enum shim_answer shim_settle_configuration(struct shim* s, uint64_t now, struct shim_output* out);
enum shim_answer shim_persisted(struct shim* s, uint64_t now, uint64_t index, struct shim_output* out);
enum shim_answer shim_snapshot_persisted(struct shim* s, uint64_t now, const struct shim_snapshot* snapshot,
                                         struct shim_output* out);
enum shim_answer shim_snapshot_taken(struct shim* s, uint64_t now, const struct shim_snapshot* snapshot, uint32_t trailing,
                                     struct shim_output* out);
enum shim_answer shim_timeout(struct shim* s, uint64_t now, struct shim_output* out);
/* The terms of the entries are set here: the current one. */
enum shim_answer shim_submit(struct shim* s, uint64_t now, const struct shim_entry* entries, uint32_t count,
                             struct shim_output* out);
enum shim_answer shim_catch_up(struct shim* s, uint64_t now, uint64_t id, struct shim_output* out);
enum shim_answer shim_transfer(struct shim* s, uint64_t now, uint64_t id, struct shim_output* out);

uint64_t shim_next_timeout(const struct shim* s);
uint64_t shim_term(const struct shim* s);
uint64_t shim_voted_for(const struct shim* s);
uint64_t shim_commit(const struct shim* s);
uint64_t shim_last_index(const struct shim* s);
uint64_t shim_last_stored(const struct shim* s);
uint64_t shim_snapshot_index(const struct shim* s);
enum shim_role shim_current_role(const struct shim* s);
uint64_t shim_leader(const struct shim* s);
bool shim_installing(const struct shim* s);
bool shim_transferring(const struct shim* s);
/* 0 unknown member or not leader, 1 none, 2 running, 3 aborted, 4 finished */
int shim_learner(const struct shim* s, uint64_t id);
uint64_t shim_match(const struct shim* s, uint64_t id);
/* The newest configuration at or below `index` that the log or the snapshot holds; index 0 if there is none. */
uint64_t shim_configuration_at(const struct shim* s, uint64_t index, struct shim_bytes* encoded);
/* What the library itself believes, for tests: ids and roles of its current configuration in order; the count. */
uint32_t shim_library_members(const struct shim* s, uint64_t* ids, uint8_t* roles, uint32_t room);
/* And the index of the change it believes to be pending; 0: none. */
uint64_t shim_pending_change(const struct shim* s);

#ifdef __cplusplus
}
#endif
#endif
