// Every call, with a server.
#include <gtest/gtest.h>

#include <cmath>
#include <evenkeel/evenkeel.hpp>
#include <evenkeel/testing.hpp>
#include <limits>
#include <memory>

namespace {

using evenkeel::tensor;

class Calls : public testing::Test {
 protected:
  static void SetUpTestSuite() { server = std::make_unique<evenkeel::testing::server>(); }
  static void TearDownTestSuite() { server.reset(); }

  static inline std::unique_ptr<evenkeel::testing::server> server;
  evenkeel::client client_ = server->client();
};

TEST_F(Calls, Normalize) {
  const std::vector<float> x{3, 5, -2, 2};
  const std::vector<float> weight{1, 10};
  const auto y = client_.layer_norm(tensor(x, {2, 2}), {.eps = 0, .return_statistics = true, .weight = weight});
  EXPECT_EQ(y.output.to_vector(), (std::vector<float>{-1, 10, -1, 10}));
  EXPECT_EQ(y.output.shape(), (evenkeel::shape_type{2, 2}));
  EXPECT_EQ(y.axes, std::vector<std::int32_t>{1});
  EXPECT_EQ(y.mean->to_vector(), (std::vector<float>{4, 0}));
  EXPECT_EQ(y.rstd->to_vector(), (std::vector<float>{1, 0.5}));
}

TEST_F(Calls, NormalizeOfEveryKindAndType) {
  const std::vector<double> x{3, 4, 0, 2, -2, 1, 7, 5};
  const auto rms = client_.rms_norm(tensor(x, {2, 4}), {.eps = 0});
  EXPECT_DOUBLE_EQ(rms.output[0], 3 / std::sqrt(29.0 / 4));
  const auto batch = client_.batch_norm(tensor(x, {4, 2}), {.return_statistics = true});
  EXPECT_EQ(batch.mean->to_vector(), (std::vector<double>{2, 3}));
  const auto instance = client_.instance_norm(tensor(x, {2, 2, 2}), {.eps = 1e-300});
  EXPECT_EQ(instance.output[0], -1);
  const auto group = client_.group_norm(tensor(x, {2, 4}), 2, {.eps = 1e-300});
  EXPECT_EQ(group.output[1], 1);
  const auto narrow = evenkeel::convert<evenkeel::bfloat16>(std::span<const double>{x});
  const auto l2 = client_.l2_norm(tensor(narrow, {2, 4}));
  EXPECT_EQ(l2.output[0], evenkeel::bfloat16{3 / std::sqrt(29.0)});
  const std::vector<evenkeel::float16> half(4, evenkeel::float16{1.0F});
  EXPECT_EQ(client_.l2_norm(half).output[3], evenkeel::float16{0.5F});
}

TEST_F(Calls, RunningStatisticsComeBackInTheirType) {
  const std::vector<float> x{1, 3};
  const std::vector<double> mean{0};
  const std::vector<double> var{1};
  const auto y = client_.batch_norm(tensor(x, {2, 1}),
                                    {.training = true, .momentum = 0.5, .running_mean = mean, .running_var = var});
  EXPECT_EQ(y.running_mean->as<double>()[0], 1);
  EXPECT_EQ(y.running_var->as<double>()[0], 1.5);
  EXPECT_FALSE(y.mean);
}

TEST_F(Calls, NormalizeBackward) {
  const std::vector<float> x{3, 5, -2, 2};
  const std::vector<float> grad_output{1, 2, 3, 4};
  const std::vector<float> bias{0, 0};
  const auto gradients = client_.normalize_backward(tensor(x, {2, 2}), tensor(grad_output, {2, 2}),
                                                    evenkeel::norm_kind::layer, {.bias = bias});
  EXPECT_EQ(gradients.grad_bias->as<float>()[1], 6);
  EXPECT_EQ(gradients.grad_input.size(), 4);
  EXPECT_FALSE(gradients.grad_weight);
}

TEST_F(Calls, ResultsGoIntoOtherCallsAndIntoTheCallersMemory) {
  const std::vector<float> x{40000, 40001, 40002, 40003};
  std::vector<float> y(4);
  const auto first = client_.layer_norm(tensor(x, {1, 4}), {.into = y});
  EXPECT_EQ(first.output.data(), y.data());
  EXPECT_FLOAT_EQ(y[3], 1.3416355F);
  const auto second = client_.layer_norm(first.output);
  EXPECT_NEAR(second.output[3], 1.3416355F, 1e-5);
}

TEST_F(Calls, Dropout) {
  const std::vector<double> x{1, 2, 3, 4, 5};
  const auto dropped = client_.dropout(x, 0.5, {.seed = 42, .return_mask = true});
  EXPECT_EQ(dropped.output.to_vector(), (std::vector<double>{0, 4, 0, 0, 10}));
  EXPECT_EQ(dropped.kept, 2);
  EXPECT_EQ(dropped.mask, evenkeel::keep_mask(42, 5, 0.5));
  const auto gradient = client_.dropout_backward(x, 0.5, {.seed = 42});
  EXPECT_EQ(gradient.to_vector(), dropped.output.to_vector());
}

TEST_F(Calls, DropoutOfChannelsHasADrawForEach) {
  const std::vector<float> x(std::size_t{2} * 3 * 4, 1.0F);
  const auto dropped =
      client_.dropout(tensor(x, {2, 3, 4}), 0.5,
                      {.seed = 7, .kind = evenkeel::dropout_kind::channel, .channel_axis = -1, .return_mask = true});
  EXPECT_EQ(dropped.mask, evenkeel::keep_mask(7, 8, 0.5));
}

TEST_F(Calls, ClipGradients) {
  const std::vector<float> w{3, 0};
  const std::vector<evenkeel::bfloat16> b{evenkeel::bfloat16{0.0F}, evenkeel::bfloat16{4.0F}};
  const auto clipped = client_.clip_grad_norm({{"w", w}, {"b", b}}, 1.0, {.epsilon = 0});
  EXPECT_EQ(clipped.total_norm, 5);
  EXPECT_EQ(clipped.scale, 0.2);
  EXPECT_EQ(clipped["w"].as<float>()[0], 0.6F);
  EXPECT_EQ(clipped["b"].as<evenkeel::bfloat16>()[1], evenkeel::bfloat16{0.8F});
  EXPECT_EQ(clipped.gradients[1].name, "b");
  const auto each = client_.clip_grad_norm({{"w", w}, {"b", b}}, 1.0, {.epsilon = 0, .per_tensor = true});
  EXPECT_EQ(each.tensor_norms, (std::vector<double>{3, 4}));
  const auto value = client_.clip_grad_value({{"w", w}}, 2.0);
  EXPECT_EQ(value.clipped_elements, 1);
  EXPECT_EQ(value["w"].as<float>()[0], 2);
  EXPECT_EQ(client_.clip_grad_norm({}, 1.0).total_norm, 0);
  EXPECT_EQ(client_.clip_grad_norm({{"w", w}}, 0.0).scale, 0);
}

TEST_F(Calls, MeasureGradients) {
  const std::vector<float> here{3};
  const std::vector<double> there{4, 0};
  auto norm = client_.measure_gradients({{"w", here}});
  norm.merge(client_.measure_gradients({{"w", there}}));
  EXPECT_EQ(norm.total_norm(), 5);
  EXPECT_EQ(norm.elements(), 3);
  EXPECT_EQ(client_.measure_gradients({{"", here}, {"", there}}), norm);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(client_.measure_gradients({{"w", there}}, {.norm_type = infinity}).total_norm(), 4);
  EXPECT_EQ(client_.measure_gradients({}, {.norm_type = 1}), evenkeel::norm_partial{1});
}

TEST_F(Calls, MeasureStatistics) {
  const std::vector<float> here{1, 2};
  const std::vector<float> there{3, 6};
  auto statistics = client_.measure_statistics(tensor(here, {2, 1}), evenkeel::norm_kind::batch);
  statistics.merge(client_.measure_statistics(tensor(there, {2, 1}), evenkeel::norm_kind::batch));
  const auto y = client_.batch_norm(tensor(here, {2, 1}), {.return_statistics = true, .statistics = statistics});
  EXPECT_EQ((*y.mean)[0], 3);
  const auto with_gradients = client_.measure_statistics(tensor(here, {2, 1}), evenkeel::norm_kind::batch,
                                                         {.grad_output = tensor(there, {2, 1})});
  EXPECT_TRUE(with_gradients.has_gradients());
  EXPECT_EQ(with_gradients.shape(), evenkeel::shape_type{1});
}

TEST_F(Calls, ServerInfo) {
  const auto info = client_.server_info();
  EXPECT_EQ(info.version, EVENKEEL_VERSION);
  EXPECT_EQ(info.max_message_bytes, 64U << 20U);
  EXPECT_EQ(info.dtypes.size(), 4);
  EXPECT_EQ(info.norm_kinds.size(), 6);
}

TEST_F(Calls, WrongArgumentsAreNamed) {
  const std::vector<float> x(4);
  try {
    (void)client_.layer_norm(tensor(x, {2, 2}), {.axes = {2}, .eps = -1});
    FAIL();
  } catch (const evenkeel::invalid_argument& fault) {
    ASSERT_EQ(fault.fields().size(), 2);
    EXPECT_EQ(fault.fields()[0].path, "axes[0]");
    EXPECT_EQ(fault.fields()[1].path, "eps");
  }
}

TEST_F(Calls, NormsThatAreNotFiniteAreTold) {
  const std::vector<float> w{1, std::numeric_limits<float>::quiet_NaN()};
  try {
    (void)client_.clip_grad_norm({{"w", w}}, 1.0, {.error_if_nonfinite = true});
    FAIL();
  } catch (const evenkeel::nonfinite_norm& fault) {
    EXPECT_EQ(fault.code(), evenkeel::status_code::failed_precondition);
    EXPECT_TRUE(std::isnan(fault.details().total_norm));
    EXPECT_EQ(fault.details().nan_elements, 1);
    ASSERT_EQ(fault.details().gradients.size(), 1);
    EXPECT_EQ(fault.details().gradients[0].second, "w");
  }
}

}  // namespace
