#include "evenkeel/tensor.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

#include "evenkeel/array.hpp"
#include "evenkeel/errors.hpp"
#include "evenkeel/results.hpp"

namespace evenkeel {

namespace {

/// The most dimensions of a tensor.
constexpr std::size_t max_rank = 64;

/// The number of elements of a shape.
std::size_t element_count(std::span<const std::int64_t> shape) {
  if (shape.size() > max_rank) {
    throw invalid_argument{"shape", "expected at most 64 dimensions"};
  }
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t dimension) { return dimension < 0; })) {
    throw invalid_argument{"shape", "expected no negative dimension"};
  }
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    return 0;
  }
  std::size_t count = 1;
  for (const std::int64_t dimension : shape) {
    // Half of the address space, so that the bytes of the widest type can be counted as well.
    if (static_cast<std::size_t>(dimension) > (SIZE_MAX / 16) / count) {
      throw invalid_argument{"shape", "expected fewer elements"};
    }
    count *= static_cast<std::size_t>(dimension);
  }
  return count;
}

}  // namespace

void detail::require_fit(std::span<const std::int64_t> shape, std::size_t elements) {
  const std::size_t expected = element_count(shape);
  if (expected != elements) {
    throw invalid_argument{"shape", "expected a shape of the " + std::to_string(elements) +
                                        " elements that are given, got one of " + std::to_string(expected)};
  }
}

any_tensor::any_tensor(dtype type, std::span<const std::byte> bytes, shape_type shape)
    : bytes_{bytes}, shape_{std::move(shape)}, type_{type} {
  if (bytes.size() % size_of(type) != 0) {
    throw invalid_argument{"data", "expected whole elements"};
  }
  detail::require_fit(shape_, bytes.size() / size_of(type));
}

any_array::any_array(dtype type, shape_type shape) : shape_{std::move(shape)}, type_{type} {
  const std::size_t size = element_count(shape_) * size_of(type);
  memory_ = std::make_unique_for_overwrite<std::byte[]>(size);  // NOLINT(modernize-avoid-c-arrays): see the member
  bytes_ = {memory_.get(), size};
}

any_array::any_array(const mutable_tensor& memory, shape_type shape)
    : bytes_{memory.bytes()}, shape_{std::move(shape)}, type_{memory.type()} {
  detail::require_fit(shape_, bytes_.size() / size_of(type_));
}

any_array any_array::clone() const {
  any_array copy{type_, shape_};
  std::copy(bytes_.begin(), bytes_.end(), copy.bytes_.begin());
  return copy;
}

void any_array::require(dtype type) const {
  if (type != type_) {
    throw invalid_argument{
        "dtype", "the elements are " + std::string{to_string(type_)} + " and not " + std::string{to_string(type)}};
  }
}

any_array detail::gathered(dtype type, const std::byte* base, shape_type shape, std::span<const std::int64_t> strides) {
  if (strides.size() != shape.size()) {
    throw invalid_argument{"strides", "expected one for each dimension"};
  }
  any_array result{type, std::move(shape)};
  const std::size_t size = size_of(type);
  std::vector<std::int64_t> index(strides.size());
  std::ptrdiff_t offset = 0;
  for (std::span<std::byte> to = result.bytes(); !to.empty(); to = to.subspan(size)) {
    std::memcpy(to.data(), base + offset, size);
    // The next index in row-major order.
    for (std::size_t axis = strides.size(); axis-- > 0;) {
      offset += strides[axis];
      if (++index[axis] < result.shape()[axis]) {
        break;
      }
      offset -= strides[axis] * result.shape()[axis];
      index[axis] = 0;
    }
  }
  return result;
}

const any_array& clipped::operator[](std::string_view name) const {
  const auto found = std::find_if(gradients.begin(), gradients.end(),
                                  [name](const clipped_gradient& candidate) { return candidate.name == name; });
  if (found == gradients.end()) {
    throw invalid_argument{"name", "no gradient has the name " + std::string{name}};
  }
  return found->tensor;
}

}  // namespace evenkeel
