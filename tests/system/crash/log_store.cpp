// The LMDB layer and the event log alone: records, a vote, truncated tails, effects and their applied index, with rows
// that come and go so that pages are freed and used again.
//
// It says V, D, A and T (promises.hpp).

#include "messages/envelope/labels.hpp"
#include "messages/hooks.hpp"
#include "storage/log/event_log.hpp"
#include "tests/system/crash/crash_store.hpp"
#include "tests/system/crash/promises.hpp"

#include <random>

namespace signet::crash {
namespace {

using namespace storage;

constexpr std::uint64_t effects_kept = 40;

bytes effect_key(std::uint64_t index) {
  bytes out;
  append_u64(out, index);
  return out;
}

struct vote {
  std::uint64_t term = 0, voted = 0;
};
vote read_vote(const read_txn& txn) {
  auto raw = get<table::meta>(txn, {"vote"});
  return raw && raw->raw.size() == 16 ? vote{read_u64(raw->raw.data()), read_u64(raw->raw.data() + 8)} : vote{};
}
void put_vote(write_txn& txn, const vote& what) {
  bytes raw;
  append_u64(raw, what.term);
  append_u64(raw, what.voted);
  put<table::meta>(txn, {"vote"}, {raw});
}

std::uint64_t read_applied_index(const read_txn& txn) {
  auto raw = get<table::state>(txn, {"applied"});
  if (!raw)
    return 0;
  auto row = applied_row::decode(raw->raw);
  if (!row)
    throw broken_promise("the applied row cannot be read");
  return value(row->index);
}
void put_applied_index(write_txn& txn, std::uint64_t index) {
  applied_row row;
  row.index = log_index{index};
  bytes raw;
  row.encode(raw);
  put<table::state>(txn, {"applied"}, {raw});
}

class log_store final : public crash_store {
public:
  void run(const std::filesystem::path& directory, std::uint64_t seed, unsigned steps, const acknowledge& say) override {
    auto env = open(directory);
    std::mt19937_64 random{seed};
    event_log::head head;
    vote voted;
    std::uint64_t applied = 0;
    {
      auto txn = env->read();
      head = event_log::find_head(txn);
      voted = read_vote(txn);
      applied = read_applied_index(txn);
    }
    ++voted.term;
    for (unsigned step = 0; step < steps; ++step) {
      const auto dice = random() % 100;
      auto txn = env->write();
      bool voted_now = false;
      if (step == 0 || dice < 10) {
        voted.term = std::max(voted.term, value(head.term)) + 1;
        voted.voted = random() % 5;
        put_vote(txn, voted);
        voted_now = true;
      }
      if (dice < 15 && value(head.index) > applied) {
        auto from = applied + 1 + random() % (value(head.index) - applied);
        say("T " + std::to_string(from));
        head = event_log::truncate(txn, log_index{from});
        voted.term = std::max(voted.term, value(head.term) + 1);
      }
      auto records = 1 + random() % 8;
      for (std::uint64_t n = 0; n < records; ++n) {
        // Most are small; some need overflow pages.
        auto size = random() % 20 == 0 ? 4'000 + random() % 20'000 : 20 + random() % 400;
        bytes payload(size);
        for (auto& each : payload)
          each = static_cast<std::uint8_t>(random());
        head = event_log::append(txn, head, {term{voted.term}, 1, payload});
      }
      const auto applied_now = applied + random() % (value(head.index) - applied + 1);
      auto tell = [&] {
        if (voted_now)
          say("V " + std::to_string(voted.term) + " " + std::to_string(voted.voted));
        say("D " + to_string(head.index) + " " + head.hash.hex());
        say("A " + std::to_string(applied_now));
      };
      if (SIGNET_BUG("ACK_EARLY"))
        tell();
      for (auto index = applied + 1; index <= applied_now; ++index) {
        auto record = event_log::find(txn, log_index{index});
        txn.put(table::links::ref, effect_key(index), record_hash(log_index{index}, *record).view());
        if (index > effects_kept)
          txn.erase(table::links::ref, effect_key(index - effects_kept));
      }
      put_applied_index(txn, applied_now);
      txn.commit();
      applied = applied_now;
      if (!SIGNET_BUG("ACK_EARLY"))
        tell();
    }
  }

  std::string check(const std::filesystem::path& directory, std::span<const std::string> said) override {
    if (said.empty() && !std::filesystem::exists(directory / "data" / "node" / "data.mdb"))
      return "nothing";
    auto env = open(directory);
    auto txn = env->read();
    std::vector<digest> hashes{digest{}};
    auto walked = event_log::verify(txn, {}, [&](const auto& each) { hashes.push_back(each.hash); });
    if (walked.broken)
      throw broken_promise(render(*walked.broken));
    const auto applied = read_applied_index(txn);
    const auto voted = read_vote(txn);
    hold_to(said, {hashes, applied, voted.term, voted.voted});

    // Nothing half-visible: the effects are those of exactly the applied entries.
    if (applied >= hashes.size())
      throw broken_promise("applied up to " + std::to_string(applied) + ", but the log ends before");
    auto expected = applied > effects_kept ? applied - effects_kept + 1 : 1;
    txn.scan(table::links::ref, {}, [&](const row& effect) {
      if (to_bytes(effect.key) != effect_key(expected) || expected > applied)
        throw broken_promise("the effects are not those of the entries up to " + std::to_string(applied));
      if (to_bytes(effect.value) != to_bytes(hashes[expected].view()))
        throw broken_promise("a wrong effect of entry " + std::to_string(expected));
      ++expected;
      return true;
    });
    if (expected != applied + 1)
      throw broken_promise("effects of entry " + std::to_string(expected) + " are missing");

    return digest_of(txn);
  }

  std::string show(const std::filesystem::path& directory) override {
    if (!std::filesystem::exists(directory / "data" / "node" / "data.mdb"))
      return "nothing";
    return digest_of(open(directory)->read());
  }

private:
  static std::string digest_of(const read_txn& txn) {
    hasher everything{label::state};
    for (auto table : all_tables())
      txn.scan(table, {}, [&](const row& each) {
        everything.add(each.key).add(each.value);
        return true;
      });
    return everything.finish().hex();
  }

  static std::unique_ptr<environment> open(const std::filesystem::path& directory) {
    environment_options options;
    options.directory = directory / "data" / "node";  // two directories that it has to make
    options.map_bytes = 256 << 20;
    auto env = environment::open(options, all_tables());
    if (!env && env.error().code == ec::io)
      throw storage_failure(ec::io, env.error().context);
    if (!env)
      throw broken_promise("does not open: " + render(env.error()));
    return std::move(*env);
  }
};

} // namespace

std::unique_ptr<crash_store> make_log_store() { return std::make_unique<log_store>(); }

} // namespace signet::crash
