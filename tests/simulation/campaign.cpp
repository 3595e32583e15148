#include "tests/simulation/campaign.hpp"

#include <cstdlib>
#include <unistd.h>

namespace signet::simulation {

arena::arena() {
  const char* base = std::getenv("TMPDIR");
  if (::access("/dev/shm", W_OK) == 0)
    base = "/dev/shm";
  std::string name = std::string{base != nullptr ? base : "/tmp"} + "/signet-simulation-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr)
    throw std::runtime_error("mkdtemp " + name);
  path_ = name;
}
arena::~arena() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::optional<std::string> run_once(const schedule& what, const std::filesystem::path& scratch, run_counts* counts,
                                    const trace_sink& trace) {
  std::optional<std::string> out;
  world one{what, scratch, trace};
  try {
    one.run();
  } catch (const finding& found) {
    out = found.what();
  } catch (const std::exception& thrown) {
    out = std::string{"an exception: "} + thrown.what();
  }
  if (counts != nullptr)
    counts->add(one.counts());
  return out;
}

schedule minimise(const schedule& failing, const std::filesystem::path& scratch, std::size_t runs_max) {
  auto best = failing;
  std::size_t runs = 0;
  auto fails = [&](const std::vector<decision>& tried) {
    ++runs;
    return run_once({best.frame, tried}, scratch).has_value();
  };
  for (std::size_t parts = 2; best.decisions.size() > 1 && runs < runs_max;) {
    auto size = best.decisions.size();
    bool smaller = false;
    for (std::size_t i = 0; i < parts && runs < runs_max; ++i) {
      auto first = size * i / parts, last = size * (i + 1) / parts;
      if (first == last)
        continue;
      auto tried = best.decisions;
      tried.erase(tried.begin() + static_cast<std::ptrdiff_t>(first), tried.begin() + static_cast<std::ptrdiff_t>(last));
      if (fails(tried)) {
        best.decisions = std::move(tried);
        parts = std::max<std::size_t>(parts - 1, 2);
        smaller = true;
        break;
      }
    }
    if (smaller)
      continue;
    if (parts >= size)
      break;
    parts = std::min(size, parts * 2);
  }
  return best;
}

} // namespace signet::simulation
