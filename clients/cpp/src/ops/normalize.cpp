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

/// The statistics and axes of a NormalizeResponse, which may be a whole answer, a header or a summary.
struct fields {
  std::vector<std::int32_t> axes;
  std::optional<any_array> mean;
  std::optional<any_array> rstd;
  std::optional<any_array> running_mean;
  std::optional<any_array> running_var;
  std::optional<received_tensor> output;

  explicit fields(wire::reader message) {
    namespace field = wire::normalize_response;
    while (message.next()) {
      switch (message.field()) {
        case field::axes:
          message.repeated(axes);
          break;
        case field::mean:
          mean = received_tensor{message.nested()}.to_array("mean");
          break;
        case field::rstd:
          rstd = received_tensor{message.nested()}.to_array("rstd");
          break;
        case field::running_mean:
          running_mean = received_tensor{message.nested()}.to_array("running_mean");
          break;
        case field::running_var:
          running_var = received_tensor{message.nested()}.to_array("running_var");
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

any_normalized assembled(any_array output, std::vector<std::int32_t> axes, fields rest) {
  return {.output = std::move(output),
          .axes = std::move(axes),
          .mean = std::move(rest.mean),
          .rstd = std::move(rest.rstd),
          .running_mean = std::move(rest.running_mean),
          .running_var = std::move(rest.running_var)};
}

received_tensor& require_tensor(std::optional<received_tensor>& tensor, const std::string& path) {
  if (!tensor) {
    throw broken_contract(path, "is missing");
  }
  return *tensor;
}

any_normalized as_message(detail::core& core, const any_tensor& x, const normalize_options& options,
                          const wire::message& request, const rpc::scope& scope) {
  any_array output = landing_for(x, options.into);
  const wire::rope answer = core.unary(wire::method::normalize, request, scope);
  return decoded(answer, [&](wire::reader message) {
    fields found{message};
    received_tensor& tensor = require_tensor(found.output, "output");
    tensor.expect("output", x);
    tensor.take("output", output.bytes());
    std::vector<std::int32_t> axes = std::move(found.axes);
    return assembled(std::move(output), std::move(axes), std::move(found));
  });
}

any_normalized as_stream(detail::core& core, const any_tensor& x, norm_kind kind, const normalize_options& options,
                         std::size_t chunk, const rpc::scope& scope) {
  namespace request = wire::normalize_stream_request;
  namespace response = wire::normalize_stream_response;
  any_array output = landing_for(x, options.into);
  wire::message header = encode_normalize(kind, options);
  header.nested(wire::normalize_request::input, describe_tensor(x));
  std::vector<std::int32_t> axes;
  std::optional<fields> summary;
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
                axes = std::move(found.axes);
              } else if (message.field() == response::data) {
                order.body();
                elements.take(message.nested());
              } else if (message.field() == response::summary) {
                order.summary();
                summary.emplace(message.nested());
              }
            }
          });
        },
        scope);
    order.end();
    elements.complete();
  });
  return assembled(std::move(output), std::move(axes), std::move(*summary));
}

/// Whether the statistics are those of the input: neither running nor merged ones.
bool uses_own_statistics(const normalize_options& options) {
  return !options.statistics && options.training.value_or(!options.running_mean);
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
    return as_message(core, x, options, request, scope);
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
        result.grad_weight = received_tensor{message.nested()}.to_array("grad_weight");
      } else if (message.field() == field::grad_bias) {
        result.grad_bias = received_tensor{message.nested()}.to_array("grad_bias");
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
    result.grad_input = std::move(grad_input);
    return result;
  });
}

}  // namespace evenkeel::ops
