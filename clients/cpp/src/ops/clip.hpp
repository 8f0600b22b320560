/// @file
/// ClipGradients and ClipGradientsStream.
#pragma once

#include <span>

#include "core.hpp"

namespace evenkeel::ops {

/// Clips gradients: as one message, as a stream, or in two passes, as their size asks for.
[[nodiscard]] clipped clip_gradients(detail::core& core, std::span<const gradient> gradients, clip_mode mode,
                                     double threshold, const clip_options& options);

/// The fields of the request beside the gradients.
[[nodiscard]] wire::message encode_clip(clip_mode mode, double threshold, const clip_options& options);

/// Adds the numbers of a ClipGradientsResponse, and gives its gradients one after the other to a function.
template <class Take>
void read_clip_response(wire::reader message, clipped& result, const Take& take) {
  namespace field = wire::clip_gradients_response;
  while (message.next()) {
    switch (message.field()) {
      case field::total_norm:
        result.total_norm = message.real();
        break;
      case field::scale:
        result.scale = message.real();
        break;
      case field::clipped_elements:
        result.clipped_elements = message.varint();
        break;
      case field::tensor_norms:
        message.repeated_real(result.tensor_norms);
        break;
      case field::gradients:
        take(message.nested());
        break;
      default:
        break;
    }
  }
}

/// Refuses an answer that has not a norm for each gradient where the mode has them, or has norms elsewhere.
void expect_norms(clip_mode mode, const clipped& result);

/// A stream of gradients, in one pass.
/// @param first the index of the first gradient, for error messages
[[nodiscard]] clipped clip_as_stream(detail::core& core, std::span<const gradient> gradients, std::size_t first,
                                     clip_mode mode, const wire::message& header, std::size_t chunk,
                                     const rpc::scope& scope);

}  // namespace evenkeel::ops
