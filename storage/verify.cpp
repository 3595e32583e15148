#include "storage/verify.hpp"

#include "storage/entry_proofs.hpp"
#include "storage/tables.hpp"
#include "storage/views/apply.hpp"
#include "storage/views/read.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace signet::storage {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;
using clock = std::chrono::steady_clock;

/// The temporary store is committed this often; it need not survive anything.
constexpr std::uint64_t replay_entries_per_commit = 4096;
constexpr std::size_t replay_bytes_per_commit = 32 << 20;
constexpr auto progress_every = std::chrono::milliseconds{100};

std::string system_error(const std::string& doing) { return doing + ": " + std::strerror(errno); }

class descriptor {
public:
  explicit descriptor(int fd = -1) : fd_{fd} {}
  descriptor(const descriptor&) = delete;
  ~descriptor() { reset(); }
  void reset() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_;
};

class temporary_directory {
public:
  static result<temporary_directory> make(const fs::path& base) {
    std::error_code failed;
    auto name = ((base.empty() ? fs::temp_directory_path(failed) : base) / "signet-verify-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      return fail(ec::io, system_error("make a temporary directory " + name));
    temporary_directory out;
    out.path_ = name;
    return out;
  }
  temporary_directory(temporary_directory&& other) noexcept : path_{std::exchange(other.path_, {})} {}
  temporary_directory& operator=(temporary_directory&&) = delete;
  ~temporary_directory() {
    std::error_code ignored;
    if (!path_.empty())
      fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

private:
  temporary_directory() = default;
  fs::path path_;
};

/// Where the work reports to: collected here, or written to the parent.
class sink {
public:
  virtual ~sink() = default;
  virtual void progress(const verify_progress& now) = 0;
  virtual void finding(const verify_finding& found) = 0;
};

/// The key that a failure of a row names, in hex; empty: it names none.
std::string key_named_in(std::string_view what) {
  constexpr std::string_view before = ", key ";
  auto at = what.find(before);
  if (at == std::string_view::npos)
    return {};
  what.remove_prefix(at + before.size());
  return std::string{what.substr(0, what.find_first_not_of("0123456789abcdef"))};
}

class verification {
public:
  verification(const fs::path& data, const fs::path& scratch, const verify_options& options, sink& out)
    : data_{data}, scratch_{scratch}, options_{options}, out_{out} {}

  /// The report without findings, which went to the sink. Errors as verify().
  result<verify_report> run() {
    environment_options how;
    how.directory = data_;
    how.map_bytes = options_.map_bytes;
    how.read_only = true;
    auto opened = environment::open(how, all_tables());
    if (!opened) {
      if (opened.error().code == ec::not_found || opened.error().code == ec::locked)
        return tl::make_unexpected(opened.error());
      note(verify_level::needs_resync, "structure", {}, {}, render(opened.error()));
      return report_;
    }
    auto txn = (*opened)->read();
    if (auto readable = check_local_rows(txn); !readable)
      return tl::make_unexpected(readable.error());
    walk_log(txn);
    check_heads();
    const auto applied = find_applied(txn);
    report_.applied = applied.index;
    if (value(applied.index) > value(report_.head) + damaged_at_end_)
      note(verify_level::tampering, "chain", "log", to_string(next(report_.head)),
           "the log ends at " + to_string(report_.head) + ", but entry " + to_string(applied.index) +
             " is applied: records are missing at its end");
    if (auto replayed = replay_and_compare(txn, applied.index); !replayed)
      return tl::make_unexpected(replayed.error());
    return report_;
  }

private:
  void note(verify_level level, std::string kind, std::string_view table, std::string key, std::string what) {
    report_.level = std::max(report_.level, level);
    ++report_.findings_total;
    if (report_.findings_total <= options_.findings_max)
      out_.finding({level, std::move(kind), std::string{table}, std::move(key), std::move(what)});
  }
  void tick(const char* stage, std::uint64_t done, std::uint64_t total) {
    if (done % 64 != 0)
      return;
    const auto now = clock::now();
    if (now - last_tick_ < progress_every)
      return;
    last_tick_ = now;
    out_.progress({stage, done, total});
  }

  /// Calls visit(row) for every sound row; what does not match its check is noted. False: the table cannot be read on.
  template <class Visit>
  bool each_row(const read_txn& txn, table_ref where, verify_level level, Visit&& visit) {
    row_cursor cursor{txn, where};
    std::uint64_t rows = 0;
    const auto expected = txn.count(where);
    damaged_rows_ = 0;
    bool first = true;
    for (;;) {
      try {
        auto found = first ? cursor.seek({}) : cursor.next();
        first = false;
        if (!found)
          break;
        ++rows;
        visit(*found);
      } catch (const storage_failure& failure) {
        const bool first_failed = std::exchange(first, false);
        if (failure.code() != ec::corrupt || first_failed + damaged_rows_ > expected) {
          note(verify_level::needs_resync, "structure", where.name, {}, failure.what());
          return false;
        }
        ++rows;
        ++damaged_rows_;
        note(level, "row", where.name, key_named_in(failure.what()), failure.what());
      }
      if (rows > expected) {
        note(verify_level::needs_resync, "structure", where.name, {}, "a scan does not end where the table does");
        return false;
      }
    }
    if (rows != expected)
      note(verify_level::needs_resync, "structure", where.name, {},
           "a scan gives " + std::to_string(rows) + " rows, the table says " + std::to_string(expected));
    return rows == expected;
  }

  status check_local_rows(const read_txn& txn) {
    std::optional<format_row> format;
    each_row(txn, table::meta::ref, verify_level::needs_resync, [&](const row& found) {
      const auto name = as_text(found.key);
      if (name == "format")
        format = format_row::decode(found.value);
      if (name == "hard-state" && found.value.size() == 16)
        stored_term_ = term{read_u64(found.value.data())};
    });
    each_row(txn, table::members_seen::ref, verify_level::needs_resync, [&](const row& found) {
      if (!table::members_seen::key::decode(found.key) || !table::members_seen::value::decode(found.value))
        note(verify_level::needs_resync, "local", table::members_seen::ref.name, to_hex(found.key),
             "the row does not have the shape of its table");
    });
    if (format && format->min_reader > format_version)
      return fail(ec::wrong_format, "the store has format " + std::to_string(format->version) + ", this program reads " +
                                      std::to_string(format_version) + "; install the newer one");
    if (!format)
      note(verify_level::needs_resync, "local", table::meta::ref.name, to_hex(as_bytes("format")),
           "the format row is missing or makes no sense");
    if (!stored_term_)
      note(verify_level::needs_resync, "local", table::meta::ref.name, to_hex(as_bytes("hard-state")),
           "term and vote are missing or make no sense");
    return {};
  }

  void check_signatures(log_index index, bytes_view payload) {
    if (auto checked = check_proofs(payload))
      report_.signatures += checked->verified;
    else
      note(verify_level::tampering, "signature", "log", to_string(index), checked.error().context);
  }

  /// What the views say of themselves. If they say nothing that can be used, it is noted and can_compare_ is false.
  applied_row find_applied(const read_txn& txn) {
    const auto key_of = [](std::string_view name) { return to_hex(as_bytes(name)); };
    try {
      if (auto stored = txn.get(table::state::ref, as_bytes("cluster"))) {
        auto cluster = cluster_id::from(*stored);
        if (cluster)
          report_.cluster = cluster->hex();
      }
    } catch (const storage_failure&) {
      // The comparison names it.
    }
    can_compare_ = false;
    try {
      auto stored = txn.get(table::state::ref, as_bytes("applied"));
      auto applied = stored ? applied_row::decode(*stored) : applied_row{};
      if (!applied) {
        note(verify_level::tampering, "state_hash", "state", key_of("applied"),
             "the row does not have the shape of its table");
        return {};
      }
      const bool empty = std::all_of(all_tables().begin(), all_tables().end(), [&](table_ref where) {
        return !is_replicated(where) || txn.count(where) == 0;
      });
      if (!stored && !empty) {
        note(verify_level::tampering, "state_hash", "state", key_of("applied"),
             "the row is missing, though entries have been applied");
        return {};
      }
      can_compare_ = true;
      return *applied;
    } catch (const storage_failure&) {
      return {};  // the scan names it
    }
  }

  void walk_log(const read_txn& txn) {
    const auto total = txn.count(table::log::ref);
    const auto before = report_.level;
    digest hash;
    log_index last{};
    term newest{};
    std::uint64_t damaged = 0;  // rows whose absence has been explained
    out_.progress({"log", 0, total});
    const bool readable = each_row(txn, table::log::ref, verify_level::needs_resync, [&](const row& found) {
      auto key = log_key::decode(found.key);
      auto record = log_record::decode(found.value);
      if (!key || !record) {
        note(verify_level::tampering, "row", "log", to_hex(found.key), "the row does not have the shape of a log record");
        return;
      }
      const auto at = to_string(key->index);
      const auto unread = damaged_rows_ - std::exchange(damaged, damaged_rows_);
      if (key->index > last && value(key->index) - value(last) - 1 == unread && unread > 0)
        ;  // what lies between has been noted, and what this one names cannot be known
      else if (key->index != next(last))
        note(verify_level::tampering, "chain", "log", to_string(next(last)),
             "records " + to_string(next(last)) + " to " + std::to_string(value(key->index) - 1) + " are missing");
      else if (record->previous != hash)
        note(verify_level::tampering, "chain", "log", at, "the record does not name the hash of the one before it");
      if (record->term < newest)
        note(verify_level::tampering, "chain", "log", at, "the record has a smaller term than the one before it");
      if (record->type < 1 || record->type > 3)
        note(verify_level::tampering, "chain", "log", at, "the record has an unknown type");
      newest = std::max(newest, record->term);
      last = key->index;
      hash = record_hash(key->index, *record);
      for (const auto& head : options_.heads)
        if (head.index == key->index && head.hash == hash)
          heads_seen_.push_back(head.index);
      ++report_.records;
      if (record->type == 1)
        check_signatures(key->index, record->payload);
      tick("log", report_.records, total);
    });
    log_sound_ = readable && report_.level == before;
    report_.head = last;
    report_.head_hash = hash;
    damaged_at_end_ = damaged_rows_ - damaged;
    if (stored_term_ && newest > *stored_term_)
      note(verify_level::needs_resync, "local", table::meta::ref.name, to_hex(as_bytes("hard-state")),
           "the stored term is smaller than that of the log's last record: a vote may be forgotten");
  }

  void check_heads() {
    for (const auto& head : options_.heads)
      if (std::find(heads_seen_.begin(), heads_seen_.end(), head.index) == heads_seen_.end())
        note(verify_level::tampering, "head", "log", to_string(head.index),
             head.index > report_.head ? "the log ends before this known head"
                                       : "the log has another record here than when this head was taken");
  }

  /// Fills `into` by applying the log up to `end`. False: an entry stopped it (noted).
  bool replay(const read_txn& from, environment& into, log_index end) {
    applier apply;
    out_.progress({"replay", 0, value(end)});
    auto txn = std::make_unique<write_txn>(into.write());
    std::uint64_t entries = 0;
    std::size_t bytes_written = 0;
    for (log_index index{1}; index <= end; index = next(index)) {
      auto record = get<table::log>(from, {index});
      if (!record)
        return false;
      put<table::log>(*txn, {index}, *record);
      try {
        if (record->type == 1)
          apply.apply(*txn, index, record->payload);
        else
          apply.pass(*txn, index);
      } catch (const storage_failure& failure) {
        note(failure.code() == ec::wrong_format ? verify_level::needs_resync : verify_level::tampering, "view", "log",
             to_string(index), std::string{"the entry cannot be applied again: "} + failure.what());
        return false;
      }
      bytes_written += record->payload.size();
      if (++entries % replay_entries_per_commit == 0 || bytes_written >= replay_bytes_per_commit) {
        txn->commit();
        txn.reset();
        txn = std::make_unique<write_txn>(into.write());
        bytes_written = 0;
      }
      tick("replay", entries, value(end));
    }
    txn->commit();
    return true;
  }

  status replay_and_compare(const read_txn& txn, log_index applied) {
    const bool can_replay = log_sound_ && can_compare_ && applied <= report_.head;
    std::unique_ptr<environment> fresh;
    if (can_replay) {
      environment_options how;
      how.directory = scratch_;
      how.map_bytes = options_.map_bytes;
      auto opened = environment::open(how, all_tables());
      if (!opened)
        return tl::make_unexpected(opened.error());
      fresh = std::move(*opened);
      try {
        if (!replay(txn, *fresh, applied))
          fresh.reset();
      } catch (const storage_failure& failure) {
        return fail(ec::io, std::string{"the temporary store in "} + scratch_.string() + ": " + failure.what());
      }
    }
    if (!fresh) {
      // Nothing to compare with; the rows' own checks and shapes remain.
      for (auto where : all_tables())
        if (is_replicated(where))
          each_row(txn, where, verify_level::repairable, [](const row&) {});
      return {};
    }
    auto expected = fresh->read();
    report_.state_hash = read_applied(expected).state_hash;
    out_.progress({"compare", 0, 0});
    for (auto where : all_tables())
      if (is_replicated(where))
        compare(txn, expected, where);
    return {};
  }

  void note_row(table_ref where, bytes_view key, const char* what) {
    const bool hash = where.slot == table::state::ref.slot && as_text(key) == "applied";
    note(verify_level::tampering, hash ? "state_hash" : "view", where.name, to_hex(key),
         hash ? "applied index, state hash and time are not those that the log gives" : what);
  }

  /// Both in key order, side by side.
  void compare(const read_txn& stored, const read_txn& computed, table_ref where) {
    const auto total = computed.count(where);
    row_cursor right{computed, where};
    auto wanted = right.seek({});
    std::uint64_t damaged_before = report_.findings_total;
    std::vector<bytes> missing;
    const auto less = [](bytes_view a, bytes_view b) {
      return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
    };
    std::uint64_t rows = 0;
    each_row(stored, where, verify_level::repairable, [&](const row& found) {
      for (; wanted && less(wanted->key, found.key); wanted = right.next())
        missing.push_back(to_bytes(wanted->key));
      if (!wanted || less(found.key, wanted->key)) {
        note_row(where, found.key, "the log gives no such row");
      } else {
        if (!std::equal(found.value.begin(), found.value.end(), wanted->value.begin(), wanted->value.end()))
          note_row(where, found.key, "the row is another than the log gives");
        wanted = right.next();
      }
      ++report_.rows;
      tick("compare", ++rows, total);
    });
    for (; wanted; wanted = right.next())
      missing.push_back(to_bytes(wanted->key));
    // A row that fails its check has been noted, and is missing here because it was not handed out.
    std::uint64_t explained = report_.findings_total - damaged_before;
    for (const auto& key : missing) {
      bool unreadable = false;
      if (explained > 0)
        try {
          unreadable = stored.get(where, key).has_value();
        } catch (const storage_failure&) {
          unreadable = true;
        }
      if (!unreadable)
        note_row(where, key, "the row is missing");
    }
  }

  const fs::path& data_;
  const fs::path& scratch_;
  const verify_options& options_;
  sink& out_;
  verify_report report_;
  clock::time_point last_tick_{};
  std::optional<term> stored_term_;
  std::vector<log_index> heads_seen_;
  std::uint64_t damaged_rows_ = 0;    ///< of the table that each_row() reads
  std::uint64_t damaged_at_end_ = 0;  ///< of the log, behind its last sound record
  bool log_sound_ = false;
  bool can_compare_ = false;
};

class collecting : public sink {
public:
  collecting(const verify_options& options, std::vector<verify_finding>& findings)
    : options_{options}, findings_{findings} {}
  void progress(const verify_progress& now) override {
    if (options_.progress)
      options_.progress(now);
  }
  void finding(const verify_finding& found) override { findings_.push_back(found); }

private:
  const verify_options& options_;
  std::vector<verify_finding>& findings_;
};

// ---- the child: one JSON object a line -------------------------------------------------------------------------------

class telling_parent : public sink {
public:
  explicit telling_parent(int fd) : fd_{fd} {}
  void progress(const verify_progress& now) override {
    tell({{"progress", now.stage}, {"done", now.done}, {"total", now.total}});
  }
  void finding(const verify_finding& found) override {
    tell({{"finding", found.kind},
          {"level", static_cast<int>(found.level)},
          {"table", found.table},
          {"key", found.key},
          {"what", found.what}});
  }
  void tell(const json& what) {
    auto line = what.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    std::string_view rest = line;
    while (!rest.empty()) {
      const auto written = ::write(fd_, rest.data(), rest.size());
      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        std::_Exit(1);  // nobody listens any more
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
  }

private:
  int fd_;
};

[[noreturn]] void be_the_child(int fd, const fs::path& data, const fs::path& scratch, const verify_options& options) {
  for (int number : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM})
    std::signal(number, SIG_DFL);
  std::signal(SIGPIPE, SIG_IGN);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  if (auto nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC); nowhere >= 0)
    ::dup2(nowhere, STDERR_FILENO);  // what LMDB says when it aborts is in the finding that the parent makes of it
  telling_parent out{fd};
  try {
    auto done = verification{data, scratch, options, out}.run();
    if (done)
      out.tell({{"report", static_cast<int>(done->level)},
                {"findings_total", done->findings_total},
                {"records", done->records},
                {"signatures", done->signatures},
                {"rows", done->rows},
                {"head", value(done->head)},
                {"head_hash", done->head_hash.hex()},
                {"applied", value(done->applied)},
                {"state_hash", done->state_hash.hex()},
                {"cluster", done->cluster}});
    else
      out.tell({{"error", static_cast<int>(done.error().code)}, {"context", done.error().context}});
  } catch (const storage_failure& failure) {
    out.tell({{"finding", "structure"}, {"level", 2}, {"table", ""}, {"key", ""}, {"what", failure.what()}});
  } catch (const std::exception& failure) {
    out.tell({{"finding", "structure"}, {"level", 2}, {"table", ""}, {"key", ""}, {"what", failure.what()}});
  }
  std::_Exit(0);
}

/// What the child has told, put together.
class listener {
public:
  listener(const verify_options& options, verify_report& report) : options_{options}, report_{report} {}

