/// @file
/// The draws of a dropout, computed without a server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace evenkeel {

/// One bit for every draw of a dropout: whether what it belongs to is kept.
class keep_bits {
 public:
  /// No draws.
  keep_bits() = default;
  /// So many draws, in bytes as the server sends them: least significant bit first, the last byte padded with 0.
  keep_bits(std::size_t size, std::vector<std::byte> bytes) : size_{size}, bytes_{std::move(bytes)} {}

  /// The number of draws.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Whether draw `index` keeps; the index is not checked.
  [[nodiscard]] bool operator[](std::size_t index) const noexcept {
    return (std::to_integer<unsigned>(bytes_[index / 8]) >> (index % 8) & 1U) != 0;
  }
  /// The number of draws that keep.
  [[nodiscard]] std::size_t count() const noexcept;
  /// The bits, least significant first, the last byte padded with 0.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

  /// Whether all draws are equal.
  friend bool operator==(const keep_bits&, const keep_bits&) = default;

 private:
  std::size_t size_ = 0;
  std::vector<std::byte> bytes_;
};

/// The mask of a dropout, computed here: draw `i` keeps if word `offset + i` of NumPy's `np.random.Philox(key=seed)`,
/// as 32-bit words, is at least `ceil(p * 2^32)`.
///
/// @param seed the key of the stream
/// @param n the number of draws
/// @param p the probability of a drop, in [0, 1]
/// @param offset the index of the first draw
/// @throws invalid_argument if p is not in [0, 1], or if the stream has no draw `offset + n - 1`
[[nodiscard]] keep_bits keep_mask(std::uint64_t seed, std::size_t n, double p, std::uint64_t offset = 0);

}  // namespace evenkeel
