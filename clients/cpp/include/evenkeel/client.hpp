/// @file
/// The client: one call for each operation.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "evenkeel/errors.hpp"
#include "evenkeel/options.hpp"
#include "evenkeel/results.hpp"

namespace evenkeel {

/// Encryption. Files are PEM. They are read once, when the client is made.
struct tls_options {
  std::string
      ca_file{};  ///< One of these authorities must have signed the server's certificate. Default: the system's.
  std::string cert_file{};    ///< The certificate that the server is shown; together with `key_file`.
  std::string key_file{};     ///< Its private key.
  std::string server_name{};  ///< The name that the server's certificate must have. Default: the host of the address.
};

/// The settings of a client.
struct client_options {
  std::string token{};               ///< Sent as `authorization: Bearer TOKEN` with every call. Default: none.
  std::optional<tls_options> tls{};  ///< Encrypts, as an `https://` address does.
  std::chrono::nanoseconds timeout = std::chrono::seconds{60};  ///< The time of a call that has no timeout of its own.
  std::size_t connections = 1;                                  ///< The number of connections; calls take them in turn.
  unsigned retries = 4;  ///< The most tries after the first, of calls that may succeed later.
  /// Told, once, that the server's version does not fit the client's. Default: writes a line to std::cerr.
  std::function<void(std::string_view)> warn{};
};

namespace detail {
class core;
}  // namespace detail

/// A client of an evenkeel server.
///
/// Its functions may be called from many threads at the same time. They return when the answer is there; run them in
/// threads of your own (std::async) for calls side by side. Copies are cheap and share their connections, which close
/// with the last.
///
/// Every call throws an exception derived from evenkeel::error if it has no result: invalid_argument for arguments that
/// do not fit; overloaded, unavailable, unauthenticated, message_too_large, deadline_exceeded, cancelled, unimplemented
/// and internal_error for what has to do with server or connection.
///
/// A tensor that is larger than the server's largest message goes as a stream by itself.
class client {
 public:
  /// A client of the server at an address. It connects with the first call.
  /// @param address `host:port`, `http://host:port`, `https://host:port` or `unix:/path`
  /// @param options the settings
  /// @throws invalid_argument if the address or a setting cannot be used
  explicit client(std::string_view address, client_options options = {});

  /// Normalizes a tensor.
  /// @throws evenkeel::error; see the class
  template <tensor_like X>
  [[nodiscard]] normalized<element_of<X>> normalize(const X& x, norm_kind kind,
                                                    const normalize_options& options = {}) const {
    auto from = normalize(any_tensor{view_of(x)}, kind, options);
    using statistic = array<statistic_of<element_of<X>>>;
    return {.output = array<element_of<X>>{std::move(from.output)},
            .axes = std::move(from.axes),
            .mean = typed<statistic>(std::move(from.mean)),
            .rstd = typed<statistic>(std::move(from.rstd)),
            .running_mean = std::move(from.running_mean),
            .running_var = std::move(from.running_var)};
  }
  /// Normalizes a tensor whose element type is known at run time.
  [[nodiscard]] any_normalized normalize(const any_tensor& x, norm_kind kind,
                                         const normalize_options& options = {}) const;

  /// Layer normalization: normalize with norm_kind::layer.
  template <tensor_like X>
  [[nodiscard]] normalized<element_of<X>> layer_norm(const X& x, const normalize_options& options = {}) const {
    return normalize(x, norm_kind::layer, options);
  }
  /// RMS normalization: normalize with norm_kind::rms.
  template <tensor_like X>
  [[nodiscard]] normalized<element_of<X>> rms_norm(const X& x, const normalize_options& options = {}) const {
    return normalize(x, norm_kind::rms, options);
  }
  /// Batch normalization: normalize with norm_kind::batch.
  template <tensor_like X>
  [[nodiscard]] normalized<element_of<X>> batch_norm(const X& x, const normalize_options& options = {}) const {
    return normalize(x, norm_kind::batch, options);
  }
  /// Instance normalization: normalize with norm_kind::instance.
  template <tensor_like X>
  [[nodiscard]] normalized<element_of<X>> instance_norm(const X& x, const normalize_options& options = {}) const {
    return normalize(x, norm_kind::instance, options);
  }
  /// Group normalization: normalize with norm_kind::group. `groups` takes the place of the one in the options.
  template <tensor_like X>
  [[nodiscard]] normalized<element_of<X>> group_norm(const X& x, std::uint32_t groups,
                                                     normalize_options options = {}) const {
    options.groups = groups;
    return normalize(x, norm_kind::group, options);
  }
  /// Divides vectors by their lengths: normalize with norm_kind::l2.
  template <tensor_like X>
  [[nodiscard]] normalized<element_of<X>> l2_norm(const X& x, const normalize_options& options = {}) const {
    return normalize(x, norm_kind::l2, options);
  }

