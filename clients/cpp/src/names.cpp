// The names of the enums.
#include <array>
#include <cstddef>
#include <string>

#include "evenkeel/enums.hpp"
#include "evenkeel/errors.hpp"
#include "evenkeel/tensor.hpp"

namespace evenkeel {

namespace {

using std::string_view;

// The values of each enum begin with 1 and have no gaps.
constexpr std::array<string_view, 4> dtypes{"float32", "float64", "float16", "bfloat16"};
constexpr std::array<string_view, 6> norm_kinds{"batch", "layer", "rms", "instance", "group", "l2"};
constexpr std::array<string_view, 4> dropout_kinds{"element", "channel", "alpha", "feature_alpha"};
constexpr std::array<string_view, 2> scalings{"inverted", "none"};
constexpr std::array<string_view, 3> clip_modes{"norm", "value", "norm_per_tensor"};

template <class E, std::size_t N>
string_view name_of(E value, const std::array<string_view, N>& names) noexcept {
  const auto index = static_cast<std::size_t>(value) - 1;
  return index < N ? names[index] : "unknown";
}

template <class E, std::size_t N>
E value_of(string_view name, const std::array<string_view, N>& names, const char* field) {
  std::string expected;
  for (std::size_t index = 0; index < N; ++index) {
    if (names[index] == name) {
      return static_cast<E>(index + 1);
    }
    expected += (index == 0 ? "" : ", ") + std::string{names[index]};
  }
  throw invalid_argument{field, "expected one of " + expected + ", got " + std::string{name}};
}

}  // namespace

string_view to_string(dtype type) noexcept { return name_of(type, dtypes); }
string_view to_string(norm_kind kind) noexcept { return name_of(kind, norm_kinds); }
string_view to_string(dropout_kind kind) noexcept { return name_of(kind, dropout_kinds); }
string_view to_string(dropout_scaling scaling) noexcept { return name_of(scaling, scalings); }
string_view to_string(clip_mode mode) noexcept { return name_of(mode, clip_modes); }

dtype to_dtype(string_view name) { return value_of<dtype>(name, dtypes, "dtype"); }
norm_kind to_norm_kind(string_view name) { return value_of<norm_kind>(name, norm_kinds, "kind"); }
dropout_kind to_dropout_kind(string_view name) { return value_of<dropout_kind>(name, dropout_kinds, "kind"); }
dropout_scaling to_dropout_scaling(string_view name) { return value_of<dropout_scaling>(name, scalings, "scaling"); }
clip_mode to_clip_mode(string_view name) { return value_of<clip_mode>(name, clip_modes, "mode"); }

}  // namespace evenkeel
