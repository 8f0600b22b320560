// Tensors that are larger than a message of the server, beside a server that takes them whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <evenkeel/evenkeel.hpp>
#include <evenkeel/testing.hpp>
#include <memory>

namespace {

using evenkeel::tensor;

class Sizes : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    whole = std::make_unique<evenkeel::testing::server>();
    small = std::make_unique<evenkeel::testing::server>(
        evenkeel::testing::server_options{.arguments = {"--max-message-bytes", "20000", "--max-stream-chunk-bytes",
                                                        "4096", "--max-bytes-in-flight", "200000"}});
  }
  static void TearDownTestSuite() {
    whole.reset();
    small.reset();
  }

  static std::vector<float> numbers(std::size_t count) {
    std::vector<float> x(count);
    for (std::size_t i = 0; i < count; ++i) {
      x[i] = static_cast<float>(i * 7919 % 1013) - 400;
    }
    return x;
  }

  static inline std::unique_ptr<evenkeel::testing::server> whole;
  static inline std::unique_ptr<evenkeel::testing::server> small;
  evenkeel::client large_messages_ = whole->client();
  evenkeel::client streams_ = small->client();
  std::vector<float> x_ = numbers(std::size_t{100} * 128);
  evenkeel::shape_type shape_{100, 128};
};

TEST_F(Sizes, NormalizeStreams) {
  const evenkeel::normalize_options options{.return_statistics = true};
  const auto expected = large_messages_.layer_norm(tensor(x_, shape_), options);
  const auto found = streams_.layer_norm(tensor(x_, shape_), options);
  EXPECT_EQ(found.output.to_vector(), expected.output.to_vector());
  EXPECT_EQ(found.mean->to_vector(), expected.mean->to_vector());
  EXPECT_EQ(found.axes, expected.axes);
}

TEST_F(Sizes, NormalizeMakesTwoPasses) {
  const auto x = numbers(std::size_t{800} * 128);
  std::vector<float> y(x.size());
  const auto expected = large_messages_.batch_norm(tensor(x, {800, 128}));
  (void)streams_.batch_norm(tensor(x, {800, 128}), {.into = y});
  EXPECT_EQ(y, expected.output.to_vector());
}

TEST_F(Sizes, AnswersThatDoNotFitStreamToo) {
  const auto x = numbers(4000);
  const evenkeel::dropout_options options{.seed = 3, .return_mask = true};
  const auto expected = large_messages_.dropout(x, 0.5, options);
  const auto found = streams_.dropout(x, 0.5, options);  // 16,000 bytes, and 500 of the mask
  EXPECT_EQ(found.output.to_vector(), expected.output.to_vector());
  const evenkeel::normalize_options statistics{.return_statistics = true};
  const auto y = streams_.layer_norm(tensor(x, {2000, 2}), statistics);  // and 16,000 of the statistics
  EXPECT_EQ(y.mean->to_vector(), large_messages_.layer_norm(tensor(x, {2000, 2}), statistics).mean->to_vector());
}

TEST_F(Sizes, DropoutStreams) {
  const evenkeel::dropout_options options{.seed = 5, .return_mask = true};
  const auto expected = large_messages_.dropout(tensor(x_, shape_), 0.3, options);
  const auto found = streams_.dropout(tensor(x_, shape_), 0.3, options);
  EXPECT_EQ(found.output.to_vector(), expected.output.to_vector());
  EXPECT_EQ(found.kept, expected.kept);
  EXPECT_EQ(found.mask, expected.mask);
  EXPECT_EQ(found.mask, evenkeel::keep_mask(5, x_.size(), 0.3));
  EXPECT_EQ(streams_.dropout_backward(tensor(x_, shape_), 0.3, {.seed = 5}).to_vector(),
            large_messages_.dropout_backward(tensor(x_, shape_), 0.3, {.seed = 5}).to_vector());
}

TEST_F(Sizes, ClippingStreamsAndMakesTwoPasses) {
  const auto large = numbers(std::size_t{600} * 128);
  const std::vector<double> short_one{1, -2, 3};
  const std::vector<float> none;
  for (const bool per_tensor : {false, true}) {
    for (const auto& w : {x_, large}) {
      const evenkeel::clip_options options{.per_tensor = per_tensor};
      const std::vector<evenkeel::gradient> gradients{{"w", w}, {"none", none}, {"b", short_one}};
      const auto expected = large_messages_.clip_grad_norm(gradients, 1.0, options);
      const auto found = streams_.clip_grad_norm(gradients, 1.0, options);
      EXPECT_EQ(found.total_norm, expected.total_norm);
      EXPECT_EQ(found.scale, expected.scale);
      EXPECT_EQ(found.tensor_norms, expected.tensor_norms);
      for (std::size_t i = 0; i < gradients.size(); ++i) {
        EXPECT_TRUE(std::ranges::equal(found.gradients.at(i).tensor.bytes(), expected.gradients.at(i).tensor.bytes()));
      }
    }
  }
  const auto value = streams_.clip_grad_value({{"w", large}}, 100.0);
  EXPECT_EQ(value.clipped_elements, large_messages_.clip_grad_value({{"w", large}}, 100.0).clipped_elements);
}

TEST_F(Sizes, MeasurementsAreCut) {
  const std::vector<double> one{5};
  const std::vector<evenkeel::gradient> parts{{"a", x_}, {"b", one}, {"c", x_}};
  EXPECT_EQ(streams_.measure_gradients(parts), large_messages_.measure_gradients(parts));
  const auto statistics = [this](const evenkeel::client& client) {
    return client
        .measure_statistics(tensor(x_, {25, 512}), evenkeel::norm_kind::batch, {.grad_output = tensor(x_, {25, 512})})
        .to_bytes();
  };
  // The answer has a set for each of 512 channels, and is larger than a message of the small server.
  EXPECT_THROW((void)statistics(streams_), evenkeel::message_too_large);
  EXPECT_FALSE(statistics(large_messages_).empty());
  const auto rows = [this](const evenkeel::client& client) {
    return client.measure_statistics(tensor(x_, {1, 12800}), evenkeel::norm_kind::layer).to_bytes();
  };
  EXPECT_EQ(rows(streams_), rows(large_messages_));
}

TEST_F(Sizes, GradientsOfNormalizationsDoNotStream) {
  EXPECT_THROW((void)streams_.normalize_backward(tensor(x_, shape_), tensor(x_, shape_), evenkeel::norm_kind::layer),
               evenkeel::message_too_large);
}

TEST_F(Sizes, WrongArgumentsOfStreamsAreNamed) {
  try {
    (void)streams_.layer_norm(tensor(x_, shape_), {.eps = -1});
    FAIL();
  } catch (const evenkeel::invalid_argument& fault) {
    EXPECT_EQ(fault.fields().at(0).path, "header.eps");
  }
}

}  // namespace
