// crash_workload STORE DIRECTORY SEED STEPS: runs the workload of a store and says on descriptor 3 what it promises, one
// line a write. Exit 0 when done; 71 when the store reports a failure of the disk; 70 for anything else.

#include "storage/lmdb/environment.hpp"
#include "tests/system/crash/crash_store.hpp"

#include <cstdio>
#include <unistd.h>

int main(int argc, char** argv) {
  using namespace signet;
  if (argc != 5) {
    std::fprintf(stderr, "crash_workload STORE DIRECTORY SEED STEPS\n");
    return 2;
  }
  auto store = crash::make_store(argv[1]);
  if (!store) {
    std::fprintf(stderr, "no store is called %s\n", argv[1]);
    return 2;
  }
  try {
    store->run(argv[2], std::stoull(argv[3]), static_cast<unsigned>(std::stoul(argv[4])), [](const std::string& line) {
      auto text = line + "\n";
      if (::write(3, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        throw std::runtime_error("nobody listens on descriptor 3");
    });
    return 0;
  } catch (const storage::storage_failure& failure) {
    std::fprintf(stderr, "storage: %s\n", failure.what());
    return 71;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 70;
  }
}
