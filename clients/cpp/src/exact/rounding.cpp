// Exact sums rounded to double.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "exact/natural.hpp"

namespace evenkeel::exact {

namespace {

/// The power of two of the smallest double above 0.
constexpr int least_exponent = -1074;
/// The bits of a double's mantissa.
constexpr int precision = 53;

/// The 64 lowest bits.
std::uint64_t low_bits(const natural& value) {
  const natural::digits& digits = value.to_digits();
  const std::uint64_t low = digits.empty() ? 0 : digits[0];
  const std::uint64_t high = digits.size() < 2 ? 0 : digits[1];
  return low | high << 32U;
}

/// `(mantissa + rest) * 2^exponent`, rounded once, where 0 <= rest < 1, and `has_rest` says whether it is above 0.
double assembled(std::uint64_t mantissa, bool has_rest, int exponent) {
  const int bits = 64 - std::countl_zero(mantissa);
  // A double has at most 53 bits, and none below 2^-1074.
  const int drop = std::max(bits - precision, least_exponent - exponent);
  if (drop > 0 && drop <= 63) {
    const std::uint64_t rest = mantissa & ((std::uint64_t{1} << drop) - 1);
    const std::uint64_t half = std::uint64_t{1} << (drop - 1);
    mantissa >>= drop;
    exponent += drop;
    const bool is_above_half = rest > half || (rest == half && has_rest);
    mantissa += static_cast<std::uint64_t>(is_above_half || (rest == half && (mantissa & 1U) != 0));
  } else if (drop > 63) {
    return 0;  // below half of the smallest double, since the mantissa has 60 bits at most
  }
  return std::ldexp(static_cast<double>(mantissa), exponent);
}

/// The largest whole number whose square is not above `square`, which is below 2^120.
std::uint64_t whole_root(const natural& square) {
  const std::size_t bits = (square.bit_length() + 1) / 2;
  std::uint64_t root = 0;
  for (std::size_t bit = bits; bit-- > 0;) {
    const std::uint64_t candidate = root | (std::uint64_t{1} << bit);
    if (natural{candidate} * natural{candidate} <= square) {
      root = candidate;
    }
  }
  return root;
}

}  // namespace

double rounded(const natural& units) {
  const std::size_t bits = units.bit_length();
  // Two bits more than a double has, so that the rest decides ties alone.
  const std::size_t drop = bits > 60 ? bits - 60 : 0;
  const bool has_rest = drop > 0 && units.trailing_zeros() < drop;
  return assembled(low_bits(units.shifted_right(drop)), has_rest, unit_exponent + static_cast<int>(drop));
}

double rounded_root(const natural& units) {
  if (units.is_zero()) {
    return 0;
  }
  // units = square * 4^half + rest, with a square of 116 or 117 bits, whose root has 58 or 59 bits. The root of the
  // whole is the root of the square, rounded down to a whole number, and a fraction, times 2^half.
  const int bits = static_cast<int>(units.bit_length());
  const int shift = bits - 117;
  const int half = shift >= 0 ? (shift + 1) / 2 : -((-shift) / 2);
  const natural square = half >= 0 ? units.shifted_right(2 * static_cast<std::size_t>(half))
                                   : units.shifted_left(2 * static_cast<std::size_t>(-half));
  const bool has_low_bits = half > 0 && units.trailing_zeros() < 2 * static_cast<std::size_t>(half);
  const std::uint64_t root = whole_root(square);
  const bool has_rest = has_low_bits || natural{root} * natural{root} != square;
  return assembled(root, has_rest, unit_exponent / 2 + half);
}

}  // namespace evenkeel::exact
