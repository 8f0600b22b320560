// The encoder and the decoder beside protobuf's.
#include <evenkeel/v1/tensor_ops.pb.h>
#include <gtest/gtest.h>

#include <evenkeel/evenkeel.hpp>
#include <span>
#include <string>

#include "ops/clip.hpp"
#include "ops/codec.hpp"
#include "ops/normalize.hpp"
#include "wire/reader.hpp"

namespace {

namespace pb = evenkeel::v1;
namespace wire = evenkeel::wire;

template <class Message>
Message parsed(const wire::message& message) {
  const auto bytes = message.to_bytes();
  EXPECT_EQ(bytes.size(), message.size());
  Message result;
  EXPECT_TRUE(result.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  return result;
}

TEST(Wire, EnumsHaveTheNumbersOfTheContract) {
  EXPECT_EQ(static_cast<int>(evenkeel::dtype::float32), pb::DATA_TYPE_FLOAT32);
  EXPECT_EQ(static_cast<int>(evenkeel::dtype::float64), pb::DATA_TYPE_FLOAT64);
  EXPECT_EQ(static_cast<int>(evenkeel::dtype::float16), pb::DATA_TYPE_FLOAT16);
  EXPECT_EQ(static_cast<int>(evenkeel::dtype::bfloat16), pb::DATA_TYPE_BFLOAT16);
  EXPECT_EQ(static_cast<int>(evenkeel::norm_kind::batch), pb::NORM_KIND_BATCH);
  EXPECT_EQ(static_cast<int>(evenkeel::norm_kind::layer), pb::NORM_KIND_LAYER);
  EXPECT_EQ(static_cast<int>(evenkeel::norm_kind::rms), pb::NORM_KIND_RMS);
  EXPECT_EQ(static_cast<int>(evenkeel::norm_kind::instance), pb::NORM_KIND_INSTANCE);
  EXPECT_EQ(static_cast<int>(evenkeel::norm_kind::group), pb::NORM_KIND_GROUP);
  EXPECT_EQ(static_cast<int>(evenkeel::norm_kind::l2), pb::NORM_KIND_L2);
  EXPECT_EQ(static_cast<int>(evenkeel::dropout_kind::feature_alpha), pb::DROPOUT_KIND_FEATURE_ALPHA);
  EXPECT_EQ(static_cast<int>(evenkeel::dropout_kind::alpha), pb::DROPOUT_KIND_ALPHA);
  EXPECT_EQ(static_cast<int>(evenkeel::dropout_kind::channel), pb::DROPOUT_KIND_CHANNEL);
  EXPECT_EQ(static_cast<int>(evenkeel::dropout_kind::element), pb::DROPOUT_KIND_ELEMENT);
  EXPECT_EQ(static_cast<int>(evenkeel::dropout_scaling::inverted), pb::DROPOUT_SCALING_INVERTED);
  EXPECT_EQ(static_cast<int>(evenkeel::dropout_scaling::none), pb::DROPOUT_SCALING_NONE);
  EXPECT_EQ(static_cast<int>(evenkeel::clip_mode::norm), pb::CLIP_MODE_NORM);
  EXPECT_EQ(static_cast<int>(evenkeel::clip_mode::value), pb::CLIP_MODE_VALUE);
  EXPECT_EQ(static_cast<int>(evenkeel::clip_mode::norm_per_tensor), pb::CLIP_MODE_NORM_PER_TENSOR);
}

TEST(Wire, EncodesEveryOptionOfANormalization) {
  const std::vector<float> weight{1, 2};
  const std::vector<double> running{3, 4};
  const auto request = parsed<pb::NormalizeRequest>(
      evenkeel::ops::encode_normalize(evenkeel::norm_kind::group, {.axes = {-1, 2},
                                                                   .groups = 300,
                                                                   .eps = 0,
                                                                   .channel_axis = -2,
                                                                   .training = false,
                                                                   .momentum = 0.5,
                                                                   .return_statistics = true,
                                                                   .weight = weight,
                                                                   .bias = weight,
                                                                   .running_mean = running,
                                                                   .running_var = evenkeel::tensor(running, {2, 1})}));
  EXPECT_EQ(request.kind(), pb::NORM_KIND_GROUP);
  ASSERT_EQ(request.axes_size(), 2);
  EXPECT_EQ(request.axes(0), -1);
  EXPECT_EQ(request.axes(1), 2);
  EXPECT_EQ(request.groups(), 300);
  EXPECT_TRUE(request.has_eps());
  EXPECT_EQ(request.channel_axis(), -2);
  EXPECT_TRUE(request.has_training());
  EXPECT_EQ(request.momentum(), 0.5);
  EXPECT_TRUE(request.return_statistics());
  EXPECT_EQ(request.weight().data().size(), 8);
  EXPECT_EQ(request.bias().dtype(), pb::DATA_TYPE_FLOAT32);
  EXPECT_EQ(request.running_mean().dtype(), pb::DATA_TYPE_FLOAT64);
  EXPECT_EQ(request.running_var().shape_size(), 2);
}

TEST(Wire, LeavesOutOptionsThatAreNotSet) {
  const auto request = parsed<pb::NormalizeRequest>(evenkeel::ops::encode_normalize(evenkeel::norm_kind::l2, {}));
  pb::NormalizeRequest expected;
  expected.set_kind(pb::NORM_KIND_L2);
  EXPECT_EQ(request.SerializeAsString(), expected.SerializeAsString());
}

TEST(Wire, DoesNotCopyLongTensors) {
  std::vector<float> x(5000);
  x[4999] = 7;
  wire::message request;
  request.nested(wire::normalize_request::input, evenkeel::ops::encode_tensor(x, "x"));
  std::vector<const std::byte*> borrowed;
  request.for_each([](std::string_view) {},
                   [&](std::span<const std::byte> piece) { borrowed.push_back(piece.data()); });
  EXPECT_EQ(borrowed, std::vector{std::as_bytes(std::span{x}).data()});
  const auto parsed_request = parsed<pb::NormalizeRequest>(request);
  EXPECT_EQ(parsed_request.input().name(), "x");
  EXPECT_EQ(parsed_request.input().data().size(), 20000);
  EXPECT_EQ(parsed_request.input().data()[19999], '\x40');
}

TEST(Wire, EncodesAClipping) {
  const auto request = parsed<pb::ClipGradientsRequest>(evenkeel::ops::encode_clip(
      evenkeel::clip_mode::norm, 0,
      {.norm_type = 1, .total_norm = 2, .epsilon = 0, .not_above = true, .error_if_nonfinite = true}));
  EXPECT_TRUE(request.has_threshold());
  EXPECT_EQ(request.norm_type(), 1);
  EXPECT_EQ(request.total_norm(), 2);
  EXPECT_TRUE(request.has_epsilon());
  EXPECT_TRUE(request.not_above());
  EXPECT_TRUE(request.error_if_nonfinite());
}

/// Reads a response of protobuf's that is cut into pieces of some length.
void expect_read(const std::string& text, std::size_t length) {
  std::vector<std::span<const std::byte>> pieces;
  for (auto rest = std::as_bytes(std::span{text}); !rest.empty(); rest = rest.subspan(pieces.back().size())) {
    pieces.push_back(rest.first(std::min(length, rest.size())));
  }
  evenkeel::clipped found;
  std::vector<std::size_t> lengths;
  evenkeel::ops::read_clip_response(wire::reader{pieces}, found, [&](wire::reader tensor) {
    auto array = evenkeel::ops::received_tensor{tensor}.to_array("gradients");
    lengths.push_back(array.bytes().size());
  });
  EXPECT_EQ(found.total_norm, 5);
  EXPECT_EQ(found.clipped_elements, 1U << 31U);
  EXPECT_EQ(found.tensor_norms, (std::vector<double>{3, 4}));
  EXPECT_EQ(lengths, (std::vector<std::size_t>{8, 0}));
}

TEST(Wire, ReadsMessagesInPieces) {
  pb::ClipGradientsResponse response;
  response.set_total_norm(5);
  response.set_clipped_elements(1U << 31U);
  response.add_tensor_norms(3);
  response.add_tensor_norms(4);
  pb::Tensor& tensor = *response.add_gradients();
  tensor.set_dtype(pb::DATA_TYPE_FLOAT64);
  tensor.add_shape(1);
  tensor.set_data("12345678");
  response.add_gradients();
  response.mutable_gradients(1)->set_dtype(pb::DATA_TYPE_FLOAT16);
  response.mutable_gradients(1)->add_shape(0);
  auto& unknown = *pb::ClipGradientsResponse::GetReflection()->MutableUnknownFields(&response);
  unknown.AddLengthDelimited(999, "what comes later");
  unknown.AddFixed32(998, 1);
  for (std::size_t length = 1; length < 100; ++length) {
    expect_read(response.SerializeAsString(), length);
  }
}

TEST(Wire, RefusesWhatIsNoMessage) {
  const auto read = [](const std::string& text) {
    const auto piece = std::as_bytes(std::span{text});
    evenkeel::clipped found;
    evenkeel::ops::read_clip_response(wire::reader{std::span{&piece, 1}}, found,
                                      [](wire::reader message) { (void)evenkeel::ops::received_tensor{message}; });
  };
  using namespace std::string_literals;
  for (const std::string& text :
       {"\x09"s, "\x09\x01"s, "\x7A\x05"s, "\x7A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"s,
        "\x18"s + std::string(10, '\xFF'), "\x03"s, "\x00\x01"s, "\x08\x01"s, "\x7A\x02\x12\x05"s}) {
    EXPECT_THROW(read(text), wire::malformed) << ::testing::PrintToString(text);
  }
}

}  // namespace
