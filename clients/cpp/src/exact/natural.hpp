/// @file
/// Whole numbers of any length, for sums that must not round.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace evenkeel::exact {

/// The longest sum of the contract, in bytes.
inline constexpr std::size_t max_sum_bytes = 532;
/// The most elements of a partial.
inline constexpr std::uint64_t max_elements = std::uint64_t{1} << 59;
/// A sum counts units of 2^-2148: the square of the smallest double above 0.
inline constexpr int unit_exponent = -2148;

/// A whole number, not negative. Equal numbers have equal digits.
class natural {
 public:
  /// Digits of 32 bits, the lowest first, without zeros at the end.
  using digits = std::vector<std::uint32_t>;

  /// The number 0.
  natural() = default;
  /// A number of 64 bits.
  explicit natural(std::uint64_t value);
  /// The number with these digits; zeros at the end do not matter.
  explicit natural(digits value);
  /// The number with these bytes, the lowest first; zeros at the end do not matter.
  [[nodiscard]] static natural from_bytes(std::span<const std::byte> bytes);
  /// The bytes, the lowest first, without zeros at the end.
  [[nodiscard]] std::vector<std::byte> to_bytes() const;

  /// The digits.
  [[nodiscard]] const digits& to_digits() const noexcept { return digits_; }
  /// Whether it is 0.
  [[nodiscard]] bool is_zero() const noexcept { return digits_.empty(); }
  /// The number of bits up to the highest that is set.
  [[nodiscard]] std::size_t bit_length() const noexcept;
  /// The number of zero bits below the lowest that is set; 0 for 0.
  [[nodiscard]] std::size_t trailing_zeros() const noexcept;

  /// The sum.
  natural& operator+=(const natural& other);
  /// The difference; `other` must not be larger.
  natural& operator-=(const natural& other);
  /// The product.
  friend natural operator*(const natural& left, const natural& right);
  /// The number times 2^bits.
  [[nodiscard]] natural shifted_left(std::size_t bits) const;
  /// The number divided by 2^bits, rounded down.
  [[nodiscard]] natural shifted_right(std::size_t bits) const;

  /// Compares the numbers.
  friend std::strong_ordering operator<=>(const natural& left, const natural& right) noexcept;
  /// Whether the numbers are equal.
  friend bool operator==(const natural&, const natural&) = default;

 private:
  void trim() noexcept;

  digits digits_;
};

/// `units * 2^unit_exponent`, rounded once to nearest, ties to even; beyond double: infinity.
[[nodiscard]] double rounded(const natural& units);
/// The square root of `units * 2^unit_exponent`, rounded once to nearest, ties to even; beyond double: infinity.
[[nodiscard]] double rounded_root(const natural& units);

}  // namespace evenkeel::exact
