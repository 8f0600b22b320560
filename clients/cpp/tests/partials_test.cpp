// Partials: merging, and what is refused.
#include <evenkeel/v1/tensor_ops.pb.h>
#include <gtest/gtest.h>

#include <cmath>
#include <evenkeel/evenkeel.hpp>
#include <functional>
#include <limits>

namespace {

namespace pb = evenkeel::v1;
using evenkeel::norm_partial;
using evenkeel::statistics_partial;

template <class Message>
std::vector<std::byte> bytes_of(const Message& message) {
  const std::string text = message.SerializeAsString();
  const auto bytes = std::as_bytes(std::span{text});
  return {bytes.begin(), bytes.end()};
}

/// The field that a function refuses; empty if it refuses none.
std::string refused_field(const std::function<void()>& function) {
  try {
    function();
  } catch (const evenkeel::invalid_argument& fault) {
    return fault.fields().at(0).path;
  }
  return {};
}

pb::NormPartial norm(double order, std::uint64_t elements, const std::string& sum) {
  pb::NormPartial message;
  message.set_norm_type(order);
  message.set_elements(elements);
  message.set_sum(sum);
  return message;
}

norm_partial norm_of(const pb::NormPartial& message) { return norm_partial::from_bytes(bytes_of(message)); }

TEST(NormPartial, MergesAndKeepsItsBytes) {
  // The squares of 3 and 4: 9 * 2^2148 and 16 * 2^2148.
  const std::string low(268, '\0');
  norm_partial whole = norm_of(norm(2, 1, low + std::string{"\x90", 1}));
  const norm_partial other = norm_of(norm(2, 2, low + std::string{"\x00\x01", 2}));
  EXPECT_EQ(whole.total_norm(), 3);
  EXPECT_EQ(whole.merge(other).total_norm(), 5);
  EXPECT_EQ(whole.elements(), 3);
  EXPECT_EQ(whole.to_bytes(), bytes_of(norm(2, 3, low + std::string{"\x90\x01", 2})));
  EXPECT_EQ(norm_partial::from_bytes(whole.to_bytes()), whole);
}

TEST(NormPartial, CountsWhatIsNotFinite) {
  pb::NormPartial message = norm(2, 2, "");
  message.set_infinite_elements(1);
  norm_partial partial = norm_of(message);
  EXPECT_EQ(partial.total_norm(), std::numeric_limits<double>::infinity());
  message.set_nan_elements(1);
  EXPECT_TRUE(std::isnan(partial.merge(norm_of(message)).total_norm()));
}

TEST(NormPartial, RefusesWhatNoElementsHave) {
  const auto refused = [](const pb::NormPartial& message) { return refused_field([&] { (void)norm_of(message); }); };
  const std::string longest(532, '\xFF');
  constexpr double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(refused(norm(2, 1, longest)), "sum");
  EXPECT_EQ(refused(norm(2, std::numeric_limits<std::uint64_t>::max(), longest)), "elements");
  EXPECT_EQ(refused(norm(2, 0, "\x01")), "sum");
  EXPECT_EQ(refused(norm(2, 7, std::string(533, '\xFF'))), "sum");
  EXPECT_EQ(refused(norm(1, 7, "\x01")), "sum");
  EXPECT_EQ(refused(norm(infinity, 7, "\x01")), "sum");
  EXPECT_EQ(refused(norm(3, 7, "")), "norm_type");
  pb::NormPartial message = norm(2, 1, "");
  message.set_nan_elements(2);
  EXPECT_EQ(refused(message), "elements");
  message = norm(2, 1, "");
  message.set_largest(1);
  EXPECT_EQ(refused(message), "largest");
  EXPECT_EQ(refused_field([] { (void)norm_partial::from_bytes(std::vector<std::byte>{std::byte{0xFF}}); }), "partial");
}

TEST(NormPartial, RefusesToMergeOthers) {
  norm_partial partial = norm_of(norm(2, std::uint64_t{1} << 59, ""));
  EXPECT_EQ(refused_field([&] { partial.merge(norm_of(norm(2, 1, "\x01"))); }), "elements");
  EXPECT_EQ(refused_field([&] { partial.merge(norm_partial{1}); }), "norm_type");
  EXPECT_EQ(partial, norm_of(norm(2, std::uint64_t{1} << 59, "")));
}

/// Two sets of 16 elements; 2^2144 units are 1/16.
pb::StatisticsPartial statistics() {
  pb::StatisticsPartial message;
  message.set_kind(pb::NORM_KIND_LAYER);
  message.add_shape(1);
  message.add_shape(2);
  for (int i = 0; i < 2; ++i) {
    pb::SetStatistics& set = *message.add_sets();
    set.set_elements(16);
    set.mutable_sum_of_squares()->set_low_zero_bytes(268);
    set.mutable_sum_of_squares()->set_magnitude("\x01");
  }
  return message;
}

statistics_partial statistics_of(const pb::StatisticsPartial& message) {
  return statistics_partial::from_bytes(bytes_of(message));
}

TEST(StatisticsPartial, MergesAndKeepsItsBytes) {
  statistics_partial partial = statistics_of(statistics());
  const statistics_partial copy = partial;
  EXPECT_EQ(partial.kind(), evenkeel::norm_kind::layer);
  EXPECT_EQ(partial.shape(), (evenkeel::shape_type{1, 2}));
  EXPECT_FALSE(partial.has_gradients());
  EXPECT_EQ(partial.to_bytes(), bytes_of(statistics()));
  partial.merge(partial);
  EXPECT_EQ(partial.elements(), 32);
  EXPECT_EQ(copy.elements(), 16);
  pb::StatisticsPartial doubled = statistics();
  for (pb::SetStatistics& set : *doubled.mutable_sets()) {
    set.set_elements(32);
    set.mutable_sum_of_squares()->set_magnitude("\x02");
  }
  EXPECT_EQ(partial.to_bytes(), bytes_of(doubled));
}

TEST(StatisticsPartial, AddsSumsOfEitherSign) {
  pb::StatisticsPartial message = statistics();
  for (pb::SetStatistics& set : *message.mutable_sets()) {
    set.mutable_sum()->set_negative(true);
    set.mutable_sum()->set_low_zero_bytes(268);
    set.mutable_sum()->set_magnitude("\x01");
  }
  statistics_partial partial = statistics_of(message);
  EXPECT_EQ(partial.to_bytes(), bytes_of(message));
  pb::StatisticsPartial opposite = message;
  for (pb::SetStatistics& set : *opposite.mutable_sets()) {
    set.mutable_sum()->set_negative(false);
  }
  partial.merge(statistics_of(opposite));
  pb::StatisticsPartial found;
  const auto bytes = partial.to_bytes();
  ASSERT_TRUE(found.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  EXPECT_FALSE(found.sets(0).has_sum());
}

TEST(StatisticsPartial, RefusesWhatNoElementsHave) {
  const auto refused = [](const std::function<void(pb::StatisticsPartial&)>& change) {
    pb::StatisticsPartial message = statistics();
    change(message);
    return refused_field([&] { (void)statistics_of(message); });
  };
  using partial = pb::StatisticsPartial;
  EXPECT_EQ(refused([](partial&) {}), "");
  EXPECT_EQ(refused([](partial& m) { m.set_kind(pb::NORM_KIND_UNSPECIFIED); }), "kind");
  EXPECT_EQ(refused([](partial& m) { m.set_shape(0, -1); }), "shape");
  EXPECT_EQ(refused([](partial& m) { m.set_shape(0, 2); }), "sets");
  EXPECT_EQ(refused([](partial& m) { m.set_shape(0, std::int64_t{1} << 62); }), "sets");
  EXPECT_EQ(refused([](partial& m) { m.mutable_sets(1)->set_nan_elements(17); }), "sets[1].elements");
  EXPECT_EQ(refused([](partial& m) { m.mutable_sets(1)->mutable_sum_of_products(); }), "sets[1].sum_of_products");
  EXPECT_EQ(refused([](partial& m) { m.mutable_sets(1)->set_nonfinite_gradients(1); }), "sets[1].nonfinite_gradients");
  EXPECT_EQ(refused([](partial& m) { m.mutable_sets(0)->mutable_sum()->set_magnitude(std::string(533, '\x01')); }),
            "sets[0].sum.magnitude");
  EXPECT_EQ(refused([](partial& m) { m.mutable_sets(0)->mutable_sum()->set_magnitude("\x01"); }), "sets[0].sum");
  EXPECT_EQ(refused([](partial& m) { m.mutable_sets(0)->mutable_sum_of_squares()->set_negative(true); }),
            "sets[0].sum_of_squares");
  EXPECT_EQ(refused([](partial& m) {
              m.mutable_sets(0)->mutable_sum()->set_low_zero_bytes(269);
              m.mutable_sets(0)->mutable_sum()->set_magnitude("\x01");
            }),
            "sets[0].sum_of_squares");
  EXPECT_EQ(refused([](partial& m) { m.mutable_sets(1)->set_elements(17); }), "sets[1].elements");
  EXPECT_EQ(refused([](partial& m) { m.mutable_sets(1)->mutable_sum_of_gradients(); }), "sets[1].sum_of_gradients");
}

TEST(StatisticsPartial, RefusesToMergeOthers) {
  statistics_partial partial = statistics_of(statistics());
  pb::StatisticsPartial other = statistics();
  other.set_kind(pb::NORM_KIND_RMS);
  EXPECT_EQ(refused_field([&] { partial.merge(statistics_of(other)); }), "kind");
  other = statistics();
  other.set_shape(0, 2);
  other.set_shape(1, 1);
  EXPECT_EQ(refused_field([&] { partial.merge(statistics_of(other)); }), "shape");
  other = statistics();
  for (pb::SetStatistics& set : *other.mutable_sets()) {
    set.mutable_sum_of_gradients();
  }
  EXPECT_EQ(refused_field([&] { partial.merge(statistics_of(other)); }), "sets[0].sum_of_gradients");
}

}  // namespace