  /// The gradients of a normalization, from the forward call's input and options and the gradient of its output.
  ///
  /// There is no stream of this call: a request above the server's limit is a message_too_large.
  template <tensor_like X, tensor_like G>
  requires std::same_as<element_of<X>, element_of<G>>
  [[nodiscard]] normalize_gradients<element_of<X>> normalize_backward(const X& x, const G& grad_output, norm_kind kind,
                                                                      const normalize_options& options = {}) const {
    auto from = normalize_backward(any_tensor{view_of(x)}, any_tensor{view_of(grad_output)}, kind, options);
    return {.grad_input = array<element_of<X>>{std::move(from.grad_input)},
            .grad_weight = std::move(from.grad_weight),
            .grad_bias = std::move(from.grad_bias)};
  }
  /// The gradients of a normalization of a tensor whose element type is known at run time.
  [[nodiscard]] any_normalize_gradients normalize_backward(const any_tensor& x, const any_tensor& grad_output,
                                                           norm_kind kind, const normalize_options& options = {}) const;

  /// Drops elements with probability `p`, which is in [0, 1], by a mask that depends on p, seed and offset alone.
  template <tensor_like X>
  [[nodiscard]] dropped<element_of<X>> dropout(const X& x, double p, const dropout_options& options = {}) const {
    auto from = dropout(any_tensor{view_of(x)}, p, options);
    return {.output = array<element_of<X>>{std::move(from.output)}, .kept = from.kept, .mask = std::move(from.mask)};
  }
  /// Dropout of a tensor whose element type is known at run time.
  [[nodiscard]] any_dropped dropout(const any_tensor& x, double p, const dropout_options& options = {}) const;

  /// The gradient of a dropout's input, from the forward call's arguments and the gradient of its output.
  template <tensor_like X>
  [[nodiscard]] array<element_of<X>> dropout_backward(const X& grad_output, double p,
                                                      const dropout_options& options = {}) const {
    return array<element_of<X>>{dropout_backward(any_tensor{view_of(grad_output)}, p, options)};
  }
  /// The gradient of a dropout of a tensor whose element type is known at run time.
  [[nodiscard]] any_array dropout_backward(const any_tensor& grad_output, double p,
                                           const dropout_options& options = {}) const;

  /// Clips gradients to a norm over all of them; with `per_tensor` each to its own.
  [[nodiscard]] clipped clip_grad_norm(std::span<const gradient> gradients, double max_norm,
                                       const clip_options& options = {}) const;
  /// The same of gradients in place: `clip_grad_norm({{"w", w}, {"b", b}}, 1.0)`.
  [[nodiscard]] clipped clip_grad_norm(std::initializer_list<gradient> gradients, double max_norm,
                                       const clip_options& options = {}) const {
    return clip_grad_norm(std::span{gradients.begin(), gradients.size()}, max_norm, options);
  }
  /// Clamps every element to [-max_value, max_value].
  [[nodiscard]] clipped clip_grad_value(std::span<const gradient> gradients, double max_value,
                                        const clip_options& options = {}) const;
  /// The same of gradients in place.
  [[nodiscard]] clipped clip_grad_value(std::initializer_list<gradient> gradients, double max_value,
                                        const clip_options& options = {}) const {
    return clip_grad_value(std::span{gradients.begin(), gradients.size()}, max_value, options);
  }

  /// Measures the norm of gradients in a form that merges with that of others. Names are ignored.
  [[nodiscard]] norm_partial measure_gradients(std::span<const gradient> gradients,
                                               const measure_gradients_options& options = {}) const;
  /// The same of gradients in place.
  [[nodiscard]] norm_partial measure_gradients(std::initializer_list<gradient> gradients,
                                               const measure_gradients_options& options = {}) const {
    return measure_gradients(std::span{gradients.begin(), gradients.size()}, options);
  }
  /// Measures the statistics of a part of a tensor in a form that merges with those of others.
  [[nodiscard]] statistics_partial measure_statistics(const any_tensor& x, norm_kind kind,
                                                      const measure_statistics_options& options = {}) const;

  /// Asks the server for its version, its limits and what it can do.
  [[nodiscard]] server_description server_info(const call_options& options = {}) const;

 private:
  template <class A>
  static std::optional<A> typed(std::optional<any_array>&& from) {
    return from ? std::optional<A>{A{std::move(*from)}} : std::nullopt;
  }

  std::shared_ptr<detail::core> core_;
};

}  // namespace evenkeel
