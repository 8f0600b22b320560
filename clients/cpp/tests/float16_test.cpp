// Conversions of the types of two bytes: all of them, and the points between neighbours.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <evenkeel/float16.hpp>
#include <limits>

namespace {

using evenkeel::bfloat16;
using evenkeel::float16;

template <class T>
class TwoBytes : public testing::Test {};
using types = testing::Types<float16, bfloat16>;
TYPED_TEST_SUITE(TwoBytes, types);

TYPED_TEST(TwoBytes, EveryNumberComesBack) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const auto number = TypeParam::from_bits(static_cast<std::uint16_t>(bits));
    const auto wide = static_cast<float>(number);
    if (std::isnan(wide)) {
      const unsigned quiet = sizeof(TypeParam) == 2 && std::is_same_v<TypeParam, float16> ? 0x0200 : 0x0040;
      ASSERT_EQ(TypeParam{wide}.bits(), bits | quiet);
    } else {
      ASSERT_EQ(TypeParam{wide}.bits(), bits);
      ASSERT_EQ(TypeParam{static_cast<double>(number)}.bits(), bits);
    }
  }
}

TYPED_TEST(TwoBytes, RoundsToTheNearestAndTiesToEven) {
  for (unsigned bits = 0; bits < 0x7FFF; ++bits) {
    const auto low = TypeParam::from_bits(static_cast<std::uint16_t>(bits));
    const auto high = TypeParam::from_bits(static_cast<std::uint16_t>(bits + 1));
    const auto below = static_cast<double>(low);
    const auto above = static_cast<double>(high);
    if (!std::isfinite(below) || !std::isfinite(above)) {
      continue;
    }
    const double middle = (below + above) / 2;
    const unsigned even = bits % 2 == 0 ? bits : bits + 1;
    for (const double sign : {1.0, -1.0}) {
      const unsigned sign_bit = sign < 0 ? 0x8000 : 0;
      ASSERT_EQ(TypeParam{sign * middle}.bits(), even | sign_bit);
      ASSERT_EQ(TypeParam{sign * std::nextafter(middle, 0.0)}.bits(), bits | sign_bit);
      ASSERT_EQ(TypeParam{sign * std::nextafter(middle, 1e308)}.bits(), (bits + 1) | sign_bit);
      // A float between the two is rounded once, too.
      ASSERT_EQ(TypeParam{static_cast<float>(sign * middle)}.bits(), even | sign_bit);
    }
  }
}

TEST(Float16, EndsOfItsRange) {
  EXPECT_EQ(float16{65504.0F}.bits(), 0x7BFF);
  EXPECT_EQ(float16{std::nextafter(65520.0, 0.0)}.bits(), 0x7BFF);
  EXPECT_EQ(float16{65520.0}.bits(), 0x7C00);
  EXPECT_EQ(float16{1e300}.bits(), 0x7C00);
  EXPECT_EQ(float16{-std::numeric_limits<double>::infinity()}.bits(), 0xFC00);
  EXPECT_EQ(float16{0x1p-25}.bits(), 0);
  EXPECT_EQ(float16{std::nextafter(0x1p-25, 1.0)}.bits(), 1);
  EXPECT_EQ(float16{-1e-300}.bits(), 0x8000);
}

TEST(Bfloat16, EndsOfItsRange) {
  EXPECT_EQ(bfloat16{std::numeric_limits<float>::max()}.bits(), 0x7F80);
  EXPECT_EQ(bfloat16{1e300}.bits(), 0x7F80);
  EXPECT_EQ(bfloat16{0x1p-134}.bits(), 0);
  EXPECT_EQ(bfloat16{std::nextafter(0x1p-134, 1.0)}.bits(), 1);
}

TEST(Convert, TakesAnyPairOfTypes) {
  const std::array<float, 3> x{1.0F, 1.00390625F, -2.5F};
  const auto narrow = evenkeel::convert<bfloat16>(std::span<const float>{x});
  EXPECT_EQ(narrow[1].bits(), 0x3F80);
  const auto other = evenkeel::convert<float16>(std::span<const bfloat16>{narrow});
  EXPECT_EQ(other[2], float16{-2.5F});
  EXPECT_EQ(evenkeel::convert<double>(std::span<const float16>{other})[2], -2.5);
}

}  // namespace
