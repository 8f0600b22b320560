// Whole numbers, and what sums round to, beside Python's.
#include <gtest/gtest.h>

#include <bit>
#include <fstream>
#include <sstream>
#include <string>

#include "exact/natural.hpp"

namespace {

using evenkeel::exact::natural;

natural from_hex(const std::string& text) {
  natural::digits digits((text.size() + 7) / 8);
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const std::size_t end = text.size() - 8 * i;
    const std::size_t begin = end < 8 ? 0 : end - 8;
    digits[i] = static_cast<std::uint32_t>(std::stoul(text.substr(begin, end - begin), nullptr, 16));
  }
  return natural{digits};
}

std::string to_hex(double value) {
  std::ostringstream text;
  text << std::hex << std::bit_cast<std::uint64_t>(value);
  return text.str();
}

TEST(Exact, AgreesWithPython) {
  std::ifstream file{EXACT_DATA};
  std::size_t lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    std::istringstream words{line};
    std::string name;
    std::string a;
    std::string b;
    std::string c;
    words >> name >> a >> b >> c;
    const natural first = from_hex(a);
    if (name == "round") {
      ASSERT_EQ(to_hex(evenkeel::exact::rounded(first)), b) << a;
    } else if (name == "root") {
      ASSERT_EQ(to_hex(evenkeel::exact::rounded_root(first)), b) << a;
    } else if (name == "product") {
      ASSERT_EQ(first * from_hex(b), from_hex(c)) << line;
    } else {
      natural result = first;
      name == "sum" ? result += from_hex(b) : result -= from_hex(b);
      ASSERT_EQ(result, from_hex(c)) << line;
    }
  }
  EXPECT_GT(lines, 1500);
}

TEST(Exact, ShiftsAndCountsBits) {
  const natural odd{0x8000000000000001};
  EXPECT_EQ(odd.bit_length(), 64);
  for (const std::size_t bits : {0U, 1U, 31U, 32U, 33U, 64U, 1000U}) {
    const natural shifted = odd.shifted_left(bits);
    EXPECT_EQ(shifted.trailing_zeros(), bits);
    EXPECT_EQ(shifted.bit_length(), 64 + bits);
    EXPECT_EQ(shifted.shifted_right(bits), odd);
    EXPECT_EQ(shifted.shifted_right(bits + 1), natural{0x4000000000000000});
    EXPECT_TRUE(shifted.shifted_right(bits + 64).is_zero());
  }
}

TEST(Exact, ConvertsBytes) {
  const std::vector<std::byte> bytes{std::byte{0}, std::byte{2}, std::byte{3},
                                     std::byte{4}, std::byte{5}, std::byte{0}};
  const natural number = natural::from_bytes(bytes);
  EXPECT_EQ(number, natural{0x0504030200});
  EXPECT_EQ(number.to_bytes(), (std::vector<std::byte>{bytes.begin(), bytes.end() - 1}));
  EXPECT_TRUE(natural::from_bytes({}).is_zero());
}

}  // namespace
