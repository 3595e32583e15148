#pragma once
// CAMPAIGN: many seeds; and of one that failed, the smallest schedule that still fails.

#include "tests/simulation/world.hpp"

namespace signet::simulation {

/// A directory in memory where stores may stand; gone with the object.
class arena {
public:
  arena();
  ~arena();
  arena(const arena&) = delete;
  const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

/// One run. The sentence of what does not hold, if anything.
std::optional<std::string> run_once(const schedule& what, const std::filesystem::path& scratch, run_counts* counts = nullptr,
                                    const trace_sink& trace = nullptr);

/// Delta debugging: decisions are left out, larger groups first, as long as the run still fails (not necessarily with the
/// same sentence). At most `runs_max` runs.
schedule minimise(const schedule& failing, const std::filesystem::path& scratch, std::size_t runs_max = 400);

/// Scenarios: fixed orders of events. Each throws finding.
struct scenario {
  const char* name;
  const char* what_it_shows;
  void (*play)(const std::filesystem::path& scratch, const trace_sink& trace);
};
const std::vector<scenario>& all_scenarios();

} // namespace signet::simulation
