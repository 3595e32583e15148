#include "storage/lmdb/environment.hpp"

#include "messages/hooks.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <lmdb.h>
#include <map>
#include <mutex>
#include <set>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#define XXH_INLINE_ALL  // the header alone; nothing is linked
#include <xxhash.h>

namespace signet::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t check_bytes = sizeof(XXH64_canonical_t);
constexpr std::size_t key_bytes_max = 511;  // LMDB's own limit, compiled into it
static_assert(check_bytes == 8);

using row_check = std::array<std::uint8_t, check_bytes>;

row_check hash_of(const void* data, std::size_t size) {
  XXH64_canonical_t big_endian;
  XXH64_canonicalFromHash(&big_endian, XXH3_64bits(data, size));
  row_check out;
  std::memcpy(out.data(), big_endian.digest, out.size());
  return out;
}

/// XXH3(table ‖ 0x00 ‖ key ‖ XXH3(value)). It finds accidents, not forgers: against those stand the chain and the seals.
/// Table names hold no zero byte, so the parts cannot shift; hashing the value on its own spares a copy of a large one.
row_check check_of(std::string_view table, bytes_view key, bytes_view value) {
  std::array<std::uint8_t, 64 + 1 + key_bytes_max + check_bytes> text;
  std::size_t at = 0;
  auto add = [&](const void* from, std::size_t size) {
    if (size > 0)
      std::memcpy(text.data() + at, from, size);
    at += size;
  };
  add(table.data(), table.size());
  add("", 1);
  add(key.data(), key.size());
  const auto inner = hash_of(value.data(), value.size());
  add(inner.data(), inner.size());
  return hash_of(text.data(), at);
}

ec code_of(int rc) {
  switch (rc) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_BAD_TXN: return ec::corrupt;
    case MDB_MAP_FULL: return ec::disk_full;
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE: return ec::wrong_format;
    case MDB_BAD_VALSIZE: return ec::too_large;
    default: return ec::io;
  }
}

std::string sentence(int rc, std::string_view doing) {
  std::string out{doing};
  out.append(": ").append(mdb_strerror(rc));
  if (rc == MDB_MAP_FULL)
    out += ". The data file has reached the size of its map. Nothing committed is lost. Next: raise the map size in the "
           "storage part of cluster.conf, check that the disk has room, and start the node again";
  else if (rc == MDB_READERS_FULL)
    out += ". More transactions are open than there are reader slots: raise readers_max";
  return out;
}

[[noreturn]] void give_up(int rc, std::string_view doing) { throw storage_failure(code_of(rc), sentence(rc, doing)); }

void must(int rc, std::string_view doing) {
  if (rc != MDB_SUCCESS)
    give_up(rc, doing);
}

std::string about(table_ref where, bytes_view key) {
  return std::string{"table "} + std::string{where.name} + ", key " + to_hex(key);
}

MDB_val to_val(bytes_view raw) { return {raw.size(), const_cast<std::uint8_t*>(raw.data())}; }
bytes_view to_view(const MDB_val& raw) { return {static_cast<const std::uint8_t*>(raw.mv_data), raw.mv_size}; }

/// The value without its check, or storage_failure.
bytes_view checked(table_ref where, bytes_view key, bytes_view stored) {
  if (stored.size() >= check_bytes && key.size() <= key_bytes_max) {
    auto value = stored.first(stored.size() - check_bytes);
    auto expected = check_of(where.name, key, value);
    if (std::memcmp(expected.data(), stored.data() + value.size(), check_bytes) == 0)
      return value;
  }
  throw storage_failure(ec::corrupt, about(where, key) +
                                       ". Next: stop the node and run: signet verify DATA; a cluster member is then "
                                       "rebuilt from its peers");
}

bool starts_with(bytes_view text, bytes_view prefix) {
  return text.size() >= prefix.size() &&
         (prefix.empty() || std::memcmp(text.data(), prefix.data(), prefix.size()) == 0);
}

