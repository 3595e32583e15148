#pragma once
// CLIENT: one author. One thing at a time, except that who cheats says two things at once.

#include "tests/simulation/world.hpp"

namespace signet::simulation {

class client {
public:
  client(world& in, std::size_t number) : world_{in}, number_{number}, chance_{in.seed(), 20, number} {}
  void start() { next(); }

private:
  void next();
  void think();
  void publish(std::size_t whom);
  void write(std::size_t to);
  void cheat();
  void move_cursor();
  void open_session();
  void open_twice();
  void close_session();
  void say_once();
  void check_messages(std::size_t node, const storage::entry_result& result, std::size_t to, std::uint64_t first,
                      const signed_batch& batch, log_index floor);

  world& world_;
  std::size_t number_;
  chance chance_;
  std::map<std::size_t, std::uint64_t> sent_;  ///< length of each lane
  bool cheated_out_ = false;                   ///< the other message won: that lane is over
  std::optional<session_closing> session_;
  std::uint64_t tokens_ = 0, said_ = 0;
};

} // namespace signet::simulation
