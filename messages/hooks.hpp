#pragma once
// Known bugs: mistakes that the harnesses must catch, compiled in with SIGNET_TEST_HOOKS only and chosen at run time by
// the environment variable SIGNET_BUG. Without the option every question is the constant `false`, and neither the
// names nor the code behind them reach the binary.
//
//   NOSYNC            LMDB commits without fdatasync
//   ACK_EARLY         an entry is reported durable before its transaction is committed
//   APPLIED_SPLIT     the applied index is committed in another transaction than the effects
//   FANOUT_HALF       inbox rows are committed in another transaction than their entry
//   FIG8              an entry of an old term counts as committed when a majority holds it
//   ELECT_UNPERSISTED an entry or a vote is reported durable before its transaction is committed
//   TRUNC_COMMITTED   a conflict in the log truncates down to the commit index
//   SHIP_OVER_NEWER   a range of the log that comes in replaces what stands behind it, too
//   APPLY_NONDET      apply reads a clock
//   DEDUP_FORGET      the first batch that a process applies leaves no lane heads
//   VOTE_LOST         term and vote are written when the store is founded and never again
//   COMMIT_BLIND      a commit that failed passes for one that worked
//   RENAME_NOSYNCDIR  a renamed file is reported durable before its directory is synced

#ifdef SIGNET_TEST_HOOKS
#include <cstdlib>
#include <string_view>
/// Whether the bug of that name (a string literal) is switched on. Read once a process.
#define SIGNET_BUG(name)                                                                                               \
  ([]() -> bool {                                                                                                      \
    static const bool on = [] {                                                                                        \
      const char* chosen = std::getenv("SIGNET_BUG");                                                                  \
      return chosen != nullptr && std::string_view{chosen} == name;                                                    \
    }();                                                                                                               \
    return on;                                                                                                         \
  }())
#else
#define SIGNET_BUG(name) false
#endif