class descriptor {
public:
  explicit descriptor(int fd = -1) : fd_{fd} {}
  descriptor(descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_;
};

std::string system_error(const char* doing, const fs::path& path, int number = errno) {
  return std::string{doing} + " " + path.string() + ": " + std::generic_category().message(number);
}

status sync_path(const fs::path& path) {
  descriptor fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd)
    return fail(ec::io, system_error("open", path));
  if (::fsync(fd.get()) != 0)
    return fail(ec::io, system_error("sync", path));
  return {};
}

/// Creates what is missing of `directory`, and makes each new name durable.
status make_durable_directories(const fs::path& directory) {
  std::error_code failed;
  if (fs::is_directory(directory, failed))
    return {};
  auto parent = directory.parent_path();
  if (!parent.empty() && parent != directory)
    if (auto done = make_durable_directories(parent); !done)
      return done;
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(ec::io, system_error("create", directory));
  return sync_path(parent.empty() ? fs::path{"."} : parent);
}

/// LMDB's map and locks need a local file system.
status refuse_network_file_system(const fs::path& directory) {
  struct statfs about {};
  if (::statfs(directory.c_str(), &about) != 0)
    return fail(ec::io, system_error("examine", directory));
  switch (static_cast<std::uint32_t>(about.f_type)) {
    case 0x6969U:      // nfs
    case 0xFF534D42U:  // cifs
    case 0xFE534D42U:  // smb2
    case 0x01021997U:  // 9p
      return fail(ec::configuration, directory.string() + " is on a network file system; use a local disk");
    default: return {};
  }
}

/// What this process has open. LMDB's locks are POSIX record locks: to close a second descriptor of the same file would
/// drop those of the first, so a second open in one process is refused.
class opened_here {
public:
  opened_here() = default;
  opened_here(opened_here&& other) noexcept : path_{std::exchange(other.path_, {})} {}
  opened_here& operator=(opened_here&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~opened_here() {
    if (path_.empty())
      return;
    std::scoped_lock hold{guard()};
    paths().erase(path_);
  }
  /// Nothing when it is open already.
  static std::optional<opened_here> claim(const fs::path& directory) {
    std::error_code ignored;
    auto path = fs::canonical(directory, ignored);
    std::scoped_lock hold{guard()};
    if (path.empty() || !paths().insert(path).second)
      return std::nullopt;
    opened_here out;
    out.path_ = std::move(path);
    return out;
  }

private:
  static std::mutex& guard() {
    static std::mutex one;
    return one;
  }
  static std::set<fs::path>& paths() {
    static std::set<fs::path> all;
    return all;
  }
  fs::path path_;
};

/// The kernel drops this lock with the process, however it ends. It is not inherited across exec.
result<descriptor> lock_for_writing(const fs::path& directory) {
  auto path = directory / "writer.lock";
  descriptor lock{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!lock)
    return fail(ec::io, system_error("open", path));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return fail(ec::locked, directory.string() + " is the data directory of a running node");
    return fail(ec::io, system_error("lock", path));
  }
  return lock;
}

constexpr unsigned open_flags = MDB_NOTLS;  // says who owns a reader slot (the transaction); nothing about durability

struct env_closer {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
};
using env_ptr = std::unique_ptr<MDB_env, env_closer>;

result<env_ptr> open_env(const environment_options& options, const fs::path& path, unsigned flags, std::size_t tables) {
  MDB_env* raw = nullptr;
  if (int rc = mdb_env_create(&raw); rc != 0)
    return fail(ec::io, sentence(rc, "create an environment"));
  env_ptr env{raw};
  int rc = mdb_env_set_mapsize(raw, options.map_bytes);
  if (rc == 0)
    rc = mdb_env_set_maxreaders(raw, options.readers_max);
  if (rc == 0)
    rc = mdb_env_set_maxdbs(raw, static_cast<MDB_dbi>(tables));
  if (rc == 0)
    rc = mdb_env_open(raw, path.c_str(), flags, 0600);
  if (rc != 0)
    return fail(rc == ENOENT ? ec::not_found : code_of(rc), sentence(rc, "open " + path.string()));
  return env;
}

