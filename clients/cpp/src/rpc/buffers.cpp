#include "rpc/buffers.hpp"

#include <memory>
#include <string_view>
#include <vector>

#include "evenkeel/errors.hpp"

namespace evenkeel::rpc {

grpc::ByteBuffer to_buffer(const wire::message& message) {
  std::vector<grpc::Slice> slices;
  message.for_each(
      [&slices](std::string_view own) {
        if (!own.empty()) {
          slices.emplace_back(own.data(), own.size());
        }
      },
      [&slices](std::span<const std::byte> borrowed) {
        // One copy. A slice that refers to the caller's memory would need none, but a call that ends early would have
        // to wait until the connection has sent or dropped it, which a server that does not read any more puts off for
        // ever.
        slices.emplace_back(borrowed.data(), borrowed.size());
      });
  return grpc::ByteBuffer{slices.data(), slices.size()};
}

wire::rope to_rope(const grpc::ByteBuffer& buffer) {
  auto slices = std::make_shared<std::vector<grpc::Slice>>();
  if (!buffer.Dump(slices.get()).ok()) {
    throw internal_error{status_code::internal, "the answer cannot be read"};
  }
  wire::rope rope;
  rope.pieces.reserve(slices->size());
  for (const grpc::Slice& slice : *slices) {
    rope.pieces.push_back(std::as_bytes(std::span{slice.begin(), slice.size()}));
  }
  rope.owner = std::move(slices);
  return rope;
}

}  // namespace evenkeel::rpc
