/// @file
/// Sends messages to a server and receives others. This is all that the rest of the client sees of gRPC.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "evenkeel/client.hpp"
#include "rpc/scope.hpp"
#include "wire/message.hpp"
#include "wire/reader.hpp"

namespace evenkeel::rpc {

/// Gives the next message of a request; false if there is none. It is asked when there is room for a message.
using source = std::function<bool(wire::message&)>;
/// Takes the next message of a response. What it throws ends the call.
using sink = std::function<void(const wire::rope&)>;

/// The connections to a server. Its functions may be called from many threads; each makes one try of a call, and throws
/// the exception of the status that the call ends with.
///
/// The memory that messages refer to is not used any more when a function returns, also if it throws.
class transport {
 public:
  transport() = default;
  virtual ~transport() = default;
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;
  transport(transport&&) = delete;
  transport& operator=(transport&&) = delete;

  /// Sends a message and returns the one that is the answer.
  [[nodiscard]] virtual wire::rope unary(const char* method, const wire::message& request, const scope& scope) = 0;
  /// Sends messages while it receives others. Both functions are called by this thread.
  virtual void stream(const char* method, const source& next, const sink& take, const scope& scope) = 0;
  /// Waits before another try, and makes new connections in the meantime where they broke.
  /// @throws cancelled
  virtual void pause(std::chrono::nanoseconds duration, const scope& scope) = 0;
};

/// Connections over gRPC; they are made with the first call.
/// @throws invalid_argument if the address or a setting cannot be used
[[nodiscard]] std::unique_ptr<transport> connect(std::string_view address, const client_options& options);

}  // namespace evenkeel::rpc
