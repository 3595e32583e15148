// Damage of every kind, and whether verify finds it. SIGNET_DAMAGES sets how many random damages of each kind are tried.
#include "storage/verify.hpp"

#include "storage/describe.hpp"
#include "storage/replica_store.hpp"
#include "tests/support/view_world.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

namespace signet::storage {
namespace {

namespace fs = std::filesystem;
using testing::must;
using testing::person;
using testing::scratch_directory;
using testing::seeded_random;
using testing::view_world;

constexpr std::uint64_t map_bytes = 64 << 20;

std::size_t damages() {
  const char* asked = std::getenv("SIGNET_DAMAGES");
  return asked != nullptr ? std::strtoul(asked, nullptr, 10) : 100;
}

/// A directory with something in every table that can hold something; made once.
struct sample {
  view_world world{5, map_bytes};
  fs::path data = world.directory();
  std::vector<std::pair<table_ref, bytes>> replicated_keys;
  std::vector<digest> record_hashes;  ///< of record i + 1
  std::map<std::pair<std::string_view, bytes>, bytes> rows;

  sample() {
    world.found();
    auto alice = world.join(), bob = world.join(), echo = world.join();
    world.pass();
    auto again = world.batch(alice, bob.id(), 7);
    world.apply(batch_entry(again.serialised));
    world.apply(batch_entry(again.serialised));
    for (int i = 0; i < 6; ++i) {
      world.apply(batch_entry(world.batch(alice, bob.id(), 3).serialised));
      world.apply(batch_entry(world.batch(bob, alice.id(), 2).serialised));
      world.apply(batch_entry(world.batch(alice, echo.id(), 1).serialised));
    }
    auto forged = must(make_message(world.draft(alice, bob.id(), "other"), lane_number{2}, again.links[0]));
    world.apply(batch_entry(must(make_batch(alice.sign, std::span{&forged, 1})).serialised));
    for (int i = 0; i < 4; ++i) {
      session_opening open{{alice.id(), alice.device(), "c" + std::to_string(i)},
                           wall_ms{value(world.now) + 3'600'000},
                           {random_id<token_nonce>(world.random), world.now, wall_ms{value(world.now) + 60'000}},
                           {}};
      world.apply(session_opened_entry(open));
    }
    const cursor_moved moved[] = {{bob.id(), bob.device(), inbox_position{9}}, {alice.id(), alice.device(), inbox_position{2}}};
    world.apply(cursors_entry(moved));
    const security_event event[] = {{{"login_failed", bytes(32, 1), {}, "bad_proof", "192.0.2.1"}, 3}};
    world.apply(security_events_entry(event));
    auto epoch = world.apply(bot_deployed_entry(echo.id(), "echo")).epoch;
    auto reply = world.batch(echo, alice.id(), 1);
    world.apply(bot_committed_entry(echo.id(), epoch, inbox_position{1}, inbox_position{1}, reply.serialised));
    world.apply(bot_attempted_entry(echo.id(), epoch, inbox_position{2}, 1));
    world.apply(bot_dead_lettered_entry(echo.id(), epoch, inbox_position{2}, 1, "it threw"));
    auto fresh = signing_key::generate(world.random);
    identity_draft draft;
    draft.keys = {{key_purpose::update, &bob.update}, {key_purpose::sign, &fresh}};
    world.apply(identity_entry(must(make_next_identity(bob.version, draft, bob.update)).serialised()));
    world.apply(batch_entry(world.batch(alice, bob.id(), 4).serialised));

    for (auto where : all_tables())
      world.txn().scan(where, {}, [&](const row& found) {
        rows[{where.name, to_bytes(found.key)}] = to_bytes(found.value);
        if (is_replicated(where))
          replicated_keys.emplace_back(where, to_bytes(found.key));
        return true;
      });
    scan<table::log>(world.txn(), {}, [&](const log_key& key, const log_record& record) {
      record_hashes.push_back(record_hash(key.index, record));
      return true;
    });
    world.close();
  }

  static const sample& one() {
    static const sample only;
    return only;
  }
  std::uint64_t records() const { return record_hashes.size(); }
};

/// A copy of the sample, to be damaged.
struct copy_of_sample {
  scratch_directory scratch{testing::memory_directory()};
  fs::path data = scratch.path() / "data";

  copy_of_sample() {
    fs::create_directory(data);
    fs::copy_file(sample::one().data / "data.mdb", data / "data.mdb");
  }
  /// What somebody can do who has the disk and knows the format: rows with good checks.
  template <class Change>
  void change(Change&& with) {
    environment_options options;
    options.directory = data;
    options.map_bytes = map_bytes;
    auto env = must(environment::open(options, all_tables()));
    auto txn = env->write();
    with(txn);
    txn.commit();
  }
  verify_report check(std::vector<known_head> heads = {}) const {
    verify_options options;
    options.heads = std::move(heads);
    options.scratch = scratch.path();
    options.map_bytes = map_bytes;
    return must(verify_here(data, options));
  }
  verify_report check_in_child() const {
    verify_options options;
    options.scratch = scratch.path();
    options.map_bytes = map_bytes;
    options.stalled_ms = 20'000;
    return must(verify(data, options));
  }
  bytes file() const {
    std::ifstream in{data / "data.mdb", std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  void write_file(const bytes& content) const {
    std::ofstream out{data / "data.mdb", std::ios::binary | std::ios::trunc};
    out.write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
  }
};

std::string told(const verify_report& report) { return to_json(report).dump(1); }
bool mentions(const verify_report& report, std::string_view kind, std::string_view table) {
  return std::any_of(report.findings.begin(), report.findings.end(),
                     [&](const auto& each) { return each.kind == kind && each.table == table; });
}

/// The log as it stands, to be written back in another form.
struct whole_record {
  term at{};
  std::uint8_t type = 0;
  digest previous;
  bytes payload;
};
std::vector<whole_record> read_log(const read_txn& txn) {
  std::vector<whole_record> out;
  scan<table::log>(txn, {}, [&](const log_key&, const log_record& record) {
    out.push_back({record.term, record.type, record.previous, to_bytes(record.payload)});
    return true;
  });
  return out;
}
/// Numbers them from 1 on, and makes the chain fit again.
void write_log(write_txn& txn, const std::vector<whole_record>& records) {
  const auto before = txn.count(table::log::ref);
  digest previous;
  std::uint64_t index = 0;
  for (const auto& each : records) {
    const log_record record{each.at, each.type, previous, each.payload};
    put<table::log>(txn, {log_index{++index}}, record);
    previous = record_hash(log_index{index}, record);
  }
  while (index < before)
    erase<table::log>(txn, {log_index{++index}});
}

BOOST_AUTO_TEST_SUITE(verification)

BOOST_AUTO_TEST_CASE(a_store_that_is_what_its_log_says_is_clean) {
  const auto& origin = sample::one();
  std::set<std::string_view> tables;
  for (const auto& [where, key] : origin.replicated_keys)
    tables.insert(where.name);
  const auto all = all_tables();
  // Every replicated table has a row to lose.
  BOOST_CHECK_EQUAL(tables.size(), static_cast<std::size_t>(std::count_if(all.begin(), all.end(), is_replicated)));

  copy_of_sample copy;
  for (const auto& report : {copy.check(), copy.check_in_child()}) {
    BOOST_CHECK_MESSAGE(report.level == verify_level::clean, told(report));
    BOOST_CHECK_EQUAL(report.records, origin.records());
    BOOST_CHECK_EQUAL(report.rows, origin.replicated_keys.size());
    BOOST_CHECK(report.head_hash == origin.record_hashes.back());
    BOOST_CHECK(report.signatures > 20);
    BOOST_CHECK_EQUAL(report.cluster, origin.world.cluster.hex());
    const auto& applied = origin.rows.at({"state", to_bytes(as_bytes("applied"))});
    BOOST_CHECK(report.state_hash == applied_row::decode(applied)->state_hash);
  }
}

BOOST_AUTO_TEST_CASE(a_store_that_the_replica_founded_and_wrote_is_clean) {
  scratch_directory scratch{testing::memory_directory()};
  replica_options options;
  options.directory = scratch.path() / "data";
  options.map_bytes = map_bytes;
  options.consensus.self = raft::server_id{1};
  options.measure = [] { return space{map_bytes, 0, 100ULL << 30, 50ULL << 30}; };
  seeded_random random{3};
  const auto cluster = random_id<cluster_id>(random);
  BOOST_REQUIRE(replica_store::found(options, {cluster, {{raft::server_id{1}, "one", raft::member_role::voter}}}));
  for (std::uint64_t start = 1; start <= 2; ++start) {
    auto store = must(replica_store::open(options, steady_ms{start * 1000}, wall_ms{1'700'000'000'000}));
    auto someone = person::make(random);
    BOOST_REQUIRE(store->propose(someone.entry()));
    for (std::uint64_t turn = 1; turn <= 3; ++turn)
      store->turn(steady_ms{start * 1000 + turn}, wall_ms{1'700'000'000'000 + turn});
  }
  verify_options how;
  how.scratch = scratch.path();
  how.map_bytes = map_bytes;
  const auto report = must(verify(options.directory, how));
  BOOST_CHECK_MESSAGE(report.level == verify_level::clean, told(report));
  BOOST_CHECK_EQUAL(report.cluster, cluster.hex());
  BOOST_CHECK_EQUAL(report.signatures, 6U);
}

BOOST_AUTO_TEST_CASE(every_edited_removed_or_added_row_of_a_view_is_found_and_named) {
  const auto& origin = sample::one();
  seeded_random random{11};
  for (std::size_t trial = 0; trial < damages(); ++trial) {
    copy_of_sample copy;
    const auto& [where, key] = origin.replicated_keys[random.below(origin.replicated_keys.size())];
    auto damaged_key = key;
    const auto how = random.below(3);
    copy.change([&](write_txn& txn) {
      auto value = to_bytes(*txn.get(where, key));
      if (how == 0 || (how == 1 && value.empty())) {
        txn.erase(where, key);
      } else if (how == 1) {
        value[random.below(value.size())] ^= static_cast<std::uint8_t>(1 + random.below(255));
        txn.put(where, key, value);
      } else {
        damaged_key[random.below(key.size())] ^= static_cast<std::uint8_t>(1 + random.below(255));
        txn.put(where, damaged_key, value);
      }
    });
    const auto report = copy.check();
    // A new key may by chance be that of another row; then that one is another than the log gives.
    BOOST_CHECK_MESSAGE(report.level == verify_level::tampering, "trial " << trial << " table " << where.name);
    BOOST_CHECK_MESSAGE(std::any_of(report.findings.begin(), report.findings.end(),
                                    [&](const auto& each) {
                                      return each.table == where.name && each.key == to_hex(damaged_key);
                                    }),
                        "trial " << trial << "\n" << told(report));
  }
}

BOOST_AUTO_TEST_CASE(what_a_node_remembers_of_its_peers_is_no_view_but_must_be_readable) {
  member_seen_row seen;
  seen.store.raw[0] = 1;
  seen.server_id = 2;
  seen.committed = log_index{7};
  copy_of_sample sound, damaged;
  sound.change([&](write_txn& txn) { put<table::members_seen>(txn, {"b"}, seen); });
  BOOST_CHECK_MESSAGE(sound.check().level == verify_level::clean, told(sound.check()));
  damaged.change([&](write_txn& txn) { txn.put(table::members_seen::ref, as_bytes("b"), as_bytes("too short")); });
  const auto report = damaged.check();
  BOOST_CHECK(report.level == verify_level::needs_resync);
  BOOST_REQUIRE(report.findings.size() == 1);
  BOOST_CHECK_EQUAL(report.findings[0].kind, "local");
  BOOST_CHECK_EQUAL(report.findings[0].table, "members_seen");
}

BOOST_AUTO_TEST_CASE(two_rows_that_changed_places_are_found) {
  const auto& origin = sample::one();
  seeded_random random{12};
  for (std::size_t trial = 0; trial < damages() / 4; ++trial) {
    const auto& [where, key] = origin.replicated_keys[random.below(origin.replicated_keys.size())];
    const auto& [other_where, other_key] = origin.replicated_keys[random.below(origin.replicated_keys.size())];
    const auto left = origin.rows.at({where.name, key}), right = origin.rows.at({other_where.name, other_key});
    if (left == right)
      continue;
    copy_of_sample copy;
    copy.change([&](write_txn& txn) {
      txn.put(where, key, right);
      txn.put(other_where, other_key, left);
    });
    const auto report = copy.check();
    BOOST_CHECK_MESSAGE(report.level == verify_level::tampering,
                        where.name << ' ' << to_hex(key) << ", " << other_where.name << ' ' << to_hex(other_key) << "\n"
                                   << told(report));
  }
}

BOOST_AUTO_TEST_CASE(every_edited_or_removed_log_record_is_found) {
  const auto& origin = sample::one();
  seeded_random random{13};
  for (std::size_t trial = 0; trial < damages(); ++trial) {
    copy_of_sample copy;
    const log_index index{1 + random.below(origin.records())};
    copy.change([&](write_txn& txn) {
      if (random.below(4) == 0) {
        erase<table::log>(txn, {index});
        return;
      }
      auto value = to_bytes(*txn.get(table::log::ref, encode_key(log_key{index})));
      value[random.below(value.size())] ^= static_cast<std::uint8_t>(1 + random.below(255));
      txn.put(table::log::ref, encode_key(log_key{index}), value);
    });
    // The newest record is named by no other: somebody must have kept the head.
    const auto report = copy.check({{log_index{origin.records()}, origin.record_hashes.back()}});
    BOOST_CHECK_MESSAGE(report.level == verify_level::tampering,
                        "trial " << trial << " record " << value(index) << "\n" << told(report));
  }
}

BOOST_AUTO_TEST_CASE(records_removed_reordered_or_edited_under_a_chain_made_to_fit_are_found_by_their_effects) {
  seeded_random random{14};
  for (std::size_t trial = 0; trial < damages() / 2; ++trial) {
    copy_of_sample copy;
    std::string what;
    copy.change([&](write_txn& txn) {
      auto records = read_log(txn);
      const auto at = random.below(records.size() - 1);
      switch (random.below(3)) {
        case 0:
          what = "removed " + std::to_string(at + 1);
          records.erase(records.begin() + static_cast<std::ptrdiff_t>(at));
          break;
        case 1:
          what = "swapped " + std::to_string(at + 1);
          std::swap(records[at], records[at + 1]);
          break;
        default: {
          // Any record of a batch, somewhere in what its author has signed.
          std::vector<std::size_t> batches;
          for (std::size_t i = 0; i < records.size(); ++i)
            if (records[i].type == 1 && load_batch(records[i].payload))
              batches.push_back(i);
          auto& payload = records[batches[random.below(batches.size())]].payload;
          auto loaded = load_batch(payload);
          const auto body = loaded->batch.body(static_cast<std::uint32_t>(random.below(loaded->batch.size())));
          const auto offset = static_cast<std::size_t>(body.data() - loaded->raw.view().data());
          payload[offset + random.below(body.size())] ^= static_cast<std::uint8_t>(1 + random.below(255));
          what = "edited a body";
        }
      }
      write_log(txn, records);
    });
    const auto report = copy.check();
    BOOST_CHECK_MESSAGE(report.level == verify_level::tampering, "trial " << trial << ' ' << what << "\n" << told(report));
  }
}

BOOST_AUTO_TEST_CASE(a_history_rewritten_with_all_that_follows_is_found_by_a_head_that_somebody_kept) {
  const auto& origin = sample::one();
  seeded_random random{15};
  for (std::size_t trial = 0; trial < damages() / 4; ++trial) {
    copy_of_sample copy;
    // Cuts the log, and writes views that fit what is left: perfect, but for what others remember.
    const auto keep = 2 + random.below(origin.records() - 2);
    copy.change([&](write_txn& txn) {
      auto records = read_log(txn);
      records.resize(keep);
      for (const auto& [where, key] : origin.replicated_keys)
        txn.erase(where, key);
      write_log(txn, records);
      applier apply;
      for (std::uint64_t i = 1; i <= keep; ++i)
        if (records[i - 1].type == 1)
          apply.apply(txn, log_index{i}, records[i - 1].payload);
        else
          apply.pass(txn, log_index{i});
    });
    const auto alone = copy.check();
    BOOST_CHECK_MESSAGE(alone.level == verify_level::clean, told(alone));
    const auto known = keep + random.below(origin.records() - keep) + 1;
    const auto report = copy.check({{log_index{known}, origin.record_hashes[known - 1]}});
    BOOST_CHECK(report.level == verify_level::tampering);
    BOOST_CHECK(mentions(report, "head", "log"));
    BOOST_CHECK(copy.check({{log_index{keep}, origin.record_hashes[keep - 1]}}).level == verify_level::clean);
  }
}

BOOST_AUTO_TEST_CASE(a_record_with_a_signature_that_does_not_hold_is_named) {
  copy_of_sample copy;
  log_index forged{};
  copy.change([&](write_txn& txn) {
    auto records = read_log(txn);
    for (std::size_t i = 0; i < records.size() && value(forged) == 0; ++i) {
      auto loaded = records[i].type == 1 ? load_batch(records[i].payload) : std::nullopt;
      if (!loaded)
        continue;
      const auto& proof = loaded->batch.proof().raw;
      auto found = std::search(records[i].payload.begin(), records[i].payload.end(), proof.begin(), proof.end());
      BOOST_REQUIRE(found != records[i].payload.end());
      *found ^= 1;
      forged = log_index{i + 1};
    }
    write_log(txn, records);
  });
  // Views do not depend on signatures, so nothing else is wrong.
  const auto report = copy.check();
  BOOST_CHECK_EQUAL(report.findings_total, 1U);
  BOOST_REQUIRE(mentions(report, "signature", "log"));
  BOOST_CHECK_EQUAL(report.findings[0].key, std::to_string(value(forged)));
  BOOST_CHECK(report.level == verify_level::tampering);
}

BOOST_AUTO_TEST_CASE(an_accident_in_a_view_is_repairable_and_one_in_the_log_is_not) {
  const auto& origin = sample::one();
  seeded_random random{16};
  const auto flip_behind = [](const copy_of_sample& copy, bytes_view needle, std::size_t offset) {
    auto content = copy.file();
    std::size_t flipped = 0;
    // Every copy: LMDB keeps older versions of a page.
    for (auto at = content.begin();
         (at = std::search(at, content.end(), needle.begin(), needle.end())) != content.end(); ++at) {
      content[static_cast<std::size_t>(at - content.begin()) + needle.size() + offset] ^= 0x10;
      ++flipped;
    }
    copy.write_file(content);
    return flipped;
  };
  // Bytes that stand in one row only.
  const auto stands_elsewhere = [&](table_ref where, const bytes& needle) {
    std::size_t rows = 0;
    for (const auto& [name, value] : origin.rows) {
      rows += std::search(name.second.begin(), name.second.end(), needle.begin(), needle.end()) != name.second.end();
      rows += std::search(value.begin(), value.end(), needle.begin(), needle.end()) != value.end();
    }
    return rows > 1 || origin.rows.at({where.name, needle}).empty();
  };
  std::set<std::string_view> tried;
  for (const auto& [where, key] : origin.replicated_keys) {
    if (tried.contains(where.name) || key.size() < 32 || stands_elsewhere(where, key))
      continue;
    tried.insert(where.name);
    copy_of_sample copy;
    BOOST_REQUIRE(flip_behind(copy, key, 0) > 0);
    const auto report = copy.check_in_child();
    BOOST_CHECK_MESSAGE(report.level == verify_level::repairable, where.name << "\n" << told(report));
    BOOST_CHECK_EQUAL(report.findings_total, 1U);
    BOOST_CHECK_MESSAGE(mentions(report, "row", where.name), told(report));
    BOOST_CHECK_EQUAL(report.findings.at(0).key, to_hex(key));
  }
  for (auto table : {"lanes", "inbox", "forks"})
    BOOST_CHECK_MESSAGE(tried.contains(table), table);

  copy_of_sample copy;
  const auto key = encode_key(log_key{log_index{4}});
  const auto record = origin.rows.at({"log", to_bytes(key.view())});
  BOOST_REQUIRE(flip_behind(copy, bytes_view{record}.subspan(9, 32), 40) > 0);
  const auto report = copy.check_in_child();
  BOOST_CHECK_MESSAGE(report.level == verify_level::needs_resync, told(report));
  BOOST_REQUIRE(mentions(report, "row", "log"));
  BOOST_CHECK_EQUAL(report.findings[0].key, to_hex(key.view()));
}

BOOST_AUTO_TEST_CASE(random_damage_of_the_file_is_found_or_lies_in_unused_bytes) {
  const auto& origin = sample::one();
  seeded_random random{17};
  std::size_t found = 0, unused = 0, killed = 0;
  for (std::size_t trial = 0; trial < damages() * 2; ++trial) {
    copy_of_sample copy;
    auto content = copy.file();
    const auto page = random.below(content.size() / 4096) * 4096;
    std::string what;
    switch (random.below(8)) {
      case 0:
        what = "page zeroed";
        std::fill_n(content.begin() + static_cast<std::ptrdiff_t>(page), 4096, std::uint8_t{0});
        break;
      case 1: {
        what = "page misdirected";
        const auto other = random.below(content.size() / 4096) * 4096;
        std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(other), 4096,
                    content.begin() + static_cast<std::ptrdiff_t>(page));
        break;
      }
      case 2:
        what = "file cut";
        content.resize(page);
        break;
      default:
        what = "bit flipped";
        content[random.below(content.size())] ^= static_cast<std::uint8_t>(1U << random.below(8));
    }
    copy.write_file(content);
    verify_options options;
    options.scratch = copy.scratch.path();
    options.map_bytes = map_bytes;
    options.stalled_ms = 20'000;
    const auto report = verify(copy.data, options);
    if (!report || report->level != verify_level::clean) {
      ++found;
      killed += report && std::any_of(report->findings.begin(), report->findings.end(), [](const auto& each) {
                  return each.what.find("killed its reader") != std::string::npos;
                });
      continue;
    }
    // Called clean: then every row must be what it was.
    ++unused;
    environment_options how;
    how.directory = copy.data;
    how.map_bytes = map_bytes;
    how.read_only = true;
    auto env = must(environment::open(how, all_tables()));
    auto txn = env->read();
    std::map<std::pair<std::string_view, bytes>, bytes> rows;
    for (auto where : all_tables())
      txn.scan(where, {}, [&](const row& each) {
        rows[{where.name, to_bytes(each.key)}] = to_bytes(each.value);
        return true;
      });
    BOOST_CHECK_MESSAGE(rows == origin.rows, "trial " << trial << ": " << what << " at " << page);
  }
  BOOST_TEST_MESSAGE(found << " found, of these " << killed << " killed the reader; " << unused << " in unused bytes");
  BOOST_CHECK(found > 0);
}

BOOST_AUTO_TEST_CASE(a_file_that_kills_its_reader_is_reported_not_suffered) {
  copy_of_sample copy;
  auto content = copy.file();
  // Meta pages are sound, everything behind them is gone: touching it is a SIGBUS.
  content.resize(2 * 4096);
  copy.write_file(content);
  const auto report = copy.check_in_child();
  BOOST_CHECK(report.level == verify_level::needs_resync);
  BOOST_CHECK_MESSAGE(mentions(report, "structure", ""), told(report));
}

BOOST_AUTO_TEST_CASE(local_rows_that_are_missing_are_named) {
  copy_of_sample copy;
  copy.change([](write_txn& txn) { erase<table::meta>(txn, {"hard-state"}); });
  const auto report = copy.check();
  BOOST_CHECK(report.level == verify_level::needs_resync);
  BOOST_CHECK(mentions(report, "local", "meta"));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_verified_is_an_error_not_a_finding) {
  scratch_directory nothing;
  auto absent = verify(nothing.path());
  BOOST_REQUIRE(!absent);
  BOOST_CHECK(absent.error().code == ec::not_found);

  copy_of_sample copy;
  {
    environment_options options;
    options.directory = copy.data;
    options.map_bytes = map_bytes;
    auto env = must(environment::open(options, all_tables()));
    auto live = verify(copy.data);
    BOOST_REQUIRE(!live);
    BOOST_CHECK(live.error().code == ec::locked);
  }
  copy.change([](write_txn& txn) {
    bytes newer;
    format_row{format_version + 5, format_version + 1}.encode(newer);
    put<table::meta>(txn, {"format"}, {newer});
  });
  auto newer = verify(copy.data);
  BOOST_REQUIRE(!newer);
  BOOST_CHECK(newer.error().code == ec::wrong_format);
}

BOOST_AUTO_TEST_CASE(progress_is_told_and_nothing_is_left_behind) {
  copy_of_sample copy;
  verify_options options;
  options.scratch = copy.scratch.path();
  options.map_bytes = map_bytes;
  std::size_t ticks = 0;
  options.progress = [&](const verify_progress& now) {
    ++ticks;
    BOOST_CHECK(!now.stage.empty());
  };
  BOOST_CHECK(must(verify(copy.data, options)).level == verify_level::clean);
  BOOST_CHECK(ticks > 0);
  std::size_t entries = 0;
  for (const auto& each : fs::directory_iterator{copy.scratch.path()}) {
    ++entries;
    BOOST_CHECK(each.path().filename() == "data");
  }
  BOOST_CHECK_EQUAL(entries, 1U);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
} // namespace signet::storage
