#include "storage/views/apply.hpp"

#include "messages/hooks.hpp"
#include "messages/security_events.hpp"
#include "storage/tables.hpp"
#include "storage/views/entry.hpp"
#include "storage/views/read.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace signet::storage {
namespace {

constexpr std::uint64_t token_life_ms = std::uint64_t{token_life_s_max} * 1000;
constexpr std::uint64_t token_life_reusable_ms = std::uint64_t{token_life_reusable_s_max} * 1000;

/// Gathers every write of one entry, in order, for the state hash. Bytes of one write:
///   1 ‖ slot u8 ‖ key size u16 ‖ key ‖ value size u32 ‖ value      a put
///   0 ‖ slot u8 ‖ key size u16 ‖ key                               an erasure
class state_fold : public write_observer {
public:
  void clear() { writes_.clear(); }
  bytes_view writes() const { return writes_; }
  void put(table_ref where, bytes_view key, bytes_view value) override {
    begin(1, where, key);
    append_u32(writes_, static_cast<std::uint32_t>(value.size()));
    append(writes_, value);
  }
  void erased(table_ref where, bytes_view key) override { begin(0, where, key); }

private:
  void begin(std::uint8_t what, table_ref where, bytes_view key) {
    writes_.push_back(what);
    writes_.push_back(where.slot);
    append_u16(writes_, static_cast<std::uint16_t>(key.size()));
    append(writes_, key);
  }
  bytes writes_;
};

/// Tells the transaction's changes to the fold as long as it lives.
class observed {
public:
  observed(write_txn& txn, state_fold& fold) : txn_{txn} {
    fold.clear();
    txn_.observe(&fold);
  }
  ~observed() { txn_.observe(nullptr); }
  observed(const observed&) = delete;

private:
  write_txn& txn_;
};

/// What one batch does to one lane and one inbox; made at its first message to that recipient.
struct lane_plan {
  permalink recipient;
  lane_judge judge;
  lane_state stored;                    ///< before this batch
  std::optional<outcome_code> barred;   ///< no new message may be accepted, because
  lane_number first{};                  ///< first n accepted here; 0: none
  leaf_list leaves;                     ///< of what is accepted
  std::uint32_t size_bytes = 0;
  std::uint32_t gaps = 0, forks = 0;
};

struct fork_found {
  std::size_t plan = 0;
  lane_number n{};
  link refused;
  fork_row row;
};

/// The plans of one batch, in the order of their first messages, found by recipient. Reused from batch to batch.
class lane_plans {
public:
  void clear() {
    if (plans_.empty())
      return;
    plans_.clear();
    std::fill(slots_.begin(), slots_.end(), std::uint16_t{0});
  }
  /// The place in all(), and whether it is new.
  std::pair<std::size_t, bool> find_or_add(const permalink& recipient) {
    auto slot = id_hash{}(recipient) & (slots_.size() - 1);
    for (; slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1))
      if (plans_[slots_[slot] - 1U].recipient == recipient)
        return {slots_[slot] - 1U, false};
    plans_.emplace_back().recipient = recipient;
    slots_[slot] = static_cast<std::uint16_t>(plans_.size());
    return {plans_.size() - 1, true};
  }
  std::vector<lane_plan>& all() { return plans_; }

private:
  std::vector<lane_plan> plans_;
  /// Place in plans_ + 1; 0: free. Never more than half full.
  std::vector<std::uint16_t> slots_ = std::vector<std::uint16_t>(2 * batch_messages_max);
};

/// A version that may be published, and what that changes. Nothing is written before all of an entry is judged.
struct publication {
  identity_version version;
  std::vector<public_key> fresh;    ///< keys that get a row
  std::vector<public_key> revoked;  ///< keys of the version before that are missing
  bool repeated = false;            ///< it stands already
};

bool same_bytes(bytes_view a, bytes_view b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

ec code_of(outcome_code code) {
  switch (code) {
    case outcome_code::accepted:
    case outcome_code::duplicate: return ec::ok;
    case outcome_code::fork:
    case outcome_code::gap: return ec::version_conflict;
    case outcome_code::not_for_here: return ec::unknown_identity;
    case outcome_code::revoked_key: return ec::revoked_key;
    case outcome_code::wrong_key_purpose: return ec::wrong_key_purpose;
    case outcome_code::too_large: return ec::too_large;
    case outcome_code::rate_limited: return ec::rate_limited;
    case outcome_code::bad_signature: return ec::bad_signature;
    case outcome_code::malformed: return ec::malformed;
  }
  return ec::malformed;
}

} // namespace

