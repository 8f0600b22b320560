/// @file
/// What the calls return.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "evenkeel/array.hpp"
#include "evenkeel/enums.hpp"
#include "evenkeel/random.hpp"

namespace evenkeel {

/// A normalized tensor, with `A` an array type and `S` that of the statistics.
template <class A, class S>
struct basic_normalized {
  A output;                                 ///< The tensor, in shape and dtype of the input.
  std::vector<std::int32_t> axes{};         ///< The axes that were pooled, sorted.
  std::optional<S> mean{};                  ///< With `return_statistics`: the means; not for rms and l2.
  std::optional<S> rstd{};                  ///< With `return_statistics`: 1 / sqrt(var + eps).
  std::optional<any_array> running_mean{};  ///< The updated running mean, in the dtype that was sent.
  std::optional<any_array> running_var{};   ///< The updated running variance, in the dtype that was sent.
};

/// The gradients of a normalization, with `A` an array type.
template <class A>
struct basic_normalize_gradients {
  A grad_input;                            ///< The gradient of the input, in its shape and dtype.
  std::optional<any_array> grad_weight{};  ///< If `weight` was sent: its gradient, in its shape and dtype.
  std::optional<any_array> grad_bias{};    ///< If `bias` was sent: its gradient, in its shape and dtype.
};

/// A tensor after dropout, with `A` an array type.
template <class A>
struct basic_dropped {
  A output;                         ///< The tensor, in shape and dtype of the input.
  std::uint64_t kept = 0;           ///< The number of elements that were kept.
  std::optional<keep_bits> mask{};  ///< With `return_mask`: one bit for every draw.
};

/// The dtype of statistics: double for double, else float.
template <element T>
using statistic_of = std::conditional_t<dtype_of<T>::value == dtype::float64, double, float>;

/// A normalized tensor.
template <element T>
using normalized = basic_normalized<array<T>, array<statistic_of<T>>>;
/// A normalized tensor of a dtype that is known at run time.
using any_normalized = basic_normalized<any_array, any_array>;
/// The gradients of a normalization.
template <element T>
using normalize_gradients = basic_normalize_gradients<array<T>>;
/// The gradients of a normalization of a dtype that is known at run time.
using any_normalize_gradients = basic_normalize_gradients<any_array>;
/// A tensor after dropout.
template <element T>
using dropped = basic_dropped<array<T>>;
/// A tensor after dropout of a dtype that is known at run time.
using any_dropped = basic_dropped<any_array>;

/// Clipped gradients.
struct clipped {
  std::vector<clipped_gradient> gradients{};  ///< In the order sent, with their names, shapes and dtypes.
  double total_norm = 0;                      ///< The norm over all gradients before clipping.
  double scale = 1;                           ///< The factor that was applied; per tensor: the smallest.
  std::uint64_t clipped_elements = 0;         ///< By value: the number of elements that were clamped.
  std::vector<double> tensor_norms{};         ///< Per tensor: the norm of each before clipping.

  /// The first gradient of this name.
  /// @throws invalid_argument, of the field `name`, if there is none
  [[nodiscard]] const any_array& operator[](std::string_view name) const;
};

/// What a server is and can do.
struct server_description {
  std::string version{};                     ///< The version, in the form of semver.org.
  std::uint64_t max_message_bytes = 0;       ///< The longest message that it takes or sends.
  std::uint64_t max_stream_chunk_bytes = 0;  ///< The longest chunk that it sends in a stream; 0: it streams no tensors.
  std::vector<dtype> dtypes{};               ///< The element types, of those that this client knows.
  std::vector<norm_kind> norm_kinds{};       ///< The normalizations, of those that this client knows.
  std::vector<std::string>
      compression{};  ///< The compression methods that it accepts. This client sends messages plain.
};

}  // namespace evenkeel
