/// @file
/// Tensors with memory of their own: what comes out of a call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "evenkeel/tensor.hpp"

namespace evenkeel {

/// A dense row-major tensor in memory that somebody else owns, to write a result to; see the `into` of the options.
class mutable_tensor {
 public:
  /// Memory for a result, of as many elements as the result has.
  template <element T>
  mutable_tensor(std::span<T> elements)  // NOLINT(google-explicit-constructor): `.into = y` reads well
      : bytes_{std::as_writable_bytes(elements)}, type_{dtype_of<T>::value} {}
  /// The same of a vector.
  template <element T>
  mutable_tensor(std::vector<T>& elements)  // NOLINT(google-explicit-constructor): as above
      : mutable_tensor{std::span<T>{elements}} {}
  /// Memory for elements whose type is known at run time.
  mutable_tensor(dtype type, std::span<std::byte> bytes) : bytes_{bytes}, type_{type} {}

  /// The element type.
  [[nodiscard]] dtype type() const noexcept { return type_; }
  /// The memory.
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::span<std::byte> bytes_;
  dtype type_;
};

/// A dense row-major tensor whose element type is known at run time alone. It can be moved, and copied by clone().
class any_array {
 public:
  /// No elements of shape [0].
  any_array() noexcept = default;
  /// A tensor with memory of its own that is not initialized.
  /// @throws invalid_argument if the shape has a negative dimension or too many elements.
  any_array(dtype type, shape_type shape);
  /// A tensor in memory that somebody else owns, which must outlive it.
  /// @throws invalid_argument if the shape does not have as many elements.
  any_array(const mutable_tensor& memory, shape_type shape);

  /// The element type.
  [[nodiscard]] dtype type() const noexcept { return type_; }
  /// The dimensions.
  [[nodiscard]] const shape_type& shape() const noexcept { return shape_; }
  /// The elements as bytes: little-endian, row-major.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  /// The elements as bytes: little-endian, row-major.
  [[nodiscard]] std::span<std::byte> bytes() noexcept { return bytes_; }

  /// The elements.
  /// @throws invalid_argument, of the field `dtype`, if they are of another type.
  template <element T>
  [[nodiscard]] std::span<const T> as() const {
    require(dtype_of<T>::value);
    return {reinterpret_cast<const T*>(bytes_.data()), bytes_.size() / sizeof(T)};
  }
  /// The elements.
  /// @throws invalid_argument, of the field `dtype`, if they are of another type.
  template <element T>
  [[nodiscard]] std::span<T> as() {
    require(dtype_of<T>::value);
    return {reinterpret_cast<T*>(bytes_.data()), bytes_.size() / sizeof(T)};
  }

  /// A copy with memory of its own.
  [[nodiscard]] any_array clone() const;

  /// The view that calls take.
  operator any_tensor() const {  // NOLINT(google-explicit-constructor): results go into other calls
    return any_tensor{type_, bytes_, shape_};
  }

 private:
  void require(dtype type) const;

  std::unique_ptr<std::byte[]> memory_;  // NOLINT(modernize-avoid-c-arrays): a vector would fill it with zeros first
  std::span<std::byte> bytes_;
  shape_type shape_{0};
  dtype type_ = dtype::float32;
};

/// A dense row-major tensor of elements of type `T`. It can be moved, and copied by clone().
template <element T>
class array {
 public:
  using value_type = T;  ///< The type of the elements.

  /// No elements of shape [0].
  array() : array{shape_type{0}} {}
  /// A tensor with memory of its own that is not initialized.
  /// @throws invalid_argument if the shape has a negative dimension or too many elements.
  explicit array(shape_type shape) : array{any_array{dtype_of<T>::value, std::move(shape)}} {}
  /// The tensor with its type.
  /// @throws invalid_argument, of the field `dtype`, if it has another.
  explicit array(any_array&& from) : whole_{std::move(from)}, elements_{whole_.as<T>()} {}

  /// The dimensions.
  [[nodiscard]] const shape_type& shape() const noexcept { return whole_.shape(); }
  /// The elements, row-major.
  [[nodiscard]] std::span<const T> elements() const noexcept { return elements_; }
  /// The elements, row-major.
  [[nodiscard]] std::span<T> elements() noexcept { return elements_; }
  /// The elements as a vector of their own.
  [[nodiscard]] std::vector<T> to_vector() const { return {elements_.begin(), elements_.end()}; }
  /// A copy with memory of its own.
  [[nodiscard]] array clone() const { return array{whole_.clone()}; }
  /// The tensor without its type: `std::move(x).to_any()`.
  [[nodiscard]] any_array to_any() && { return std::move(whole_); }

  /// The first element.
  [[nodiscard]] T* data() noexcept { return elements_.data(); }
  /// The first element.
  [[nodiscard]] const T* data() const noexcept { return elements_.data(); }
  /// The number of elements.
  [[nodiscard]] std::size_t size() const noexcept { return elements_.size(); }
  /// The first element.
  [[nodiscard]] auto begin() const noexcept { return elements().begin(); }
  /// The end of the elements.
  [[nodiscard]] auto end() const noexcept { return elements().end(); }
  /// The element at an index in row-major order, which is not checked.
  [[nodiscard]] T& operator[](std::size_t index) noexcept { return elements_[index]; }
  /// The element at an index in row-major order, which is not checked.
  [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return elements_[index]; }

 private:
  any_array whole_;
  std::span<T> elements_;
};

namespace detail {

/// A dense copy of elements that lie apart; `base` is the first, `strides` are in bytes.
[[nodiscard]] any_array gathered(dtype type, const std::byte* base, shape_type shape,
                                 std::span<const std::int64_t> strides);

}  // namespace detail

/// A dense row-major copy of elements that lie apart, such as a transposed or sliced array: calls take dense tensors
/// alone.
///
/// @param first the element at index 0 of every dimension
/// @param shape the dimensions
/// @param strides for each dimension the distance of neighbours, in elements; 0 and negative ones are allowed
/// @throws invalid_argument if there are not as many strides as dimensions
template <element T>
// NOLINTNEXTLINE(performance-unnecessary-value-param): it is moved, which the lint misses in a template
[[nodiscard]] array<T> contiguous(const T* first, shape_type shape, std::span<const std::int64_t> strides) {
  std::vector<std::int64_t> bytes(strides.begin(), strides.end());
  for (std::int64_t& stride : bytes) {
    stride *= static_cast<std::int64_t>(sizeof(T));
  }
  return array<T>{
      detail::gathered(dtype_of<T>::value, reinterpret_cast<const std::byte*>(first), std::move(shape), bytes)};
}

/// A tensor under a name: a gradient. `G` is any_tensor on the way in, and any_array on the way out.
template <class G>
struct named {
  std::string name;  ///< The label, which the answer repeats; it may be empty.
  G tensor;          ///< The tensor.
};

/// A gradient that goes into a call: `{"weight", tensor(w, {2, 2})}`.
using gradient = named<any_tensor>;
/// A gradient that comes out of a call.
using clipped_gradient = named<any_array>;

}  // namespace evenkeel
