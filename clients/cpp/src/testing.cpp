#include "evenkeel/testing.hpp"

#include <fcntl.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX's kill
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

namespace evenkeel::testing {

namespace {

/// How long a server may take to finish its calls before it is killed.
constexpr std::chrono::seconds patience{5};

std::string binary_of(const server_options& options) {
  if (!options.binary.empty()) {
    return options.binary;
  }
  const char* variable = std::getenv("EVENKEEL_BINARY");
  return variable != nullptr && *variable != '\0' ? variable : "evenkeel";
}

/// In the new process: becomes the server.
[[noreturn]] void become(std::vector<char*>& arguments, int output, pid_t parent) {
#ifdef __linux__
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): how prctl is declared
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) {
    ::_exit(127);
  }
#else
  (void)parent;
#endif
  ::dup2(output, STDOUT_FILENO);
  ::execvp(arguments.front(), arguments.data());
  ::_exit(127);
}

/// The first line that a process writes, without its end; less if it ends before.
std::string first_line(int output) {
  std::string line;
  for (char c = '\0'; ::read(output, &c, 1) == 1 && c != '\n';) {
    line += c;
  }
  return line;
}

}  // namespace

server::server(const server_options& options) {
  constexpr std::string_view announcement = "listening on ";
  std::string binary = binary_of(options);
  std::vector<std::string> words{binary, "serve", "--listen", options.listen};
  words.insert(words.end(), options.arguments.begin(), options.arguments.end());
  if (std::getenv("EVENKEEL_LOG_LEVEL") == nullptr &&
      std::find(words.begin(), words.end(), "--log-level") == words.end()) {
    words.insert(words.end(), {"--log-level", "warn"});
  }
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) {
    throw std::runtime_error{"cannot make a pipe for the server's output"};
  }
  for (const int end : ends) {
    ::fcntl(end, F_SETFD, FD_CLOEXEC);  // NOLINT(cppcoreguidelines-pro-type-vararg): POSIX's
  }
  const pid_t parent = ::getpid();
  process_ = ::fork();
  if (process_ == 0) {
    become(arguments, ends[1], parent);
  }
  ::close(ends[1]);
  output_ = ends[0];  // stays open, so that the server may write
  const std::string line = process_ < 0 ? std::string{} : first_line(output_);
  if (!line.starts_with(announcement)) {
    stop();
    throw std::runtime_error{"the server " + binary + " does not start; its first line is: " + line};
  }
  address_ = line.substr(announcement.size());
}

server::~server() { stop(); }

server::server(server&& other) noexcept
    : process_{std::exchange(other.process_, -1)},
      output_{std::exchange(other.output_, -1)},
      address_{std::move(other.address_)} {}

server& server::operator=(server&& other) noexcept {
  if (this != &other) {
    stop();
    process_ = std::exchange(other.process_, -1);
    output_ = std::exchange(other.output_, -1);
    address_ = std::move(other.address_);
  }
  return *this;
}

evenkeel::client server::client(client_options options) const { return evenkeel::client{address_, std::move(options)}; }

void server::stop() noexcept {
  if (process_ > 0) {
    ::kill(process_, SIGTERM);
    const auto began = std::chrono::steady_clock::now();
    while (::waitpid(process_, nullptr, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() - began > patience) {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
    }
  }
  process_ = -1;
  if (output_ >= 0) {
    ::close(output_);
    output_ = -1;
  }
}

}  // namespace evenkeel::testing
