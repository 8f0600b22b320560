#include "rpc/address.hpp"

#include <algorithm>
#include <utility>

#include "evenkeel/errors.hpp"

namespace evenkeel::rpc {

namespace {

bool has_port(std::string_view authority) {
  const std::size_t colon = authority.rfind(':');
  const std::size_t bracket = authority.rfind(']');
  return colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
}

[[noreturn]] void refuse(const char* description) { throw invalid_argument{"address", description}; }

}  // namespace

address parse_address(std::string_view text) {
  if (text.starts_with("unix:")) {
    if (text.size() == std::string_view{"unix:"}.size()) {
      refuse("expected a path after unix:");
    }
    return {.target = std::string{text}};
  }
  address result;
  bool is_url = false;
  for (const auto& [scheme, encrypted] : {std::pair{std::string_view{"http://"}, false}, {"https://", true}}) {
    if (text.starts_with(scheme)) {
      text.remove_prefix(scheme.size());
      result.encrypted = encrypted;
      is_url = true;
    }
  }
  if (is_url && text.ends_with('/')) {
    text.remove_suffix(1);
  }
  if (text.empty() || text.find_first_of("/?#@ \t\r\n") != std::string_view::npos) {
    refuse("expected host:port, http://host:port, https://host:port or unix:/path");
  }
  result.target = std::string{text};
  if (!has_port(text)) {
    if (!is_url) {
      refuse("expected a port: host:port");
    }
    result.target += result.encrypted ? ":443" : ":80";
  }
  const std::string port = result.target.substr(result.target.rfind(':') + 1);
  if (port.empty() || port.size() > 5 ||
      !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    refuse("expected a number as port");
  }
  return result;
}

}  // namespace evenkeel::rpc
