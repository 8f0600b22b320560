#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "evenkeel/errors.hpp"
#include "evenkeel/partials.hpp"
#include "exact/natural.hpp"
#include "wire/message.hpp"
#include "wire/reader.hpp"

namespace evenkeel {

namespace {

using exact::natural;

constexpr double infinity = std::numeric_limits<double>::infinity();

void require(bool condition, const char* field, const char* description) {
  if (!condition) {
    throw invalid_argument{field, description};
  }
}

void require_order(double norm_type) {
  require(norm_type == 1 || norm_type == 2 || norm_type == infinity, "norm_type",
          "expected 1, 2 or infinity, whose sums are exact");
}

/// Refuses a sum that so many finite elements cannot have.
void require_sum(double norm_type, const natural& sum, std::uint64_t finite) {
  if (sum.is_zero()) {
    return;
  }
  require(norm_type != infinity, "sum", "expected none with norm_type infinity");
  require(norm_type != 1 || sum.trailing_zeros() >= 1074, "sum",
          "expected a multiple of 2^1074 with norm_type 1, as every float64 is");
  // No float64 reaches 2^1024, and the unit is 2^-2148.
  const std::size_t term_bits = norm_type == 1 ? 2148 + 1024 : 2148 + 2048;
  require(sum < natural{finite}.shifted_left(term_bits), "sum",
          "expected no more than the finite elements can add up to");
}

}  // namespace

norm_partial::norm_partial(double norm_type) : norm_type_{norm_type} { require_order(norm_type); }

norm_partial& norm_partial::merge(const norm_partial& other) {
  require(norm_type_ == other.norm_type_, "norm_type", "expected the order of the partial it is merged with");
  require(elements_ + other.elements_ <= exact::max_elements, "elements",
          "expected no more than 2^59, with those it is merged with");
  elements_ += other.elements_;
  nan_elements_ += other.nan_elements_;
  infinite_elements_ += other.infinite_elements_;
  largest_ = std::max(largest_, other.largest_);
  natural sum{std::move(sum_)};
  sum += natural{other.sum_};
  sum_ = sum.to_digits();
  return *this;
}

double norm_partial::total_norm() const {
  if (nan_elements_ > 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (infinite_elements_ > 0) {
    return infinity;
  }
  if (norm_type_ == infinity) {
    return largest_;
  }
  return norm_type_ == 1 ? exact::rounded(natural{sum_}) : exact::rounded_root(natural{sum_});
}

std::vector<std::byte> norm_partial::to_bytes() const {
  namespace field = wire::norm_partial;
  wire::message message;
  message.real(field::norm_type, norm_type_);
  const auto count = [&message](wire::field_number number, std::uint64_t value) {
    if (value != 0) {
      message.varint(number, value);
    }
  };
  count(field::elements, elements_);
  count(field::nan_elements, nan_elements_);
  count(field::infinite_elements, infinite_elements_);
  if (largest_ != 0) {
    message.real(field::largest, largest_);
  }
  if (!sum_.empty()) {
    const std::vector<std::byte> sum = natural{sum_}.to_bytes();
    message.text(field::sum, {reinterpret_cast<const char*>(sum.data()), sum.size()});
  }
  return message.to_bytes();
}

norm_partial norm_partial::from_bytes(std::span<const std::byte> bytes) {
  namespace field = wire::norm_partial;
  double norm_type = 0;
  std::uint64_t elements = 0;
  std::uint64_t nan_elements = 0;
  std::uint64_t infinite_elements = 0;
  double largest = 0;
  natural sum;
  try {
    wire::reader message{std::span{&bytes, 1}};
    while (message.next()) {
      switch (message.field()) {
        case field::norm_type:
          norm_type = message.real();
          break;
        case field::elements:
          elements = message.varint();
          break;
        case field::nan_elements:
          nan_elements = message.varint();
          break;
        case field::infinite_elements:
          infinite_elements = message.varint();
          break;
        case field::largest:
          largest = message.real();
          break;
        case field::sum: {
          const std::string text = message.text();
          sum = natural::from_bytes(std::as_bytes(std::span{text}));
          break;
        }
        default:
          break;
      }
    }
  } catch (const wire::malformed& fault) {
    throw invalid_argument{"partial", std::string{"not a message NormPartial: "} + fault.what()};
  }
  norm_partial partial{norm_type};
  require(elements <= exact::max_elements, "elements", "expected no more than 2^59, with those it is merged with");
  require(nan_elements <= elements && infinite_elements <= elements - nan_elements, "elements",
          "expected at least as many as nan_elements and infinite_elements together");
  const std::uint64_t finite = elements - nan_elements - infinite_elements;
  require(std::isfinite(largest) && largest >= 0 && (largest == 0 || (norm_type == infinity && finite > 0)), "largest",
          "expected a finite number, above 0 only with norm_type infinity");
  require(sum.bit_length() <= 8 * exact::max_sum_bytes, "sum", "expected at most 532 bytes");
  require_sum(norm_type, sum, finite);
  partial.elements_ = elements;
  partial.nan_elements_ = nan_elements;
  partial.infinite_elements_ = infinite_elements;
  partial.largest_ = largest == 0 ? 0 : largest;  // the sign of 0 is dropped
  partial.sum_ = sum.to_digits();
  return partial;
}

}  // namespace evenkeel
