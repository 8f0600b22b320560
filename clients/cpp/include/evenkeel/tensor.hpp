/// @file
/// Views of tensors that belong to the caller: what goes into a call.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>
#if __has_include(<stdfloat>)
#include <stdfloat>
#endif

#include "evenkeel/float16.hpp"

namespace evenkeel {

/// Elements travel as little-endian bytes, straight from and to memory.
static_assert(std::endian::native == std::endian::little, "evenkeel's client needs a little-endian machine");

/// The element type of a tensor.
enum class dtype : std::uint8_t {
  float32 = 1,   ///< IEEE 754 binary32, 4 bytes: `float`.
  float64 = 2,   ///< IEEE 754 binary64, 8 bytes: `double`.
  float16 = 3,   ///< IEEE 754 binary16, 2 bytes: evenkeel::float16, or std::float16_t.
  bfloat16 = 4,  ///< The upper half of a binary32, 2 bytes: evenkeel::bfloat16, or std::bfloat16_t.
};

/// The bytes of an element.
[[nodiscard]] constexpr std::size_t size_of(dtype type) noexcept {
  return type == dtype::float64 ? 8 : type == dtype::float32 ? 4 : 2;
}

/// The name: "float32", "float64", "float16", "bfloat16".
[[nodiscard]] std::string_view to_string(dtype type) noexcept;
/// The dtype of a name, for settings that are text.
/// @throws invalid_argument, of the field `dtype`, for other names
[[nodiscard]] dtype to_dtype(std::string_view name);

/// The dtype of a C++ type. It is specialized for the element types, and has no `value` for others.
template <class T>
struct dtype_of {};

/// @cond
template <>
struct dtype_of<float> : std::integral_constant<dtype, dtype::float32> {};
template <>
struct dtype_of<double> : std::integral_constant<dtype, dtype::float64> {};
template <>
struct dtype_of<float16> : std::integral_constant<dtype, dtype::float16> {};
template <>
struct dtype_of<bfloat16> : std::integral_constant<dtype, dtype::bfloat16> {};
#ifdef __STDCPP_FLOAT32_T__
template <>
struct dtype_of<std::float32_t> : std::integral_constant<dtype, dtype::float32> {};
#endif
#ifdef __STDCPP_FLOAT64_T__
template <>
struct dtype_of<std::float64_t> : std::integral_constant<dtype, dtype::float64> {};
#endif
#ifdef __STDCPP_FLOAT16_T__
template <>
struct dtype_of<std::float16_t> : std::integral_constant<dtype, dtype::float16> {};
#endif
#ifdef __STDCPP_BFLOAT16_T__
template <>
struct dtype_of<std::bfloat16_t> : std::integral_constant<dtype, dtype::bfloat16> {};
#endif
/// @endcond

/// A type of elements: `float`, `double`, `float16`, `bfloat16`, and the standard library's of the same formats.
template <class T>
concept element = requires {
  { dtype_of<T>::value } -> std::convertible_to<dtype>;
};

/// The dimensions of a tensor, outermost first; empty: a scalar. At most 64, none negative.
using shape_type = std::vector<std::int64_t>;

namespace detail {

/// Throws invalid_argument, of the field `shape`, unless so many elements have this shape.
void require_fit(std::span<const std::int64_t> shape, std::size_t elements);

}  // namespace detail

/// A dense row-major tensor in memory that somebody else owns, which must outlive the view.
template <element T>
class tensor_view {
 public:
  using value_type = T;  ///< The type of the elements.

  /// A view of elements in row-major order.
  /// @throws invalid_argument if the shape does not have as many elements.
  tensor_view(std::span<const T> elements, shape_type shape) : elements_{elements}, shape_{std::move(shape)} {
    detail::require_fit(shape_, elements_.size());
  }

  /// The elements, row-major.
  [[nodiscard]] std::span<const T> elements() const noexcept { return elements_; }
  /// The dimensions.
  [[nodiscard]] const shape_type& shape() const noexcept { return shape_; }

 private:
  std::span<const T> elements_;
  shape_type shape_;
};

/// A tensor, or a contiguous range of elements, which counts as a tensor of one dimension.
template <class X>
concept tensor_like = requires(const X& x) {
  { x.shape() } -> std::convertible_to<shape_type>;
  { x.elements() } -> std::ranges::contiguous_range;
  requires element<std::remove_cv_t<std::ranges::range_value_t<decltype(x.elements())>>>;
}
|| (std::ranges::contiguous_range<const X> && std::ranges::sized_range<const X> &&
    element<std::remove_cv_t<std::ranges::range_value_t<const X>>>);

/// A view of a range of elements in row-major order: `tensor(x, {256, 1024})`.
///
/// The range (a vector, an array, a span) is not copied, and must outlive the view.
/// @throws invalid_argument if the shape does not have as many elements.
template <std::ranges::contiguous_range R>
requires element<std::remove_cv_t<std::ranges::range_value_t<const R>>>
[[nodiscard]] auto tensor(const R& elements, shape_type shape) {
  using value = std::remove_cv_t<std::ranges::range_value_t<const R>>;
  return tensor_view<value>{std::span<const value>{std::ranges::data(elements), std::ranges::size(elements)},
                            std::move(shape)};
}

/// A view of a range of elements as a tensor of one dimension.
template <std::ranges::contiguous_range R>
requires element<std::remove_cv_t<std::ranges::range_value_t<const R>>>
[[nodiscard]] auto tensor(const R& elements) {
  return tensor(elements, shape_type{static_cast<std::int64_t>(std::ranges::size(elements))});
}

/// The view of anything that is tensor_like.
template <tensor_like X>
[[nodiscard]] auto view_of(const X& x) {
  if constexpr (requires { x.elements(); }) {
    return tensor(x.elements(), x.shape());
  } else {
    return tensor(x);
  }
}

/// The type of the elements of something that is tensor_like.
template <tensor_like X>
using element_of = typename decltype(view_of(std::declval<const X&>()))::value_type;

/// A tensor_view whose element type is known at run time alone. The memory must outlive it.
class any_tensor {
 public:
  /// A view of a tensor, or of a contiguous range, of any element type.
  template <tensor_like X>
  any_tensor(const X& x)  // NOLINT(google-explicit-constructor): options take any tensor by its own name
      : any_tensor{view_of(x)} {}

  /// The same tensor without its type.
  template <element T>
  any_tensor(const tensor_view<T>& view)  // NOLINT(google-explicit-constructor): loses nothing
      : bytes_{std::as_bytes(view.elements())}, shape_{view.shape()}, type_{dtype_of<T>::value} {}

  /// Elements as bytes: little-endian, row-major.
  /// @throws invalid_argument if the shape does not have as many elements.
  any_tensor(dtype type, std::span<const std::byte> bytes, shape_type shape);

  /// The element type.
  [[nodiscard]] dtype type() const noexcept { return type_; }
  /// The elements as bytes: little-endian, row-major.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  /// The dimensions.
  [[nodiscard]] const shape_type& shape() const noexcept { return shape_; }

 private:
  std::span<const std::byte> bytes_;
  shape_type shape_;
  dtype type_;
};

}  // namespace evenkeel
