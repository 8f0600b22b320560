/// @file
/// The operations of the conformance protocol.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>

#include "values.hpp"

namespace conformance {

/// What the arguments of an operation come with.
struct call {
  std::function<const evenkeel::client&()> client;  ///< The client of the request's settings.
  std::function<bool()> has_warned;                 ///< Whether that client has warned of the server's version.
  evenkeel::timeout_type timeout{};
  std::stop_token stop{};
  bool digest = false;
};

/// Runs an operation and returns its result.
[[nodiscard]] json run(const std::string& operation, const json& arguments, const call& call);

}  // namespace conformance
