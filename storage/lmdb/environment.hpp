#pragma once
// LMDB behind three types: an environment, a read transaction, a write transaction. Nothing outside storage/lmdb/
// includes lmdb.h.
//
// Rules (measured; see storage/README.md): default flags only; one environment a process; opened once; never across
// fork; local file system; no DUPSORT. Every row ends with an 8-byte check over table name, key and value, because
// LMDB has no page checksums: a row that does not match is never handed out.
//
// Failures: opening returns a result. After that every failure throws storage_failure, and the process must stop:
// after a failed fdatasync LMDB goes on as if nothing had happened, so nobody may commit again.

#include "messages/histogram.hpp"
#include "messages/bytes.hpp"
#include "messages/errors.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace signet::storage {

/// The disk failed, or a row is not what was written. Fail-stop: exit 71; a restart recovers from what is durable.
class storage_failure : public std::runtime_error {
public:
  storage_failure(ec code, const std::string& context) : std::runtime_error(render({code, context})), error_{code, context} {}
  ec code() const { return error_.code; }
  const error& why() const { return error_; }

private:
  error error_;
};

/// A table: its slot among the open tables, and its name on disk. All of them stand in storage/tables.hpp.
struct table_ref {
  std::uint8_t slot;
  std::string_view name;
};

/// A row as it stands in the map: valid until the transaction ends, in a write transaction until its next write.
struct row {
  bytes_view key;
  bytes_view value;  ///< without the check
};

struct environment_options {
  std::filesystem::path directory;
  std::uint64_t map_bytes = 64ULL << 30;  ///< address space, not disk; pre-sized, since growing needs a pause
  unsigned readers_max = 126;
  bool read_only = false;                 ///< for signet log and verify; the file is not created
};

/// How full the map and the disk are: for the disk guard, metrics and status.
struct space {
  std::uint64_t map_bytes = 0, map_used_bytes = 0;
  std::uint64_t disk_bytes = 0, disk_free_bytes = 0;
};

class environment;
class write_txn;

/// Told of every change inside a write transaction; folds the state hash.
class write_observer {
public:
  virtual ~write_observer() = default;
  virtual void put(table_ref where, bytes_view key, bytes_view value) = 0;
  virtual void erased(table_ref where, bytes_view key) = 0;
};

/// One consistent view. Keep it short (one handler): a long reader makes the file grow. Not shared between threads;
/// a thread holds one transaction at a time.
class read_txn {
public:
  read_txn(read_txn&&) noexcept;
  read_txn& operator=(read_txn&&) = delete;
  ~read_txn();

  std::optional<bytes_view> get(table_ref where, bytes_view key) const;
  /// First row with key >= `from`.
  std::optional<row> at_or_after(table_ref where, bytes_view from) const;
  /// Last row whose key starts with `prefix`.
  std::optional<row> last_with_prefix(table_ref where, bytes_view prefix) const;
  std::uint64_t count(table_ref where) const;

  /// Rows in key order from `from` on, until `visit` returns false. `visit` must not write.
  template <class Visit>
  void scan(table_ref where, bytes_view from, Visit&& visit) const;

protected:
  friend class environment;
  friend class row_cursor;
  struct state;
  explicit read_txn(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

/// A cursor for scans: see read_txn::scan. Ends before its transaction.
class row_cursor {
public:
  row_cursor(const read_txn& txn, table_ref where);
  ~row_cursor();
  row_cursor(const row_cursor&) = delete;
  std::optional<row> seek(bytes_view from);
  std::optional<row> next();
  std::optional<row> previous();

private:
  struct state;
  std::unique_ptr<state> state_;
};

template <class Visit>
void read_txn::scan(table_ref where, bytes_view from, Visit&& visit) const {
  row_cursor cursor(*this, where);
  for (auto found = cursor.seek(from); found; found = cursor.next())
    if (!visit(*found))
      return;
}

/// The only one at a time. Without commit() everything is undone by the destructor.
class write_txn : public read_txn {
public:
  write_txn(write_txn&&) noexcept;
  ~write_txn();
  void put(table_ref where, bytes_view key, bytes_view value);
  /// Whether there was such a row.
  bool erase(table_ref where, bytes_view key);
  /// Durable when it returns: data pages written and synced, then the meta page. Throws storage_failure.
  void commit();
  /// From now on every change is told to `observer` (null: nobody).
  void observe(write_observer* observer);

private:
  friend class environment;
  explicit write_txn(std::unique_ptr<state> s);
};

/// One LMDB environment. Thread-safe: any thread may begin a read transaction; one thread writes.
class environment {
public:
  /// Opens, or creates when not read_only, with exactly these tables; a table that an older file lacks is added. Nothing
  /// is walked. Errors: io, locked (another process has it open for writing), not_found (read_only and absent),
  /// wrong_format, corrupt, configuration (network file system). A crash while it creates leaves nothing behind.
  /// Readers (read_only) in other processes are allowed beside the writer. Outlives all its transactions.
  static result<std::unique_ptr<environment>> open(const environment_options& options, std::span<const table_ref> tables);
  /// Moves the data file of an environment that nobody has open into DIRECTORY/`name`, which must not exist yet. Nothing
  /// is deleted, and the file is not even read: it may be damaged. A crash leaves it in one place or the other. Errors:
  /// locked, not_found (no data file), already_exists, io.
  static status set_aside(const std::filesystem::path& directory, const std::string& name);
  ~environment();

  read_txn read() const;
  write_txn write();
  space measure() const;
  /// How long commits took since it was opened: written and synced. For metrics; the writing thread alone.
  const latency_histogram& commit_times() const;
  /// Drops reader slots of killed processes; call at start and each minute. Returns how many.
  int clear_stale_readers();
  /// A compact consistent copy into an empty directory.
  status copy_to(const std::filesystem::path& directory) const;

private:
  friend class read_txn;
  struct state;
  explicit environment(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

#ifdef SIGNET_TEST_HOOKS
/// For the simulator: called in every commit of a write transaction of this thread, before and after LMDB's own. What it
/// throws leaves commit(): thrown before, nothing of the transaction is stored; thrown after, all of it is. Null: nobody.
enum class commit_moment : std::uint8_t { before, after };
using commit_hook = void (*)(commit_moment when, const std::filesystem::path& directory);
void set_commit_hook(commit_hook hook);
#endif

} // namespace signet::storage
