#include "ops/sets.hpp"

#include <algorithm>

namespace evenkeel::ops {

namespace {

/// The index of an axis that may be counted from the end.
std::size_t index_of(std::int32_t axis, std::size_t rank) {
  return static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis);
}

/// Whether the kind pools an axis by default.
bool pools_by_default(norm_kind kind, std::size_t axis, std::size_t rank, std::size_t channel_axis) {
  switch (kind) {
    case norm_kind::batch:
      return axis != channel_axis;
    case norm_kind::layer:
    case norm_kind::rms:
      return rank <= 3 ? axis + 1 == rank : axis != 0;
    case norm_kind::instance:
      return axis != 0 && axis != channel_axis;
    case norm_kind::group:
      return axis != 0;
    case norm_kind::l2:
      return axis == std::min<std::size_t>(1, rank - 1);
  }
  return false;
}

}  // namespace

bool pooling::has_groups(std::size_t axis, std::size_t rank) const {
  return kind == norm_kind::group && axis == index_of(channel_axis.value_or(1), rank);
}

bool pooling::pools(std::size_t axis, std::size_t rank) const {
  if (has_groups(axis, rank)) {
    return true;
  }
  if (axes.empty()) {
    return pools_by_default(kind, axis, rank, index_of(channel_axis.value_or(1), rank));
  }
  return std::any_of(axes.begin(), axes.end(), [&](std::int32_t given) { return index_of(given, rank) == axis; });
}

std::vector<std::int32_t> pooling::pooled_axes(std::size_t rank) const {
  std::vector<std::int32_t> pooled;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (pools(axis, rank)) {
      pooled.push_back(static_cast<std::int32_t>(axis));
    }
  }
  return pooled;
}

shape_type pooling::sets(const shape_type& shape) const {
  shape_type result;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (has_groups(axis, shape.size())) {
      result.push_back(groups);
    } else if (!pools(axis, shape.size())) {
      result.push_back(shape[axis]);
    }
  }
  return result;
}

std::size_t count_of(const shape_type& shape) {
  std::size_t count = 1;
  for (const std::int64_t dimension : shape) {
    count *= static_cast<std::size_t>(dimension);
  }
  return count;
}

}  // namespace evenkeel::ops
