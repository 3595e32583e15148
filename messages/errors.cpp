#include "messages/errors.hpp"

namespace signet {
namespace {
struct row {
  std::string_view name, sentence;
};
row about(ec code) {
  switch (code) {
    case ec::ok: return {"ok", "all is well"};
    case ec::malformed: return {"malformed", "these bytes do not follow their grammar"};
    case ec::not_canonical: return {"not_canonical", "this body is not in canonical form"};
    case ec::too_large: return {"too_large", "larger than the limit"};
    case ec::bad_signature: return {"bad_signature", "the signature does not verify"};
    case ec::no_possession: return {"no_possession", "a key does not prove its possession"};
    case ec::wrong_key_purpose: return {"wrong_key_purpose", "this key was published for another purpose"};
    case ec::revoked_key: return {"revoked_key", "the newest version of this identity no longer holds this key"};
    case ec::key_collision: return {"key_collision", "a key of this version belongs to another identity"};
    case ec::unknown_identity: return {"unknown_identity", "no such identity is published here"};
    case ec::version_conflict: return {"version_conflict", "the previous version named is not the newest"};
    case ec::not_authorized: return {"not_authorized", "login refused"};
    case ec::token_spent: return {"token_spent", "this connect token has been used; make a new one with: signet token"};
    case ec::token_expired: return {"token_expired", "this connect token is outside its life; make a new one with: signet token"};
    case ec::session_expired: return {"session_expired", "the session has expired; log in again"};
    case ec::taken_over: return {"taken_over", "another connection with this client id has taken over"};
    case ec::rate_limited: return {"rate_limited", "too many in too short a time; try again later"};
    case ec::overloaded: return {"overloaded", "the node is busy; send the same again"};
    case ec::disk_full: return {"disk_full", "the disk is nearly full; writes are refused until space is free"};
    case ec::unknown_outcome: return {"unknown_outcome", "the outcome is not known; send the identical bytes again"};
    case ec::not_leader: return {"not_leader", "this node cannot decide now; try again or another node"};
    case ec::corrupt: return {"corrupt", "a stored row does not match its check"};
    case ec::io: return {"io", "input or output failed"};
    case ec::locked: return {"locked", "another process uses this"};
    case ec::wrong_format: return {"wrong_format", "written in a format that this version does not read"};
    case ec::not_found: return {"not_found", "not found"};
    case ec::already_exists: return {"already_exists", "it exists already and is not overwritten"};
    case ec::configuration: return {"configuration", "the configuration is not valid"};
    case ec::internal: return {"internal", "a defect of this program"};
  }
  return {"internal", "a defect of this program"};
}
} // namespace

std::string_view describe(ec code) { return about(code).sentence; }
std::string_view name(ec code) { return about(code).name; }

std::string render(const error& what) {
  std::string out{describe(what.code)};
  if (!what.context.empty())
    out.append(": ").append(what.context);
  return out;
}

} // namespace signet
