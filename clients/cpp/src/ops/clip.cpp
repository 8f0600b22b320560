#include "ops/clip.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "ops/codec.hpp"
#include "ops/measure.hpp"

namespace evenkeel::ops {

namespace {

/// What an answer has beside the gradients and their norms, with room to spare.
constexpr std::size_t answer_overhead = 64;

clipped as_message(detail::core& core, std::span<const gradient> gradients, clip_mode mode,
                   const wire::message& request, const rpc::scope& scope) {
  const wire::rope answer = core.unary(wire::method::clip_gradients, request, scope);
  return decoded(answer, [&](wire::reader message) {
    clipped result;
    result.scale = 0;  // a number that is 0 is not sent
    read_clip_response(message, result, [&](wire::reader clipped_tensor) {
      const std::size_t index = result.gradients.size();
      if (index == gradients.size()) {
        throw broken_contract("gradients", "are more than were sent");
      }
      const auto& [name, sent] = gradients[index];
      const std::string path = "gradients[" + std::to_string(index) + "]";
      received_tensor tensor{clipped_tensor};
      tensor.expect(path, sent, name);
      any_array elements{sent.type(), sent.shape()};
      tensor.take(path, elements.bytes());
      result.gradients.push_back({name, std::move(elements)});
    });
    if (result.gradients.size() != gradients.size()) {
      throw broken_contract("gradients", "are fewer than were sent");
    }
    expect_norms(mode, result);
    return result;
  });
}

/// Whether a first pass can measure the norm: the orders whose sums merge, and the modes that clip by it.
bool is_measurable(clip_mode mode, const clip_options& options) {
  const double order = options.norm_type.value_or(2);
  const bool merges = order == 1 || order == 2 || order == std::numeric_limits<double>::infinity();
  return mode != clip_mode::value && !options.total_norm && !options.not_above && merges;
}

/// A clipping by a norm that is known.
clipped by_known_norm(detail::core& core, std::span<const gradient> gradients, std::size_t first, double threshold,
                      double total_norm, const clip_options& options, std::size_t chunk, const rpc::scope& scope) {
  clip_options second = options;
  second.total_norm = total_norm;
  return clip_as_stream(core, gradients, first, clip_mode::norm, encode_clip(clip_mode::norm, threshold, second), chunk,
                        scope);
}

/// By each tensor's norm: every gradient is a clipping of its own, by the norm of all of it.
clipped per_tensor_in_two_passes(detail::core& core, std::span<const gradient> gradients, double threshold,
                                 const clip_options& options, std::size_t chunk, const rpc::scope& scope) {
  clipped result{.scale = std::numeric_limits<double>::infinity()};
  norm_partial whole{options.norm_type.value_or(2)};
  for (std::size_t index = 0; index < gradients.size(); ++index) {
    const auto one = gradients.subspan(index, 1);
    const norm_partial norm = measure_gradients(core, one, options.norm_type, scope);
    try {
      clipped part = by_known_norm(core, one, index, threshold, norm.total_norm(), options, chunk, scope);
      result.gradients.push_back(std::move(part.gradients.front()));
      // A factor that is NaN stays.
      result.scale = std::isnan(result.scale) || part.scale >= result.scale ? result.scale : part.scale;
    } catch (const nonfinite_norm& fault) {
      nonfinite details = fault.details();
      for (auto& [place, name] : details.gradients) {
        place = index;
      }
      throw nonfinite_norm{fault.what(), std::move(details), fault.reason()};
    }
    result.tensor_norms.push_back(norm.total_norm());
    whole.merge(norm);
  }
  result.total_norm = whole.total_norm();
  return result;
}

}  // namespace

void expect_norms(clip_mode mode, const clipped& result) {
  if (result.tensor_norms.size() != (mode == clip_mode::norm_per_tensor ? result.gradients.size() : 0)) {
    throw broken_contract("tensor_norms", "are not as many as are due");
  }
}

wire::message encode_clip(clip_mode mode, double threshold, const clip_options& options) {
  namespace field = wire::clip_gradients_request;
  wire::message request;
  request.varint(field::mode, static_cast<std::uint64_t>(mode));
  request.real(field::threshold, threshold);
  const auto real = [&request](wire::field_number number, std::optional<double> value) {
    if (value) {
      request.real(number, *value);
    }
  };
  real(field::norm_type, options.norm_type);
  if (options.error_if_nonfinite) {
    request.varint(field::error_if_nonfinite, 1);
  }
  real(field::total_norm, options.total_norm);
  real(field::epsilon, options.epsilon);
  if (options.not_above) {
    request.varint(field::not_above, 1);
  }
  return request;
}

clipped clip_gradients(detail::core& core, std::span<const gradient> gradients, clip_mode mode, double threshold,
                       const clip_options& options) {
  const rpc::scope scope = core.begin(options.timeout, options.stop);
  const wire::message header = encode_clip(mode, threshold, options);
  wire::message request = header;
  for (const auto& [name, tensor] : gradients) {
    request.nested(wire::clip_gradients_request::gradients, encode_tensor(tensor, name));
  }
  // The answer has some numbers beside the gradients, with a norm for each at most.
  const std::size_t largest = request.size() + answer_overhead + sizeof(double) * gradients.size();
  const std::optional<std::size_t> chunk = core.chunk_if_streamed(largest, scope);
  if (!chunk) {
    return as_message(core, gradients, mode, request, scope);
  }
  try {
    return clip_as_stream(core, gradients, 0, mode, header, *chunk, scope);
  } catch (const needs_two_passes&) {
    if (!is_measurable(mode, options)) {
      throw;
    }
  }
  if (mode == clip_mode::norm_per_tensor) {
    return per_tensor_in_two_passes(core, gradients, threshold, options, *chunk, scope);
  }
  const norm_partial norm = measure_gradients(core, gradients, options.norm_type, scope);
  return by_known_norm(core, gradients, 0, threshold, norm.total_norm(), options, *chunk, scope);
}

}  // namespace evenkeel::ops
