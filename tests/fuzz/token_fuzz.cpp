// What stands in CONNECT before anybody has proved anything: a token as password, and authentication data. The first
// byte chooses which; what parses is encoded again to the same bytes.
#include "messages/envelope/login.hpp"
#include "messages/envelope/token.hpp"

#include <cstdlib>

using namespace signet;

namespace {
void insist(bool holds) {
  if (!holds)
    std::abort();
}
bool same(bytes_view one, bytes_view other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end());
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const bytes_view raw{data + 1, size - 1};
  switch (data[0] % 4) {
    case 0: {
      const auto token = parse_token(as_text(raw));
      if (!token)
        break;
      const auto& claims = token->claims();
      insist(!claims.client_id.empty() && claims.client_id.size() <= client_id_bytes_max);
      insist(claims.life_s >= 1 && claims.life_s <= (claims.reusable ? token_life_reusable_s_max : token_life_s_max));
      insist(value(claims.ends_at()) > value(claims.issued_at));
      static_cast<void>(check_life(claims, wall_ms{1'700'000'000'000}));
      permalink who;
      who.raw.fill(0xa1);
      static_cast<void>(verify_token(*token, who));
      break;
    }
    case 1:
      if (const auto hello = parse_login_hello(raw))
        insist(same(encode(*hello), raw));
      break;
    case 2:
      if (const auto challenge = parse_login_challenge(raw))
        insist(same(encode(*challenge), raw));
      break;
    case 3:
      if (const auto proof = parse_login_proof(raw))
        insist(same(encode(*proof), raw));
      break;
  }
  return 0;
}
