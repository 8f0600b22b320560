/// @file
/// What all calls of a client share: settings, connections, the server's limits, retries.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "evenkeel/client.hpp"
#include "rpc/scope.hpp"
#include "rpc/transport.hpp"

namespace evenkeel::detail {

/// The limits of a server that decide how calls are made.
struct limits {
  std::uint64_t max_message_bytes = UINT64_MAX;
  std::uint64_t max_stream_chunk_bytes = 0;  ///< 0: the server streams no tensors.

  /// The bytes of a tensor that a message of a stream has.
  [[nodiscard]] std::size_t chunk_bytes() const noexcept;
};

/// The state of a client, which its copies share.
class core {
 public:
  core(std::unique_ptr<rpc::transport> transport, client_options options);

  /// The time and the token of a call that begins now.
  [[nodiscard]] rpc::scope begin(timeout_type timeout, std::stop_token stop) const;

  /// Makes a unary call, with retries.
  [[nodiscard]] wire::rope unary(const char* method, const wire::message& request, const rpc::scope& scope);

  /// Makes one try of a stream; see retried().
  void stream(const char* method, const rpc::source& next, const rpc::sink& take, const rpc::scope& scope);

  /// Calls `attempt` until it returns, as often as the settings allow, while the server is overloaded or not there.
  template <class Attempt>
  auto retried(const rpc::scope& scope, const Attempt& attempt) {
    for (unsigned tries = 0;; ++tries) {
      std::chrono::nanoseconds delay{};
      try {
        return attempt();
      } catch (const overloaded& fault) {
        delay = delay_or_rethrow(tries, fault.retry_after(), scope);
      } catch (const unavailable&) {
        delay = delay_or_rethrow(tries, std::nullopt, scope);
      }
      transport_->pause(delay, scope);
    }
  }

  /// The limits for a call with a message of so many bytes. They are asked for once, and not for short messages.
  [[nodiscard]] limits limits_for(std::size_t message_bytes, const rpc::scope& scope);
  /// The length of chunks if a call with a message of so many bytes must be a stream.
  [[nodiscard]] std::optional<std::size_t> chunk_if_streamed(std::size_t message_bytes, const rpc::scope& scope);

  /// Asks the server what it is, and warns once if its version does not fit.
  [[nodiscard]] server_description server_info(const rpc::scope& scope);

 private:
  /// In a handler: how long to wait before the next try. Throws the handled exception again if there is none.
  [[nodiscard]] std::chrono::nanoseconds delay_or_rethrow(unsigned tries, std::optional<std::chrono::nanoseconds> asked,
                                                          const rpc::scope& scope) const;
  void check_version(std::string_view version);

  std::unique_ptr<rpc::transport> transport_;
  client_options options_;
  std::mutex mutex_;
  std::optional<limits> limits_;
  std::atomic_flag has_warned_;
};

}  // namespace evenkeel::detail
