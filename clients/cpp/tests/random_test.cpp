// Masks beside NumPy's words.
#include <gtest/gtest.h>

#include <cstdint>
#include <evenkeel/errors.hpp>
#include <evenkeel/random.hpp>
#include <limits>
#include <string>

namespace {

std::string text(const evenkeel::keep_bits& mask) {
  std::string bits;
  for (std::size_t draw = 0; draw < mask.size(); ++draw) {
    bits += mask[draw] ? '1' : '0';
  }
  return bits;
}

/// np.random.Philox(key=42).random_raw(4).view('<u4') >= np.uint64(2**31)
TEST(KeepMask, IsThatOfNumPy) { EXPECT_EQ(text(evenkeel::keep_mask(42, 8, 0.5)), "01001100"); }

TEST(KeepMask, SlicesJoin) {
  const std::string whole = text(evenkeel::keep_mask(7, 100, 0.3, 12345678901));
  for (std::size_t cut = 0; cut <= 100; cut += 9) {
    EXPECT_EQ(text(evenkeel::keep_mask(7, cut, 0.3, 12345678901)) +
                  text(evenkeel::keep_mask(7, 100 - cut, 0.3, 12345678901 + cut)),
              whole);
  }
}

TEST(KeepMask, EndsOfProbabilityAndStream) {
  EXPECT_EQ(evenkeel::keep_mask(1, 1000, 0).count(), 1000);
  EXPECT_EQ(evenkeel::keep_mask(1, 1000, 1).count(), 0);
  EXPECT_EQ(evenkeel::keep_mask(1, 0, 0.5).size(), 0);
  constexpr std::uint64_t last = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(evenkeel::keep_mask(1, 1, 0, last).size(), 1);
  EXPECT_THROW((void)evenkeel::keep_mask(1, 2, 0, last), evenkeel::invalid_argument);
  EXPECT_THROW((void)evenkeel::keep_mask(1, 2, std::numeric_limits<double>::quiet_NaN()), evenkeel::invalid_argument);
}

TEST(KeepMask, PadsItsLastByteWithZeros) {
  const auto mask = evenkeel::keep_mask(1, 9, 0);
  ASSERT_EQ(mask.bytes().size(), 2);
  EXPECT_EQ(mask.bytes()[1], std::byte{1});
}

}  // namespace