using handles = std::array<MDB_dbi, 256>;

/// Opens every table in one transaction; creates those that are missing when `create`.
status open_tables(MDB_env* env, std::span<const table_ref> tables, bool create, handles& out) {
  MDB_txn* txn = nullptr;
  if (int rc = mdb_txn_begin(env, nullptr, create ? 0 : MDB_RDONLY, &txn); rc != 0)
    return fail(code_of(rc), sentence(rc, "begin"));
  for (auto table : tables)
    if (int rc = mdb_dbi_open(txn, std::string{table.name}.c_str(), create ? MDB_CREATE : 0, &out[table.slot]); rc != 0) {
      mdb_txn_abort(txn);
      return fail(rc == MDB_NOTFOUND ? ec::wrong_format : code_of(rc),
                  sentence(rc, "open table " + std::string{table.name}));
    }
  if (int rc = mdb_txn_commit(txn); rc != 0)
    return fail(code_of(rc), sentence(rc, "create the tables"));
  return {};
}

/// Makes a complete, empty data file under another name, and then gives it its own. A crash before the rename leaves
/// nothing that looks like a store; hence a data file that is there but too short is damage, never a fresh store.
status create_data_file(const environment_options& options, std::span<const table_ref> tables, const fs::path& data) {
  auto fresh = options.directory / "creating.mdb";
  auto fresh_lock = options.directory / "creating.mdb-lock";
  std::error_code ignored;
  fs::remove(fresh, ignored);
  fs::remove(fresh_lock, ignored);
  {
    auto env = open_env(options, fresh, open_flags | MDB_NOSUBDIR, tables.size());
    if (!env)
      return tl::make_unexpected(env.error());
    handles unused{};
    if (auto made = open_tables(env->get(), tables, true, unused); !made)
      return made;
  }
  if (auto synced = sync_path(fresh); !synced)
    return synced;
  fs::remove(fresh_lock, ignored);
  if (::rename(fresh.c_str(), data.c_str()) != 0)
    return fail(ec::io, system_error("rename", fresh));
  return sync_path(options.directory);
}

status check_tables(std::span<const table_ref> tables) {
  std::array<bool, 256> taken{};
  for (auto table : tables) {
    if (table.name.empty() || table.name.size() > 64 || table.name.find('\0') != std::string_view::npos)
      return fail(ec::internal, "a table needs a name of 1 to 64 bytes without a zero byte");
    if (std::exchange(taken[table.slot], true))
      return fail(ec::internal, "two tables share slot " + std::to_string(table.slot));
  }
  return {};
}

} // namespace

struct environment::state {
  environment_options options;
  opened_here claim;
  env_ptr env;
  descriptor writer_lock;
  handles tables{};
  latency_histogram commits{latency_bounds};
  std::atomic<bool> failed = false;  // a write or commit went wrong: nobody may write again

  // Reset read transactions that keep their reader slot: to renew one costs a tenth of beginning one.
  std::mutex idle_guard;
  std::vector<MDB_txn*> idle;

  ~state() {
    for (auto* txn : idle)
      mdb_txn_abort(txn);
  }

  MDB_txn* take_idle() {
    std::scoped_lock hold{idle_guard};
    if (idle.empty())
      return nullptr;
    auto* txn = idle.back();
    idle.pop_back();
    return txn;
  }
  void give_back(MDB_txn* txn) {
    mdb_txn_reset(txn);
    std::scoped_lock hold{idle_guard};
    idle.push_back(txn);
  }
};

#ifdef SIGNET_TEST_HOOKS
/// Known bugs APPLIED_SPLIT and FANOUT_HALF: some rows of a transaction are committed by a second one behind it.
struct split_commit {
  std::map<std::pair<std::uint8_t, bytes>, std::optional<bytes>> before;  ///< stored bytes of those rows, or none

