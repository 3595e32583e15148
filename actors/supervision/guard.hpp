#pragma once
// What every actor does about exceptions, errors, DOWN messages and messages nobody handles: one log line with the same
// keys everywhere, and an end with a reason that the supervisor can show. Never message contents: unknown messages are
// named by type, and the text of an exception is kept only if it is one of ours or of the standard library (whose texts
// hold numbers and names); of others, which may quote their input, only the type.

#include <caf/error.hpp>
#include <caf/fwd.hpp>

#include <exception>
#include <string>

namespace signet::supervision {

/// A storage_failure ends the process with exit code 71, whichever actor met it.
/// The first line of every actor: sets exception, error, down and default handlers. An actor that monitors others sets
/// its own down handler afterwards. Without this CAF prints to stdout.
void guard(caf::scheduled_actor* self);

/// "type: text" or "type" (see above), at most 200 bytes. For logs and status.
std::string describe(const std::exception_ptr& failure);
/// An exception as the reason with which an actor ends: sec::runtime_error with describe() as its text.
caf::error reason_of(const std::exception_ptr& failure);
/// A reason in words, without CAF's quoting: "normal", "user_shutdown", "runtime_error: …".
std::string describe(const caf::error& reason);
/// Ended without failure: no error, or exit_reason::normal.
bool is_normal(const caf::error& reason);

} // namespace signet::supervision
