#include "rpc/scope.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <sstream>
#include <utility>

#include "evenkeel/errors.hpp"

namespace evenkeel::rpc {

namespace {

/// Longer timeouts count as this one, so that no clock overflows.
constexpr std::chrono::nanoseconds longest = std::chrono::hours{24 * 365};

}  // namespace

scope::scope(std::chrono::nanoseconds timeout, std::stop_token stop)
    : timeout_{std::min(timeout, longest)}, deadline_{clock::now() + timeout_}, stop_{std::move(stop)} {
  if (timeout < std::chrono::nanoseconds::zero()) {
    throw invalid_argument{"timeout", "expected a time that is not negative"};
  }
}

std::chrono::nanoseconds scope::left() const noexcept {
  return std::max(std::chrono::nanoseconds::zero(), std::chrono::nanoseconds{deadline_ - clock::now()});
}

void scope::check() const {
  if (stop_.stop_requested()) {
    throw cancelled{status_code::cancelled, "the caller has cancelled the call"};
  }
  if (left() == std::chrono::nanoseconds::zero()) {
    throw_deadline_exceeded();
  }
}

void scope::sleep(std::chrono::nanoseconds duration) const {
  std::mutex mutex;
  std::unique_lock lock{mutex};
  std::condition_variable_any awake;
  awake.wait_for(lock, stop_, duration, [] { return false; });
  if (stop_.stop_requested()) {
    throw cancelled{status_code::cancelled, "the caller has cancelled the call"};
  }
}

void scope::throw_deadline_exceeded() const {
  std::ostringstream message;
  message << "the call did not end within " << std::chrono::duration<double>{timeout_}.count() << " s";
  throw deadline_exceeded{status_code::deadline_exceeded, message.str()};
}

}  // namespace evenkeel::rpc