bool entry_result::all_good() const {
  return code == ec::ok && std::all_of(outcomes.begin(), outcomes.end(), [](const auto& each) { return each.good(); });
}

/// Scratch memory, and one entry at a time.
struct applier::state {
  state_fold fold;
  lane_plans plans;
  std::vector<fork_found> forks;
  /// The batch of an earlier entry, kept while one entry is judged: re-sent messages mostly stand together.
  std::optional<loaded_batch> earlier;
  log_index earlier_index{};

  write_txn* txn = nullptr;
  log_index index{};
  wall_ms now{};
  std::uint32_t event_ordinal = 0;
  digest state_hash;  ///< after the newest entry
  bool fresh_start = true;  ///< no batch has been applied since the process began
  const verified_batch* verified = nullptr;

  void begin(write_txn& in, log_index at, wall_ms time) {
    txn = &in;
    index = at;
    now = time;
    event_ordinal = 0;
    verified = nullptr;
    earlier.reset();
  }

  // -- security events -------------------------------------------------------------------------------------------------

  void write_event(event_row event) {
    event.time = SIGNET_BUG("APPLY_NONDET") ? system_clock().wall() : now;
    auto counter = get<table::event_counters>(*txn, {event.kind}).value_or(counter_row{});
    counter.count += event.count;
    counter.last = index;
    put<table::event_counters>(*txn, {event.kind}, counter);
    put<table::security_events>(*txn, {index, event_ordinal++}, event);
  }
  void note(security_kind kind, bytes_view subject, bytes_view object = {}, std::string_view detail = {},
            std::uint32_t count = 1) {
    event_row event;
    event.count = count;
    event.kind = name(kind);
    event.subject = to_bytes(subject);
    event.object = to_bytes(object);
    event.detail = detail;
    write_event(std::move(event));
  }

  // -- founding --------------------------------------------------------------------------------------------------------

  void apply_founded(const founded_content& what, entry_result& out) {
    auto stands = find_cluster(*txn);
    if (stands && *stands != what.cluster) {
      out.code = ec::already_exists;
      return;
    }
    if (!stands)
      put<table::state>(*txn, {"cluster"}, {what.cluster.view()});
    out.code = ec::ok;
  }

  // -- identities ------------------------------------------------------------------------------------------------------

  /// Why not is in out.code, and in the events.
  std::optional<publication> judge_publication(bytes_view published, entry_result& out) {
    auto version = identity_version::open_stored(published);
    if (!version) {
      out.code = ec::malformed;
      return std::nullopt;
    }
    out.identity = version->permalink();
    auto newest = find_identity(*txn, version->permalink());
    if (newest)
      out.standing = newest->link;

    if (auto standing = find_version(*txn, version->link())) {
      auto row = get<table::identity_versions>(*txn, {standing->identity, standing->version});
      if (!row)
        throw storage_failure(ec::corrupt, "identity " + standing->identity.hex() + " lacks version " +
                                             std::to_string(standing->version) + "; run: signet verify DATA");
      out.published = row->index;
      out.code = ec::ok;
      return publication{std::move(*version), {}, {}, true};
    }

    std::vector<public_key> revoked;
    if (!version->is_first()) {
      if (!newest) {
        out.code = ec::unknown_identity;
        return std::nullopt;
      }
      auto row = get<table::identity_versions>(*txn, {version->permalink(), newest->version});
      auto before = row ? identity_version::open_stored(row->published) : fail(ec::corrupt);
      if (!before)
        throw storage_failure(ec::corrupt, "identity " + version->permalink().hex() +
                                             " lacks its newest version; run: signet verify DATA");
      if (auto may = check_succession(*before, *version); !may) {
        out.code = may.error().code;
        if (out.code == ec::bad_signature)
          note(security_kind::bad_signature, version->permalink().view(), {}, "identity_version");
        return std::nullopt;
      }
      for (const auto& key : before->keys())
        if (!version->find_purpose(key.key))
          revoked.push_back(key.key);
    }

    // Every key, whoever published what before: none may belong, or ever have belonged, to another identity.
    std::vector<public_key> fresh;
    ec refused = ec::ok;
    for (const auto& key : version->keys()) {
      auto row = find_key(*txn, key.key);
      if (!row) {
        fresh.push_back(key.key);
      } else if (row->identity != version->permalink()) {
        out.code = ec::key_collision;
        out.object = row->identity;
        note(security_kind::key_collision, version->permalink().view(), row->identity.view(), name(key.purpose));
        return std::nullopt;
      } else if (refused == ec::ok && row->purpose != key.purpose) {
        refused = ec::wrong_key_purpose;
      } else if (refused == ec::ok && !row->stands()) {
        refused = ec::revoked_key;
      }
    }
    if (refused != ec::ok) {
      out.code = refused;
      return std::nullopt;
    }
    out.code = ec::ok;
    return publication{std::move(*version), std::move(fresh), std::move(revoked), false};
  }

