// What is retried, how often, and when not any more.
#include <evenkeel/v1/tensor_ops.pb.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "core.hpp"
#include "fake_transport.hpp"

namespace {

namespace pb = evenkeel::v1;
using evenkeel::testing::fake_transport;
using evenkeel::testing::messages;
using namespace std::chrono_literals;

using attempt = fake_transport::attempt;

template <class Error>
fake_transport::answer failing(Error fault) {
  return [fault](const attempt&) -> messages { throw fault; };
}

messages info(const std::string& version) {
  pb::GetServerInfoResponse response;
  response.set_version(version);
  return {response.SerializeAsString()};
}

const evenkeel::unavailable gone{evenkeel::status_code::unavailable, "gone"};

class Retry : public testing::Test {
 protected:
  evenkeel::detail::core core(std::deque<fake_transport::answer> answers, unsigned retries = 4) {
    evenkeel::client_options options{.retries = retries, .warn = [this](std::string_view text) { warning_ = text; }};
    return {std::make_unique<fake_transport>(std::move(answers), attempts_), std::move(options)};
  }

  std::vector<attempt> attempts_;
  std::string warning_;
};

TEST_F(Retry, WaitsAsLongAsTheServerAsks) {
  auto core = this->core({failing(evenkeel::overloaded{"busy", 120ms, "OVERLOADED"}), failing(gone),
                          [](const attempt&) { return info("0.1.0"); }});
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(core.server_info(core.begin(10s, {})).version, "0.1.0");
  EXPECT_GE(std::chrono::steady_clock::now() - began, 120ms + 75ms);
  EXPECT_EQ(attempts_.size(), 3);
}

TEST_F(Retry, EndsAfterTheLastTry) {
  auto core = this->core({failing(evenkeel::overloaded{"busy", 1ms, "OVERLOADED"})}, 2);
  EXPECT_THROW((void)core.server_info(core.begin(10s, {})), evenkeel::overloaded);
  EXPECT_EQ(attempts_.size(), 3);
}

TEST_F(Retry, DoesNotWaitBeyondTheDeadline) {
  auto core = this->core({failing(evenkeel::overloaded{"busy", 5s, "OVERLOADED"})});
  const auto began = std::chrono::steady_clock::now();
  EXPECT_THROW((void)core.server_info(core.begin(1s, {})), evenkeel::overloaded);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 900ms);
  EXPECT_EQ(attempts_.size(), 1);
}

TEST_F(Retry, LeavesOtherErrorsAlone) {
  const auto tries = [this](auto fault) {
    attempts_.clear();
    auto core = this->core({failing(fault)});
    EXPECT_THROW((void)core.server_info(core.begin(1s, {})), decltype(fault));
    return attempts_.size();
  };
  using evenkeel::status_code;
  EXPECT_EQ(tries(evenkeel::message_too_large{status_code::resource_exhausted, "large", "MESSAGE_TOO_LARGE"}), 1);
  EXPECT_EQ(tries(evenkeel::needs_two_passes{status_code::resource_exhausted, "two", "NEEDS_TWO_PASSES"}), 1);
  EXPECT_EQ(tries(evenkeel::error{status_code::resource_exhausted, "other"}), 1);
  EXPECT_EQ(tries(evenkeel::internal_error{status_code::internal, "bug"}), 1);
  EXPECT_EQ(tries(evenkeel::deadline_exceeded{status_code::deadline_exceeded, "late"}), 1);
}

TEST_F(Retry, EndsWithACancellation) {
  auto core = this->core({failing(evenkeel::overloaded{"busy", 8s, "OVERLOADED"})});
  std::stop_source stop;
  const std::jthread canceller{[&stop] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  }};
  const auto began = std::chrono::steady_clock::now();
  EXPECT_THROW((void)core.server_info(core.begin(10s, stop.get_token())), evenkeel::cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
}

TEST_F(Retry, ANegativeTimeoutIsRefused) {
  auto core = this->core({[](const attempt&) { return info("0.1.0"); }});
  EXPECT_THROW((void)core.begin(-1ns, {}), evenkeel::invalid_argument);
  EXPECT_THROW((void)core.server_info(core.begin(0ns, {})), evenkeel::deadline_exceeded);
  EXPECT_TRUE(attempts_.empty());
}

TEST_F(Retry, WarnsOnceOfAnotherVersion) {
  auto core = this->core({[](const attempt&) { return info("7.0.0"); }});
  (void)core.server_info(core.begin(1s, {}));
  EXPECT_NE(warning_.find("7.0.0"), std::string::npos);
  warning_.clear();
  (void)core.server_info(core.begin(1s, {}));
  EXPECT_TRUE(warning_.empty());
}

TEST_F(Retry, AsksForLimitsOnceAndNotForShortMessages) {
  auto core = this->core({[](const attempt&) -> messages {
    pb::GetServerInfoResponse response;
    response.set_version("0.1.0");
    response.set_max_message_bytes(5000);
    response.set_max_stream_chunk_bytes(4096);
    return {response.SerializeAsString()};
  }});
  const auto scope = core.begin(1s, {});
  EXPECT_FALSE(core.chunk_if_streamed(1024, scope));
  EXPECT_TRUE(attempts_.empty());
  EXPECT_FALSE(core.chunk_if_streamed(5000, scope));
  EXPECT_EQ(core.chunk_if_streamed(5001, scope), 4096);
  EXPECT_EQ(attempts_.size(), 1);
}

TEST_F(Retry, ServersThatDoNotTellTheirLimitsAreSentMessages) {
  auto core = this->core({failing(evenkeel::unimplemented{evenkeel::status_code::unimplemented, "old"})});
  const auto scope = core.begin(1s, {});
  EXPECT_FALSE(core.chunk_if_streamed(1 << 30, scope));
  EXPECT_FALSE(core.chunk_if_streamed(1 << 30, scope));
  EXPECT_EQ(attempts_.size(), 1);
}

}  // namespace
