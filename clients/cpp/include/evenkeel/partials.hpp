/// @file
/// Norms and statistics in forms that merge exactly: the result has the same bits for any order and any cut into parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "evenkeel/enums.hpp"
#include "evenkeel/tensor.hpp"

namespace evenkeel {

/// The exact sum over some gradients (order infinity: their largest magnitude), from which their norm follows.
///
/// Made by client::measure_gradients. Programs pass it to each other with to_bytes() and from_bytes().
class norm_partial {
 public:
  /// The partial of no elements, whose norm is 0.
  /// @param norm_type the order of the norm: 1, 2 or infinity
  /// @throws invalid_argument, of the field `norm_type`, for other orders
  explicit norm_partial(double norm_type = 2);

  /// Adds the elements of another partial of the same order.
  /// @throws invalid_argument if the order is another one (`norm_type`), or if both together have more than 2^59
  /// elements
  /// (`elements`); nothing is added then.
  norm_partial& merge(const norm_partial& other);

  /// The norm of all elements, rounded once to nearest, ties to even: correct to the bit. NaN if an element is NaN,
  /// else infinite if an element is.
  [[nodiscard]] double total_norm() const;
  /// The order of the norm: 1, 2 or infinity.
  [[nodiscard]] double norm_type() const noexcept { return norm_type_; }
  /// The number of elements, finite or not.
  [[nodiscard]] std::uint64_t elements() const noexcept { return elements_; }
  /// How many of them are NaN.
  [[nodiscard]] std::uint64_t nan_elements() const noexcept { return nan_elements_; }
  /// How many of them are infinite.
  [[nodiscard]] std::uint64_t infinite_elements() const noexcept { return infinite_elements_; }

  /// The protobuf message `evenkeel.v1.NormPartial`, at most some 600 bytes. Equal partials have equal bytes.
  [[nodiscard]] std::vector<std::byte> to_bytes() const;
  /// The partial in such a message.
  /// @throws invalid_argument, of the message's field, if no elements can have it
  [[nodiscard]] static norm_partial from_bytes(std::span<const std::byte> bytes);

  /// Whether the partials are of the same order and have the same counts and sums.
  friend bool operator==(const norm_partial&, const norm_partial&) = default;

 private:
  double norm_type_;
  std::uint64_t elements_ = 0;
  std::uint64_t nan_elements_ = 0;
  std::uint64_t infinite_elements_ = 0;
  double largest_ = 0;
  std::vector<std::uint32_t> sum_;  // in units of 2^-2148, lowest digit first, without zeros at the end
};

namespace detail {
class statistics_access;
struct statistics;
}  // namespace detail

/// The exact sums over the sets of a tensor (the elements that are pooled together), from which mean and variance
/// follow.
///
/// Made by client::measure_statistics. Programs pass it to each other with to_bytes() and from_bytes(). Copies are
/// cheap: they share the sums until one of them merges.
class statistics_partial {
 public:
  /// Adds the sets of another partial of the same kind and shape to those of this one.
  /// @throws invalid_argument if they are of another kind (`kind`) or shape (`shape`), if gradients were measured for
  /// one of them alone (`sets[0].sum_of_gradients`), or if a set has more than 2^59 elements (`sets[0].elements`);
  /// nothing is added then.
  statistics_partial& merge(const statistics_partial& other);

  /// The normalization that the sets are pooled by.
  [[nodiscard]] norm_kind kind() const noexcept;
  /// The shape of the sets: the input's without the pooled axes; group: with the number of groups in place of the
  /// channels.
  [[nodiscard]] const shape_type& shape() const noexcept;
  /// The number of elements that each set has, in all parts; 0 if there are no sets.
  [[nodiscard]] std::uint64_t elements() const noexcept;
  /// Whether gradients were measured beside the elements; also true if there are no sets.
  [[nodiscard]] bool has_gradients() const noexcept;

  /// The protobuf message `evenkeel.v1.StatisticsPartial`. Equal partials have equal bytes.
  [[nodiscard]] std::vector<std::byte> to_bytes() const;
  /// The partial in such a message.
  /// @throws invalid_argument, of the message's field, if no elements can have it
  [[nodiscard]] static statistics_partial from_bytes(std::span<const std::byte> bytes);

 private:
  friend class detail::statistics_access;
  explicit statistics_partial(std::shared_ptr<detail::statistics> shared);

  std::shared_ptr<detail::statistics> shared_;
};

}  // namespace evenkeel