  void write_publication(const publication& what, entry_result& out) {
    if (what.repeated)
      return;
    const auto& version = what.version;
    const auto& who = version.permalink();
    for (const auto& key : what.fresh)
      put<table::keys>(*txn, {key}, {who, *version.find_purpose(key), index, {}});
    for (const auto& key : what.revoked) {
      auto row = find_key(*txn, key);
      if (!row)
        throw storage_failure(ec::corrupt, "key " + key.hex() + " is not in its table; run: signet verify DATA");
      row->revoked = index;
      put<table::keys>(*txn, {key}, *row);
    }
    put<table::links>(*txn, {version.link()}, {who, version.version()});
    put<table::identity_versions>(*txn, {who, version.version()}, {index, version.serialised()});
    put<table::identities>(*txn, {who}, {version.version(), version.link(), index, version.commitment()});
    out.standing = version.link();
    out.published = index;
    if (version.is_first())
      note(security_kind::identity_created, who.view());
    if (!what.revoked.empty())
      for (const auto& session : read_sessions(*txn, who))
        if (std::find(what.revoked.begin(), what.revoked.end(), session.row.device) != what.revoked.end()) {
          erase_session({who, session.client_id}, session.row);
          note(security_kind::session_revoked, who.view(), session.row.device.view());
        }
  }

  void apply_identity(const identity_content& what, entry_result& out) {
    if (auto publish = judge_publication(what.published, out))
      write_publication(*publish, out);
  }

  // -- sessions --------------------------------------------------------------------------------------------------------

  void put_session(const session_row_key& key, const session_row& row) {
    put<table::sessions>(*txn, key, row);
    put<table::session_ends>(*txn, {row.expires, key}, {});
  }
  void erase_session(const session_row_key& key, const session_row& row) {
    erase<table::sessions>(*txn, key);
    erase<table::session_ends>(*txn, {row.expires, key});
  }

  ec judge_token(const permalink& who, const public_key& device, const token_claim& token) {
    if (value(token.issued) == 0)
      return ec::ok;
    const auto life_max = token.nonce.is_zero() ? token_life_reusable_ms : token_life_ms;
    if (token.ends <= token.issued || value(token.ends) - value(token.issued) > life_max)
      return ec::malformed;
    if (value(token.issued) > value(now) + token_skew_ms || now >= token.ends)
      return ec::token_expired;
    if (!token.nonce.is_zero() && get<table::nonces>(*txn, {device, token.nonce})) {
      note(security_kind::replayed_login, who.view(), device.view(), "token");
      return ec::token_spent;
    }
    return ec::ok;
  }
  void claim_nonce(const public_key& device, const token_claim& token) {
    if (token.nonce.is_zero())
      return;
    put<table::nonces>(*txn, {device, token.nonce}, {token.ends});
    put<table::nonce_ends>(*txn, {token.ends, {device, token.nonce}}, {});
  }
  /// Nonces of tokens whose life is over refuse nothing that the life does not refuse.
  void drop_nonces() {
    boost::container::small_vector<nonce_end_key, nonces_dropped_per_entry> ended;
    scan<table::nonce_ends>(*txn, {}, [&](const nonce_end_key& key, empty_value) {
      if (key.ends > now || ended.size() >= nonces_dropped_per_entry)
        return false;
      ended.push_back(key);
      return true;
    });
    for (const auto& key : ended) {
      erase<table::nonce_ends>(*txn, key);
      erase<table::nonces>(*txn, key.nonce);
    }
  }

