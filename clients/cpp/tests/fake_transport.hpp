/// @file
/// A server that answers as a test says.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "rpc/transport.hpp"

namespace evenkeel::testing {

/// The messages of a call, in one piece each.
using messages = std::vector<std::string>;

/// Calls are answered by functions, which take the request's messages and return the answer's, or throw.
class fake_transport final : public rpc::transport {
 public:
  /// A try of a call.
  struct attempt {
    std::string method;
    messages request;
  };
  using answer = std::function<messages(const attempt&)>;

  /// `attempts` and the answers must outlive the transport. The last answer is given again and again.
  fake_transport(std::deque<answer> answers, std::vector<attempt>& attempts)
      : answers_{std::move(answers)}, attempts_{attempts} {}

  wire::rope unary(const char* method, const wire::message& request, const rpc::scope& scope) override {
    return rope_of(next(method, {text(request)}, scope).at(0));
  }

  void pause(std::chrono::nanoseconds duration, const rpc::scope& scope) override { scope.sleep(duration); }

  void stream(const char* method, const rpc::source& source, const rpc::sink& take, const rpc::scope& scope) override {
    messages request;
    for (wire::message message; source(message); message = {}) {
      request.push_back(text(message));
    }
    for (const std::string& message : next(method, std::move(request), scope)) {
      take(rope_of(message));
    }
  }

 private:
  static std::string text(const wire::message& message) {
    const auto bytes = message.to_bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  static wire::rope rope_of(const std::string& message) {
    auto owner = std::make_shared<const std::string>(message);
    return {.pieces = {std::as_bytes(std::span{*owner})}, .owner = owner};
  }

  messages next(const char* method, messages request, const rpc::scope& scope) {
    scope.check();
    attempts_.push_back({method, std::move(request)});
    const answer function = answers_.front();
    if (answers_.size() > 1) {
      answers_.pop_front();
    }
    return function(attempts_.back());
  }

  std::deque<answer> answers_;
  std::vector<attempt>& attempts_;
};

}  // namespace evenkeel::testing
