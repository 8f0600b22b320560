#include "core.hpp"

#include <algorithm>
#include <iostream>
#include <random>
#include <string>
#include <utility>

#include "evenkeel/version.hpp"
#include "ops/server_info.hpp"
#include "version_check.hpp"

namespace evenkeel::detail {

namespace {

/// No server has a lower limit for messages, so shorter ones are sent without asking for it.
constexpr std::size_t least_max_message_bytes = 1024;
/// The longest chunk that this client sends.
constexpr std::uint64_t max_chunk_bytes = 1 << 20;
/// What a chunk has in a message beside its bytes, with room to spare.
constexpr std::uint64_t chunk_overhead = 64;

constexpr std::chrono::milliseconds first_delay{100};
constexpr std::chrono::milliseconds longest_delay{5000};
/// A server that asks for a longer delay is not waited for, whatever the deadline.
constexpr std::chrono::minutes longest_asked{1};

/// The delay before the next try: doubled with each, less up to a quarter, so that clients do not come all at once.
std::chrono::nanoseconds backoff(unsigned tries) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const std::chrono::nanoseconds delay = std::min(first_delay * (1U << std::min(tries, 10U)), longest_delay);
  return std::chrono::nanoseconds{std::uniform_int_distribution{delay.count() / 4 * 3, delay.count()}(random)};
}

void write_to_standard_error(std::string_view warning) { std::cerr << warning << '\n'; }

}  // namespace

std::size_t limits::chunk_bytes() const noexcept {
  const std::uint64_t chunk = max_stream_chunk_bytes == 0 ? max_chunk_bytes : max_stream_chunk_bytes;
  const std::uint64_t room =
      max_message_bytes > 2 * chunk_overhead ? max_message_bytes - chunk_overhead : chunk_overhead;
  return static_cast<std::size_t>(std::min({chunk, max_chunk_bytes, room}));
}

core::core(std::unique_ptr<rpc::transport> transport, client_options options)
    : transport_{std::move(transport)}, options_{std::move(options)} {
  if (options_.timeout < std::chrono::nanoseconds::zero()) {
    throw invalid_argument{"timeout", "expected a time that is not negative"};
  }
  if (!options_.warn) {
    options_.warn = write_to_standard_error;
  }
}

rpc::scope core::begin(timeout_type timeout, std::stop_token stop) const {
  return rpc::scope{timeout.value_or(options_.timeout), std::move(stop)};
}

wire::rope core::unary(const char* method, const wire::message& request, const rpc::scope& scope) {
  return retried(scope, [&] { return transport_->unary(method, request, scope); });
}

void core::stream(const char* method, const rpc::source& next, const rpc::sink& take, const rpc::scope& scope) {
  transport_->stream(method, next, take, scope);
}

std::chrono::nanoseconds core::delay_or_rethrow(unsigned tries, std::optional<std::chrono::nanoseconds> asked,
                                                const rpc::scope& scope) const {
  const std::chrono::nanoseconds delay = asked ? *asked : backoff(tries);
  if (tries >= options_.retries || delay > longest_asked || delay >= scope.left()) {
    throw;
  }
  return delay;
}

limits core::limits_for(std::size_t message_bytes, const rpc::scope& scope) {
  if (message_bytes <= least_max_message_bytes) {
    return {};
  }
  {
    const std::lock_guard lock{mutex_};
    if (limits_) {
      return *limits_;
    }
  }
  // Several calls may ask at the same time: none waits for another that may have more time.
  limits found;
  try {
    const server_description info = server_info(scope);
    found = {.max_message_bytes = info.max_message_bytes, .max_stream_chunk_bytes = info.max_stream_chunk_bytes};
  } catch (const unimplemented&) {
    found = {};  // an older server stays one
  } catch (const error& fault) {
    switch (fault.code()) {
      case status_code::unavailable:
      case status_code::resource_exhausted:
      case status_code::deadline_exceeded:
      case status_code::cancelled:
        throw;
      default:
        return {};  // a proxy may refuse the question; what is wrong with others is told by the call itself
    }
  }
  const std::lock_guard lock{mutex_};
  limits_ = found;
  return found;
}

std::optional<std::size_t> core::chunk_if_streamed(std::size_t message_bytes, const rpc::scope& scope) {
  const limits known = limits_for(message_bytes, scope);
  if (message_bytes <= known.max_message_bytes || known.max_stream_chunk_bytes == 0) {
    return std::nullopt;
  }
  return known.chunk_bytes();
}

server_description core::server_info(const rpc::scope& scope) {
  server_description info = ops::decode_server_info(unary(wire::method::get_server_info, {}, scope));
  check_version(info.version);
  return info;
}

void core::check_version(std::string_view version) {
  if (!is_compatible(version, EVENKEEL_VERSION) && !has_warned_.test_and_set()) {
    options_.warn("evenkeel: the server's version " + std::string{version} + " does not fit this client's " +
                  EVENKEEL_VERSION);
  }
}

}  // namespace evenkeel::detail
