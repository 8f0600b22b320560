// The few messages of google.rpc that the service sends are read by hand: code that protoc makes of them would clash
// with the program's own copy.
#include "rpc/status.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "wire/reader.hpp"

namespace evenkeel::rpc {

namespace {

/// The `domain` of the service's ErrorInfo; the same reason under another domain means something else.
constexpr std::string_view domain = "evenkeel";

/// What a google.rpc.Status says beside code and message.
struct error_details {
  std::string reason;
  std::map<std::string, std::string, std::less<>> metadata;
  std::vector<field_violation> fields;
  std::optional<std::chrono::nanoseconds> retry_after;
};

/// Longer delays count as this one, a hundred years, so that no clock overflows.
constexpr std::int64_t max_delay_seconds = 3'153'600'000;

/// google.protobuf.Duration.
std::chrono::nanoseconds read_duration(wire::reader message) {
  std::chrono::nanoseconds duration{};
  while (message.next()) {
    if (message.field() == 1) {
      const auto seconds = static_cast<std::int64_t>(message.varint());
      duration += std::chrono::seconds{std::clamp(seconds, -max_delay_seconds, max_delay_seconds)};
    } else if (message.field() == 2) {
      duration += std::chrono::nanoseconds{static_cast<std::int32_t>(message.varint())};
    }
  }
  return duration;
}

/// google.rpc.RetryInfo.
void read_retry_info(wire::reader message, error_details& details) {
  while (message.next()) {
    if (message.field() == 1) {
      const std::chrono::nanoseconds delay = read_duration(message.nested());
      // A delay that is not above 0 says nothing.
      details.retry_after = delay.count() > 0 ? std::optional{delay} : std::nullopt;
    }
  }
}

/// Two strings, the fields 1 and 2 of a message: an entry of a map, a FieldViolation.
std::pair<std::string, std::string> read_pair(wire::reader message) {
  std::pair<std::string, std::string> pair;
  while (message.next()) {
    if (message.field() == 1) {
      pair.first = message.text();
    } else if (message.field() == 2) {
      pair.second = message.text();
    }
  }
  return pair;
}

/// google.rpc.ErrorInfo.
void read_error_info(wire::reader message, error_details& details) {
  error_details info;
  std::string given_domain;
  while (message.next()) {
    if (message.field() == 1) {
      info.reason = message.text();
    } else if (message.field() == 2) {
      given_domain = message.text();
    } else if (message.field() == 3) {
      info.metadata.insert(read_pair(message.nested()));
    }
  }
  if (given_domain == domain) {
    details.reason = std::move(info.reason);
    details.metadata = std::move(info.metadata);
  }
}

/// google.rpc.BadRequest.
void read_bad_request(wire::reader message, error_details& details) {
  while (message.next()) {
    if (message.field() == 1) {
      auto [path, description] = read_pair(message.nested());
      details.fields.push_back({std::move(path), std::move(description)});
    }
  }
}

/// google.protobuf.Any.
void read_any(wire::reader message, error_details& details) {
  std::string type;
  while (message.next()) {
    if (message.field() == 1) {
      type = message.text();
      type.erase(0, type.rfind('/') + 1);
    } else if (message.field() == 2) {
      if (type == "google.rpc.ErrorInfo") {
        read_error_info(message.nested(), details);
      } else if (type == "google.rpc.BadRequest") {
        read_bad_request(message.nested(), details);
      } else if (type == "google.rpc.RetryInfo") {
        read_retry_info(message.nested(), details);
      }
    }
  }
}

/// google.rpc.Status, whose field 3 has the details. What cannot be read is left out: the status tells of a fault
/// already.
error_details read_details(std::string_view bytes) {
  error_details details;
  const std::span<const std::byte> piece = std::as_bytes(std::span{bytes.data(), bytes.size()});
  try {
    wire::reader message{std::span{&piece, 1}};
    while (message.next()) {
      if (message.field() == 3) {
        read_any(message.nested(), details);
      }
    }
  } catch (const wire::malformed&) {
    return details;
  }
  return details;
}

/// The whole number that the metadata has under a key; 0 if there is none.
std::uint64_t count(const error_details& details, std::string_view key) {
  std::uint64_t value = 0;
  if (const auto entry = details.metadata.find(key); entry != details.metadata.end()) {
    std::from_chars(entry->second.data(), entry->second.data() + entry->second.size(), value);
  }
  return value;
}

nonfinite read_nonfinite(const error_details& details) {
  constexpr std::string_view prefix = "gradient_";
  nonfinite result{.nan_elements = count(details, "nan_elements"),
                   .infinite_elements = count(details, "infinite_elements"),
                   .nonfinite_gradients = count(details, "nonfinite_gradients")};
  if (const auto norm = details.metadata.find("total_norm"); norm != details.metadata.end()) {
    result.total_norm = std::strtod(norm->second.c_str(), nullptr);  // reads NaN and inf, too
  }
  for (const auto& [key, name] : details.metadata) {
    if (key.starts_with(prefix)) {
      std::size_t index = 0;
      std::from_chars(key.data() + prefix.size(), key.data() + key.size(), index);
      result.gradients.emplace_back(index, name);
    }
  }
  std::sort(result.gradients.begin(), result.gradients.end());
  return result;
}

[[noreturn]] void throw_exhausted(const std::string& message, error_details details) {
  if (details.reason == "MESSAGE_TOO_LARGE" || details.reason == "METADATA_TOO_LARGE") {
    throw message_too_large{status_code::resource_exhausted, message, std::move(details.reason)};
  }
  if (details.reason == "NEEDS_TWO_PASSES") {
    throw needs_two_passes{status_code::resource_exhausted, message, std::move(details.reason)};
  }
  if (details.reason == "OVERLOADED") {
    throw overloaded{message, details.retry_after, std::move(details.reason)};
  }
  throw error{status_code::resource_exhausted, message, std::move(details.reason)};
}

}  // namespace

void throw_status(status_code code, const std::string& message, std::string_view details, const scope& scope) {
  error_details found = read_details(details);
  switch (code) {
    case status_code::invalid_argument:
      throw invalid_argument{message, std::move(found.fields), std::move(found.reason)};
    case status_code::resource_exhausted:
      throw_exhausted(message, std::move(found));
    case status_code::failed_precondition:
      if (found.reason == "NONFINITE_NORM") {
        nonfinite elements = read_nonfinite(found);
        throw nonfinite_norm{message, std::move(elements), std::move(found.reason)};
      }
      break;
    case status_code::cancelled:
      // The end of the time and the caller's token both reset the stream.
      scope.check();
      throw cancelled{code, message, std::move(found.reason)};
    case status_code::deadline_exceeded:
      throw deadline_exceeded{code, message, std::move(found.reason)};
    case status_code::unauthenticated:
      throw unauthenticated{code, message, std::move(found.reason)};
    case status_code::unavailable:
      throw unavailable{code, message, std::move(found.reason)};
    case status_code::unimplemented:
      throw unimplemented{code, message, std::move(found.reason)};
    case status_code::internal:
      throw internal_error{code, message, std::move(found.reason)};
    default:
      break;
  }
  throw error{code, message, std::move(found.reason)};
}

}  // namespace evenkeel::rpc
