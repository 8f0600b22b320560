#include "evenkeel/client.hpp"

#include <utility>

#include "core.hpp"
#include "ops/clip.hpp"
#include "ops/dropout.hpp"
#include "ops/measure.hpp"
#include "ops/normalize.hpp"

namespace evenkeel {

client::client(std::string_view address, client_options options) {
  auto transport = rpc::connect(address, options);
  core_ = std::make_shared<detail::core>(std::move(transport), std::move(options));
}

any_normalized client::normalize(const any_tensor& x, norm_kind kind, const normalize_options& options) const {
  return ops::normalize(*core_, x, kind, options);
}

any_normalize_gradients client::normalize_backward(const any_tensor& x, const any_tensor& grad_output, norm_kind kind,
                                                   const normalize_options& options) const {
  return ops::normalize_backward(*core_, x, grad_output, kind, options);
}

any_dropped client::dropout(const any_tensor& x, double p, const dropout_options& options) const {
  return ops::dropout(*core_, x, p, options);
}

any_array client::dropout_backward(const any_tensor& grad_output, double p, const dropout_options& options) const {
  return ops::dropout_backward(*core_, grad_output, p, options);
}

clipped client::clip_grad_norm(std::span<const gradient> gradients, double max_norm,
                               const clip_options& options) const {
  const clip_mode mode = options.per_tensor ? clip_mode::norm_per_tensor : clip_mode::norm;
  return ops::clip_gradients(*core_, gradients, mode, max_norm, options);
}

clipped client::clip_grad_value(std::span<const gradient> gradients, double max_value,
                                const clip_options& options) const {
  if (options.per_tensor) {
    throw invalid_argument{"per_tensor", "expected with clip_grad_norm alone"};
  }
  return ops::clip_gradients(*core_, gradients, clip_mode::value, max_value, options);
}

norm_partial client::measure_gradients(std::span<const gradient> gradients,
                                       const measure_gradients_options& options) const {
  return ops::measure_gradients(*core_, gradients, options.norm_type, core_->begin(options.timeout, options.stop));
}

statistics_partial client::measure_statistics(const any_tensor& x, norm_kind kind,
                                              const measure_statistics_options& options) const {
  return ops::measure_statistics(*core_, x, kind, options, core_->begin(options.timeout, options.stop));
}

server_description client::server_info(const call_options& options) const {
  return core_->server_info(core_->begin(options.timeout, options.stop));
}

}  // namespace evenkeel