  void apply_opened(const opened_content& what, entry_result& out) {
    const auto& who = what.key.identity;
    const auto& device = what.key.device;
    std::optional<publication> publish;
    if (!what.identity.empty()) {
      publish = judge_publication(what.identity, out);
      if (!publish)
        return;
      out.code = ec::malformed;
      if (publish->version.permalink() != who)
        return;
    }
    out.identity = who;
    if (publish && !publish->repeated) {
      auto purpose = publish->version.find_purpose(device);
      out.code = !purpose ? ec::unknown_identity : *purpose != key_purpose::sign ? ec::wrong_key_purpose : ec::ok;
    } else {
      out.code = judge_key(*txn, who, device, key_purpose::sign);
    }
    if (out.code != ec::ok)
      return;
    if (what.expires <= now) {
      out.code = ec::session_expired;
      return;
    }
    out.code = judge_token(who, device, what.token);
    if (out.code != ec::ok)
      return;

    if (publish)
      write_publication(*publish, out);
    claim_nonce(device, what.token);
    const session_row_key key{who, what.key.client_id};
    if (auto older = get<table::sessions>(*txn, key)) {
      out.replaced_epoch = older->epoch;
      erase_session(key, *older);
    } else {
      make_room_for_session(who);
    }
    out.epoch = value(index);
    put_session(key, {device, out.epoch, now, what.expires});
    note(security_kind::login_ok, who.view(), device.view());
  }

  void make_room_for_session(const permalink& who) {
    auto sessions = read_sessions(*txn, who);
    if (sessions.size() < sessions_per_identity_max)
      return;
    auto first = std::min_element(sessions.begin(), sessions.end(), [](const auto& a, const auto& b) {
      return std::pair{a.row.expires, a.row.epoch} < std::pair{b.row.expires, b.row.epoch};
    });
    erase_session({who, first->client_id}, first->row);
    note(security_kind::quota, who.view(), first->row.device.view(), "sessions");
  }

  void apply_renewed(const session_renewal& what, entry_result& out) {
    const auto& who = what.key.identity;
    const session_row_key key{who, what.key.client_id};
    out.identity = who;
    auto row = get<table::sessions>(*txn, key);
    if (row)
      out.epoch = row->epoch;
    if (!row || (row->epoch == what.epoch && (row->expires <= now || what.expires <= now))) {
      out.code = ec::session_expired;
      return;
    }
    if (row->epoch != what.epoch || row->device != what.key.device) {
      out.code = ec::taken_over;
      return;
    }
    out.code = judge_key(*txn, who, what.key.device, key_purpose::sign);
    if (out.code == ec::ok)
      out.code = judge_token(who, what.key.device, what.token);
    if (out.code != ec::ok)
      return;
    claim_nonce(what.key.device, what.token);
    erase_session(key, *row);
    row->expires = what.expires;
    put_session(key, *row);
    note(security_kind::session_renewed, who.view(), what.key.device.view());
  }

  void apply_closed(const std::vector<session_closing>& what, entry_result& out) {
    for (const auto& closing : what) {
      const session_row_key key{closing.key.identity, closing.key.client_id};
      auto row = get<table::sessions>(*txn, key);
      if (!row || row->epoch != closing.epoch || row->device != closing.key.device)
        continue;
      erase_session(key, *row);
      if (closing.reason == "expired" || closing.reason == "session_expired")
        note(security_kind::session_expired, closing.key.identity.view(), closing.key.device.view());
      else if (closing.reason == "revoked_key")
        note(security_kind::session_revoked, closing.key.identity.view(), closing.key.device.view());
    }
    out.code = ec::ok;
  }

