/// @file
/// The kinds of the operations, by their numbers in the contract, and their names.
#pragma once

#include <cstdint>
#include <string_view>

namespace evenkeel {

/// The elements that a normalization pools together, and how. Defaults are PyTorch's.
enum class norm_kind : std::uint8_t {
  batch = 1,     ///< Statistics per channel, over all axes but `channel_axis`.
  layer = 2,     ///< Over the last axis (rank 1 to 3), or over all axes but the first (rank 4 and up).
  rms = 3,       ///< As layer, by the root of the mean square, without subtracting the mean.
  instance = 4,  ///< Per sample and channel, over all axes but 0 and `channel_axis`; rank 3 and up.
  group = 5,     ///< Per sample and group of channels, over all axes but 0.
  l2 = 6,        ///< Elements divided by their norm over axis 1 (rank 1: axis 0): vectors of length 1.
};

/// The elements that a dropout drops together, and their replacement.
enum class dropout_kind : std::uint8_t {
  element = 1,        ///< One draw for every element; dropped ones become +0.0.
  channel = 2,        ///< One draw for every sample and channel.
  alpha = 3,          ///< One draw for every element; an affine map keeps mean and variance.
  feature_alpha = 4,  ///< As alpha, with one draw for every sample and channel.
};

/// The scaling of elements that a dropout keeps.
enum class dropout_scaling : std::uint8_t {
  inverted = 1,  ///< By 1 / (1 - p), so that the expected value does not change.
  none = 2,      ///< Kept elements are returned bit for bit. Refused for the alpha kinds.
};

/// The rule by which gradients are clipped.
enum class clip_mode : std::uint8_t {
  norm = 1,             ///< By one norm over all elements of all tensors.
  value = 2,            ///< Every element is clamped to [-threshold, threshold].
  norm_per_tensor = 3,  ///< As norm, but each tensor by its own norm.
};

/// The name: "batch", "layer", "rms", "instance", "group", "l2".
[[nodiscard]] std::string_view to_string(norm_kind kind) noexcept;
/// The name: "element", "channel", "alpha", "feature_alpha".
[[nodiscard]] std::string_view to_string(dropout_kind kind) noexcept;
/// The name: "inverted", "none".
[[nodiscard]] std::string_view to_string(dropout_scaling scaling) noexcept;
/// The name: "norm", "value", "norm_per_tensor".
[[nodiscard]] std::string_view to_string(clip_mode mode) noexcept;

/// The kind of a name, for settings that are text.
/// @throws invalid_argument, of the field `kind`, for other names
[[nodiscard]] norm_kind to_norm_kind(std::string_view name);
/// The kind of a name.
/// @throws invalid_argument, of the field `kind`, for other names
[[nodiscard]] dropout_kind to_dropout_kind(std::string_view name);
/// The scaling of a name.
/// @throws invalid_argument, of the field `scaling`, for other names
[[nodiscard]] dropout_scaling to_dropout_scaling(std::string_view name);
/// The mode of a name.
/// @throws invalid_argument, of the field `mode`, for other names
[[nodiscard]] clip_mode to_clip_mode(std::string_view name);

}  // namespace evenkeel