  static bool concerns(table_ref where, bytes_view key) {
    return (SIGNET_BUG("APPLIED_SPLIT") && where.name == "state" && as_text(key) == "applied") ||
           (SIGNET_BUG("FANOUT_HALF") && where.name == "inbox");
  }
  static std::optional<bytes> stored(MDB_txn* txn, MDB_dbi table, bytes_view key) {
    auto name = to_val(key);
    MDB_val value{};
    return mdb_get(txn, table, &name, &value) == 0 ? std::optional{to_bytes(to_view(value))} : std::nullopt;
  }
  static void store(MDB_txn* txn, MDB_dbi table, bytes_view key, const std::optional<bytes>& what) {
    auto name = to_val(key);
    auto value = what ? to_val(*what) : MDB_val{};
    must(what ? mdb_put(txn, table, &name, &value, 0) : mdb_del(txn, table, &name, nullptr), "split a commit");
  }
  void note(MDB_txn* txn, MDB_dbi table, table_ref where, bytes_view key) {
    if (concerns(where, key))
      before.try_emplace({where.slot, to_bytes(key)}, stored(txn, table, key));
  }
  /// Commits everything else; the transaction that holds the rest remains open.
  void commit_first(MDB_env* env, const handles& tables, MDB_txn*& txn) {
    auto after = before;
    for (auto& [where, old] : before) {
      after[where] = stored(txn, tables[where.first], where.second);
      store(txn, tables[where.first], where.second, old);
    }
    if (before.empty())
      return;
    must(mdb_txn_commit(txn), "commit");
    must(mdb_txn_begin(env, nullptr, 0, &txn), "begin to write");
    for (auto& [where, now] : after)
      store(txn, tables[where.first], where.second, now);
  }
};
#endif

#ifdef SIGNET_TEST_HOOKS
namespace {
thread_local commit_hook hook_of_commits = nullptr;
void tell_commit(commit_moment when, const environment_options& about) {
  if (hook_of_commits != nullptr)
    hook_of_commits(when, about.directory);
}
} // namespace
void set_commit_hook(commit_hook hook) { hook_of_commits = hook; }
#endif

struct read_txn::state {
  environment::state* owner;
  MDB_txn* txn;
  bool writes;
  write_observer* observer = nullptr;
#ifdef SIGNET_TEST_HOOKS
  split_commit split;
#endif
  bytes scratch;  // the key and value of a put, out of the way of the pages that the put moves

  state(environment::state* owner_, MDB_txn* txn_, bool writes_) : owner{owner_}, txn{txn_}, writes{writes_} {}
  state(const state&) = delete;
  ~state() {
    if (txn == nullptr)
      return;
    if (writes)
      mdb_txn_abort(txn);
    else
      owner->give_back(txn);
  }

  MDB_txn* live() const {
    if (txn == nullptr)
      throw storage_failure(ec::internal, "a transaction was used after its commit");
    return txn;
  }
  MDB_dbi handle(table_ref where) const {
    auto dbi = owner->tables[where.slot];
    if (dbi == 0)
      throw storage_failure(ec::internal, "table " + std::string{where.name} + " was not opened");
    return dbi;
  }
};

// ---- reading

struct row_cursor::state {
  table_ref where;
  MDB_cursor* cursor = nullptr;

  std::optional<row> move(MDB_val key, MDB_cursor_op how) {
    MDB_val value{};
    int rc = mdb_cursor_get(cursor, &key, &value, how);
    if (rc == MDB_NOTFOUND)
      return std::nullopt;
    must(rc, "read table " + std::string{where.name});
    auto name = to_view(key);
    return row{name, checked(where, name, to_view(value))};
  }
};

