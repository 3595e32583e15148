#pragma once
// A store with its log and its views, and people who write to it: for tests and benchmarks of apply. Everything happens
// in one write transaction until commit() is called.

#include "messages/entries.hpp"
#include "messages/envelope/batch.hpp"
#include "messages/envelope/identity.hpp"
#include "storage/log/event_log.hpp"
#include "storage/tables.hpp"
#include "storage/views/apply.hpp"
#include "storage/views/read.hpp"
#include "tests/support/scratch_directory.hpp"

#include <random>
#include <stdexcept>
#include <unistd.h>

namespace signet::testing {

/// Numbers from a seed, as a random source.
class seeded_random : public random_source {
public:
  explicit seeded_random(std::uint64_t seed) : engine_{seed} {}
  void fill(std::span<std::uint8_t> out) override {
    for (auto& each : out)
      each = static_cast<std::uint8_t>(engine_());
  }
  std::uint64_t below(std::uint64_t end) { return engine_() % end; }

private:
  std::mt19937_64 engine_;
};

template <class T>
T must(result<T>&& from) {
  if (!from)
    throw std::runtime_error(render(from.error()));
  return std::move(*from);
}

/// An identity with one update key, one sign key and one encryption key, and where its lanes stand.
struct person {
  signing_key update, sign, encrypt;
  identity_version version;
  std::vector<std::pair<permalink, lane_tail>> tails;

  static person make(random_source& random) {
    auto update = signing_key::generate(random), sign = signing_key::generate(random),
         encrypt = signing_key::generate(random);
    identity_draft draft;
    draft.keys = {{key_purpose::update, &update}, {key_purpose::sign, &sign}, {key_purpose::encrypt, &encrypt}};
    auto version = must(make_first_identity(draft));
    return {std::move(update), std::move(sign), std::move(encrypt), std::move(version), {}};
  }
  const permalink& id() const { return version.permalink(); }
  const public_key& device() const { return sign.public_half(); }
  bytes entry() const { return identity_entry(version.serialised()); }
};

/// A file system in memory, for tests that need no durability and would wait for the disk; null: there is none.
inline const char* memory_directory() { return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : nullptr; }

class view_world {
public:
  explicit view_world(std::uint64_t seed = 1, std::uint64_t map_bytes = 256 << 20,
                      const char* base = memory_directory())
    : scratch{base}, random{seed} {
    storage::environment_options options;
    options.directory = directory();
    options.map_bytes = map_bytes;
    env = must(storage::environment::open(options, storage::all_tables()));
    begin();
    // As the replica founds a store: format, and term 1 with no vote.
    bytes format, hard_state;
    storage::format_row{}.encode(format);
    append_u64(hard_state, 1);
    append_u64(hard_state, 0);
    storage::put<storage::table::meta>(*txn_, {"format"}, {format});
    storage::put<storage::table::meta>(*txn_, {"hard-state"}, {hard_state});
    head_ = storage::event_log::find_head(*txn_);
  }
  ~view_world() { txn_.reset(); }

  std::filesystem::path directory() const { return scratch.path() / "data"; }
  storage::write_txn& txn() { return *txn_; }
  void commit() {
    txn_->commit();
    begin();
  }
  /// Undoes everything since the last commit.
  void abort() {
    begin();
    head_ = storage::event_log::find_head(*txn_);
  }
  /// Commits and closes the environment; nothing else may be called then.
  void close() {
    txn_->commit();
    txn_.reset();
    env.reset();
  }

  /// Appends and applies, at a time one millisecond later than the last, unless told otherwise.
  storage::entry_result apply(bytes entry) {
    now = wall_ms{value(now) + 1};
    return apply_at(std::move(entry), now);
  }
  storage::entry_result apply_at(bytes entry, wall_ms time) {
    if (auto set = set_entry_time(entry, time); !set)
      throw std::runtime_error(render(set.error()));
    return apply_raw(entry);
  }
  storage::entry_result apply_raw(bytes_view entry, const verified_batch* verified = nullptr) {
    head_ = storage::event_log::append(*txn_, head_, {term{1}, 1, entry});
    return applier.apply(*txn_, head_.index, entry, verified);
  }
  void pass() {
    const std::uint8_t zeros[8] = {};
    head_ = storage::event_log::append(*txn_, head_, {term{1}, 2, zeros});
    applier.pass(*txn_, head_.index);
  }
  log_index index() const { return head_.index; }

  void found() { apply(founded_entry(cluster)); }
  person join() {
    auto one = person::make(random);
    if (apply(one.entry()).code != ec::ok)
      throw std::runtime_error("an identity that is not accepted");
    return one;
  }

  message_draft draft(const person& from, const permalink& to, std::string_view text = "hello") const {
    message_draft out;
    out.cluster = cluster;
    out.author = from.id();
    out.recipient = to;
    out.time = wall_ms{1};
    out.body = to_bytes(as_bytes(text));
    return out;
  }
  /// The next `count` messages of one lane, as one batch; the author's tail moves on.
  built_batch batch(person& from, const permalink& to, std::size_t count = 1, std::string_view text = "hello") const {
    std::vector<message_draft> drafts(count, draft(from, to, text));
    return must(make_batch(from.sign, drafts, from.tails));
  }

  scratch_directory scratch;
  seeded_random random;
  cluster_id cluster = random_id<cluster_id>(random);
  std::unique_ptr<storage::environment> env;
  storage::applier applier;
  wall_ms now{1'000'000};

private:
  void begin() {
    txn_.reset();
    txn_ = std::make_unique<storage::write_txn>(env->write());
  }
  std::unique_ptr<storage::write_txn> txn_;
  storage::event_log::head head_;
};

} // namespace signet::testing
