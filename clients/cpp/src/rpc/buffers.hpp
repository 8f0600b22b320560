/// @file
/// Messages as gRPC has them.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "rpc/lease.hpp"
#include "wire/message.hpp"
#include "wire/reader.hpp"

namespace evenkeel::rpc {

/// The message for gRPC. The caller's memory is not copied; `lease` knows when gRPC has done with it.
[[nodiscard]] grpc::ByteBuffer to_buffer(const wire::message& message, lease& lease);

/// The pieces of a received message, which are not copied.
[[nodiscard]] wire::rope to_rope(const grpc::ByteBuffer& buffer);

}  // namespace evenkeel::rpc
