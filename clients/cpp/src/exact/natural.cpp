#include "exact/natural.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace evenkeel::exact {

namespace {

constexpr std::size_t digit_bits = 32;

}  // namespace

natural::natural(std::uint64_t value)
    : digits_{static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(value >> digit_bits)} {
  trim();
}

natural::natural(digits value) : digits_{std::move(value)} { trim(); }

natural natural::from_bytes(std::span<const std::byte> bytes) {
  digits value((bytes.size() + 3) / 4);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    value[i / 4] |= std::to_integer<std::uint32_t>(bytes[i]) << (8 * (i % 4));
  }
  return natural{std::move(value)};
}

std::vector<std::byte> natural::to_bytes() const {
  std::vector<std::byte> bytes((bit_length() + 7) / 8);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(digits_[i / 4] >> (8 * (i % 4)));
  }
  return bytes;
}

std::size_t natural::bit_length() const noexcept {
  return digits_.empty() ? 0 : digits_.size() * digit_bits - static_cast<std::size_t>(std::countl_zero(digits_.back()));
}

std::size_t natural::trailing_zeros() const noexcept {
  for (std::size_t i = 0; i < digits_.size(); ++i) {
    if (digits_[i] != 0) {
      return i * digit_bits + static_cast<std::size_t>(std::countr_zero(digits_[i]));
    }
  }
  return 0;
}

void natural::trim() noexcept {
  while (!digits_.empty() && digits_.back() == 0) {
    digits_.pop_back();
  }
}

natural& natural::operator+=(const natural& other) {
  if (digits_.size() < other.digits_.size()) {
    digits_.resize(other.digits_.size());
  }
  std::uint64_t carry = 0;
  for (std::size_t i = 0; i < digits_.size(); ++i) {
    carry += std::uint64_t{digits_[i]} + (i < other.digits_.size() ? other.digits_[i] : 0);
    digits_[i] = static_cast<std::uint32_t>(carry);
    carry >>= digit_bits;
  }
  if (carry != 0) {
    digits_.push_back(static_cast<std::uint32_t>(carry));
  }
  return *this;
}

natural& natural::operator-=(const natural& other) {
  std::uint64_t borrow = 0;
  for (std::size_t i = 0; i < digits_.size(); ++i) {
    const std::uint64_t subtrahend = (i < other.digits_.size() ? other.digits_[i] : 0) + borrow;
    borrow = static_cast<std::uint64_t>(digits_[i] < subtrahend);
    digits_[i] = static_cast<std::uint32_t>(digits_[i] - subtrahend);
  }
  trim();
  return *this;
}

natural operator*(const natural& left, const natural& right) {
  natural::digits product(left.digits_.size() + right.digits_.size());
  for (std::size_t i = 0; i < left.digits_.size(); ++i) {
    std::uint64_t carry = 0;
    for (std::size_t j = 0; j < right.digits_.size(); ++j) {
      // At most (2^32 - 1)^2 + 2 (2^32 - 1), the largest number of 64 bits.
      carry += std::uint64_t{left.digits_[i]} * right.digits_[j] + product[i + j];
      product[i + j] = static_cast<std::uint32_t>(carry);
      carry >>= digit_bits;
    }
    product[i + right.digits_.size()] = static_cast<std::uint32_t>(carry);
  }
  return natural{std::move(product)};
}

natural natural::shifted_left(std::size_t bits) const {
  digits value(digits_.size() + bits / digit_bits + 1);
  for (std::size_t i = 0; i < digits_.size(); ++i) {
    const std::uint64_t wide = std::uint64_t{digits_[i]} << (bits % digit_bits);
    value[i + bits / digit_bits] |= static_cast<std::uint32_t>(wide);
    value[i + bits / digit_bits + 1] = static_cast<std::uint32_t>(wide >> digit_bits);
  }
  return natural{std::move(value)};
}

natural natural::shifted_right(std::size_t bits) const {
  const std::size_t whole = bits / digit_bits;
  if (whole >= digits_.size()) {
    return {};
  }
  digits value(digits_.size() - whole);
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::uint64_t above = i + 1 < value.size() ? digits_[i + whole + 1] : 0;
    const std::uint64_t wide = (above << digit_bits) | digits_[i + whole];
    value[i] = static_cast<std::uint32_t>(wide >> (bits % digit_bits));
  }
  return natural{std::move(value)};
}

std::strong_ordering operator<=>(const natural& left, const natural& right) noexcept {
  if (left.digits_.size() != right.digits_.size()) {
    return left.digits_.size() <=> right.digits_.size();
  }
  return std::lexicographical_compare_three_way(left.digits_.rbegin(), left.digits_.rend(), right.digits_.rbegin(),
                                                right.digits_.rend());
}

}  // namespace evenkeel::exact
