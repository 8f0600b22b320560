// What happens around calls: time, cancellation, servers that are not there, tokens, many threads.
#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX's kill
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <evenkeel/evenkeel.hpp>
#include <evenkeel/testing.hpp>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <thread>

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

/// A server that does not read any more, as long as this object lives.
class Paused {
 public:
  explicit Paused(const evenkeel::testing::server& server) : process_{server.process_id()} {
    ::kill(process_, SIGSTOP);
    // The system tells when all threads have stopped: until then they may answer a call.
    ::waitpid(process_, nullptr, WUNTRACED);
  }
  ~Paused() { ::kill(process_, SIGCONT); }
  Paused(const Paused&) = delete;
  Paused& operator=(const Paused&) = delete;

 private:
  int process_;
};

const std::vector<float> small_row{1, 2, 3, 4};

TEST(Conditions, ATimeoutEndsACallOfAServerThatDoesNotRead) {
  const evenkeel::testing::server server;
  const evenkeel::client client = server.client();
  (void)client.server_info();
  // More than the buffers of the connection take, so that gRPC still holds the message at the deadline.
  auto x = std::make_unique<std::vector<float>>(8U << 20U);
  const Paused paused{server};
  const auto began = clock_type::now();
  EXPECT_THROW((void)client.l2_norm(*x, {.timeout = 300ms}), evenkeel::deadline_exceeded);
  x.reset();  // the sanitizer would see gRPC read it
  EXPECT_GE(clock_type::now() - began, 290ms);
  EXPECT_LT(clock_type::now() - began, 5s);
}

TEST(Conditions, TheClientGoesOnAfterACallThatWasGivenUp) {
  const evenkeel::testing::server server;
  const evenkeel::client client = server.client();
  (void)client.server_info();
  const std::vector<float> x(8U << 20U);
  {
    const Paused paused{server};
    EXPECT_THROW((void)client.l2_norm(x, {.timeout = 200ms}), evenkeel::deadline_exceeded);
  }
  EXPECT_EQ(client.layer_norm(small_row).output.size(), 4);
}

TEST(Conditions, ATokenCancelsACall) {
  const evenkeel::testing::server server;
  const evenkeel::client client = server.client();
  (void)client.server_info();
  const Paused paused{server};
  std::stop_source stop;
  const std::jthread canceller{[&stop] {
    std::this_thread::sleep_for(100ms);
    stop.request_stop();
  }};
  const auto began = clock_type::now();
  EXPECT_THROW((void)client.layer_norm(small_row, {.stop = stop.get_token()}), evenkeel::cancelled);
  EXPECT_LT(clock_type::now() - began, 5s);
  EXPECT_THROW((void)client.layer_norm(small_row, {.stop = stop.get_token()}), evenkeel::cancelled);
}

TEST(Conditions, AServerThatIsNotThereIsUnavailable) {
  std::string address;
  {
    const evenkeel::testing::server server;
    address = server.address();
  }
  const evenkeel::client client{address, {.retries = 1}};
  EXPECT_THROW((void)client.server_info(), evenkeel::unavailable);
}

TEST(Conditions, CallsWaitForAServerThatComesBack) {
  const std::string folder = testing::TempDir();
  const std::string listen = "unix:" + folder + "/evenkeel-" + std::to_string(::getpid()) + ".socket";
  evenkeel::testing::server server{{.listen = listen}};
  const evenkeel::client client = server.client({.retries = 10});
  EXPECT_EQ(client.layer_norm(small_row).output.size(), 4);
  server.stop();
  auto waiting = std::async(std::launch::async, [&client] { return client.layer_norm(small_row).output.size(); });
  std::this_thread::sleep_for(300ms);
  server = evenkeel::testing::server{{.listen = listen}};
  EXPECT_EQ(waiting.get(), 4);
}

TEST(Conditions, TokensAreSent) {
  const std::string file = testing::TempDir() + "/evenkeel-tokens-" + std::to_string(::getpid());
  std::ofstream{file} << "a-token-of-the-tests-0123456789\n";
  const evenkeel::testing::server server{{.arguments = {"--auth-token-file", file}}};
  ::unlink(file.c_str());
  const evenkeel::client client = server.client({.token = "a-token-of-the-tests-0123456789"});
  EXPECT_EQ(client.layer_norm(small_row).output.size(), 4);
  EXPECT_THROW((void)server.client({.token = "another"}).layer_norm(small_row), evenkeel::unauthenticated);
}

TEST(Conditions, ManyThreadsShareAClient) {
  const evenkeel::testing::server server;
  const evenkeel::client client = server.client({.connections = 2});
  const std::vector<float> x(100000, 3.0F);
  const auto expected = client.dropout(x, 0.5, {.seed = 1}).output.to_vector();
  std::vector<std::jthread> threads;
  constexpr std::size_t callers = 6;
  threads.reserve(callers);
  for (std::size_t i = 0; i < callers; ++i) {
    threads.emplace_back([&, copy = client] {
      for (int call = 0; call < 5; ++call) {
        EXPECT_EQ(copy.dropout(x, 0.5, {.seed = 1}).output.to_vector(), expected);
      }
    });
  }
}

TEST(TestServer, TellsWhyItDoesNotStart) {
  EXPECT_THROW((evenkeel::testing::server{{.binary = "/nowhere/evenkeel"}}), std::runtime_error);
  EXPECT_THROW((evenkeel::testing::server{{.arguments = {"--no-such-flag"}}}), std::runtime_error);
}

TEST(TestServer, EndsWithItsObject) {
  int process = 0;
  {
    const evenkeel::testing::server server;
    process = server.process_id();
    EXPECT_EQ(::kill(process, 0), 0);
  }
  EXPECT_NE(::kill(process, 0), 0);
}

}  // namespace
