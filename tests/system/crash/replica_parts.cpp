#include "tests/system/crash/replica_parts.hpp"

#include "storage/log/event_log.hpp"
#include "storage/tables.hpp"
#include "tests/system/crash/promises.hpp"

namespace signet::crash {
namespace {

using namespace storage;
namespace fs = std::filesystem;

signing_key key_number(std::uint8_t number) {
  std::array<std::uint8_t, signing_key::seed_size> seed{};
  seed[0] = number;
  return signing_key::from_seed(seed);
}

using table_rows = std::vector<std::pair<bytes, bytes>>;

table_rows rows_of(const read_txn& txn, table_ref where) {
  table_rows out;
  txn.scan(where, {}, [&](const row& each) {
    out.emplace_back(to_bytes(each.key), to_bytes(each.value));
    return true;
  });
  return out;
}

/// Computes the views again from the log, in a store of its own.
void compare_with_replay(const read_txn& stands, const fs::path& scratch) {
  fs::remove_all(scratch);
  {
    environment_options options;
    options.directory = scratch;
    options.map_bytes = 256 << 20;
    auto env = must(environment::open(options, all_tables()), "the store for the replay");
    auto replay = env->write();
    const auto applied = read_applied(stands).index;
    applier again;
    event_log::head head;
    event_log::verify(stands, {}, [&](const event_log::stored_record& each) {
      if (each.index > applied)
        return;
      head = event_log::append(replay, head, {each.record.term, each.record.type, each.record.payload});
      if (each.record.type == static_cast<std::uint8_t>(raft::entry_type::command))
        again.apply(replay, each.index, each.record.payload);
      else
        again.pass(replay, each.index);
    });
    if (head.index != applied)
      throw broken_promise("applied up to " + to_string(applied) + ", but the log ends at " + to_string(head.index));
    for (auto where : all_tables())
      if (is_replicated(where) && rows_of(stands, where) != rows_of(replay, where))
        throw broken_promise("table " + std::string{where.name} + " is not what the log up to " + to_string(applied) +
                             " gives");
  }
  fs::remove_all(scratch);
}

} // namespace

person person::number(std::uint8_t n) {
  auto update = key_number(static_cast<std::uint8_t>(2 * n));
  auto device = key_number(static_cast<std::uint8_t>(2 * n + 1));
  identity_draft draft;
  draft.keys = {{key_purpose::update, &update}, {key_purpose::sign, &device}};
  auto version = must(make_first_identity(draft), "make an identity");
  return {std::move(update), std::move(device), std::move(version)};
}

cluster_id the_cluster() {
  cluster_id out;
  out.raw.fill(0xc1);
  return out;
}

replica_options options_of(const fs::path& directory) {
  replica_options out;
  out.directory = directory / "data";
  out.map_bytes = 256 << 20;
  out.consensus.self = raft::server_id{1};
  out.consensus.in_flight_entries_max = 64;
  out.consensus.trailing_entries = 100;
  out.measure = [] { return space{1ULL << 40, 0, 1ULL << 40, 1ULL << 40}; };
  return out;
}

std::unique_ptr<replica_store> open_or_found(const fs::path& directory, const raft::configuration& members,
                                             steady_ms now, wall_ms wall) {
  auto options = options_of(directory);
  auto opened = replica_store::open(options, now, wall);
  if (!opened && opened.error().code == ec::not_found) {
    if (auto founded = replica_store::found(options, {the_cluster(), members}); !founded)
      must(result<int>{tl::make_unexpected(founded.error())}, "cannot be founded");
    opened = replica_store::open(options, now, wall);
  }
  return must(std::move(opened), "does not open");
}

void judge(const replica_store& store, environment& env, const fs::path& directory, std::span<const std::string> said) {
  auto txn = env.read();
  restarted found;
  found.hashes.emplace_back();
  auto walked = event_log::verify(txn, {}, [&](const auto& each) { found.hashes.push_back(each.hash); });
  if (walked.broken)
    throw broken_promise(render(*walked.broken));
  found.applied = value(read_applied(txn).index);
  found.term = value(store.consensus().current_term());
  found.voted = value(store.consensus().voted_for());
  hold_to(said, found);
  compare_with_replay(txn, directory.parent_path() / "replay");
}

std::string digest_of_content(const read_txn& txn) {
  hasher everything{label::state};
  for (auto where : all_tables())
    if (is_replicated(where))
      for (auto& [key, value] : rows_of(txn, where))
        if (as_text(key) != "applied")  // barriers move it
          everything.add(key).add(value);
  event_log::verify(txn, {}, [&](const event_log::stored_record& each) {
    if (each.record.type == static_cast<std::uint8_t>(raft::entry_type::command))
      everything.add(each.record.payload);
  });
  return everything.finish().hex();
}

} // namespace signet::crash
