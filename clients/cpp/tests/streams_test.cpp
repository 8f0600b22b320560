// Streams, and answers that break the contract.
#include <evenkeel/v1/tensor_ops.pb.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core.hpp"
#include "fake_transport.hpp"
#include "ops/clip.hpp"
#include "ops/dropout.hpp"
#include "ops/normalize.hpp"

namespace {

namespace pb = evenkeel::v1;
using evenkeel::testing::fake_transport;
using evenkeel::testing::messages;
using attempt = fake_transport::attempt;

constexpr std::size_t elements = 600;

messages limits() {
  pb::GetServerInfoResponse response;
  response.set_version("0.1.0");
  response.set_max_message_bytes(1200);
  response.set_max_stream_chunk_bytes(1000);
  return {response.SerializeAsString()};
}

/// The elements that a stream has sent.
template <class Request>
std::string sent_data(const attempt& tried) {
  std::string data;
  for (const std::string& text : tried.request) {
    Request message;
    EXPECT_TRUE(message.ParseFromString(text));
    EXPECT_LE(message.data().size(), 1000);
    data += message.data();
  }
  return data;
}

void describe(pb::Tensor& tensor) {
  tensor.set_dtype(pb::DATA_TYPE_FLOAT32);
  tensor.add_shape(elements);
}

messages serialized(const auto& responses) {
  messages texts;
  for (const auto& response : responses) {
    texts.push_back(response.SerializeAsString());
  }
  return texts;
}

/// An answer that gives the elements back, in two chunks.
std::vector<pb::NormalizeStreamResponse> echo(const attempt& tried) {
  const std::string data = sent_data<pb::NormalizeStreamRequest>(tried);
  std::vector<pb::NormalizeStreamResponse> responses(4);
  responses[0].mutable_header()->add_axes(0);
  describe(*responses[0].mutable_header()->mutable_output());
  responses[1].set_data(data.substr(0, 7));
  responses[2].set_data(data.substr(7));
  responses[3].mutable_summary();
  return responses;
}

class Streams : public testing::Test {
 protected:
  evenkeel::detail::core core(std::deque<fake_transport::answer> answers) {
    answers.push_front([](const attempt&) { return limits(); });
    return {std::make_unique<fake_transport>(std::move(answers), attempts_), {}};
  }

  /// The message of the exception of a normalization whose answer is changed.
  std::string broken(const std::function<void(std::vector<pb::NormalizeStreamResponse>&)>& change) {
    auto core = this->core({[&change](const attempt& tried) {
      auto responses = echo(tried);
      change(responses);
      return serialized(responses);
    }});
    try {
      (void)evenkeel::ops::normalize(core, x_, evenkeel::norm_kind::layer, {});
    } catch (const evenkeel::internal_error& fault) {
      return fault.what();
    }
    return "no error";
  }

