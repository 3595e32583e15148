// The stores' workloads and checks as a program, for everything that wants a process of its own.
//   crash_workload run STORE DIRECTORY SEED STEPS    says on descriptor 3 what it promises, one line a write
//   crash_workload check STORE DIRECTORY PROMISES    holds the store to the lines of that file
// Exit 0 when done; 71 when the store reports a failure of the disk, as a node does; 70 for a broken promise.

#include "storage/lmdb/environment.hpp"
#include "tests/system/crash/crash_store.hpp"

#include <cstdio>
#include <fstream>
#include <unistd.h>

namespace {

void say(const std::string& line) {
  auto text = line + "\n";
  if (::write(3, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw std::runtime_error("nobody listens on descriptor 3");
}

std::vector<std::string> read_lines(const char* path) {
  std::ifstream in{path};
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);)
    out.push_back(line);
  return out;
}

} // namespace

int main(int argc, char** argv) {
  using namespace signet;
  const std::string_view verb = argc > 1 ? argv[1] : "";
  auto store = argc > 3 ? crash::make_store(argv[2]) : nullptr;
  if (!store || !((verb == "run" && argc == 6) || (verb == "check" && argc == 5))) {
    std::fprintf(stderr, "crash_workload run STORE DIRECTORY SEED STEPS | check STORE DIRECTORY PROMISES\n");
    return 2;
  }
  try {
    if (verb == "run")
      store->run(argv[3], std::stoull(argv[4]), static_cast<unsigned>(std::stoul(argv[5])), say);
    else
      store->check(argv[3], read_lines(argv[4]));
    return 0;
  } catch (const storage::storage_failure& failure) {
    std::fprintf(stderr, "storage: %s\n", failure.what());
    return 71;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 70;
  }
}
