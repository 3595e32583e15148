// Key files: temporary file, fsync, rename, fsync of the directory. What it says: K number public-key.

#include "messages/envelope/keys.hpp"
#include "tests/system/crash/crash_store.hpp"

#include <map>
#include <set>
#include <random>
#include <sstream>

namespace signet::crash {
namespace {

namespace fs = std::filesystem;

class seeded_random final : public random_source {
public:
  explicit seeded_random(std::uint64_t seed) : random_{seed} {}
  void fill(std::span<std::uint8_t> out) override {
    for (auto& each : out)
      each = static_cast<std::uint8_t>(random_());
  }

private:
  std::mt19937_64 random_;
};

class key_store final : public crash_store {
public:
  void run(const fs::path& directory, std::uint64_t seed, unsigned steps, const acknowledge& say) override {
    seeded_random random{seed};
    unsigned number = 0;
    for (unsigned step = 0; step < steps; ++step) {
      auto key = signing_key::generate(random);
      auto saved = key.save(directory / (std::to_string(number) + ".key"));
      while (!saved && saved.error().code == ec::already_exists)
        saved = key.save(directory / (std::to_string(++number) + ".key"));
      if (!saved)
        throw std::runtime_error(render(saved.error()));
      say("K " + std::to_string(number) + " " + key.public_half().hex());
    }
  }

  std::string check(const fs::path& directory, std::span<const std::string> said) override {
    std::map<std::string, std::string> promised;
    for (auto& line : said) {
      std::istringstream in{line};
      std::string what, number, key;
      in >> what >> number >> key;
      promised[number + ".key"] = key;
    }
    std::set<std::string> lines;
    if (fs::exists(directory))
      for (auto& each : fs::directory_iterator{directory}) {
        auto name = each.path().filename().string();
        if (!name.ends_with(".key"))
          continue;  // a temporary file that nobody reads
        // Whether promised or not: what stands under its name is whole.
        auto loaded = signing_key::load(each.path());
        if (!loaded)
          throw broken_promise("half-visible: " + name + ": " + render(loaded.error()));
        if (auto found = promised.find(name); found != promised.end()) {
          if (found->second != loaded->public_half().hex())
            throw broken_promise(name + " holds another key");
          promised.erase(found);
        }
        lines.insert(name + "=" + loaded->public_half().hex() + "\n");
      }
    if (!promised.empty())
      throw broken_promise("acknowledged key file " + promised.begin()->first + " is lost");
    std::string out;
    for (auto& each : lines)
      out += each;
    return out;
  }
  std::string show(const fs::path& directory) override { return check(directory, {}); }
};

} // namespace

std::unique_ptr<crash_store> make_key_store() { return std::make_unique<key_store>(); }

} // namespace signet::crash