row_cursor::row_cursor(const read_txn& txn, table_ref where) : state_{std::make_unique<state>()} {
  state_->where = where;
  must(mdb_cursor_open(txn.state_->live(), txn.state_->handle(where), &state_->cursor), "open a cursor");
}
row_cursor::~row_cursor() { mdb_cursor_close(state_->cursor); }
std::optional<row> row_cursor::seek(bytes_view from) {
  return from.empty() ? state_->move({}, MDB_FIRST) : state_->move(to_val(from), MDB_SET_RANGE);
}
std::optional<row> row_cursor::next() { return state_->move({}, MDB_NEXT); }
std::optional<row> row_cursor::previous() { return state_->move({}, MDB_PREV); }

read_txn::read_txn(std::unique_ptr<state> s) : state_{std::move(s)} {}
read_txn::read_txn(read_txn&&) noexcept = default;
read_txn::~read_txn() = default;

std::optional<bytes_view> read_txn::get(table_ref where, bytes_view key) const {
  auto name = to_val(key);
  MDB_val value{};
  int rc = mdb_get(state_->live(), state_->handle(where), &name, &value);
  if (rc == MDB_NOTFOUND)
    return std::nullopt;
  must(rc, "read " + about(where, key));
  return checked(where, key, to_view(value));
}

std::optional<row> read_txn::at_or_after(table_ref where, bytes_view from) const {
  return row_cursor{*this, where}.seek(from);
}

std::optional<row> read_txn::last_with_prefix(table_ref where, bytes_view prefix) const {
  // The first key behind all that start with `prefix`: the prefix, cut behind its last byte below 0xff, plus one there.
  auto behind = to_bytes(prefix);
  while (!behind.empty() && behind.back() == 0xff)
    behind.pop_back();
  struct cursor_closer {
    void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
  };
  MDB_cursor* raw = nullptr;
  must(mdb_cursor_open(state_->live(), state_->handle(where), &raw), "open a cursor");
  std::unique_ptr<MDB_cursor, cursor_closer> cursor{raw};
  MDB_val key{};
  MDB_val value{};
  int rc = MDB_NOTFOUND;
  if (!behind.empty()) {
    ++behind.back();
    key = to_val(behind);
    rc = mdb_cursor_get(raw, &key, &value, MDB_SET_RANGE);
  }
  // Nothing behind it: then the candidate is the last row of the table, else the row before the one found.
  rc = rc == MDB_NOTFOUND ? mdb_cursor_get(raw, &key, &value, MDB_LAST)
       : rc == 0          ? mdb_cursor_get(raw, &key, &value, MDB_PREV)
                          : rc;
  if (rc == MDB_NOTFOUND)
    return std::nullopt;
  must(rc, "read table " + std::string{where.name});
  auto name = to_view(key);
  if (!starts_with(name, prefix))
    return std::nullopt;
  return row{name, checked(where, name, to_view(value))};
}

std::uint64_t read_txn::count(table_ref where) const {
  MDB_stat about{};
  must(mdb_stat(state_->live(), state_->handle(where), &about), "count table " + std::string{where.name});
  return about.ms_entries;
}

// ---- writing

write_txn::write_txn(std::unique_ptr<state> s) : read_txn{std::move(s)} {}
write_txn::write_txn(write_txn&&) noexcept = default;
write_txn::~write_txn() = default;

void write_txn::put(table_ref where, bytes_view key, bytes_view value) {
  auto& s = *state_;
  if (key.empty() || key.size() > key_bytes_max)
    throw storage_failure(ec::too_large, "a key of " + std::to_string(key.size()) + " bytes, " + about(where, key));
  auto check = check_of(where.name, key, value);
  s.scratch.clear();
  append(s.scratch, key);
  append(s.scratch, value);
  append(s.scratch, check);
  auto safe_key = bytes_view{s.scratch}.first(key.size());
  auto stored = bytes_view{s.scratch}.subspan(key.size());
#ifdef SIGNET_TEST_HOOKS
  s.split.note(s.live(), s.handle(where), where, safe_key);
  if (SIGNET_BUG("VOTE_LOST") && as_text(safe_key) == "hard-state" && get(where, safe_key))
    return;
#endif
  auto name = to_val(safe_key);
  auto data = to_val(stored);
  if (int rc = mdb_put(s.live(), s.handle(where), &name, &data, 0); rc != 0) {
    s.owner->failed = true;
    give_up(rc, "write " + about(where, safe_key));
  }
  if (s.observer != nullptr)
    s.observer->put(where, safe_key, stored.first(stored.size() - check_bytes));
}

