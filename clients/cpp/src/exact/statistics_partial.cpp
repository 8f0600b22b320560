#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "evenkeel/errors.hpp"
#include "evenkeel/partials.hpp"
#include "exact/statistics.hpp"
#include "wire/message.hpp"
#include "wire/reader.hpp"

namespace evenkeel {

namespace {

using exact::natural;
using exact::set_statistics;
using exact::signed_sum;

wire::message encoded(const signed_sum& sum) {
  namespace field = wire::exact_sum;
  wire::message message;
  if (sum.negative) {
    message.varint(field::negative, 1);
  }
  const std::vector<std::byte> bytes = sum.magnitude.to_bytes();
  const auto first = std::find_if(bytes.begin(), bytes.end(), [](std::byte byte) { return byte != std::byte{0}; });
  const auto low = static_cast<std::size_t>(first - bytes.begin());
  if (low != 0) {
    message.varint(field::low_zero_bytes, low);
  }
  if (low != bytes.size()) {
    message.text(field::magnitude, {reinterpret_cast<const char*>(bytes.data()) + low, bytes.size() - low});
  }
  return message;
}

wire::message encoded(const set_statistics& set) {
  namespace field = wire::set_statistics;
  wire::message message;
  const auto count = [&message](wire::field_number number, std::uint64_t value) {
    if (value != 0) {
      message.varint(number, value);
    }
  };
  count(field::elements, set.elements);
  count(field::nan_elements, set.nan_elements);
  count(field::infinite_elements, set.infinite_elements);
  count(field::negative_infinite_elements, set.negative_infinite_elements);
  count(field::nonfinite_gradients, set.gradients ? set.gradients->nonfinite_gradients : 0);
  if (!set.sum.magnitude.is_zero()) {
    message.nested(field::sum, encoded(set.sum));
  }
  if (!set.sum_of_squares.magnitude.is_zero()) {
    message.nested(field::sum_of_squares, encoded(set.sum_of_squares));
  }
  if (set.gradients) {
    message.nested(field::sum_of_gradients, encoded(set.gradients->sum));
    message.nested(field::sum_of_products, encoded(set.gradients->sum_of_products));
  }
  return message;
}

signed_sum decoded_sum(wire::reader message, const std::string& path) {
  namespace field = wire::exact_sum;
  bool negative = false;
  std::uint64_t low = 0;
  natural magnitude;
  while (message.next()) {
    if (message.field() == field::negative) {
      negative = message.varint() != 0;
    } else if (message.field() == field::low_zero_bytes) {
      low = message.varint();
    } else if (message.field() == field::magnitude) {
      const std::string text = message.text();
      magnitude = natural::from_bytes(std::as_bytes(std::span{text}));
    }
  }
  if (magnitude.is_zero()) {
    return {};
  }
  const std::uint64_t length = (magnitude.bit_length() + 7) / 8;
  if (low > exact::max_sum_bytes || low + length > exact::max_sum_bytes) {
    throw invalid_argument{path + ".magnitude", "expected at most 532 bytes"};
  }
  return {.magnitude = magnitude.shifted_left(8 * low), .negative = negative};
}

set_statistics decoded_set(wire::reader message, const std::string& path) {
  namespace field = wire::set_statistics;
  set_statistics set;
  exact::gradient_sums gradients;
  bool has_gradients = false;
  bool has_products = false;
  while (message.next()) {
    switch (message.field()) {
      case field::elements:
        set.elements = message.varint();
        break;
      case field::nan_elements:
        set.nan_elements = message.varint();
        break;
      case field::infinite_elements:
        set.infinite_elements = message.varint();
        break;
      case field::negative_infinite_elements:
        set.negative_infinite_elements = message.varint();
        break;
      case field::nonfinite_gradients:
        gradients.nonfinite_gradients = message.varint();
        break;
      case field::sum:
        set.sum = decoded_sum(message.nested(), path + ".sum");
        break;
      case field::sum_of_squares:
        set.sum_of_squares = decoded_sum(message.nested(), path + ".sum_of_squares");
        break;
      case field::sum_of_gradients:
        gradients.sum = decoded_sum(message.nested(), path + ".sum_of_gradients");
        has_gradients = true;
        break;
      case field::sum_of_products:
        gradients.sum_of_products = decoded_sum(message.nested(), path + ".sum_of_products");
        has_products = true;
        break;
      default:
        break;
    }
  }
  if (has_gradients) {
    set.gradients = std::move(gradients);
  } else if (has_products) {
    throw invalid_argument{path + ".sum_of_products", "expected none without sum_of_gradients"};
  } else if (gradients.nonfinite_gradients != 0) {
    throw invalid_argument{path + ".nonfinite_gradients", "expected 0 without sum_of_gradients"};
  }
  return set;
}

/// Refuses sets that no tensor has.
void require_possible(const detail::statistics& statistics) {
  std::size_t expected = 1;
  bool overflows = false;
  for (const std::int64_t dimension : statistics.shape) {
    if (dimension < 0) {
      throw invalid_argument{"shape", "expected no negative dimension"};
    }
    overflows = __builtin_mul_overflow(expected, static_cast<std::size_t>(dimension), &expected) || overflows;
  }
  if (overflows || expected != statistics.sets.size()) {
    throw invalid_argument{"sets", "expected as many as the shape has"};
  }
  for (std::size_t index = 0; index < statistics.sets.size(); ++index) {
    const set_statistics& set = statistics.sets[index];
    const std::string path = "sets[" + std::to_string(index) + "]";
    if (set.elements != statistics.elements()) {
      throw invalid_argument{path + ".elements", "expected as many as the first set has"};
    }
    if (set.gradients.has_value() != statistics.has_gradients()) {
      throw invalid_argument{path + ".sum_of_gradients", "expected in all sets or in none"};
    }
    exact::require_possible(set, path);
  }
}

}  // namespace

statistics_partial::statistics_partial(std::shared_ptr<detail::statistics> shared) : shared_{std::move(shared)} {}

norm_kind statistics_partial::kind() const noexcept { return shared_->kind; }

const shape_type& statistics_partial::shape() const noexcept { return shared_->shape; }

std::uint64_t statistics_partial::elements() const noexcept { return shared_->elements(); }

bool statistics_partial::has_gradients() const noexcept { return shared_->has_gradients(); }

statistics_partial& statistics_partial::merge(const statistics_partial& other) {
  const std::shared_ptr<detail::statistics> others = other.shared_;  // other may be this one
  const detail::statistics& added = *others;
  if (added.kind != kind()) {
    throw invalid_argument{"kind", "expected the kind of the partial it is merged with"};
  }
  if (added.shape != shape()) {
    throw invalid_argument{"shape", "expected the shape of the partial it is merged with"};
  }
  if (added.has_gradients() != has_gradients()) {
    throw invalid_argument{"sets[0].sum_of_gradients",
                           "expected in both of the partials that are merged or in neither"};
  }
  if (added.elements() + elements() > exact::max_elements) {
    throw invalid_argument{"sets[0].elements", "expected no more than 2^59, with those they are merged with"};
  }
  if (shared_.use_count() > 1) {
    shared_ = std::make_shared<detail::statistics>(*shared_);
  }
  for (std::size_t index = 0; index < added.sets.size(); ++index) {
    exact::merge(shared_->sets[index], added.sets[index]);
  }
  return *this;
}

std::vector<std::byte> statistics_partial::to_bytes() const {
  namespace field = wire::statistics_partial;
  wire::message message;
  message.varint(field::kind, static_cast<std::uint64_t>(kind()));
  message.packed(field::shape, std::span<const std::int64_t>{shape()});
  for (const set_statistics& set : shared_->sets) {
    message.nested(field::sets, encoded(set));
  }
  return message.to_bytes();
}

statistics_partial statistics_partial::from_bytes(std::span<const std::byte> bytes) {
  namespace field = wire::statistics_partial;
  auto statistics = std::make_shared<detail::statistics>();
  std::uint64_t kind = 0;
  try {
    wire::reader message{std::span{&bytes, 1}};
    while (message.next()) {
      if (message.field() == field::kind) {
        kind = message.varint();
      } else if (message.field() == field::shape) {
        message.repeated(statistics->shape);
      } else if (message.field() == field::sets) {
        const std::string path = "sets[" + std::to_string(statistics->sets.size()) + "]";
        statistics->sets.push_back(decoded_set(message.nested(), path));
      }
    }
  } catch (const wire::malformed& fault) {
    throw invalid_argument{"partial", std::string{"not a message StatisticsPartial: "} + fault.what()};
  }
  if (kind < static_cast<std::uint64_t>(norm_kind::batch) || kind > static_cast<std::uint64_t>(norm_kind::l2)) {
    throw invalid_argument{"kind", "expected a kind that this client knows"};
  }
  statistics->kind = static_cast<norm_kind>(kind);
  require_possible(*statistics);
  return detail::statistics_access::make(std::move(statistics));
}

}  // namespace evenkeel
