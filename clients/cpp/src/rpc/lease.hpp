/// @file
/// Memory of the caller's that gRPC reads.
#pragma once

#include <grpcpp/support/slice.h>

#include <atomic>
#include <cstddef>
#include <span>

namespace evenkeel::rpc {

/// Counts the slices that refer to the caller's memory. gRPC may hold them for a short time after the end of a call, if
/// the call ended early: the memory must not go before.
class lease {
 public:
  /// A slice of the memory, without a copy.
  [[nodiscard]] grpc::Slice slice(std::span<const std::byte> memory) {
    held_.fetch_add(1, std::memory_order_relaxed);
    // gRPC takes a pointer to memory that may change, but does not change it.
    auto* data = const_cast<std::byte*>(memory.data());
    return {data, memory.size(), [](void* self) { static_cast<lease*>(self)->release(); }, this};
  }

  /// Whether gRPC holds no slice any more.
  [[nodiscard]] bool is_over() const noexcept { return held_.load(std::memory_order_acquire) == 0; }

 private:
  void release() noexcept { held_.fetch_sub(1, std::memory_order_release); }

  std::atomic<std::size_t> held_ = 0;
};

}  // namespace evenkeel::rpc
