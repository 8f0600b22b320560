/// @file
/// Messages as gRPC has them.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "wire/message.hpp"
#include "wire/reader.hpp"

namespace evenkeel::rpc {

/// The message for gRPC, in memory of its own: the caller's elements are copied once.
[[nodiscard]] grpc::ByteBuffer to_buffer(const wire::message& message);

/// The pieces of a received message, which are not copied.
[[nodiscard]] wire::rope to_rope(const grpc::ByteBuffer& buffer);

}  // namespace evenkeel::rpc
