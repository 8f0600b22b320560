/// @file
/// Normalize, NormalizeBackward and NormalizeStream.
#pragma once

#include "core.hpp"
#include "ops/sets.hpp"

namespace evenkeel::ops {

/// Normalizes a tensor: as one message, as a stream, or in two passes, as its size asks for.
[[nodiscard]] any_normalized normalize(detail::core& core, const any_tensor& x, norm_kind kind,
                                       const normalize_options& options);
/// The gradients of a normalization.
[[nodiscard]] any_normalize_gradients normalize_backward(detail::core& core, const any_tensor& x,
                                                         const any_tensor& grad_output, norm_kind kind,
                                                         const normalize_options& options);

/// The fields that both directions have in common: all but the tensors that are the size of the input.
[[nodiscard]] wire::message encode_normalize(norm_kind kind, const normalize_options& options);

/// What a normalization pools together.
[[nodiscard]] pooling pooling_of(norm_kind kind, const normalize_options& options);

/// The most bytes of `mean` and `rstd` together.
[[nodiscard]] std::size_t statistics_bytes(const any_tensor& x, norm_kind kind, const normalize_options& options);

}  // namespace evenkeel::ops
