#pragma once
// Failpoints: places by name at which a test makes the process fail. Compiled in with SIGNET_TEST_HOOKS only.
//
// Environment SIGNET_FAILPOINTS, a list separated by commas: NAME=ACTION[@COUNT]
//   kill     SIGKILL                       panic    abort()
//   sleep:MS the thread sleeps             count    nothing; for SIGNET_FAILPOINTS_LOG
//   @COUNT   at the COUNT-th time and never again; without it, each time
// SIGNET_FAILPOINTS_LOG names a file to which every action that is taken appends a line: name, number of the time.
//
// In a turn of the replica (storage/replica_store.cpp), in the order in which one passes them:
//   before_txn                  the turn begins to write
//   truncate_before, _after     a conflicting tail goes
//   on_become_leader            this node was elected
//   after_entries_before_apply  new entries stand in the open transaction, their effects do not
//   before_apply, after_apply   of one entry
//   vote_before_commit, _after_commit      a term or a vote is in this transaction
//   after_send_before_commit    entries have left for the followers, and stand nowhere on this disk yet
//   txn_before_commit, txn_after_commit
//   after_commit_before_send, after_commit_before_ack   durable; nobody has been told
//   conf_change_before, _after  the leader appends a configuration
//   before_vote_allowed         a member that has caught up is about to get its vote

#ifdef SIGNET_TEST_HOOKS

#include <functional>
#include <string_view>

#define SIGNET_FAILPOINT(name) ::signet::failpoints::reached(name)

namespace signet::failpoints {

void reached(std::string_view name);
/// Asked at every failpoint in place of the environment, by every thread; it may throw. Null: the environment again.
void set_handler(std::function<void(std::string_view name)> handler);

} // namespace signet::failpoints

#else
#define SIGNET_FAILPOINT(name) static_cast<void>(0)
#endif
