/// @file
/// One try of a call.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "rpc/pool.hpp"
#include "rpc/scope.hpp"

namespace evenkeel::rpc {

/// What every call needs: its context, and a queue that this thread alone polls.
class call {
 public:
  /// Prepares a call on the next connection.
  /// @throws cancelled, deadline_exceeded
  call(pool& pool, const scope& scope, const std::string& authorization);
  /// Drains the queue.
  ~call();
  call(const call&) = delete;
  call& operator=(const call&) = delete;
  call(call&&) = delete;
  call& operator=(call&&) = delete;

  /// The context.
  [[nodiscard]] grpc::ClientContext& context() noexcept { return *context_; }
  /// The queue.
  [[nodiscard]] grpc::CompletionQueue& queue() noexcept { return queue_; }
  /// A stub for the call's connection.
  [[nodiscard]] grpc::GenericStub stub() const { return grpc::GenericStub{channel_}; }

  /// An event that gRPC has put into the queue.
  struct event {
    int tag = 0;      ///< The number that as_tag was given.
    bool ok = false;  ///< gRPC's word on it.
  };
  /// Waits for the next event.
  [[nodiscard]] event wait();
  /// A number as gRPC takes it.
  [[nodiscard]] static void* as_tag(int number) noexcept;

 private:
  struct canceller {
    grpc::ClientContext* context;
    void operator()() const { context->TryCancel(); }
  };

  std::shared_ptr<grpc::Channel> channel_;
  grpc::CompletionQueue queue_;
  std::optional<grpc::ClientContext> context_;
  std::optional<std::stop_callback<canceller>> canceller_;
};

/// Throws the exception of a status that is not ok.
void require_ok(const grpc::Status& status, const scope& scope);

}  // namespace evenkeel::rpc
