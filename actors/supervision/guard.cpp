#include "actors/supervision/guard.hpp"

#include "storage/lmdb/environment.hpp"

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/message_view.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/sec.hpp>
#include <caf/type_erased_tuple.hpp>

#include <spdlog/spdlog.h>

#include <cxxabi.h>
#include <cstdlib>
#include <memory>

namespace signet::supervision {

namespace {

constexpr std::size_t text_bytes_max = 200;

std::string demangled(const char* mangled) {
  int failed = 0;
  std::unique_ptr<char, void (*)(void*)> text{abi::__cxa_demangle(mangled, nullptr, nullptr, &failed), std::free};
  return failed == 0 && text ? text.get() : mangled;
}

std::string cut(std::string text) {
  if (text.size() > text_bytes_max)
    text.resize(text_bytes_max);
  for (auto& c : text)
    if (static_cast<unsigned char>(c) < 0x20)
      c = ' ';  // one log line stays one log line
  return text;
}

std::string type_of(caf::scheduled_actor* self, const caf::type_erased_tuple& content) {
  std::string out;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const auto [number, info] = content.type(i);
    out += (i > 0 ? "," : "");
    out += info != nullptr ? demangled(info->name()) : self->system().types().portable_name(number, info);
  }
  return cut(out);
}

} // namespace

std::string describe(const std::exception_ptr& failure) {
  if (!failure)
    return "no exception";
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& why) {
    auto type = demangled(typeid(why).name());
    const bool may_speak = type.starts_with("std::") || type.starts_with("signet::");
    return cut(may_speak ? type + ": " + why.what() : type);
  } catch (...) {
    const auto* type = abi::__cxa_current_exception_type();
    return cut(type != nullptr ? demangled(type->name()) : "unknown exception");
  }
}

caf::error reason_of(const std::exception_ptr& failure) {
  return caf::make_error(caf::sec::runtime_error, describe(failure));
}

namespace {
/// A row that is not what was written, or a disk that does not read: no restart of an actor mends that, and whoever asks
/// again would be told the same. The process stops (71); a restart, or `signet verify`, says what is wrong.
void stop_if_storage_failed(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const storage::storage_failure& why) {
    spdlog::critical("storage_failed reason=\"{}\" exit=71 next=\"stop using this disk or file: signet verify DATA names what is wrong\"",
                     cut(why.what()));
    spdlog::shutdown();
    std::_Exit(71);
  } catch (...) {
  }
}
} // namespace

std::string describe(const caf::error& reason) {
  if (is_normal(reason))
    return "normal";
  std::string out;
  if (reason.category() == caf::atom("exit"))
    out = to_string(static_cast<caf::exit_reason>(reason.code()));
  else if (reason.category() == caf::atom("system"))
    out = to_string(static_cast<caf::sec>(reason.code()));
  else
    out = to_string(reason.category()) + " " + std::to_string(reason.code());
  const auto& context = reason.context();
  if (context.size() == 1 && context.match_element<std::string>(0))
    out += ": " + context.get_as<std::string>(0);
  return cut(out);
}

bool is_normal(const caf::error& reason) { return !reason || reason == caf::exit_reason::normal; }

void guard(caf::scheduled_actor* self) {
  self->set_exception_handler([](caf::scheduled_actor* me, std::exception_ptr& failure) -> caf::error {
    auto reason = reason_of(failure);
    stop_if_storage_failed(failure);
    const auto* poison = me->current_mailbox_element();
    spdlog::error("actor_failed actor={} actor_id={} message_type=\"{}\" reason=\"{}\"", me->name(), me->id(),
                  poison != nullptr ? type_of(me, poison->content()) : "", describe(failure));
    return reason;
  });
  self->set_error_handler([](caf::scheduled_actor* me, caf::error& why) {
    spdlog::error("actor_error actor={} actor_id={} reason=\"{}\"", me->name(), me->id(), describe(why));
    me->quit(why);
  });
  self->set_down_handler([](caf::scheduled_actor* me, caf::down_msg& down) {
    spdlog::debug("down_ignored actor={} actor_id={} source_id={} reason=\"{}\"", me->name(), me->id(),
                  down.source.id(), describe(down.reason));
  });
  self->set_default_handler([](caf::scheduled_actor* me, caf::message_view& view) -> caf::result<caf::message> {
    spdlog::warn("message_unexpected actor={} actor_id={} message_type=\"{}\"", me->name(), me->id(),
                 type_of(me, view.content()));
    return caf::make_error(caf::sec::unexpected_message);
  });
}

} // namespace signet::supervision
