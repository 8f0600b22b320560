/// @file
/// Addresses as users write them.
#pragma once

#include <string>
#include <string_view>

namespace evenkeel::rpc {

/// An address in parts.
struct address {
  std::string target;      ///< As gRPC takes it: `host:port`, `unix:/path`.
  bool encrypted = false;  ///< Whether it was `https://`.
};

/// Reads `host:port`, `http://host:port`, `https://host:port` or `unix:/path`.
/// @throws invalid_argument, of the field `address`, for anything else
[[nodiscard]] address parse_address(std::string_view text);

}  // namespace evenkeel::rpc
