#include "ops/normalize.hpp"

#include <optional>
#include <string>
#include <utility>

#include "ops/codec.hpp"
#include "ops/landing.hpp"
#include "ops/measure.hpp"

namespace evenkeel::ops {

namespace {

/// What an answer has beside tensors, with room to spare.
constexpr std::size_t answer_overhead = 1024;

/// The fields of a NormalizeResponse, which may be a whole answer, a header or a summary. They refer to the message.
struct fields {
  std::vector<std::int32_t> axes;
  std::optional<received_tensor> mean;
  std::optional<received_tensor> rstd;
  std::optional<received_tensor> running_mean;
  std::optional<received_tensor> running_var;
  std::optional<received_tensor> output;

  explicit fields(wire::reader message) {
    namespace field = wire::normalize_response;
    while (message.next()) {
      switch (message.field()) {
        case field::axes:
          message.repeated(axes);
          break;
        case field::mean:
          mean.emplace(message.nested());
          break;
        case field::rstd:
          rstd.emplace(message.nested());
          break;
        case field::running_mean:
          running_mean.emplace(message.nested());
          break;
        case field::running_var:
          running_var.emplace(message.nested());
          break;
        case field::output:
          output.emplace(message.nested());
          break;
        default:
          break;
      }
    }
  }
};

/// What was asked for, which decides what an answer may have.
class question {
 public:
  question(const any_tensor& x, norm_kind kind, const normalize_options& options)
      : x_{x}, options_{options}, pool_{pooling_of(kind, options)}, sets_{pool_.sets(x.shape())} {}

  /// The axes that are pooled, which the answer must name.
  [[nodiscard]] std::vector<std::int32_t> axes(const std::vector<std::int32_t>& given) const {
    std::vector<std::int32_t> due = pool_.pooled_axes(x_.shape().size());
    if (given != due) {
      throw broken_contract("axes", "are others than those that are pooled");
    }
    return due;
  }

  /// Adds the statistics of an answer to a result.
  void read(fields& found, any_normalized& result) const {
    const bool asked = options_.return_statistics;
    result.mean = statistic("mean", found.mean, asked && pool_.has_mean());
    result.rstd = statistic("rstd", found.rstd, asked);
    result.running_mean = running("running_mean", found.running_mean, options_.running_mean);
    result.running_var = running("running_var", found.running_var, options_.running_var);
  }

 private:
  std::optional<any_array> statistic(const std::string& path, std::optional<received_tensor>& given,
                                     bool is_due) const {
    if (given.has_value() != is_due) {
      throw broken_contract(path, is_due ? "is missing" : "was not asked for");
    }
    if (!given) {
      return std::nullopt;
    }
    given->expect(path, x_.type() == dtype::float64 ? dtype::float64 : dtype::float32, sets_);
    return given->to_array(path);
  }

  static std::optional<any_array> running(const std::string& path, std::optional<received_tensor>& given,
                                          const std::optional<any_tensor>& sent) {
    if (!given) {
      return std::nullopt;
    }
    if (!sent) {
      throw broken_contract(path, "answers nothing that was sent");
    }
    given->expect(path, *sent);
    return given->to_array(path);
  }