  /// No row changes: whether a session reads is known where it is attached. What counts is who may say so, and when.
  void apply_inbox_taken(const inbox_taking& what, entry_result& out) {
    const auto& who = what.key.identity;
    out.identity = who;
    const auto row = get<table::sessions>(*txn, {who, what.key.client_id});
    if (row)
      out.epoch = row->epoch;
    if (!row || (row->epoch == what.epoch && row->expires <= now))
      out.code = ec::session_expired;
    else if (row->epoch != what.epoch || row->device != what.key.device)
      out.code = ec::taken_over;
    else
      out.code = judge_key(*txn, who, what.key.device, key_purpose::sign);
  }

  // -- batches ---------------------------------------------------------------------------------------------------------

  /// The message that stands at `n`, which may be one that this very batch has just placed.
  standing_message find_standing(const stored_batch& batch, const lane_plan& plan, lane_number n) {
    if (value(plan.first) != 0 && n >= plan.first)
      return {batch.link(plan.leaves.at(value(n) - value(plan.first))), index};
    if (n == plan.stored.n)
      return {plan.stored.link, plan.stored.index};
    const lane_id lane{batch.signer(), plan.recipient};
    auto found = txn->at_or_after(table::lanes::ref, encode_key(lane_run_key{lane, n}));
    if (found) {
      auto key = decode_key<table::lanes>(*found);
      auto run = decode_value<table::lanes>(*found);
      if (key.lane == lane && n >= run.first && n <= key.last) {
        if (n == key.last)
          return {run.last_link, run.index};
        if (!earlier || earlier_index != run.index) {
          earlier = load_batch(*txn, run.index);
          earlier_index = run.index;
        }
        auto leaf = run.leaves.at(value(n) - value(run.first));
        if (leaf < earlier->batch.size())
          return {earlier->batch.link(leaf), run.index};
      }
    }
    throw storage_failure(ec::corrupt, "lane " + lane.signer.hex() + " to " + lane.recipient.hex() + " lacks n = " +
                                         to_string(n) + "; run: signet verify DATA");
  }

  /// Fills the plans and one outcome for each message; writes nothing.
  void judge_batch(const stored_batch& batch, entry_result& out) {
    plans.clear();
    forks.clear();
    out.outcomes.assign(batch.size(), outcome{});
    const auto cluster = find_cluster(*txn);
    const auto signer = find_key(*txn, batch.signer());
    std::optional<outcome_code> barred;
    if (signer && signer->purpose != key_purpose::sign)
      barred = outcome_code::wrong_key_purpose;
    else if (signer && !signer->stands())
      barred = outcome_code::revoked_key;
    if (signer)
      out.identity = signer->identity;

    for (std::uint32_t leaf = 0; leaf < batch.size(); ++leaf) {
      const auto message = batch.message(leaf);
      auto& verdict = out.outcomes[leaf];
      if (message.problem) {
        verdict.code = *message.problem;
        continue;
      }
      if (!signer || message.header.author != signer->identity) {
        verdict.code = outcome_code::bad_signature;
        continue;
      }
      if (!cluster || message.header.cluster != *cluster) {
        verdict.code = outcome_code::not_for_here;
        continue;
      }
      const auto [at, is_new] = plans.find_or_add(message.header.recipient);
      auto& plan = plans.all()[at];
      if (is_new) {
        plan.stored = read_lane(*txn, {batch.signer(), plan.recipient});
        plan.judge = lane_judge{plan.stored.n, plan.stored.link};
        plan.barred = barred;
        // Who has a lane is known: identities are never erased.
        if (!barred && value(plan.stored.n) == 0 && !txn->get(table::identities::ref, plan.recipient.view()))
          plan.barred = outcome_code::not_for_here;
      }
      const auto n = message.header.n;
      verdict = plan.judge.judge({n, message.header.previous, message.link}, index, plan.barred,
                                 [&](lane_number earlier_n) { return find_standing(batch, plan, earlier_n); });
      if (verdict.code == outcome_code::accepted) {
        if (value(plan.first) == 0)
          plan.first = n;
        plan.leaves.add(static_cast<std::uint16_t>(leaf));
        plan.size_bytes += static_cast<std::uint32_t>(message.body.size());
      } else if (verdict.code == outcome_code::gap) {
        ++plan.gaps;
      } else if (verdict.code == outcome_code::fork) {
        ++plan.forks;
        // What stands: the message of the same n, or, if it follows another one, the tail.
        const auto stands = n <= plan.judge.tail_n() ? find_standing(batch, plan, n).index
                            : value(plan.judge.tail_n()) == 0
                              ? log_index{}
                              : find_standing(batch, plan, plan.judge.tail_n()).index;
        forks.push_back({at, n, message.link, {index, static_cast<std::uint16_t>(leaf), stands}});
      }
    }
  }

