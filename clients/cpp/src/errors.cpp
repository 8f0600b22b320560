#include "evenkeel/errors.hpp"

#include <array>

namespace evenkeel {

std::string_view to_string(status_code code) noexcept {
  constexpr std::array<std::string_view, 17> names{
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto index = static_cast<std::size_t>(code);
  return index < names.size() ? names[index] : "UNKNOWN";
}

namespace {

/// The most bytes of a message: a server, or a name in its answer, may be of any length.
constexpr std::size_t max_message = 4096;

/// The beginning of a message that is too long, without a part of a character at its end.
std::string bounded(const std::string& message) {
  if (message.size() <= max_message) {
    return message;
  }
  std::size_t end = max_message - 3;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return message.substr(0, end) + "...";
}

}  // namespace

error::error(status_code code, const std::string& message, std::string reason)
    : std::runtime_error{std::string{to_string(code)} + ": " + bounded(message)},
      code_{code},
      reason_{std::move(reason)} {}

invalid_argument::invalid_argument(const std::string& message, std::vector<field_violation> fields, std::string reason)
    : error{status_code::invalid_argument, message, std::move(reason)}, fields_{std::move(fields)} {}

invalid_argument::invalid_argument(std::string path, const std::string& description)
    : error{status_code::invalid_argument, path + ": " + description}, fields_{{std::move(path), description}} {}

overloaded::overloaded(const std::string& message, std::optional<std::chrono::nanoseconds> retry_after,
                       std::string reason)
    : error{status_code::resource_exhausted, message, std::move(reason)}, retry_after_{retry_after} {}

nonfinite_norm::nonfinite_norm(const std::string& message, nonfinite details, std::string reason)
    : error{status_code::failed_precondition, message, std::move(reason)}, details_{std::move(details)} {}

}  // namespace evenkeel
