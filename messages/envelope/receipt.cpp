#include "messages/envelope/receipt.hpp"

#include "messages/envelope/canonical.hpp"
#include "messages/schema/message.capnp.h"

#include <algorithm>

namespace signet {

bool receipt::all_good() const {
  return problem.empty() && !lines.empty() &&
         std::all_of(lines.begin(), lines.end(), [](const line& entry) { return entry.outcome.good(); });
}

std::size_t receipt_size_bytes(const receipt& content) {
  // Segment table, root pointer, Receipt (1 + 3 words), root, tag; per line Outcome (3 + 1 words) and link; text.
  return 8 * (1 + 1 + 4 + 4 + 1 + content.lines.size() * 8) + (content.problem.size() + 8) / 8 * 8;
}

bytes make_receipt(const receipt& content) {
  outer_builder<schema::Receipt> message{receipt_size_bytes(content)};
  auto out = message.root();
  if (!content.root.is_zero())
    out.setRoot(data_of(content.root.view()));
  auto lines = out.initOutcomes(static_cast<capnp::uint>(content.lines.size()));
  for (capnp::uint i = 0; i < lines.size(); ++i) {
    const auto& from = content.lines[i];
    auto to = lines[i];
    to.setCode(static_cast<schema::OutcomeCode>(from.outcome.code));
    to.setIndex(value(from.outcome.index));
    to.setExpected(value(from.outcome.expected));
    if (!from.link.is_zero())
      to.setLink(data_of(from.link.view()));
  }
  if (!content.problem.empty())
    out.setProblem(capnp::Text::Reader{content.problem.c_str(), content.problem.size()});
  out.setRetryAfterMs(content.retry_after_ms);
  return message.finish();
}

result<receipt> open_receipt(bytes_view raw) {
  return read_outer<schema::Receipt>(raw, receipt_bytes_max, [](schema::Receipt::Reader from) -> result<receipt> {
    receipt out;
    if (!optional_id(from.getRoot(), out.root))
      return fail(ec::malformed, "root");
    const auto lines = from.getOutcomes();
    if (lines.size() > 1024)
      return fail(ec::malformed, "more outcomes than a batch has messages");
    out.lines.reserve(lines.size());
    for (const auto line : lines) {
      const auto code = static_cast<std::uint16_t>(line.getCode());
      if (code > static_cast<std::uint16_t>(outcome_code::bad_signature))
        return fail(ec::malformed, "outcome code " + std::to_string(code));
      receipt::line entry;
      entry.outcome = {static_cast<outcome_code>(code), log_index{line.getIndex()}, lane_number{line.getExpected()}};
      if (!optional_id(line.getLink(), entry.link))
        return fail(ec::malformed, "link");
      out.lines.push_back(entry);
    }
    const auto problem = from.getProblem();
    out.problem.assign(problem.begin(), problem.size());
    if (!is_clean_text(as_bytes(out.problem), 256))
      return fail(ec::malformed, "problem");
    out.retry_after_ms = from.getRetryAfterMs();
    return out;
  });
}

} // namespace signet