  /// Only what is accepted.
  void write_messages(const stored_batch& batch) {
    for (const auto& plan : plans.all()) {
      if (plan.leaves.size() == 0)
        continue;
      if (SIGNET_BUG("DEDUP_FORGET") && fresh_start)
        continue;
      put<table::lanes>(*txn, {{batch.signer(), plan.recipient}, plan.judge.tail_n()},
                        {index, plan.first, plan.judge.tail_link(), plan.leaves});
      const auto head = value(read_inbox_head(*txn, plan.recipient));
      put<table::inbox>(*txn, {plan.recipient, inbox_position{head + plan.leaves.size()}},
                        {index, inbox_position{head + 1}, plan.size_bytes, plan.leaves});
    }
  }
  /// What was refused: evidence and events.
  void write_refusals(const stored_batch& batch, const entry_result& out) {
    for (const auto& fork : forks) {
      const fork_key key{{batch.signer(), plans.all()[fork.plan].recipient}, fork.n, fork.refused};
      if (!get<table::forks>(*txn, key))
        put<table::forks>(*txn, key, fork.row);
    }
    const auto author = out.identity.is_zero() ? batch.signer().view() : out.identity.view();
    for (const auto& plan : plans.all()) {
      if (plan.forks > 0)
        note(security_kind::fork, author, plan.recipient.view(), {}, plan.forks);
      if (plan.gaps > 0)
        note(security_kind::gap, author, plan.recipient.view(), {}, plan.gaps);
    }
    for (auto code : {outcome_code::bad_signature, outcome_code::revoked_key, outcome_code::wrong_key_purpose}) {
      const auto count = std::count_if(out.outcomes.begin(), out.outcomes.end(),
                                       [&](const outcome& each) { return each.code == code; });
      if (count > 0)
        note(security_kind::permission_denied, author, batch.signer().view(),
             code == outcome_code::bad_signature ? "foreign_author" : name(code), static_cast<std::uint32_t>(count));
    }
  }

  result<stored_batch> open_batch(bytes_view raw) const {
    if (verified && same_bytes(verified->serialised(), raw))
      return stored_batch{*verified};
    return stored_batch::view(raw);
  }

  void apply_batch(const batch_content& what, entry_result& out) {
    auto batch = open_batch(what.batch);
    if (!batch)
      return;
    judge_batch(*batch, out);
    write_messages(*batch);
    write_refusals(*batch, out);
    fresh_start = false;
    out.code = ec::ok;
  }

  // -- cursors and events ----------------------------------------------------------------------------------------------

  void apply_cursors(const std::vector<cursor_moved>& what, entry_result& out) {
    for (const auto& moved : what) {
      auto key = find_key(*txn, moved.device);
      if (!key || key->identity != moved.identity || moved.position > read_inbox_head(*txn, moved.identity) ||
          moved.position <= read_cursor(*txn, moved.identity, moved.device))
        continue;
      put<table::cursors>(*txn, {moved.identity, moved.device}, {moved.position});
    }
    out.code = ec::ok;
  }

  void apply_events(const std::vector<security_event>& what, entry_result& out) {
    for (const auto& event : what)
      write_event({{}, event.count, event.what.kind, event.what.subject, event.what.object, event.what.detail,
                   event.what.source});
    out.code = ec::ok;
  }

  // -- bots ------------------------------------------------------------------------------------------------------------

  void apply_deployed(const deployed_content& what, entry_result& out) {
    out.identity = what.bot;
    if (!find_identity(*txn, what.bot)) {
      out.code = ec::unknown_identity;
      return;
    }
    auto bot = find_bot(*txn, what.bot).value_or(bot_row{});
    bot.epoch = value(index);  // attempts stay: an input that takes the node down with it must run out of them too
    bot.name = what.name;
    put<table::bots>(*txn, {what.bot}, bot);
    answer(bot, out);
    out.code = ec::ok;
  }

