// Views, arrays and what they refuse.
#include <gtest/gtest.h>

#include <array>
#include <evenkeel/evenkeel.hpp>
#include <numeric>

#include "ops/codec.hpp"

namespace {

using evenkeel::invalid_argument;
using evenkeel::shape_type;

TEST(Tensor, IsAViewOfAnyContiguousRange) {
  const std::vector<float> vector(6, 2.0F);
  const auto view = evenkeel::tensor(vector, {2, 3});
  EXPECT_EQ(view.elements().data(), vector.data());
  EXPECT_EQ(view.shape(), (shape_type{2, 3}));
  std::array<double, 2> array{1, 2};
  EXPECT_EQ(evenkeel::tensor(array).shape(), shape_type{2});
  const std::span<const evenkeel::bfloat16> none;
  EXPECT_EQ(evenkeel::tensor(none, {0, 5}).shape(), (shape_type{0, 5}));
  EXPECT_EQ(evenkeel::tensor(std::span{vector}.first(1), {}).shape(), shape_type{});
}

TEST(Tensor, RefusesShapesThatDoNotFit) {
  const std::vector<float> x(6);
  EXPECT_THROW((void)evenkeel::tensor(x, {2, 2}), invalid_argument);
  EXPECT_THROW((void)evenkeel::tensor(x, {-2, -3}), invalid_argument);
  EXPECT_THROW((void)evenkeel::tensor(x, shape_type(65, 1)), invalid_argument);
  EXPECT_THROW((void)evenkeel::tensor(x, {std::int64_t{1} << 62, 8}), invalid_argument);
  const std::array<std::byte, 7> bytes{};
  EXPECT_THROW((evenkeel::any_tensor{evenkeel::dtype::float32, bytes, {1}}), invalid_argument);
}

TEST(Array, HasElementsOfItsType) {
  evenkeel::array<float> array{shape_type{2, 2}};
  std::iota(array.elements().begin(), array.elements().end(), 1.0F);
  EXPECT_EQ(array.to_vector(), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(array[3], 4);
  const evenkeel::array<float> copy = array.clone();
  array[3] = 9;
  EXPECT_EQ(copy[3], 4);
  evenkeel::any_array whole = std::move(array).to_any();
  EXPECT_EQ(whole.as<float>()[3], 9);
  EXPECT_THROW((void)whole.as<double>(), invalid_argument);
  EXPECT_EQ(evenkeel::any_tensor{copy}.bytes().data(), std::as_bytes(copy.elements()).data());
}

TEST(Contiguous, GathersWhatLiesApart) {
  const std::vector<int> numbers{0, 1, 2, 3, 4, 5};
  const std::vector<float> x(numbers.begin(), numbers.end());
  const std::array<std::int64_t, 2> transposed{1, 3};
  EXPECT_EQ(evenkeel::contiguous(x.data(), {3, 2}, transposed).to_vector(), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  const std::array<std::int64_t, 1> backwards{-2};
  EXPECT_EQ(evenkeel::contiguous(&x[5], {3}, backwards).to_vector(), (std::vector<float>{5, 3, 1}));
  const std::array<std::int64_t, 2> repeated{0, 1};
  EXPECT_EQ(evenkeel::contiguous(x.data(), {2, 2}, repeated).to_vector(), (std::vector<float>{0, 1, 0, 1}));
  EXPECT_EQ(evenkeel::contiguous(x.data(), {0, 2}, repeated).size(), 0);
  EXPECT_EQ(evenkeel::contiguous(x.data(), {}, {}).to_vector(), std::vector<float>{0});
  EXPECT_THROW((void)evenkeel::contiguous(x.data(), {2}, repeated), invalid_argument);
}

TEST(Into, MustFitAndLieApart) {
  std::vector<float> x(4);
  std::vector<float> y(4);
  const evenkeel::any_tensor view = x;
  EXPECT_EQ(evenkeel::ops::landing_for(view, y).bytes().data(), std::as_bytes(std::span{y}).data());
  std::vector<double> wide(4);
  std::vector<float> shorter(3);
  EXPECT_THROW((void)evenkeel::ops::landing_for(view, wide), invalid_argument);
  EXPECT_THROW((void)evenkeel::ops::landing_for(view, shorter), invalid_argument);
  EXPECT_THROW((void)evenkeel::ops::landing_for(view, x), invalid_argument);
  std::vector<float> both(6);
  const evenkeel::any_tensor first{evenkeel::tensor(std::span{both}.first(4))};
  EXPECT_THROW((void)evenkeel::ops::landing_for(first, std::span{both}.last(4)), invalid_argument);
}

TEST(Clipped, FindsGradientsByName) {
  evenkeel::clipped clipped;
  clipped.gradients.push_back({"w", evenkeel::any_array{evenkeel::dtype::float32, {1}}});
  EXPECT_EQ(clipped["w"].shape(), shape_type{1});
  EXPECT_THROW((void)clipped["b"], invalid_argument);
}

}  // namespace
