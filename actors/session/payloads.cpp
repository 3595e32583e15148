#include "actors/session/payloads.hpp"

#include "messages/envelope/canonical.hpp"
#include "messages/schema/identity.capnp.h"
#include "messages/schema/message.capnp.h"
#include "messages/schema/session.capnp.h"

namespace signet {
namespace {

template <class Fill>
bytes notice(wall_ms now, Fill&& fill) {
  outer_builder<schema::SessionNotice> out{128};
  out.root().setServerTimeMs(value(now));
  fill(out.root());
  return out.finish();
}

capnp::Text::Reader text_of(std::string_view text) {
  // The words are literals and enum names: they end with a zero.
  return {text.data(), text.size()};
}

} // namespace

result<session_request> read_session_request(bytes_view raw) {
  return read_outer<schema::SessionRequest>(raw, request_bytes_max,
                                            [](schema::SessionRequest::Reader in) -> result<session_request> {
    switch (in.which()) {
      case schema::SessionRequest::RENEW: {
        const auto token = in.getRenew();
        return session_request{renew_request{std::string{token.begin(), token.end()}}};
      }
      case schema::SessionRequest::EXPLICIT_ACKS: return session_request{explicit_acks_request{in.getExplicitAcks()}};
      case schema::SessionRequest::DELIVER_FROM:
        return session_request{deliver_from_request{inbox_position{in.getDeliverFrom()}}};
      case schema::SessionRequest::WHERE: return session_request{where_request{}};
    }
    return fail(ec::malformed, "a request of an unknown kind");
  });
}

bytes expiring_notice(wall_ms now, wall_ms at) {
  return notice(now, [&](schema::SessionNotice::Builder out) { out.setExpiring(value(at)); });
}
bytes renewed_notice(wall_ms now, wall_ms until) {
  return notice(now, [&](schema::SessionNotice::Builder out) { out.setRenewed(value(until)); });
}
bytes closing_notice(wall_ms now, close_reason reason) {
  return notice(now, [&](schema::SessionNotice::Builder out) { out.setClosing(text_of(name(reason))); });
}
bytes cursor_notice(wall_ms now, inbox_position cursor) {
  return notice(now, [&](schema::SessionNotice::Builder out) { out.setCursor(value(cursor)); });
}
bytes refused_notice(wall_ms now, std::string_view error_name) {
  return notice(now, [&](schema::SessionNotice::Builder out) { out.setRefused(text_of(error_name)); });
}
bytes stale_notice(wall_ms now, bool stale) {
  return notice(now, [&](schema::SessionNotice::Builder out) { out.setStale(stale); });
}

result<inbox_position> read_position(bytes_view raw) {
  return read_outer<schema::Position>(raw, request_bytes_max,
                                      [](schema::Position::Reader in) -> result<inbox_position> {
    return inbox_position{in.getPosition()};
  });
}

result<identity_request> read_identity_request(bytes_view raw) {
  return read_outer<schema::IdentityRequest>(raw, request_bytes_max,
                                             [](schema::IdentityRequest::Reader in) -> result<identity_request> {
    identity_request out;
    out.correlation = in.getCorrelation();
    const auto id = [&]<class Id, class Request>(capnp::Data::Reader data, Id, Request) -> result<identity_request> {
      const auto found = required_id<Id>(data);
      if (!found)
        return fail(ec::malformed, "an id of the wrong size");
      out.what = Request{*found};
      return out;
    };
    switch (in.which()) {
      case schema::IdentityRequest::PUBLISH: {
        const auto version = in.getPublish();
        // The struct is copied into a message of its own; what is signed are the bytes of its Data fields, which stay.
        outer_builder<schema::IdentityVersion> own{version.totalSize().wordCount * sizeof(capnp::word) + 64};
        auto root = own.root();
        root.setBody(version.getBody());
        root.setPossession(version.getPossession());
        if (version.hasUpdateSignature())
          root.setUpdateSignature(version.getUpdateSignature());
        out.what = publish_identity{own.finish()};
        return out;
      }
      case schema::IdentityRequest::BY_PERMALINK: return id(in.getByPermalink(), permalink{}, by_permalink{});
      case schema::IdentityRequest::BY_KEY: return id(in.getByKey(), public_key{}, by_key{});
      case schema::IdentityRequest::BY_LINK: return id(in.getByLink(), signet::link{}, by_link{});
    }
    return fail(ec::malformed, "a request of an unknown kind");
  });
}

bytes make_identity_answer(const identity_reply& reply) {
  std::size_t size = 256;
  for (const auto& each : reply.chain.versions)
    size += each.size() + 16;
  outer_builder<schema::IdentityAnswer> out{size};
  auto root = out.root();
  root.setCorrelation(reply.correlation);
  root.setCode(text_of(name(reply.code)));
  if (!reply.standing.is_zero())
    root.setStanding(data_of(reply.standing.view()));
  auto list = root.initVersions(static_cast<capnp::uint>(reply.chain.versions.size()));
  for (capnp::uint at = 0; at < reply.chain.versions.size(); ++at)
    list.set(at, data_of(reply.chain.versions[at]));
  root.setIndex(value(reply.chain.index));
  return out.finish();
}

} // namespace signet