bool write_txn::erase(table_ref where, bytes_view key) {
  auto& s = *state_;
  s.scratch.assign(key.begin(), key.end());
  auto name = to_val(s.scratch);
  int rc = mdb_del(s.live(), s.handle(where), &name, nullptr);
  if (rc == MDB_NOTFOUND)
    return false;
  if (rc != 0) {
    s.owner->failed = true;
    give_up(rc, "erase " + about(where, s.scratch));
  }
  if (s.observer != nullptr)
    s.observer->erased(where, s.scratch);
  return true;
}

void write_txn::commit() {
  auto& s = *state_;
  auto* txn = s.live();
#ifdef SIGNET_TEST_HOOKS
  tell_commit(commit_moment::before, s.owner->options);
  s.split.commit_first(s.owner->env.get(), s.owner->tables, txn);
#endif
  s.txn = nullptr;  // freed by mdb_txn_commit, whatever it returns
  const auto begun = std::chrono::steady_clock::now();
  if (int rc = mdb_txn_commit(txn); rc != 0 && !SIGNET_BUG("COMMIT_BLIND")) {
    s.owner->failed = true;
    give_up(rc, "commit");
  }
  s.owner->commits.observe(std::chrono::steady_clock::now() - begun);
#ifdef SIGNET_TEST_HOOKS
  tell_commit(commit_moment::after, s.owner->options);
#endif
}

void write_txn::observe(write_observer* observer) { state_->observer = observer; }

// ---- the environment

environment::environment(std::unique_ptr<state> s) : state_{std::move(s)} {}
environment::~environment() = default;

result<std::unique_ptr<environment>> environment::open(const environment_options& options,
                                                       std::span<const table_ref> tables) {
  if (sodium_init() < 0)
    return fail(ec::internal, "libsodium does not start");
  if (auto sound = check_tables(tables); !sound)
    return tl::make_unexpected(sound.error());
  auto s = std::make_unique<state>();
  s->options = options;
  auto data = options.directory / "data.mdb";
  std::error_code failed;
  if (options.read_only) {
    if (!fs::exists(data, failed))
      return fail(ec::not_found, data.string());
  } else if (auto made = make_durable_directories(options.directory); !made) {
    return tl::make_unexpected(made.error());
  }
  if (auto local = refuse_network_file_system(options.directory); !local)
    return tl::make_unexpected(local.error());
  auto claim = opened_here::claim(options.directory);
  if (!claim)
    return fail(ec::locked, options.directory.string() + " is open in this process already");
  s->claim = std::move(*claim);
  if (!options.read_only) {
    auto lock = lock_for_writing(options.directory);
    if (!lock)
      return tl::make_unexpected(lock.error());
    s->writer_lock = std::move(*lock);
    if (!fs::exists(data, failed))
      if (auto made = create_data_file(options, tables, data); !made)
        return tl::make_unexpected(made.error());
  }
  auto size = fs::file_size(data, failed);
  if (failed || size < 2 * 512)
    return fail(ec::corrupt, data.string() + " is too short to be a data file");
  auto flags = open_flags | (options.read_only ? MDB_RDONLY : 0U) | (SIGNET_BUG("NOSYNC") ? MDB_NOSYNC : 0U);
  auto env = open_env(options, options.directory, flags, tables.size());
  if (!env)
    return tl::make_unexpected(env.error());
  s->env = std::move(*env);
  auto opened = open_tables(s->env.get(), tables, false, s->tables);
  if (!opened && opened.error().code == ec::wrong_format && !options.read_only)
    opened = open_tables(s->env.get(), tables, true, s->tables);  // a newer program brings a new table
  if (!opened)
    return tl::make_unexpected(opened.error());
  return std::unique_ptr<environment>(new environment(std::move(s)));
}

