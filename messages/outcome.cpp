#include "messages/outcome.hpp"

namespace signet {

std::string_view name(outcome_code code) {
  switch (code) {
    case outcome_code::malformed: return "malformed";
    case outcome_code::accepted: return "accepted";
    case outcome_code::duplicate: return "duplicate";
    case outcome_code::fork: return "fork";
    case outcome_code::gap: return "gap";
    case outcome_code::not_for_here: return "not_for_here";
    case outcome_code::revoked_key: return "revoked_key";
    case outcome_code::wrong_key_purpose: return "wrong_key_purpose";
    case outcome_code::too_large: return "too_large";
    case outcome_code::rate_limited: return "rate_limited";
    case outcome_code::bad_signature: return "bad_signature";
  }
  return "malformed";
}

} // namespace signet
