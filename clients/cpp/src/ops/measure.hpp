/// @file
/// MeasureGradients and MeasureStatistics.
#pragma once

#include <span>

#include "core.hpp"

namespace evenkeel::ops {

/// Measures a norm over gradients.
[[nodiscard]] norm_partial measure_gradients(detail::core& core, std::span<const gradient> gradients,
                                             std::optional<double> norm_type, const rpc::scope& scope);
/// Measures the statistics of a tensor. The time and the token are those of `scope`, and not those of the options.
[[nodiscard]] statistics_partial measure_statistics(detail::core& core, const any_tensor& x, norm_kind kind,
                                                    const measure_statistics_options& options, const rpc::scope& scope);

}  // namespace evenkeel::ops
