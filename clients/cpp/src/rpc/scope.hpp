/// @file
/// The time that a call has, and the token that cancels it.
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>

namespace evenkeel::rpc {

/// The deadline of a call and of all that it is made of: retries, the question for limits, a second pass.
class scope {
 public:
  using clock = std::chrono::steady_clock;

  /// From now on.
  /// @throws invalid_argument, of the field `timeout`, if it is negative
  scope(std::chrono::nanoseconds timeout, std::stop_token stop);

  /// When the call must have ended.
  [[nodiscard]] clock::time_point deadline() const noexcept { return deadline_; }
  /// What is left; 0 if nothing is.
  [[nodiscard]] std::chrono::nanoseconds left() const noexcept;
  /// The token that cancels the call.
  [[nodiscard]] const std::stop_token& stop() const noexcept { return stop_; }

  /// Throws if the call was cancelled or its time is over.
  /// @throws cancelled, deadline_exceeded
  void check() const;
  /// Sleeps, but not beyond a cancellation.
  /// @throws cancelled
  void sleep(std::chrono::nanoseconds duration) const;
  /// The exception of a call that took too long.
  [[noreturn]] void throw_deadline_exceeded() const;

 private:
  std::chrono::nanoseconds timeout_;
  clock::time_point deadline_;
  std::stop_token stop_;
};

}  // namespace evenkeel::rpc
