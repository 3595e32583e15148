#include "tests/system/crash/promises.hpp"

#include "tests/system/crash/crash_store.hpp"

#include <map>
#include <sstream>

namespace signet::crash {

void hold_to(std::span<const std::string> said, const restarted& what) {
  std::map<std::uint64_t, std::string> durable;
  for (auto& line : said) {
    std::istringstream in{line};
    std::string kind, rest;
    std::uint64_t number = 0;
    in >> kind >> number >> rest;
    if (kind == "T") {
      durable.erase(durable.lower_bound(number), durable.end());
    } else if (kind == "D" || kind == "E") {
      durable[number] = rest;
    } else if (kind == "V") {
      if (what.term < number || (what.term == number && std::to_string(what.voted) != rest))
        throw broken_promise("the vote of term " + std::to_string(number) + " is forgotten");
    } else if (kind != "A") {
      throw std::runtime_error("an unknown promise: " + line);
    }
    if ((kind == "A" || kind == "E") && what.applied < number)
      throw broken_promise("applied up to " + std::to_string(what.applied) + ", but " + line + " was said");
  }
  for (auto& [index, hash] : durable)
    if (index >= what.hashes.size())
      throw broken_promise("acknowledged record " + std::to_string(index) + " is lost: the log ends at " +
                           std::to_string(what.hashes.size() - 1));
    else if (hash != "-" && what.hashes[index].hex() != hash)
      throw broken_promise("acknowledged record " + std::to_string(index) + " has become another one");
}

} // namespace signet::crash
