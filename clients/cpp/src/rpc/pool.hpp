/// @file
/// The connections of a client.
#pragma once

#include <grpcpp/channel.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "evenkeel/client.hpp"
#include "rpc/address.hpp"

namespace evenkeel::rpc {

/// Channels, each with a connection of its own, which calls take in turn.
class pool {
 public:
  /// Channels that connect with their first call.
  /// @throws invalid_argument if a setting cannot be used
  pool(const address& address, const client_options& options);

  /// The channel of the next call.
  [[nodiscard]] std::shared_ptr<grpc::Channel> next();
  /// Lets channels without a connection make one.
  void reconnect();

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::size_t calls_ = 0;
};

}  // namespace evenkeel::rpc
