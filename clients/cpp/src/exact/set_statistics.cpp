// The sets of a partial: what elements can have, and sums.
#include <algorithm>
#include <string>
#include <utility>

#include "evenkeel/errors.hpp"
#include "exact/statistics.hpp"

namespace evenkeel::exact {

namespace {

/// No float64 reaches 2^1024; the unit is 2^-2148.
constexpr std::size_t element_bits = 2148 + 1024;
constexpr std::size_t product_bits = 2148 + 2048;

bool is_below(const signed_sum& sum, std::uint64_t count, std::size_t bits) {
  return sum.magnitude.is_zero() || sum.magnitude < natural{count}.shifted_left(bits);
}

bool is_of_float64(const signed_sum& sum) { return sum.magnitude.is_zero() || sum.magnitude.trailing_zeros() >= 1074; }

/// Whether so many numbers with this sum can have this sum of squares: the square of the sum is at most `count` times
/// the sum of squares (Cauchy and Schwarz).
bool has_room(std::uint64_t count, const signed_sum& sum, const signed_sum& squares) {
  // The square of the sum is in units of 2^-4296.
  return sum.magnitude * sum.magnitude <= (natural{count} * squares.magnitude).shifted_left(-unit_exponent);
}

/// Throws invalid_argument of a field of a set, unless a condition holds.
class checker {
 public:
  explicit checker(const std::string& path) : path_{path} {}
  void operator()(bool condition, const char* field, const char* description) const {
    if (!condition) {
      throw invalid_argument{path_ + "." + field, description};
    }
  }

 private:
  const std::string& path_;
};

void require_possible_gradients(const set_statistics& set, std::uint64_t finite, const checker& require) {
  const gradient_sums& gradients = *set.gradients;
  require(gradients.nonfinite_gradients <= set.elements, "nonfinite_gradients", "expected no more than elements");
  const std::uint64_t finite_gradients = set.elements - gradients.nonfinite_gradients;
  require(is_below(gradients.sum, finite_gradients, element_bits), "sum_of_gradients",
          "expected no more than the finite gradients can add up to");
  require(is_of_float64(gradients.sum), "sum_of_gradients", "expected a multiple of 2^1074 units, as every float64 is");
  require(is_below(gradients.sum_of_products, std::min(finite, finite_gradients), product_bits), "sum_of_products",
          "expected no more than the finite products can add up to");
  require(!set.sum_of_squares.magnitude.is_zero() || gradients.sum_of_products.magnitude.is_zero(), "sum_of_products",
          "expected 0, since sum_of_squares is 0");
}

}  // namespace

signed_sum& signed_sum::operator+=(const signed_sum& other) {
  if (negative == other.negative) {
    magnitude += other.magnitude;
  } else if (magnitude >= other.magnitude) {
    magnitude -= other.magnitude;
  } else {
    natural difference = other.magnitude;
    difference -= magnitude;
    magnitude = std::move(difference);
    negative = other.negative;
  }
  negative = negative && !magnitude.is_zero();
  return *this;
}

void require_possible(const set_statistics& set, const std::string& path) {
  const checker require{path};
  require(set.elements <= max_elements, "elements", "expected no more than 2^59, with those they are merged with");
  std::uint64_t finite = set.elements;
  for (const std::uint64_t count : {set.nan_elements, set.infinite_elements, set.negative_infinite_elements}) {
    require(count <= finite, "elements", "expected at least as many as those that are NaN or infinite");
    finite -= count;
  }
  require(is_below(set.sum, finite, element_bits), "sum", "expected no more than the finite elements can add up to");
  require(is_of_float64(set.sum), "sum", "expected a multiple of 2^1074 units, as every float64 is");
  require(!set.sum_of_squares.negative, "sum_of_squares", "expected a sum that is not negative");
  require(is_below(set.sum_of_squares, finite, product_bits), "sum_of_squares",
          "expected no more than the squares of the finite elements can add up to");
  require(has_room(finite, set.sum, set.sum_of_squares), "sum_of_squares",
          "expected at least the square of sum divided by the number of finite elements");
  if (set.gradients) {
    require_possible_gradients(set, finite, require);
  }
}

void merge(set_statistics& set, const set_statistics& other) {
  set.elements += other.elements;
  set.nan_elements += other.nan_elements;
  set.infinite_elements += other.infinite_elements;
  set.negative_infinite_elements += other.negative_infinite_elements;
  set.sum += other.sum;
  set.sum_of_squares += other.sum_of_squares;
  if (set.gradients && other.gradients) {
    set.gradients->nonfinite_gradients += other.gradients->nonfinite_gradients;
    set.gradients->sum += other.gradients->sum;
    set.gradients->sum_of_products += other.gradients->sum_of_products;
  }
}

}  // namespace evenkeel::exact
