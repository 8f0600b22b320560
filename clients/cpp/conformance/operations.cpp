#include "operations.hpp"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace conformance {

namespace {

using evenkeel::any_tensor;

/// Sets an option that is given.
template <class T, class Convert>
void set(T& to, const json& arguments, const char* name, const Convert& convert) {
  if (const auto found = arguments.find(name); found != arguments.end() && !found->is_null()) {
    to = convert(*found);
  }
}

/// Converts to the type of the protocol's JSON.
template <class T>
constexpr auto as = [](const json& value) { return value.get<T>(); };

/// Converts to an integer type of the client's options, which the compiler gives no number beyond it: braces narrow
/// nothing.
template <class Integer>
Integer to_integer(const json& value) {
  const auto number = value.get<std::int64_t>();
  if (!std::in_range<Integer>(number)) {
    throw unsupported("the compiler refuses a number beyond the option's type: {.groups = -1} is an error");
  }
  return static_cast<Integer>(number);
}

template <class Integer>
constexpr auto as_integer = [](const json& value) { return to_integer<Integer>(value); };

constexpr auto as_axes = [](const json& value) {
  std::vector<std::int32_t> axes;
  for (const json& axis : value) {
    axes.push_back(to_integer<std::int32_t>(axis));
  }
  return axes;
};

/// Converts a name by a function of the client.
template <auto Function>
constexpr auto by_name = [](const json& value) { return Function(value.get<std::string>()); };

/// A partial, which is the base64 of its message.
template <class Partial>
constexpr auto as_partial =
    [](const json& value) { return Partial::from_bytes(from_base64(value.get<std::string>())); };

evenkeel::normalize_options normalize_options(const json& arguments, const call& call, tensors& memory) {
  const auto tensor = [&memory](const json& value) { return memory(value); };
  evenkeel::normalize_options options{.timeout = call.timeout, .stop = call.stop};
  set(options.axes, arguments, "axes", as_axes);
  set(options.groups, arguments, "groups", as_integer<std::uint32_t>);
  set(options.eps, arguments, "eps", to_double);
  set(options.channel_axis, arguments, "channel_axis", as_integer<std::int32_t>);
  set(options.training, arguments, "training", as<bool>);
  set(options.momentum, arguments, "momentum", to_double);
  set(options.return_statistics, arguments, "return_statistics", as<bool>);
  set(options.statistics, arguments, "statistics", as_partial<evenkeel::statistics_partial>);
  set(options.weight, arguments, "weight", tensor);
  set(options.bias, arguments, "bias", tensor);
  set(options.running_mean, arguments, "running_mean", tensor);
  set(options.running_var, arguments, "running_var", tensor);
  return options;
}

void put(json& to, const char* name, const std::optional<evenkeel::any_array>& tensor, bool digest) {
  if (tensor) {
    to[name] = from_tensor(*tensor, digest);
  }
}

json normalize(const json& arguments, const call& call) {
  tensors memory;
  const auto kind = evenkeel::to_norm_kind(arguments.at("kind").get<std::string>());
  const any_tensor input = memory(arguments.at("input"));
  const auto answer = call.client().normalize(input, kind, normalize_options(arguments, call, memory));
  json result{{"output", from_tensor(answer.output, call.digest)}, {"axes", answer.axes}};
  put(result, "mean", answer.mean, call.digest);
  put(result, "rstd", answer.rstd, call.digest);
  put(result, "running_mean", answer.running_mean, call.digest);
  put(result, "running_var", answer.running_var, call.digest);
  return result;
}

json normalize_backward(const json& arguments, const call& call) {
  tensors memory;
  const auto kind = evenkeel::to_norm_kind(arguments.at("kind").get<std::string>());
  const any_tensor input = memory(arguments.at("input"));
  const any_tensor grad_output = memory(arguments.at("grad_output"));
  const auto answer =
      call.client().normalize_backward(input, grad_output, kind, normalize_options(arguments, call, memory));
  json result{{"grad_input", from_tensor(answer.grad_input, call.digest)}};
  put(result, "grad_weight", answer.grad_weight, call.digest);
  put(result, "grad_bias", answer.grad_bias, call.digest);
  return result;
}

evenkeel::dropout_options dropout_options(const json& arguments, const call& call) {
  evenkeel::dropout_options options{.timeout = call.timeout, .stop = call.stop};
  set(options.seed, arguments, "seed", to_uint64);
  set(options.offset, arguments, "offset", to_uint64);
  set(options.kind, arguments, "kind", by_name<evenkeel::to_dropout_kind>);
  set(options.scaling, arguments, "scaling", by_name<evenkeel::to_dropout_scaling>);
  set(options.channel_axis, arguments, "channel_axis", as_integer<std::int32_t>);
  set(options.return_mask, arguments, "return_mask", as<bool>);
  return options;
}

json dropout(const json& arguments, const call& call) {
  tensors memory;
  const any_tensor input = memory(arguments.at("input"));
  const auto options = dropout_options(arguments, call);
  const auto answer = call.client().dropout(input, to_double(arguments.at("p")), options);
  json result{{"output", from_tensor(answer.output, call.digest)}, {"kept", std::to_string(answer.kept)}};
  if (answer.mask) {
    result["mask"] = to_base64(answer.mask->bytes());
  }
  return result;
}

json dropout_backward(const json& arguments, const call& call) {
  tensors memory;
  const any_tensor grad_output = memory(arguments.at("grad_output"));
  const auto options = dropout_options(arguments, call);
  const auto answer = call.client().dropout_backward(grad_output, to_double(arguments.at("p")), options);
  return {{"grad_input", from_tensor(answer, call.digest)}};
}

std::vector<evenkeel::gradient> gradients(const json& arguments, tensors& memory) {
  std::vector<evenkeel::gradient> list;
  for (const json& value : arguments.at("gradients")) {
    list.push_back({value.value("name", std::string{}), memory(value)});
  }
  return list;
}

json clip_gradients(const json& arguments, const call& call) {
  tensors memory;
  const auto list = gradients(arguments, memory);
  const auto mode = evenkeel::to_clip_mode(arguments.at("mode").get<std::string>());
  const double threshold = to_double(arguments.at("threshold"));
  evenkeel::clip_options options{
      .per_tensor = mode == evenkeel::clip_mode::norm_per_tensor, .timeout = call.timeout, .stop = call.stop};
  set(options.norm_type, arguments, "norm_type", to_double);
  set(options.total_norm, arguments, "total_norm", to_double);
  set(options.epsilon, arguments, "epsilon", to_double);
  set(options.not_above, arguments, "not_above", as<bool>);
  set(options.error_if_nonfinite, arguments, "error_if_nonfinite", as<bool>);
  const auto answer = mode == evenkeel::clip_mode::value ? call.client().clip_grad_value(list, threshold, options)
                                                         : call.client().clip_grad_norm(list, threshold, options);
  json result{{"gradients", json::array()},
              {"total_norm", from_double(answer.total_norm)},
              {"scale", from_double(answer.scale)},
              {"clipped_elements", std::to_string(answer.clipped_elements)},
              {"tensor_norms", json::array()}};
  for (const auto& [name, tensor] : answer.gradients) {
    json value = from_tensor(tensor, call.digest);
    value["name"] = name;
    result["gradients"].push_back(std::move(value));
  }
  for (const double norm : answer.tensor_norms) {
    result["tensor_norms"].push_back(from_double(norm));
  }
  return result;
}

json norm_result(const evenkeel::norm_partial& partial) {
  return {{"partial", to_base64(partial.to_bytes())}, {"total_norm", from_double(partial.total_norm())}};
}

json measure_gradients(const json& arguments, const call& call) {
  tensors memory;
  const auto list = gradients(arguments, memory);
  evenkeel::measure_gradients_options options{.timeout = call.timeout, .stop = call.stop};
  set(options.norm_type, arguments, "norm_type", to_double);
  return norm_result(call.client().measure_gradients(list, options));
}

json measure_statistics(const json& arguments, const call& call) {
  tensors memory;
  const auto kind = evenkeel::to_norm_kind(arguments.at("kind").get<std::string>());
  const any_tensor input = memory(arguments.at("input"));
  evenkeel::measure_statistics_options options{.timeout = call.timeout, .stop = call.stop};
  set(options.axes, arguments, "axes", as_axes);
  set(options.groups, arguments, "groups", as_integer<std::uint32_t>);
  set(options.channel_axis, arguments, "channel_axis", as_integer<std::int32_t>);
  set(options.grad_output, arguments, "grad_output", [&memory](const json& value) { return memory(value); });
  return {{"partial", to_base64(call.client().measure_statistics(input, kind, options).to_bytes())}};
}

json server_info(const json& /*arguments*/, const call& call) {
  const auto info = call.client().server_info({.timeout = call.timeout, .stop = call.stop});
  return {{"version", info.version},
          {"max_message_bytes", std::to_string(info.max_message_bytes)},
          {"max_stream_chunk_bytes", std::to_string(info.max_stream_chunk_bytes)},
          {"warned", call.has_warned()}};
}

json keep_mask(const json& arguments, const call& /*call*/) {
  std::uint64_t offset = 0;
  set(offset, arguments, "offset", to_uint64);
  const auto mask = evenkeel::keep_mask(to_uint64(arguments.at("seed")), to_uint64(arguments.at("n")),
                                        to_double(arguments.at("p")), offset);
  std::vector<std::byte> keep;
  for (std::size_t draw = 0; draw < mask.size(); ++draw) {
    keep.push_back(mask[draw] ? std::byte{1} : std::byte{0});
  }
  return {{"keep", to_base64(keep)}};
}

json convert(const json& arguments, const call& call) {
  tensors memory;
  const any_tensor input = memory(arguments.at("input"));
  const auto type = evenkeel::to_dtype(arguments.at("dtype").get<std::string>());
  const auto converted = [&](auto from, auto to) -> json {
    using source = decltype(from);
    const std::span<const source> elements{reinterpret_cast<const source*>(input.bytes().data()),
                                           input.bytes().size() / sizeof(source)};
    return from_tensor(evenkeel::tensor(evenkeel::convert<decltype(to)>(elements), input.shape()), call.digest);
  };
  return {{"output", with_type(input.type(), [&](auto from) {
             return with_type(type, [&](auto to) { return converted(from, to); });
           })}};
}

template <class Partial>
Partial merged(const json& arguments) {
  std::optional<Partial> whole;
  for (const json& value : arguments.at("partials")) {
    const auto partial = as_partial<Partial>(value);
    whole = whole ? whole->merge(partial) : partial;
  }
  return whole.value();
}

json merge_norms(const json& arguments, const call& /*call*/) {
  return norm_result(merged<evenkeel::norm_partial>(arguments));
}

json merge_statistics(const json& arguments, const call& /*call*/) {
  return {{"partial", to_base64(merged<evenkeel::statistics_partial>(arguments).to_bytes())}};
}

}  // namespace

json run(const std::string& operation, const json& arguments, const call& call) {
  using function = json (*)(const json&, const conformance::call&);
  for (const auto& [name, run] : {std::pair<const char*, function>{"normalize", normalize},
                                  {"normalize_backward", normalize_backward},
                                  {"dropout", dropout},
                                  {"dropout_backward", dropout_backward},
                                  {"clip_gradients", clip_gradients},
                                  {"measure_gradients", measure_gradients},
                                  {"measure_statistics", measure_statistics},
                                  {"server_info", server_info},
                                  {"keep_mask", keep_mask},
                                  {"convert", convert},
                                  {"merge_norms", merge_norms},
                                  {"merge_statistics", merge_statistics}}) {
    if (operation == name) {
      return run(arguments, call);
    }
  }
  throw unsupported{"the operation is not known"};
}

}  // namespace conformance