  static void answer(const bot_row& bot, entry_result& out) {
    out.epoch = bot.epoch;
    out.position = bot.position;
  }
  /// The bot, if this epoch is the newest; else why not, in out.code.
  std::optional<bot_row> find_current(const permalink& who, std::uint64_t epoch, entry_result& out) {
    out.identity = who;
    auto bot = find_bot(*txn, who);
    if (!bot) {
      out.code = ec::not_found;
      return std::nullopt;
    }
    answer(*bot, out);
    if (bot->epoch != epoch) {
      out.code = ec::taken_over;
      return std::nullopt;
    }
    return bot;
  }
  bool is_next(const permalink& who, const bot_row& bot, inbox_position from, inbox_position last) {
    return from == next(bot.position) && last <= read_inbox_head(*txn, who);
  }

  void apply_attempted(const attempted_content& what, entry_result& out) {
    auto bot = find_current(what.bot, what.epoch, out);
    if (!bot)
      return;
    out.code = ec::version_conflict;
    if (!is_next(what.bot, *bot, what.input, what.input) || what.attempt == 0)
      return;
    if (what.attempt == bot->attempts) {
      out.code = ec::ok;
      return;
    }
    if (what.attempt - 1 != bot->attempts)
      return;
    bot->attempts = what.attempt;
    put<table::bots>(*txn, {what.bot}, *bot);
    out.code = ec::ok;
  }

  void apply_dead_lettered(const dead_lettered_content& what, entry_result& out) {
    auto bot = find_current(what.bot, what.epoch, out);
    if (!bot)
      return;
    const dead_letter_key key{what.bot, what.input};
    if (what.input <= bot->position) {
      out.code = get<table::dead_letters>(*txn, key) ? ec::ok : ec::version_conflict;
      return;
    }
    out.code = ec::version_conflict;
    if (!is_next(what.bot, *bot, what.input, what.input))
      return;
    put<table::dead_letters>(*txn, key, {index, now, what.attempts, what.error});
    bot->position = what.input;
    bot->attempts = 0;
    ++bot->dead_letters;
    put<table::bots>(*txn, {what.bot}, *bot);
    answer(*bot, out);
    out.code = ec::ok;
  }

  void apply_committed(const committed_content& what, entry_result& out) {
    auto bot = find_current(what.bot, what.epoch, out);
    if (!bot)
      return;
    std::optional<stored_batch> batch;
    if (!what.batch.empty()) {
      auto opened = stored_batch::view(what.batch);
      if (!opened)
        return;
      batch.emplace(std::move(*opened));
      judge_batch(*batch, out);
      out.identity = what.bot;
    }
    const auto count = [&](outcome_code code) {
      return static_cast<std::size_t>(std::count_if(out.outcomes.begin(), out.outcomes.end(),
                                                    [&](const outcome& each) { return each.code == code; }));
    };

    const bool is_first = is_next(what.bot, *bot, what.from, what.input);
    const dead_letter_key dead{what.bot, what.input};
    const bool is_retry = what.from == what.input && what.input <= bot->position &&
                          get<table::dead_letters>(*txn, dead).has_value();
    if (!is_first && !is_retry) {
      // Again: its inputs are behind the bot, and every message of it stands.
      const bool stands = what.input <= bot->position && count(outcome_code::duplicate) == out.outcomes.size();
      out.code = stands ? ec::ok : ec::version_conflict;
      if (!stands)
        refuse_all(out);
      return;
    }
    const auto bad = std::find_if(out.outcomes.begin(), out.outcomes.end(),
                                  [](const outcome& each) { return each.code != outcome_code::accepted; });
    const auto signer = batch ? find_key(*txn, batch->signer()) : std::nullopt;
    if (bad != out.outcomes.end())
      out.code = bad->code == outcome_code::duplicate ? ec::version_conflict : code_of(bad->code);
    else if (batch && (!signer || signer->identity != what.bot))
      out.code = ec::bad_signature;
    else
      out.code = ec::ok;
    if (out.code != ec::ok) {
      refuse_all(out);
      return;
    }
    if (batch)
      write_messages(*batch);
    if (is_retry) {
      erase<table::dead_letters>(*txn, dead);
      --bot->dead_letters;
      ++bot->committed;
    } else {
      bot->committed += value(what.input) - value(bot->position);
      bot->position = what.input;
      bot->attempts = 0;
    }
    put<table::bots>(*txn, {what.bot}, *bot);
    answer(*bot, out);
  }
  /// Nothing has happened, so no message may say that it was accepted.
  static void refuse_all(entry_result& out) {
    for (auto& each : out.outcomes)
      if (each.code == outcome_code::accepted)
        each = {};
  }