status environment::set_aside(const fs::path& directory, const std::string& name) {
  std::error_code failed;
  if (!fs::exists(directory / "data.mdb", failed))
    return fail(ec::not_found, directory.string() + " holds no data file");
  auto claim = opened_here::claim(directory);
  if (!claim)
    return fail(ec::locked, directory.string() + " is open in this process already");
  auto lock = lock_for_writing(directory);
  if (!lock)
    return tl::make_unexpected(lock.error());
  const auto aside = directory / name;
  if (::mkdir(aside.c_str(), 0700) != 0)
    return fail(errno == EEXIST ? ec::already_exists : ec::io, system_error("create", aside));
  if (::rename((directory / "data.mdb").c_str(), (aside / "data.mdb").c_str()) != 0)
    return fail(ec::io, system_error("rename", directory / "data.mdb"));
  fs::remove(directory / "lock.mdb", failed);  // reader slots of processes that are gone
  if (auto synced = sync_path(aside); !synced)
    return synced;
  return sync_path(directory);
}

read_txn environment::read() const {
  auto* txn = state_->take_idle();
  if (txn != nullptr) {
    if (int rc = mdb_txn_renew(txn); rc != 0) {
      mdb_txn_abort(txn);
      give_up(rc, "begin to read");
    }
  } else {
    must(mdb_txn_begin(state_->env.get(), nullptr, MDB_RDONLY, &txn), "begin to read");
  }
  return read_txn{std::make_unique<read_txn::state>(state_.get(), txn, false)};
}

write_txn environment::write() {
  if (state_->options.read_only)
    throw storage_failure(ec::internal, "opened read-only");
  if (state_->failed)
    throw storage_failure(ec::io, "an earlier write failed; this process may not write again");
  MDB_txn* txn = nullptr;
  if (int rc = mdb_txn_begin(state_->env.get(), nullptr, 0, &txn); rc != 0) {
    state_->failed = true;
    give_up(rc, "begin to write");
  }
  return write_txn{std::make_unique<read_txn::state>(state_.get(), txn, true)};
}

const latency_histogram& environment::commit_times() const { return state_->commits; }

space environment::measure() const {
  MDB_envinfo about{};
  MDB_stat pages{};
  must(mdb_env_info(state_->env.get(), &about), "measure the map");
  must(mdb_env_stat(state_->env.get(), &pages), "measure the map");
  struct statvfs disk {};
  if (::statvfs(state_->options.directory.c_str(), &disk) != 0)
    throw storage_failure(ec::io, system_error("measure", state_->options.directory));
  space out;
  out.map_bytes = about.me_mapsize;
  out.map_used_bytes = (about.me_last_pgno + 1) * pages.ms_psize;
  out.disk_bytes = disk.f_blocks * disk.f_frsize;
  out.disk_free_bytes = disk.f_bavail * disk.f_frsize;
  return out;
}

int environment::clear_stale_readers() {
  int dead = 0;
  must(mdb_reader_check(state_->env.get(), &dead), "check the readers");
  return dead;
}

status environment::copy_to(const std::filesystem::path& directory) const {
  if (auto made = make_durable_directories(directory); !made)
    return made;
  std::error_code failed;
  if (!fs::is_empty(directory, failed) || failed)
    return fail(ec::already_exists, directory.string() + " is not empty");
  if (int rc = mdb_env_copy2(state_->env.get(), directory.c_str(), MDB_CP_COMPACT); rc != 0)
    return fail(ec::io, sentence(rc, "copy to " + directory.string()));
  if (auto synced = sync_path(directory / "data.mdb"); !synced)
    return synced;
  return sync_path(directory);
}

} // namespace signet::storage
