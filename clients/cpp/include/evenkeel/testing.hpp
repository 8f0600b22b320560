/// @file
/// A server for your own tests. Link `evenkeel::testing`. POSIX alone.
#pragma once

#include <string>
#include <vector>

#include "evenkeel/client.hpp"

namespace evenkeel::testing {

/// How a server is started.
struct server_options {
  std::string binary{};                  ///< The program. Default: the variable EVENKEEL_BINARY, or `evenkeel` in PATH.
  std::vector<std::string> arguments{};  ///< More flags of `evenkeel serve`. It logs warnings, if none says otherwise.
  std::string listen = "127.0.0.1:0";    ///< The address; port 0 takes a free one.
};

/// A server on a free port, which ends with this object. On Linux it also ends with the thread that has started it, so
/// that none is left where a test crashes.
class server {
 public:
  /// Starts a server, and waits until it says that it listens.
  /// @throws std::runtime_error if there is no such program, or if it ends first
  explicit server(const server_options& options = {});
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  /// Takes over the server of another object.
  server(server&& other) noexcept;
  /// Ends this server, and takes over that of another object.
  server& operator=(server&& other) noexcept;

  /// The address, as evenkeel::client takes it.
  [[nodiscard]] const std::string& address() const noexcept { return address_; }
  /// The number of the process.
  [[nodiscard]] int process_id() const noexcept { return process_; }
  /// A client of the server.
  [[nodiscard]] evenkeel::client client(client_options options = {}) const;
  /// Ends the server and waits for its end. A second call does nothing.
  void stop() noexcept;

 private:
  int process_ = -1;
  int output_ = -1;
  std::string address_;
};

}  // namespace evenkeel::testing
