/// @file
/// The two floating-point types of two bytes, with conversions that round to nearest, ties to even.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>
#include <span>
#include <vector>

namespace evenkeel {

namespace detail {

/// The value shifted right by `drop` bits (1 to 63), rounded to nearest, ties to even.
constexpr std::uint64_t shifted_to_even(std::uint64_t value, int drop) noexcept {
  const std::uint64_t kept = value >> drop;
  const std::uint64_t rest = value & ((std::uint64_t{1} << drop) - 1);
  const std::uint64_t half = std::uint64_t{1} << (drop - 1);
  return kept + static_cast<std::uint64_t>(rest > half || (rest == half && (kept & 1U) != 0));
}

/// The bits of a binary format of two bytes that has `Mantissa` bits below the leading one, nearest to `value`.
template <int Mantissa>
constexpr std::uint16_t rounded_bits(double value) noexcept {
  constexpr int exponent_bits = 15 - Mantissa;
  constexpr int bias = (1 << (exponent_bits - 1)) - 1;
  constexpr std::uint64_t infinity = ((std::uint64_t{1} << exponent_bits) - 1) << Mantissa;
  constexpr int drop = 52 - Mantissa;
  constexpr std::uint64_t mantissa_mask = (std::uint64_t{1} << 52) - 1;

  const auto bits = std::bit_cast<std::uint64_t>(value);
  const std::uint64_t sign = (bits >> 63) << 15;
  const std::uint64_t magnitude = bits & ~(std::uint64_t{1} << 63);
  const std::uint64_t mantissa = magnitude & mantissa_mask;
  const int exponent = static_cast<int>(magnitude >> 52) - 1023;
  std::uint64_t result = infinity;
  if (exponent == 1024 && mantissa != 0) {
    // A NaN keeps the upper bits of its payload, and becomes quiet.
    result = infinity | (std::uint64_t{1} << (Mantissa - 1)) | (mantissa >> drop);
  } else if (exponent < 1 - bias) {
    // Below the smallest normal number of the format: a whole number of its smallest steps.
    const int shift = drop + 1 - bias - exponent;
    result = shift < 64 ? shifted_to_even(mantissa | (std::uint64_t{1} << 52), shift) : 0;
  } else if (exponent <= bias) {
    // A carry out of the mantissa goes into the exponent, and from the largest number on to infinity.
    result = shifted_to_even((static_cast<std::uint64_t>(exponent + bias) << 52) | mantissa, drop);
  }
  return static_cast<std::uint16_t>(sign | result);
}

}  // namespace detail

/// IEEE 754 binary16: 2 bytes, 11 bits of precision, the largest number is 65504.
class float16 {
 public:
  /// Uninitialized, as a `float` is.
  float16() = default;

  /// The nearest float16, ties to even. Numbers from 65520 on become infinity; a NaN stays a quiet NaN.
  template <std::floating_point T>
  constexpr explicit float16(T value) noexcept : bits_{detail::rounded_bits<10>(static_cast<double>(value))} {}

  /// The number with these bits.
  [[nodiscard]] static constexpr float16 from_bits(std::uint16_t bits) noexcept {
    float16 result{0.0F};
    result.bits_ = bits;
    return result;
  }

  /// The bits: one of sign, five of exponent, ten of mantissa.
  [[nodiscard]] constexpr std::uint16_t bits() const noexcept { return bits_; }

  /// The same number. Every float16 is a float.
  constexpr explicit operator float() const noexcept {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits_ >> 15U) << 31U;
    const std::uint32_t exponent = (bits_ >> 10U) & 31U;
    const std::uint32_t mantissa = bits_ & 1023U;
    if (exponent == 0) {
      // Subnormal: the mantissa counts steps of 2^-24, and the product is exact.
      const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
      return sign == 0 ? magnitude : -magnitude;
    }
    const std::uint32_t wide = exponent == 31 ? 255U : exponent + 112U;
    return std::bit_cast<float>(sign | (wide << 23U) | (mantissa << 13U));
  }

  /// The same number. Every float16 is a double.
  constexpr explicit operator double() const noexcept { return static_cast<double>(static_cast<float>(*this)); }

  /// Compares the numbers: NaN is equal to nothing, and the two zeros are equal.
  friend constexpr bool operator==(float16 left, float16 right) noexcept {
    return static_cast<float>(left) == static_cast<float>(right);
  }

 private:
  std::uint16_t bits_;
};

/// The upper half of an IEEE 754 binary32: 2 bytes, 8 bits of precision, the range of `float`.
class bfloat16 {
 public:
  /// Uninitialized, as a `float` is.
  bfloat16() = default;

  /// The nearest bfloat16, ties to even. A NaN stays a quiet NaN.
  template <std::floating_point T>
  constexpr explicit bfloat16(T value) noexcept : bits_{detail::rounded_bits<7>(static_cast<double>(value))} {}

  /// The number with these bits.
  [[nodiscard]] static constexpr bfloat16 from_bits(std::uint16_t bits) noexcept {
    bfloat16 result{0.0F};
    result.bits_ = bits;
    return result;
  }

  /// The bits: one of sign, eight of exponent, seven of mantissa.
  [[nodiscard]] constexpr std::uint16_t bits() const noexcept { return bits_; }

  /// The same number. Every bfloat16 is a float.
  constexpr explicit operator float() const noexcept {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits_) << 16U);
  }

  /// The same number. Every bfloat16 is a double.
  constexpr explicit operator double() const noexcept { return static_cast<double>(static_cast<float>(*this)); }

  /// Compares the numbers: NaN is equal to nothing, and the two zeros are equal.
  friend constexpr bool operator==(bfloat16 left, bfloat16 right) noexcept {
    return static_cast<float>(left) == static_cast<float>(right);
  }

 private:
  std::uint16_t bits_;
};

static_assert(sizeof(float16) == 2 && sizeof(bfloat16) == 2);

/// The elements of a range in another floating-point type, each rounded once to nearest, ties to even.
template <class To, class From>
[[nodiscard]] std::vector<To> convert(std::span<const From> from) {
  std::vector<To> result(from.size());
  std::transform(from.begin(), from.end(), result.begin(), [](From value) {
    if constexpr (std::floating_point<From>) {
      return static_cast<To>(value);
    } else {
      return static_cast<To>(static_cast<float>(value));
    }
  });
  return result;
}

}  // namespace evenkeel
