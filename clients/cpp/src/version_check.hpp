/// @file
/// Which versions of the server the client fits.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace evenkeel::detail {

/// Major and minor version of "1.2.3"; none of anything else.
inline std::optional<std::pair<int, int>> major_and_minor(std::string_view version) {
  std::pair<int, int> result;
  const char* const end = version.data() + version.size();
  const auto [dot, fault] = std::from_chars(version.data(), end, result.first);
  if (fault != std::errc{} || dot == end || *dot != '.') {
    return std::nullopt;
  }
  if (std::from_chars(dot + 1, end, result.second).ec != std::errc{}) {
    return std::nullopt;
  }
  return result;
}

/// Whether both have the same major version, and minor versions that differ by one at most.
inline bool is_compatible(std::string_view server, std::string_view client) {
  const auto theirs = major_and_minor(server);
  const auto ours = major_and_minor(client);
  return theirs && ours && theirs->first == ours->first && theirs->second - ours->second <= 1 &&
         ours->second - theirs->second <= 1;
}

}  // namespace evenkeel::detail
