// How many messages a second one core applies: batches of 64, one lane (1 → 1) and many (50 authors → 50 recipients each
// batch), with a commit every N entries. Prints one line a case. The log record is part of what is measured, signatures
// are not: apply does not check them.
//
// Usage: bench_apply [entries per case] [bytes per message]

#include "tests/support/view_world.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

using namespace signet;
using testing::person;
using testing::view_world;

struct workload {
  const char* name;
  std::size_t people;      ///< authors, and recipients
  std::size_t recipients;  ///< of one batch
};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void run(const workload& load, std::size_t entries, std::size_t body_size, std::size_t commit_every) {
  constexpr std::size_t batch_size = 64;
  view_world world{1, 8ULL << 30, nullptr};  // on a disk: commits are part of it
  world.found();
  std::vector<person> people;
  for (std::size_t i = 0; i < load.people; ++i)
    people.push_back(world.join());
  world.commit();

  // Made beforehand, so that only apply is measured.
  std::vector<bytes> prepared;
  const std::string text(body_size, 'x');
  for (std::size_t i = 0; i < entries; ++i) {
    auto& from = people[i % people.size()];
    std::vector<message_draft> drafts;
    for (std::size_t m = 0; m < batch_size; ++m)
      drafts.push_back(world.draft(from, people[(i + 1 + m % load.recipients) % people.size()].id(), text));
    prepared.push_back(batch_entry(testing::must(make_batch(from.sign, drafts, from.tails)).serialised));
  }

  double applying = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < entries; ++i) {
    const auto at = std::chrono::steady_clock::now();
    if (!world.apply_raw(prepared[i]).all_good()) {
      std::fprintf(stderr, "a batch was refused\n");
      std::exit(1);
    }
    applying += seconds_since(at);
    if ((i + 1) % commit_every == 0)
      world.commit();
  }
  world.commit();
  const auto whole = seconds_since(begin);
  const auto messages = static_cast<double>(entries * batch_size);
  std::printf("%-8s commit every %4zu: %9.0f messages/s applied, %9.0f with commits, %6.1f us an entry\n", load.name,
              commit_every, messages / applying, messages / whole, applying / static_cast<double>(entries) * 1e6);
}

} // namespace

int main(int argc, char** argv) {
  const auto entries = argc > 1 ? static_cast<std::size_t>(std::strtoul(argv[1], nullptr, 10)) : 2000;
  const auto body_size = argc > 2 ? static_cast<std::size_t>(std::strtoul(argv[2], nullptr, 10)) : 100;
  for (const auto& load : {workload{"1 to 1", 2, 1}, workload{"50 to 50", 51, 50}})
    for (std::size_t commit_every : {1U, 16U, 256U})
      run(load, entries, body_size, commit_every);
  return 0;
}
