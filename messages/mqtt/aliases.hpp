#pragma once
// The topic aliases one side of one connection has set [3.3.2.3.4]. They never survive the connection.

#include "messages/mqtt/packets.hpp"

#include <vector>

namespace signet::mqtt {

class topic_aliases {
public:
  /// `count_max` is the Topic Alias Maximum this side announced; each costs one topic of memory when used.
  explicit topic_aliases(std::uint16_t count_max) : count_max_{count_max} {}

  /// Learns the alias beside a topic, and fills in the topic where only an alias stands. Nothing when all is well, else
  /// the reason code to disconnect with: an alias above the maximum, or one never set.
  std::optional<reason_code> resolve(publish& packet) {
    const auto alias = packet.props.find_number(property_id::topic_alias);
    if (!alias)
      return packet.topic.empty() ? std::optional{reason_code::protocol_error} : std::nullopt;
    if (*alias == 0 || *alias > count_max_)
      return reason_code::topic_alias_invalid;
    if (topics_.size() < *alias)
      topics_.resize(*alias);
    auto& known = topics_[*alias - 1];
    if (!packet.topic.empty())
      known = packet.topic;
    else if (known.empty())
      return reason_code::protocol_error;
    else
      packet.topic = known;
    return std::nullopt;
  }

private:
  std::uint16_t count_max_;
  std::vector<std::string> topics_;
};

} // namespace signet::mqtt
