/// @file
/// Dropout, DropoutBackward and DropoutStream.
#pragma once

#include "core.hpp"

namespace evenkeel::ops {

/// Drops elements: as one message or as a stream, as the size asks for.
[[nodiscard]] any_dropped dropout(detail::core& core, const any_tensor& x, double p, const dropout_options& options);
/// The gradient of a dropout.
[[nodiscard]] any_array dropout_backward(detail::core& core, const any_tensor& grad_output, double p,
                                         const dropout_options& options);

}  // namespace evenkeel::ops