  const any_tensor& x_;
  const normalize_options& options_;
  pooling pool_;
  shape_type sets_;
};

received_tensor& require_tensor(std::optional<received_tensor>& tensor, const std::string& path) {
  if (!tensor) {
    throw broken_contract(path, "is missing");
  }
  return *tensor;
}

any_normalized as_message(detail::core& core, const any_tensor& x, norm_kind kind, const normalize_options& options,
                          const wire::message& request, const rpc::scope& scope) {
  any_array output = landing_for(x, options.into);
  const wire::rope answer = core.unary(wire::method::normalize, request, scope);
  return decoded(answer, [&](wire::reader message) {
    fields found{message};
    received_tensor& tensor = require_tensor(found.output, "output");
    tensor.expect("output", x);
    tensor.take("output", output.bytes());
    const question asked{x, kind, options};
    any_normalized result;
    result.axes = asked.axes(found.axes);
    asked.read(found, result);
    result.output = std::move(output);
    return result;
  });
}

any_normalized as_stream(detail::core& core, const any_tensor& x, norm_kind kind, const normalize_options& options,
                         std::size_t chunk, const rpc::scope& scope) {
  namespace request = wire::normalize_stream_request;
  namespace response = wire::normalize_stream_response;
  any_array output = landing_for(x, options.into);
  wire::message header = encode_normalize(kind, options);
  header.nested(wire::normalize_request::input, describe_tensor(x));
  const question asked{x, kind, options};
  any_normalized result;
  core.retried(scope, [&] {
    sequence order;
    landing elements{"data", output.bytes()};
    chunks data{x.bytes(), chunk};
    bool has_begun = false;
    core.stream(
        wire::method::normalize_stream,
        [&](wire::message& message) {
          if (!std::exchange(has_begun, true)) {
            message.nested(request::header, header);
            return true;
          }
          if (data.is_over()) {
            return false;
          }
          message.bytes(request::data, data.next());
          return true;
        },
        [&](const wire::rope& rope) {
          decoded(rope, [&](wire::reader message) {
            while (message.next()) {
              if (message.field() == response::header) {
                order.header();
                fields found{message.nested()};
                received_tensor& tensor = require_tensor(found.output, "output");
                tensor.expect("output", x);
                tensor.expect_no_elements("output");
                result.axes = asked.axes(found.axes);
              } else if (message.field() == response::data) {
                order.body();
                elements.take(message.nested());
              } else if (message.field() == response::summary) {
                order.summary();
                fields found{message.nested()};
                asked.read(found, result);
              }
            }
          });
        },
        scope);
    order.end();
    elements.complete();
  });
  result.output = std::move(output);
  return result;
}

/// Whether the statistics are those of the input: neither running nor merged ones.
bool uses_own_statistics(const normalize_options& options) {
  return !options.statistics && options.training.value_or(!options.running_mean);
}

/// The gradient of a weight or a bias, which was sent.
any_array of_parameter(const std::string& path, wire::reader message, const std::optional<any_tensor>& sent) {
  if (!sent) {
    throw broken_contract(path, "answers nothing that was sent");
  }
  received_tensor tensor{message};
  tensor.expect(path, *sent);
  return tensor.to_array(path);
}

}  // namespace

any_normalized normalize(detail::core& core, const any_tensor& x, norm_kind kind, const normalize_options& options) {
  const rpc::scope scope = core.begin(options.timeout, options.stop);
  for (const auto& tensor : {options.weight, options.bias, options.running_mean, options.running_var}) {
    if (tensor) {
      require_apart(*tensor, options.into);
    }
  }
  wire::message request = encode_normalize(kind, options);
  request.nested(wire::normalize_request::input, encode_tensor(x));
  // The answer has the statistics beside what is in the request.
  const std::size_t largest = request.size() + statistics_bytes(x, kind, options) + answer_overhead;
  const std::optional<std::size_t> chunk =
      core.chunk_if_streamed(options.return_statistics ? largest : request.size(), scope);
  if (!chunk) {
    return as_message(core, x, kind, options, request, scope);
  }
  try {
    return as_stream(core, x, kind, options, *chunk, scope);
  } catch (const needs_two_passes&) {
    if (!uses_own_statistics(options)) {
      throw;
    }
  }
  normalize_options second = options;
  second.statistics = measure_statistics(
      core, x, kind, {.axes = options.axes, .groups = options.groups, .channel_axis = options.channel_axis}, scope);
  return as_stream(core, x, kind, second, *chunk, scope);
}

any_normalize_gradients normalize_backward(detail::core& core, const any_tensor& x, const any_tensor& grad_output,
                                           norm_kind kind, const normalize_options& options) {
  namespace request_field = wire::normalize_backward_request;
  namespace field = wire::normalize_backward_response;
  const rpc::scope scope = core.begin(options.timeout, options.stop);
  require_apart(grad_output, options.into);
  any_array grad_input = landing_for(x, options.into);
  wire::message request = encode_normalize(kind, options);
  request.nested(request_field::input, encode_tensor(x));
  request.nested(request_field::grad_output, encode_tensor(grad_output));
  const wire::rope answer = core.unary(wire::method::normalize_backward, request, scope);
  return decoded(answer, [&](wire::reader message) {
    any_normalize_gradients result;
    bool is_there = false;
    while (message.next()) {
      if (message.field() == field::grad_weight) {
        result.grad_weight = of_parameter("grad_weight", message.nested(), options.weight);
      } else if (message.field() == field::grad_bias) {
        result.grad_bias = of_parameter("grad_bias", message.nested(), options.bias);
      } else if (message.field() == field::grad_input) {
        received_tensor tensor{message.nested()};
        tensor.expect("grad_input", x);
        tensor.take("grad_input", grad_input.bytes());
        is_there = true;
      }
    }
    if (!is_there) {
      throw broken_contract("grad_input", "is missing");
    }
    if (result.grad_weight.has_value() != options.weight.has_value()) {
      throw broken_contract("grad_weight", "is missing");
    }
    if (result.grad_bias.has_value() != options.bias.has_value()) {
      throw broken_contract("grad_bias", "is missing");
    }
    result.grad_input = std::move(grad_input);
    return result;
  });
}

}  // namespace evenkeel::ops
