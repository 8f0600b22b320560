/// @file
/// The sums of the sets of a tensor, and how they are checked and merged.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "evenkeel/partials.hpp"
#include "exact/natural.hpp"

namespace evenkeel::exact {

/// A whole number with a sign, in units of 2^-2148. 0 is not negative.
struct signed_sum {
  natural magnitude{};
  bool negative = false;

  signed_sum& operator+=(const signed_sum& other);
};

/// The sums over the gradients of a set.
struct gradient_sums {
  std::uint64_t nonfinite_gradients = 0;
  signed_sum sum{};
  signed_sum sum_of_products{};
};

/// The counts and sums of the elements that are pooled together.
struct set_statistics {
  std::uint64_t elements = 0;
  std::uint64_t nan_elements = 0;
  std::uint64_t infinite_elements = 0;
  std::uint64_t negative_infinite_elements = 0;
  signed_sum sum{};
  signed_sum sum_of_squares{};
  std::optional<gradient_sums> gradients{};
};

/// Throws invalid_argument, of a path that begins with `path`, if no elements can have this set.
void require_possible(const set_statistics& set, const std::string& path);

/// Adds the counts and sums of another set; both have gradients, or neither.
void merge(set_statistics& set, const set_statistics& other);

}  // namespace evenkeel::exact

namespace evenkeel::detail {

/// What a statistics_partial has.
struct statistics {
  norm_kind kind{};
  shape_type shape{};
  std::vector<exact::set_statistics> sets{};

  [[nodiscard]] std::uint64_t elements() const noexcept { return sets.empty() ? 0 : sets.front().elements; }
  [[nodiscard]] bool has_gradients() const noexcept { return sets.empty() || sets.front().gradients.has_value(); }
};

/// Makes statistics_partial, and looks into it.
class statistics_access {
 public:
  static statistics_partial make(std::shared_ptr<statistics> shared) { return statistics_partial{std::move(shared)}; }
};

}  // namespace evenkeel::detail