  std::vector<attempt> attempts_;
  std::vector<float> x_ = std::vector<float>(elements, 2.5F);
};

TEST_F(Streams, LargeTensorsAreSentInChunks) {
  auto core = this->core({[](const attempt& tried) { return serialized(echo(tried)); }});
  const auto y = evenkeel::ops::normalize(core, x_, evenkeel::norm_kind::layer, {});
  EXPECT_EQ(y.output.as<float>()[elements - 1], 2.5F);
  EXPECT_EQ(y.axes, std::vector<std::int32_t>{0});
  EXPECT_EQ(attempts_.at(1).method, "/evenkeel.v1.TensorOpsService/NormalizeStream");
  pb::NormalizeStreamRequest header;
  ASSERT_TRUE(header.ParseFromString(attempts_.at(1).request.at(0)));
  EXPECT_EQ(header.header().kind(), pb::NORM_KIND_LAYER);
  EXPECT_EQ(header.header().input().shape(0), elements);
}

TEST_F(Streams, AreRetriedFromTheirBeginning) {
  auto core = this->core({[](const attempt&) -> messages {
                            throw evenkeel::unavailable{evenkeel::status_code::unavailable, "gone"};
                          },
                          [](const attempt& tried) { return serialized(echo(tried)); }});
  (void)evenkeel::ops::normalize(core, x_, evenkeel::norm_kind::layer, {});
  ASSERT_EQ(attempts_.size(), 3);
  EXPECT_EQ(attempts_[1].request, attempts_[2].request);
}

TEST_F(Streams, MakeTwoPassesWhereTheServerAsksForThem) {
  pb::StatisticsPartial partial;
  partial.set_kind(pb::NORM_KIND_LAYER);
  partial.add_sets()->set_elements(elements);
  auto core = this->core({[](const attempt&) -> messages {
                            throw evenkeel::needs_two_passes{evenkeel::status_code::resource_exhausted, "two"};
                          },
                          [&partial](const attempt&) { return messages{partial.SerializeAsString()}; },
                          [](const attempt& tried) { return serialized(echo(tried)); }});
  (void)evenkeel::ops::normalize(core, x_, evenkeel::norm_kind::layer, {});
  ASSERT_EQ(attempts_.size(), 4);
  EXPECT_EQ(attempts_[2].method, "/evenkeel.v1.TensorOpsService/MeasureStatistics");
  EXPECT_EQ(sent_data<pb::MeasureStatisticsRequest>(attempts_[2]).size(), elements * sizeof(float));
  pb::NormalizeStreamRequest header;
  ASSERT_TRUE(header.ParseFromString(attempts_[3].request.at(0)));
  EXPECT_EQ(header.header().statistics().SerializeAsString(), partial.SerializeAsString());
}

TEST_F(Streams, BrokenAnswersAreRefused) {
  using responses = std::vector<pb::NormalizeStreamResponse>;
  EXPECT_EQ(broken([](responses&) {}), "no error");
  const auto expect = [this](const std::string& part, const std::function<void(responses&)>& change) {
    const std::string message = broken(change);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect("summary is missing", [](responses& all) { all.pop_back(); });
  expect("lacks the last", [](responses& all) { all.erase(all.begin() + 2); });
  expect("more bytes than were sent", [](responses& all) { all.insert(all.begin() + 1, all[1]); });
  expect("header is missing", [](responses& all) { all.erase(all.begin()); });
  expect("header comes a second time", [](responses& all) { all.insert(all.begin(), all[0]); });
  expect("summary is not the last", [](responses& all) { all.push_back(all[1]); });
  expect("output.shape", [](responses& all) { all[0].mutable_header()->mutable_output()->set_shape(0, 7); });
  expect("output.dtype",
         [](responses& all) { all[0].mutable_header()->mutable_output()->set_dtype(pb::DATA_TYPE_FLOAT16); });
  expect("output.name", [](responses& all) { all[0].mutable_header()->mutable_output()->set_name("y"); });
  expect("output.data", [](responses& all) { all[0].mutable_header()->mutable_output()->set_data("1234"); });
  expect("output is missing", [](responses& all) { all[0].mutable_header()->clear_output(); });
}

TEST_F(Streams, DropoutJoinsElementsAndMask) {
  auto core = this->core({[](const attempt& tried) {
    const std::string data = sent_data<pb::DropoutStreamRequest>(tried);
    std::vector<pb::DropoutStreamResponse> responses(5);
    describe(*responses[0].mutable_header()->mutable_output());
    responses[1].set_data(data.substr(0, 1000));
    responses[2].set_mask(std::string(75, '\x01'));
    responses[3].set_data(data.substr(1000));
    responses[4].mutable_summary()->set_kept(75);
    return serialized(responses);
  }});
  const auto dropped = evenkeel::ops::dropout(core, x_, 0.5, {.return_mask = true});
  EXPECT_EQ(dropped.kept, 75);
  EXPECT_EQ(dropped.mask->size(), elements);
  EXPECT_EQ(dropped.mask->count(), 75);
  EXPECT_EQ(dropped.output.as<float>()[elements - 1], 2.5F);
}

TEST_F(Streams, GradientsComeBackInTheirOrder) {
  const std::vector<double> none;
  const std::vector<evenkeel::gradient> gradients{{"w", x_}, {"empty", none}};
  const auto answered = [&](const std::function<void(std::vector<pb::ClipGradientsStreamResponse>&)>& change) {
    auto core = this->core({[&](const attempt& tried) {
      const std::string data = sent_data<pb::ClipGradientsStreamRequest>(tried);
      std::vector<pb::ClipGradientsStreamResponse> responses(5);
      responses[0].mutable_header();
      describe(*responses[1].mutable_tensor());
      responses[1].mutable_tensor()->set_name("w");
      responses[2].set_data(data);
      responses[3].mutable_tensor()->set_name("empty");
      responses[3].mutable_tensor()->set_dtype(pb::DATA_TYPE_FLOAT64);
      responses[3].mutable_tensor()->add_shape(0);
      responses[4].mutable_summary()->set_total_norm(5);
      change(responses);
      return serialized(responses);
    }});
    return evenkeel::ops::clip_gradients(core, gradients, evenkeel::clip_mode::value, 1, {});
  };
  const auto clipped = answered([](auto&) {});
  EXPECT_EQ(clipped.total_norm, 5);
  EXPECT_EQ(clipped["w"].as<float>().size(), elements);
  EXPECT_EQ(clipped.gradients.at(1).name, "empty");
  EXPECT_THROW((void)answered([](auto& all) { all.erase(all.begin() + 3); }), evenkeel::internal_error);
  EXPECT_THROW((void)answered([](auto& all) { all.erase(all.begin() + 2); }), evenkeel::internal_error);
  EXPECT_THROW((void)answered([](auto& all) { std::swap(all[1], all[3]); }), evenkeel::internal_error);
  EXPECT_THROW((void)answered([](auto& all) { all.insert(all.begin() + 4, all[3]); }), evenkeel::internal_error);
}

}  // namespace
