/// @file
/// The sets of elements that a normalization pools together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "evenkeel/array.hpp"
#include "evenkeel/enums.hpp"

namespace evenkeel::ops {

/// What is pooled together. All functions are for arguments that the server takes.
struct pooling {
  norm_kind kind;
  std::vector<std::int32_t> axes;
  std::uint32_t groups;
  std::optional<std::int32_t> channel_axis;

  /// The axes that are pooled of a tensor with so many, in ascending order.
  [[nodiscard]] std::vector<std::int32_t> pooled_axes(std::size_t rank) const;
  /// The shape of the sets of a tensor.
  [[nodiscard]] shape_type sets(const shape_type& shape) const;
  /// Whether the mean is subtracted.
  [[nodiscard]] bool has_mean() const noexcept { return kind != norm_kind::rms && kind != norm_kind::l2; }

 private:
  [[nodiscard]] bool pools(std::size_t axis, std::size_t rank) const;
  [[nodiscard]] bool has_groups(std::size_t axis, std::size_t rank) const;
};

/// The product of the dimensions.
[[nodiscard]] std::size_t count_of(const shape_type& shape);

}  // namespace evenkeel::ops
