#pragma once
// A packet as JSON, every field of it: for vectors, for other implementations, and for what a failed test prints.

#include "messages/mqtt/packets.hpp"

#include <nlohmann/json.hpp>

namespace signet::mqtt {

using json = nlohmann::ordered_json;

inline json to_json(const properties& list) {
  json out = json::array();
  for (const auto& one : list) {
    json value = std::visit(
      [](const auto& x) -> json {
        using T = std::decay_t<decltype(x)>;
        if constexpr (std::is_same_v<T, bytes>)
          return to_hex(x);
        else if constexpr (std::is_same_v<T, text_pair>)
          return json::array({x.first, x.second});
        else
          return x;
      },
      one.value);
    out.push_back(json::array({std::string{name(one.id)}, std::move(value)}));
  }
  return out;
}

inline void fill(json& out, const connect& x) {
  out["version"] = static_cast<int>(x.version);
  out["clean_start"] = x.clean_start;
  out["keep_alive_s"] = x.keep_alive_s;
  out["props"] = to_json(x.props);
  out["client_id"] = x.client_id;
  if (x.will)
    out["will"] = json{{"topic", x.will->topic},
                       {"payload", to_hex(x.will->payload)},
                       {"qos", static_cast<int>(x.will->quality)},
                       {"retain", x.will->retain},
                       {"props", to_json(x.will->props)}};
  if (x.user_name)
    out["user_name"] = *x.user_name;
  if (x.password)
    out["password"] = to_hex(*x.password);
}
inline void fill(json& out, const connack& x) {
  out["session_present"] = x.session_present;
  out["code"] = static_cast<int>(x.code);
  out["props"] = to_json(x.props);
}
inline void fill(json& out, const publish& x) {
  out["dup"] = x.dup;
  out["qos"] = static_cast<int>(x.quality);
  out["retain"] = x.retain;
  out["topic"] = x.topic;
  out["id"] = x.id;
  out["props"] = to_json(x.props);
  out["payload"] = to_hex(x.payload);
}
template <packet_type Type>
void fill(json& out, const ack<Type>& x) {
  out["id"] = x.id;
  out["code"] = static_cast<int>(x.code);
  out["props"] = to_json(x.props);
}
inline void fill(json& out, const subscribe& x) {
  out["id"] = x.id;
  out["props"] = to_json(x.props);
  out["filters"] = json::array();
  for (const auto& one : x.filters)
    out["filters"].push_back({{"filter", one.filter},
                              {"qos", static_cast<int>(one.quality_max)},
                              {"no_local", one.no_local},
                              {"retain_as_published", one.retain_as_published},
                              {"retained", static_cast<int>(one.retained)}});
}
inline void fill(json& out, const unsubscribe& x) {
  out["id"] = x.id;
  out["props"] = to_json(x.props);
  out["filters"] = x.filters;
}
template <class CodesPacket>
  requires std::is_same_v<CodesPacket, suback> || std::is_same_v<CodesPacket, unsuback>
void fill(json& out, const CodesPacket& x) {
  out["id"] = x.id;
  out["props"] = to_json(x.props);
  out["codes"] = json::array();
  for (const auto code : x.codes)
    out["codes"].push_back(static_cast<int>(code));
}
inline void fill(json&, const pingreq&) {}
inline void fill(json&, const pingresp&) {}
template <class CodePacket>
  requires std::is_same_v<CodePacket, disconnect> || std::is_same_v<CodePacket, auth>
void fill(json& out, const CodePacket& x) {
  out["code"] = static_cast<int>(x.code);
  out["props"] = to_json(x.props);
}

inline json to_json(const packet& any) {
  json out;
  out["type"] = std::string{name(type_of(any))};
  std::visit([&](const auto& x) { fill(out, x); }, any);
  return out;
}

} // namespace signet::mqtt