  // -- all kinds -------------------------------------------------------------------------------------------------------

  void apply_content(const entry_content& entry, entry_result& out) {
    struct visitor {
      state& self;
      entry_result& out;
      void operator()(std::monostate) const {}
      void operator()(const founded_content& what) const { self.apply_founded(what, out); }
      void operator()(const identity_content& what) const { self.apply_identity(what, out); }
      void operator()(const opened_content& what) const { self.apply_opened(what, out); }
      void operator()(const session_renewal& what) const { self.apply_renewed(what, out); }
      void operator()(const std::vector<session_closing>& what) const { self.apply_closed(what, out); }
      void operator()(const inbox_taking& what) const { self.apply_inbox_taken(what, out); }
      void operator()(const batch_content& what) const { self.apply_batch(what, out); }
      void operator()(const std::vector<cursor_moved>& what) const { self.apply_cursors(what, out); }
      void operator()(const std::vector<security_event>& what) const { self.apply_events(what, out); }
      void operator()(const deployed_content& what) const { self.apply_deployed(what, out); }
      void operator()(const committed_content& what) const { self.apply_committed(what, out); }
      void operator()(const attempted_content& what) const { self.apply_attempted(what, out); }
      void operator()(const dead_lettered_content& what) const { self.apply_dead_lettered(what, out); }
    };
    std::visit(visitor{*this, out}, entry.what);
  }

  /// Last of all, not part of the hash that it holds.
  void write_applied(const applied_state& before, bytes_view writes) {
    bytes head;
    head.reserve(32 + 8 + 8);
    append(head, before.state_hash.view());
    append_u64(head, value(index));
    append_u64(head, value(now));
    bytes row;
    row.reserve(8 + 32 + 8);
    state_hash = hash(label::state, {head, writes});
    applied_row{index, state_hash, now}.encode(row);
    put<table::state>(*txn, {"applied"}, {row});
  }

  static applied_state expect(const write_txn& txn, log_index index) {
    auto before = read_applied(txn);
    if (index != next(before.index))
      throw storage_failure(ec::internal, "entry " + to_string(index) + " cannot be applied after entry " +
                                            to_string(before.index));
    return before;
  }
};

applier::applier() : state_{std::make_unique<state>()} {}
applier::~applier() = default;
applier::applier(applier&&) noexcept = default;

entry_result applier::apply(write_txn& txn, log_index index, bytes_view entry, const verified_batch* verified) {
  const auto before = state::expect(txn, index);
  std::optional<aligned_bytes> copy;
  if (!is_word_aligned(entry) && entry.size() <= entry_bytes_max)
    entry = copy.emplace(entry).view();
  auto content = read_entry(entry);
  if (!content && content.error().code == ec::wrong_format)
    throw storage_failure(ec::wrong_format, content.error().context + " at index " + to_string(index) +
                                              ": this version cannot go on; install the newer one");

  entry_result out;
  out.index = index;
  state_->begin(txn, index, content ? std::max(content->time, before.last_time) : before.last_time);
  state_->verified = verified;
  {
    observed while_applying{txn, state_->fold};
    if (content) {
      out.kind = content->kind;
      state_->apply_content(*content, out);
    }
    state_->drop_nonces();
  }
  state_->write_applied(before, state_->fold.writes());
  return out;
}

void applier::pass(write_txn& txn, log_index index) {
  const auto before = state::expect(txn, index);
  state_->begin(txn, index, before.last_time);
  state_->write_applied(before, {});
}

const digest& applier::state_hash() const { return state_->state_hash; }

} // namespace signet::storage