  void take(std::string_view chunk) {
    pending_.append(chunk);
    for (std::size_t end; (end = pending_.find('\n')) != std::string::npos; pending_.erase(0, end + 1))
      line(json::parse(std::string_view{pending_}.substr(0, end), nullptr, false));
  }
  bool finished = false;
  std::optional<error> failed;
  std::string stage = "opening the file";

private:
  void line(const json& what) {
    if (!what.is_object())
      return;
    if (what.contains("progress")) {
      verify_progress now{what.value("progress", ""), what.value("done", std::uint64_t{0}),
                          what.value("total", std::uint64_t{0})};
      stage = now.stage + " at " + std::to_string(now.done);
      if (options_.progress)
        options_.progress(now);
    } else if (what.contains("finding")) {
      verify_finding found{static_cast<verify_level>(what.value("level", 2)), what.value("finding", ""),
                           what.value("table", ""), what.value("key", ""), what.value("what", "")};
      report_.level = std::max(report_.level, found.level);
      ++report_.findings_total;
      report_.findings.push_back(std::move(found));
    } else if (what.contains("report")) {
      finished = true;
      report_.level = std::max(report_.level, static_cast<verify_level>(what.value("report", 2)));
      report_.findings_total = std::max(report_.findings_total, what.value("findings_total", std::uint64_t{0}));
      report_.records = what.value("records", std::uint64_t{0});
      report_.signatures = what.value("signatures", std::uint64_t{0});
      report_.rows = what.value("rows", std::uint64_t{0});
      report_.head = log_index{what.value("head", std::uint64_t{0})};
      report_.head_hash = digest::parse(what.value("head_hash", "")).value_or(digest{});
      report_.applied = log_index{what.value("applied", std::uint64_t{0})};
      report_.state_hash = digest::parse(what.value("state_hash", "")).value_or(digest{});
      report_.cluster = what.value("cluster", "");
    } else if (what.contains("error")) {
      failed = error{static_cast<ec>(what.value("error", 0)), what.value("context", "")};
    }
  }
  const verify_options& options_;
  verify_report& report_;
  std::string pending_;
};

/// Holds the writer's lock, so that no node opens the store meanwhile.
result<std::unique_ptr<descriptor>> lock_out_writers(const fs::path& data) {
  std::error_code failed;
  if (!fs::exists(data / "data.mdb", failed))
    return fail(ec::not_found, "no store in " + data.string());
  auto lock = std::make_unique<descriptor>(::open((data / "writer.lock").c_str(), O_RDONLY | O_CLOEXEC));
  if (!*lock) {
    if (errno == ENOENT)
      return lock;  // never opened for writing since it was copied here
    return fail(ec::io, system_error("open " + (data / "writer.lock").string()));
  }
  if (::flock(lock->get(), LOCK_EX | LOCK_NB) != 0)
    return fail(ec::locked, data.string() + " is open in a node; stop it first");
  return lock;
}

} // namespace

