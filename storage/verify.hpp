#pragma once
// VERIFY: is this data directory what its log says? Everything is computed again: the hash chain, every signature, and the
// views, which a fresh temporary store gets by applying the log from its first entry; then every row is compared.
//
// It runs in a child process: LMDB trusts its file, so a damaged one can kill whoever reads it. Then the report says so.
// Call it while the process has one thread. The store is only read; a store that a node has open is refused.
//
// What it can find alone: whatever the disk or somebody changed, cut out, put in or put in another order, as long as not
// ALL that follows from it was recomputed too, signatures included. Who holds node, disk and authors' keys can rewrite
// history from some record on; against that stand known heads: record hashes that clients or other nodes kept.

#include "messages/errors.hpp"
#include "messages/ids.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace signet::storage {

/// How bad; also the exit code of `signet verify`.
enum class verify_level : std::uint8_t {
  clean = 0,
  repairable = 1,    ///< rows of the views are damaged; the log, from which they come, is whole
  needs_resync = 2,  ///< the log or the file itself is damaged: quarantine the directory, rebuild from peers or backup
  tampering = 3,     ///< rows with a good check that do not belong there, a broken chain, a signature that does not hold: a
                     ///< misdirected write of the disk, a defect, or somebody's hand
};
std::string_view name(verify_level level);

struct verify_finding {
  verify_level level = verify_level::clean;
  /// structure  the file cannot be read as LMDB, or kills its reader
  /// row        a row does not match its check, or has not the shape of its table
  /// chain      a log record is missing, or does not name the one before it
  /// signature  a batch or an identity version in the log is not signed by its keys
  /// view       a row is missing, additional, or another than the log gives
  /// state_hash the rolling hash is another than the log gives
  /// local      a row of this node alone (format, term and vote) is missing or makes no sense
  /// head       a known head stands no more
  std::string kind;
  std::string table;  ///< empty: none in particular
  std::string key;    ///< in hex; log: the index in decimal
  std::string what;   ///< a sentence
};

struct verify_report {
  verify_level level = verify_level::clean;   ///< the worst of the findings
  std::vector<verify_finding> findings;       ///< the first findings_max
  std::uint64_t findings_total = 0;
  std::uint64_t records = 0;                  ///< in the log
  std::uint64_t signatures = 0;               ///< verified
  std::uint64_t rows = 0;                     ///< compared with what the log gives
  log_index head{};                           ///< of the last log record
  digest head_hash;
  log_index applied{};
  digest state_hash;                          ///< as computed again, at `applied`
  std::string cluster;                        ///< hex; empty: not founded
};

/// A record hash that somebody kept.
struct known_head {
  log_index index{};
  digest hash;
};

struct verify_progress {
  std::string stage;  ///< "log", "replay", "compare"
  std::uint64_t done = 0, total = 0;  ///< records or rows; total is 0 while it is not known
};

struct verify_options {
  std::vector<known_head> heads;
  /// For the temporary store, about as large as the data file; empty: the system's directory for temporary files.
  std::filesystem::path scratch;
  std::uint64_t map_bytes = 64ULL << 30;
  std::size_t findings_max = 1000;
  /// A child that reports nothing for so long hangs in a damaged file; it is killed.
  std::uint32_t stalled_ms = 60'000;
  /// Called from the calling thread, at most about ten times a second.
  std::function<void(const verify_progress&)> progress;
};

/// Damage is not an error but a finding. Errors: not_found (no store there), locked (a node has it open), wrong_format
/// (written by a newer version), io (no room for the temporary store, no child process).
result<verify_report> verify(const std::filesystem::path& data, const verify_options& options = {});

/// The same in this process: for tests and for who has made a child already. A damaged file may kill it.
result<verify_report> verify_here(const std::filesystem::path& data, const verify_options& options = {});

} // namespace signet::storage
