// The exceptions of statuses, from the bytes that a server sends.
#include "rpc/status.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "wire/message.hpp"

namespace {

using evenkeel::status_code;
using evenkeel::wire::message;
using namespace std::chrono_literals;

const evenkeel::rpc::scope long_scope{1h, {}};

message error_info(const char* reason, const char* domain = "evenkeel") {
  message info;
  info.text(1, reason);
  info.text(2, domain);
  return info;
}

message entry(const char* key, const char* value) {
  message pair;
  pair.text(1, key);
  pair.text(2, value);
  return pair;
}

/// A google.rpc.Status with one detail.
std::string status_with(const char* type, const message& detail) {
  message any;
  any.text(1, std::string{"type.googleapis.com/google.rpc."} + type);
  any.nested(2, detail);
  message status;
  status.varint(1, 3);
  status.text(2, "a message");
  status.nested(3, any);
  const auto bytes = status.to_bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The exception that is thrown, which must be of this type.
template <class Error>
Error thrown(status_code code, const std::string& details, const evenkeel::rpc::scope& scope = long_scope) {
  try {
    evenkeel::rpc::throw_status(code, "a message", details, scope);
  } catch (const Error& fault) {
    EXPECT_EQ(typeid(fault), typeid(Error));
    return fault;
  }
}

TEST(Status, NamesWrongFields) {
  message request;
  request.nested(1, entry("axes[0]", "expected less"));
  request.nested(1, entry("eps", "expected more"));
  const auto fault =
      thrown<evenkeel::invalid_argument>(status_code::invalid_argument, status_with("BadRequest", request));
  EXPECT_EQ(fault.fields(),
            (std::vector<evenkeel::field_violation>{{"axes[0]", "expected less"}, {"eps", "expected more"}}));
  EXPECT_STREQ(fault.what(), "INVALID_ARGUMENT: a message");
}

TEST(Status, TellsWhatIsExhausted) {
  constexpr auto code = status_code::resource_exhausted;
  const auto with = [](const char* reason) { return status_with("ErrorInfo", error_info(reason)); };
  EXPECT_EQ(thrown<evenkeel::message_too_large>(code, with("MESSAGE_TOO_LARGE")).reason(), "MESSAGE_TOO_LARGE");
  EXPECT_EQ(thrown<evenkeel::message_too_large>(code, with("METADATA_TOO_LARGE")).reason(), "METADATA_TOO_LARGE");
  EXPECT_EQ(thrown<evenkeel::needs_two_passes>(code, with("NEEDS_TWO_PASSES")).reason(), "NEEDS_TWO_PASSES");
  EXPECT_FALSE(thrown<evenkeel::overloaded>(code, with("OVERLOADED")).retry_after());
  EXPECT_EQ(thrown<evenkeel::error>(code, "").code(), code);
  EXPECT_EQ(thrown<evenkeel::error>(code, status_with("ErrorInfo", error_info("OVERLOADED", "other"))).reason(), "");
}

TEST(Status, ReadsTheDelay) {
  message duration;
  duration.varint(1, 2);
  duration.varint(2, 5'000'000);
  message retry;
  retry.nested(1, duration);
  const std::string both =
      status_with("RetryInfo", retry) + status_with("ErrorInfo", error_info("OVERLOADED"));  // messages join
  EXPECT_EQ(thrown<evenkeel::overloaded>(status_code::resource_exhausted, both).retry_after(), 2005ms);
}

TEST(Status, TellsWhatIsNotFinite) {
  message info = error_info("NONFINITE_NORM");
  info.nested(3, entry("total_norm", "NaN"));
  info.nested(3, entry("nan_elements", "2"));
  info.nested(3, entry("infinite_elements", "3"));
  info.nested(3, entry("nonfinite_gradients", "4"));
  info.nested(3, entry("gradient_10", "w10"));
  info.nested(3, entry("gradient_9", "w9"));
  const auto fault = thrown<evenkeel::nonfinite_norm>(status_code::failed_precondition, status_with("ErrorInfo", info));
  EXPECT_TRUE(std::isnan(fault.details().total_norm));
  EXPECT_EQ(fault.details().nan_elements, 2);
  EXPECT_EQ(fault.details().infinite_elements, 3);
  EXPECT_EQ(fault.details().nonfinite_gradients, 4);
  EXPECT_EQ(fault.details().gradients, (std::vector<std::pair<std::size_t, std::string>>{{9, "w9"}, {10, "w10"}}));
}

TEST(Status, HasATypeForEachCode) {
  EXPECT_EQ(thrown<evenkeel::unauthenticated>(status_code::unauthenticated, "").code(), status_code::unauthenticated);
  EXPECT_EQ(thrown<evenkeel::unavailable>(status_code::unavailable, "").code(), status_code::unavailable);
  EXPECT_EQ(thrown<evenkeel::unimplemented>(status_code::unimplemented, "").code(), status_code::unimplemented);
  EXPECT_EQ(thrown<evenkeel::internal_error>(status_code::internal, "").code(), status_code::internal);
  EXPECT_EQ(thrown<evenkeel::error>(status_code::failed_precondition, "").code(), status_code::failed_precondition);
  EXPECT_EQ(thrown<evenkeel::error>(status_code::data_loss, "").code(), status_code::data_loss);
}

TEST(Status, TellsACancellationFromTheEndOfTheTime) {
  const evenkeel::rpc::scope over{0ns, {}};
  EXPECT_EQ(thrown<evenkeel::deadline_exceeded>(status_code::cancelled, "", over).code(),
            status_code::deadline_exceeded);
  std::stop_source stop;
  stop.request_stop();
  const evenkeel::rpc::scope stopped{1h, stop.get_token()};
  EXPECT_EQ(thrown<evenkeel::cancelled>(status_code::cancelled, "", stopped).code(), status_code::cancelled);
  EXPECT_EQ(thrown<evenkeel::cancelled>(status_code::cancelled, "").code(), status_code::cancelled);
}

TEST(Status, LivesWithDetailsThatCannotBeRead) {
  EXPECT_TRUE(thrown<evenkeel::invalid_argument>(status_code::invalid_argument, "\xFF\xFF").fields().empty());
}

}  // namespace
