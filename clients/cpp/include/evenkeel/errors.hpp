/// @file
/// The exceptions that calls throw.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evenkeel {

/// The status codes of gRPC, by their numbers.
enum class status_code : std::uint8_t {
  ok = 0,                   ///< No error; no exception has it.
  cancelled = 1,            ///< The caller has cancelled the call.
  unknown = 2,              ///< The server, or a proxy, has given no better code.
  invalid_argument = 3,     ///< Arguments do not fit the call or each other.
  deadline_exceeded = 4,    ///< The call took longer than its timeout.
  not_found = 5,            ///< Not sent by evenkeel.
  already_exists = 6,       ///< Not sent by evenkeel.
  permission_denied = 7,    ///< Not sent by evenkeel; proxies may.
  resource_exhausted = 8,   ///< A message is too large, or the server is overloaded.
  failed_precondition = 9,  ///< A norm is not finite.
  aborted = 10,             ///< Not sent by evenkeel.
  out_of_range = 11,        ///< Not sent by evenkeel.
  unimplemented = 12,       ///< The server does not have the call.
  internal = 13,            ///< A bug in the server, or an answer that breaks the contract.
  unavailable = 14,         ///< There is no connection, or it broke.
  data_loss = 15,           ///< Not sent by evenkeel.
  unauthenticated = 16,     ///< The token is missing or wrong.
};

/// gRPC's name of the code: "INVALID_ARGUMENT".
[[nodiscard]] std::string_view to_string(status_code code) noexcept;

/// Why a call has no result: the base of all exceptions of this library.
class error : public std::runtime_error {
 public:
  /// An error of this code.
  /// @param code gRPC's code
  /// @param message the explanation, for people
  /// @param reason the reason of the server's ErrorInfo; empty: none
  error(status_code code, const std::string& message, std::string reason = {});

  /// gRPC's code.
  [[nodiscard]] status_code code() const noexcept { return code_; }
  /// The reason of the server's ErrorInfo, such as "OVERLOADED"; empty if there is none.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

 private:
  status_code code_;
  std::string reason_;
};

/// An argument that does not fit.
struct field_violation {
  std::string path;         ///< The argument's path in the request: `weight.shape`, `gradients[3].data`.
  std::string description;  ///< Why it is refused.

  /// Whether both are equal.
  friend bool operator==(const field_violation&, const field_violation&) = default;
};

/// Arguments do not fit the call or each other. The client finds some of these faults itself, before it sends anything.
class invalid_argument : public error {
 public:
  /// What the server has answered.
  invalid_argument(const std::string& message, std::vector<field_violation> fields, std::string reason = {});
  /// A single fault.
  invalid_argument(std::string path, const std::string& description);

  /// The arguments that are wrong.
  [[nodiscard]] const std::vector<field_violation>& fields() const noexcept { return fields_; }

 private:
  std::vector<field_violation> fields_;
};

/// The server is overloaded and has refused the call at once. The call was retried as often as the client's settings
/// allow.
class overloaded : public error {
 public:
  /// The server's message, and how long it asks clients to wait.
  overloaded(const std::string& message, std::optional<std::chrono::nanoseconds> retry_after, std::string reason);

  /// How long the server asks clients to wait before the next try.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> retry_after() const noexcept { return retry_after_; }

 private:
  std::optional<std::chrono::nanoseconds> retry_after_;
};

/// A message, or the metadata, is larger than the server takes.
class message_too_large : public error {
 public:
  using error::error;
};

/// A stream needs more elements at a time than the server has memory for. Calls on tensors in memory make the two
/// passes by themselves, so they throw it only where two passes do not help.
class needs_two_passes : public error {
 public:
  using error::error;
};

/// What makes a norm NaN or infinite. There may be no such elements: the norm of finite ones can be beyond `double`.
struct nonfinite {
  double total_norm = 0;                  ///< The norm.
  std::uint64_t nan_elements = 0;         ///< How many elements are NaN.
  std::uint64_t infinite_elements = 0;    ///< How many are infinite.
  std::uint64_t nonfinite_gradients = 0;  ///< How many gradients have such elements.
  /// The first of these gradients, 16 at most: index and name, which the server shortens to 64 bytes.
  std::vector<std::pair<std::size_t, std::string>> gradients{};
};

/// A norm is NaN or infinite, and the call has set `error_if_nonfinite`. Nothing was clipped.
class nonfinite_norm : public error {
 public:
  /// The server's message, and what it says about the elements.
  nonfinite_norm(const std::string& message, nonfinite details, std::string reason);

  /// The norm, and what makes it so.
  [[nodiscard]] const nonfinite& details() const noexcept { return details_; }

 private:
  nonfinite details_;
};

/// The call took longer than its timeout.
class deadline_exceeded : public error {
 public:
  using error::error;
};

/// The caller has cancelled the call by its `stop` token.
class cancelled : public error {
 public:
  using error::error;
};

/// The token is missing or wrong.
class unauthenticated : public error {
 public:
  using error::error;
};

/// There is no connection, or it broke. The call was retried as often as the client's settings allow.
class unavailable : public error {
 public:
  using error::error;
};

/// The server does not have the call, or does not take messages of this kind.
class unimplemented : public error {
 public:
  using error::error;
};

/// A bug in the server, or an answer that breaks the contract: the server is not evenkeel, or of another version.
class internal_error : public error {
 public:
  using error::error;
};

}  // namespace evenkeel
