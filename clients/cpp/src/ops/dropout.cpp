#include "ops/dropout.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "ops/codec.hpp"
#include "ops/landing.hpp"

namespace evenkeel::ops {

namespace {

namespace request_field = wire::dropout_request;
namespace backward_field = wire::dropout_backward_request;
namespace response_field = wire::dropout_response;

// One function encodes the requests of both directions.
static_assert(request_field::p == backward_field::p && request_field::seed == backward_field::seed &&
              request_field::offset == backward_field::offset && request_field::kind == backward_field::kind &&
              request_field::scaling == backward_field::scaling &&
              request_field::channel_axis == backward_field::channel_axis &&
              request_field::input == backward_field::grad_output);

/// The direction of a call.
enum class direction : std::uint8_t { forward, backward };

/// The request without its tensor.
wire::message encode(double p, const dropout_options& options, direction way) {
  wire::message request;
  request.real(request_field::p, p);
  if (options.seed != 0) {
    request.varint(request_field::seed, options.seed);
  }
  if (options.offset != 0) {
    request.varint(request_field::offset, options.offset);
  }
  request.varint(request_field::kind, static_cast<std::uint64_t>(options.kind));
  request.varint(request_field::scaling, static_cast<std::uint64_t>(options.scaling));
  if (options.return_mask && way == direction::forward) {
    request.varint(request_field::return_mask, 1);
  }
  if (options.channel_axis) {
    request.varint(request_field::channel_axis,
                   static_cast<std::uint64_t>(static_cast<std::int64_t>(*options.channel_axis)));
  }
  return request;
}

/// The number of draws of an input of this shape; for arguments that the server refuses, any number.
std::size_t draws(const shape_type& shape, const dropout_options& options) {
  std::size_t count = 1;
  if (options.kind == dropout_kind::element || options.kind == dropout_kind::alpha) {
    for (const std::int64_t dimension : shape) {
      count *= static_cast<std::size_t>(dimension);
    }
    return count;
  }
  const auto rank = static_cast<std::int64_t>(shape.size());
  const std::int64_t given = options.channel_axis.value_or(1);
  for (const std::int64_t axis : {std::int64_t{0}, given < 0 ? given + rank : given}) {
    if (axis >= 0 && axis < rank) {
      count *= static_cast<std::size_t>(shape[static_cast<std::size_t>(axis)]);
    }
  }
  return count;
}

/// The answer of either direction while it is read.
struct answer {
  any_array output;
  std::vector<std::byte> mask;
  std::uint64_t kept = 0;
};

answer as_message(detail::core& core, const any_tensor& x, answer result, const wire::message& request, direction way,
                  const rpc::scope& scope) {
  const bool is_forward = way == direction::forward;
  const char* path = is_forward ? "output" : "grad_input";
  const wire::rope rope =
      core.unary(is_forward ? wire::method::dropout : wire::method::dropout_backward, request, scope);
  decoded(rope, [&](wire::reader message) {
    static_assert(response_field::output == wire::dropout_backward_response::grad_input);
    bool is_there = false;
    landing mask{"mask", result.mask};
    while (message.next()) {
      if (message.field() == response_field::output) {
        received_tensor tensor{message.nested()};
        tensor.expect(path, x);
        tensor.take(path, result.output.bytes());
        is_there = true;
      } else if (message.field() == response_field::kept) {
        result.kept = message.varint();
      } else if (message.field() == response_field::mask) {
        mask.take(message.nested());
      }
    }
    mask.complete();
    if (!is_there) {
      throw broken_contract(path, "is missing");
    }
  });
  return result;
}

/// The header of an answer repeats what was sent.
void expect_header(wire::reader message, const any_tensor& x, const char* path) {
  bool is_there = false;
  while (message.next()) {
    if (message.field() == response_field::output) {
      const received_tensor tensor{message.nested()};
      tensor.expect(path, x);
      tensor.expect_no_elements(path);
      is_there = true;
    }
  }
  if (!is_there) {
    throw broken_contract(path, "is missing");
  }
}

answer as_stream(detail::core& core, const any_tensor& x, answer result, const wire::message& header, direction way,
                 std::size_t chunk, const rpc::scope& scope) {
  namespace request = wire::dropout_stream_request;
  namespace response = wire::dropout_stream_response;
  const bool is_forward = way == direction::forward;
  core.retried(scope, [&] {
    sequence order;
    landing elements{"data", result.output.bytes()};
    landing mask{"mask", result.mask};
    chunks data{x.bytes(), chunk};
    bool has_begun = false;
    core.stream(
        wire::method::dropout_stream,
        [&](wire::message& message) {
          if (!std::exchange(has_begun, true)) {
            message.nested(is_forward ? request::header : request::backward_header, header);
            return true;
          }
          if (data.is_over()) {
            return false;
          }
          message.bytes(request::data, data.next());
          return true;
        },
        [&](const wire::rope& rope) {
          decoded(rope, [&](wire::reader message) {
            while (message.next()) {
              if (message.field() == (is_forward ? response::header : response::backward_header)) {
                order.header();
                expect_header(message.nested(), x, is_forward ? "output" : "grad_input");
              } else if (message.field() == response::data) {
                order.body();
                elements.take(message.nested());
              } else if (message.field() == response::mask) {
                order.body();
                mask.take(message.nested());
              } else if (message.field() == response::summary) {
                order.summary();
                for (wire::reader summary = message.nested(); summary.next();) {
                  if (summary.field() == response_field::kept) {
                    result.kept = summary.varint();
                  }
                }
              }
            }
          });
        },
        scope);
    order.end();
    elements.complete();
    mask.complete();
  });
  return result;
}

answer exchange(detail::core& core, const any_tensor& x, double p, const dropout_options& options, direction way,
                std::size_t mask_bytes) {
  const rpc::scope scope = core.begin(options.timeout, options.stop);
  answer result{.output = landing_for(x, options.into), .mask = std::vector<std::byte>(mask_bytes)};
  wire::message request = encode(p, options, way);
  wire::message header = request;
  request.nested(request_field::input, encode_tensor(x));
  // The answer has the mask beside the elements.
  const std::optional<std::size_t> chunk = core.chunk_if_streamed(request.size() + mask_bytes, scope);
  if (!chunk) {
    return as_message(core, x, std::move(result), request, way, scope);
  }
  header.nested(request_field::input, describe_tensor(x));
  return as_stream(core, x, std::move(result), header, way, *chunk, scope);
}

}  // namespace

any_dropped dropout(detail::core& core, const any_tensor& x, double p, const dropout_options& options) {
  const std::size_t count = draws(x.shape(), options);
  const std::size_t mask_bytes = options.return_mask ? (count + 7) / 8 : 0;
  answer result = exchange(core, x, p, options, direction::forward, mask_bytes);
  if (result.kept > x.bytes().size() / size_of(x.type())) {
    throw broken_contract("kept", "is more than the elements of the tensor");
  }
  std::optional<keep_bits> mask;
  if (options.return_mask) {
    mask.emplace(count, std::move(result.mask));
  }
  return {.output = std::move(result.output), .kept = result.kept, .mask = std::move(mask)};
}

any_array dropout_backward(detail::core& core, const any_tensor& grad_output, double p,
                           const dropout_options& options) {
  return exchange(core, grad_output, p, options, direction::backward, 0).output;
}

}  // namespace evenkeel::ops