std::string_view name(verify_level level) {
  switch (level) {
    case verify_level::clean: return "clean";
    case verify_level::repairable: return "repairable";
    case verify_level::needs_resync: return "needs_resync";
    case verify_level::tampering: return "tampering";
  }
  return "tampering";
}

result<verify_report> verify_here(const fs::path& data, const verify_options& options) {
  auto lock = lock_out_writers(data);
  if (!lock)
    return tl::make_unexpected(lock.error());
  auto scratch = temporary_directory::make(options.scratch);
  if (!scratch)
    return tl::make_unexpected(scratch.error());
  std::vector<verify_finding> findings;
  collecting out{options, findings};
  auto report = verification{data, scratch->path(), options, out}.run();
  if (report)
    report->findings = std::move(findings);
  return report;
}

result<verify_report> verify(const fs::path& data, const verify_options& options) {
  auto lock = lock_out_writers(data);
  if (!lock)
    return tl::make_unexpected(lock.error());
  auto scratch = temporary_directory::make(options.scratch);
  if (!scratch)
    return tl::make_unexpected(scratch.error());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return fail(ec::io, system_error("make a pipe"));
  descriptor listening{ends[0]}, telling{ends[1]};
  const auto child = ::fork();
  if (child < 0)
    return fail(ec::io, system_error("start a child process"));
  if (child == 0)
    be_the_child(telling.get(), data, scratch->path(), options);
  telling.reset();

  verify_report report;
  listener hears{options, report};
  bool stalled = false;
  for (;;) {
    pollfd waiting{listening.get(), POLLIN, 0};
    const auto ready = ::poll(&waiting, 1, static_cast<int>(options.stalled_ms));
    if (ready < 0 && errno == EINTR)
      continue;
    if (ready == 0) {
      stalled = true;
      ::kill(child, SIGKILL);
      break;
    }
    char chunk[65536];
    const auto got = ::read(listening.get(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      break;
    hears.take({chunk, static_cast<std::size_t>(got)});
  }
  int ended = 0;
  while (::waitpid(child, &ended, 0) < 0 && errno == EINTR) {
  }
  if (hears.failed)
    return tl::make_unexpected(*hears.failed);
  if (!hears.finished) {
    std::string what = stalled ? "the reader hung and was killed"
                       : WIFSIGNALED(ended)
                         ? std::string{"the file killed its reader with "} + ::strsignal(WTERMSIG(ended))
                         : "the reader ended before it was done";
    report.level = std::max(report.level, verify_level::needs_resync);
    ++report.findings_total;
    report.findings.push_back({verify_level::needs_resync, "structure", {}, {}, what + " (" + hears.stage + ")"});
  }
  return report;
}

} // namespace signet::storage
