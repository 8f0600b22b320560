// NumPy's Philox4x64-10, as a stream of 32-bit words that can be entered anywhere.
#include "evenkeel/random.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "evenkeel/errors.hpp"

namespace evenkeel {

namespace {

/// The words of a block, of 32 bits each.
constexpr std::uint64_t block_words = 8;

struct wide {
  std::uint64_t high;
  std::uint64_t low;
};

/// The product in 128 bits, by halves, since standard C++ has no wider multiplication.
constexpr wide product(std::uint64_t a, std::uint64_t b) noexcept {
  constexpr std::uint64_t mask = 0xFFFF'FFFF;
  const std::uint64_t low = (a & mask) * (b & mask);
  const std::uint64_t cross = (a >> 32U) * (b & mask) + (low >> 32U);
  const std::uint64_t middle = (a & mask) * (b >> 32U) + (cross & mask);
  return {(a >> 32U) * (b >> 32U) + (cross >> 32U) + (middle >> 32U), (middle << 32U) | (low & mask)};
}

/// The words of block `number` of a seed's stream. NumPy increments the counter before it makes a block.
std::array<std::uint32_t, block_words> block(std::uint64_t seed, std::uint64_t number) noexcept {
  constexpr int rounds = 10;
  std::array<std::uint64_t, 4> counter{number + 1, number + 1 == 0 ? 1U : 0U, 0, 0};
  std::array<std::uint64_t, 2> key{seed, 0};
  for (int round = 0; round < rounds; ++round) {
    const wide first = product(0xD2E7470EE14C6C93, counter[0]);
    const wide second = product(0xCA5A826395121157, counter[2]);
    counter = {second.high ^ counter[1] ^ key[0], second.low, first.high ^ counter[3] ^ key[1], first.low};
    key[0] += 0x9E3779B97F4A7C15;
    key[1] += 0xBB67AE8584CAA73B;
  }
  return std::bit_cast<std::array<std::uint32_t, block_words>>(counter);  // little-endian: the low half comes first
}

}  // namespace

std::size_t keep_bits::count() const noexcept {
  std::size_t kept = 0;
  for (const std::byte byte : bytes_) {
    kept += static_cast<std::size_t>(std::popcount(std::to_integer<unsigned>(byte)));
  }
  return kept;
}

keep_bits keep_mask(std::uint64_t seed, std::size_t n, double p, std::uint64_t offset) {
  if (!(p >= 0 && p <= 1)) {
    throw invalid_argument{"p", "expected a number in [0, 1]"};
  }
  if (n > 0 && n - 1 > std::numeric_limits<std::uint64_t>::max() - offset) {
    throw invalid_argument{"offset", "expected that the last draw is at 2^64 - 1 at most"};
  }
  const auto threshold = static_cast<std::uint64_t>(std::ceil(p * 0x1p32));
  std::vector<std::byte> bytes((n + 7) / 8);
  std::array<std::uint32_t, block_words> words{};
  for (std::size_t draw = 0; draw < n; ++draw) {
    const std::uint64_t place = offset + draw;
    if (draw == 0 || place % block_words == 0) {
      words = block(seed, place / block_words);
    }
    if (words[place % block_words] >= threshold) {
      bytes[draw / 8] |= std::byte{1} << (draw % 8);
    }
  }
  return {n, std::move(bytes)};
}

}  // namespace evenkeel
