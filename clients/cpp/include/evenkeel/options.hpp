/// @file
/// The options of the calls, for designated initializers: `{.eps = 1e-6, .timeout = 5s}`.
///
/// Every call has `timeout`, the time that it may take with all its retries (default: the client's), and `stop`, a
/// token that cancels it. What a call takes besides is checked by the server, which names each wrong field.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <vector>

#include "evenkeel/array.hpp"
#include "evenkeel/enums.hpp"
#include "evenkeel/partials.hpp"
#include "evenkeel/tensor.hpp"

namespace evenkeel {

/// The time that a call may take with all its retries.
using timeout_type = std::optional<std::chrono::nanoseconds>;

/// The options of the calls that have no other ones.
struct call_options {
  timeout_type timeout{};  ///< Default: the client's.
  std::stop_token stop{};  ///< Cancels the call.
};

/// The options of a normalization and of its gradients.
struct normalize_options {
  std::vector<std::int32_t> axes{};  ///< The axes to pool over; negative ones count from the end. Default: the kind's.
  std::uint32_t groups = 0;          ///< Group: the number of groups, which divides the number of channels.
  /// Added to the variance (rms: to the mean square; l2: the smallest divisor). Default 1e-5; rms: 2^-23, and 2^-52 for
  /// double; l2: 1e-12.
  std::optional<double> eps{};
  std::optional<std::int32_t> channel_axis{};  ///< Batch, instance, group: the axis of the channels. Default 1.
  /// Batch, instance: whether to use the input's own statistics. Default: not if running statistics are given.
  std::optional<bool> training{};
  std::optional<double> momentum{};  ///< The weight of new statistics in running ones, in [0, 1]. Default 0.1.
  bool return_statistics = false;    ///< Whether `mean` and `rstd` come back.
  /// The merged statistics of all parts of a tensor of which the input is one.
  std::optional<statistics_partial> statistics{};
  std::optional<any_tensor> weight{};        ///< The scale: layer, rms: in the shape of the pooled axes; else [C].
  std::optional<any_tensor> bias{};          ///< The shift, shaped as the weight.
  std::optional<any_tensor> running_mean{};  ///< Batch, instance: [C], together with `running_var`.
  std::optional<any_tensor> running_var{};   ///< Batch, instance: [C], the unbiased variance.
  /// Memory for the output (backward: for `grad_input`), which must not overlap what goes in. Default: new memory.
  std::optional<mutable_tensor> into{};
  timeout_type timeout{};  ///< Default: the client's.
  std::stop_token stop{};  ///< Cancels the call.
};

/// The options of a dropout and of its gradient.
struct dropout_options {
  std::uint64_t seed = 0;    ///< The key of the Philox4x64-10 stream. Calls without a seed have the same draws.
  std::uint64_t offset = 0;  ///< The index of the first draw, so that slices of a tensor may be sent apart.
  dropout_kind kind = dropout_kind::element;            ///< What is dropped together.
  dropout_scaling scaling = dropout_scaling::inverted;  ///< How kept elements are scaled.
  std::optional<std::int32_t> channel_axis{};           ///< The channel kinds: the axis of the channels. Default 1.
  bool return_mask = false;                             ///< Whether the mask comes back. No effect on gradients.
  /// Memory for the output (backward: for the gradient), which must not overlap what goes in. Default: new memory.
  std::optional<mutable_tensor> into{};
  timeout_type timeout{};  ///< Default: the client's.
  std::stop_token stop{};  ///< Cancels the call.
};

/// The options of a clipping.
struct clip_options {
  std::optional<double> norm_type{};  ///< The order of the norm: above 0, or infinity. Default 2.
  std::optional<double>
      total_norm{};  ///< By one norm: a norm that was measured elsewhere, for gradients on several machines.
  std::optional<double> epsilon{};  ///< Added to the norm before the threshold is divided by it. Default 1e-6.
  bool not_above = false;           ///< Round so that the exact norm of the result never exceeds the threshold.
  bool error_if_nonfinite = false;  ///< Throw nonfinite_norm, and clip nothing, if a norm is NaN or infinite.
  bool per_tensor = false;          ///< clip_grad_norm: clip each tensor by its own norm.
  timeout_type timeout{};           ///< Default: the client's.
  std::stop_token stop{};           ///< Cancels the call.
};

/// The options of a measurement of gradients.
struct measure_gradients_options {
  std::optional<double> norm_type{};  ///< The order of the norm: 1, 2 or infinity. Default 2.
  timeout_type timeout{};             ///< Default: the client's.
  std::stop_token stop{};             ///< Cancels the call.
};

/// The options of a measurement of statistics; the first three as in normalize_options.
struct measure_statistics_options {
  std::vector<std::int32_t> axes{};            ///< The axes to pool over. Default: the kind's.
  std::uint32_t groups = 0;                    ///< Group: the number of groups.
  std::optional<std::int32_t> channel_axis{};  ///< Batch, instance, group: the axis of the channels. Default 1.
  /// Batch, instance: the gradient of the output, of shape and dtype of the input, for client::normalize_backward.
  std::optional<any_tensor> grad_output{};
  timeout_type timeout{};  ///< Default: the client's.
  std::stop_token stop{};  ///< Cancels the call.
};

}  // namespace evenkeel
