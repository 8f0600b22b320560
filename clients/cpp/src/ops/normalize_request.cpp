// The requests of a normalization, and the size of what it returns.
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/codec.hpp"
#include "ops/normalize.hpp"

namespace evenkeel::ops {

namespace {

namespace field = wire::normalize_request;
namespace backward = wire::normalize_backward_request;

// One function encodes the requests of both directions.
static_assert(field::kind == backward::kind && field::axes == backward::axes && field::groups == backward::groups &&
              field::eps == backward::eps && field::channel_axis == backward::channel_axis &&
              field::training == backward::training && field::momentum == backward::momentum &&
              field::return_statistics == backward::return_statistics && field::statistics == backward::statistics &&
              field::weight == backward::weight && field::bias == backward::bias &&
              field::running_mean == backward::running_mean && field::running_var == backward::running_var &&
              field::input == backward::input);

/// An integer with a sign as protobuf has it in a varint.
std::uint64_t signed_varint(std::int32_t value) { return static_cast<std::uint64_t>(static_cast<std::int64_t>(value)); }

}  // namespace

wire::message encode_normalize(norm_kind kind, const normalize_options& options) {
  wire::message request;
  request.varint(field::kind, static_cast<std::uint64_t>(kind));
  request.packed(field::axes, std::span<const std::int32_t>{options.axes});
  if (options.groups != 0) {
    request.varint(field::groups, options.groups);
  }
  if (options.eps) {
    request.real(field::eps, *options.eps);
  }
  if (options.channel_axis) {
    request.varint(field::channel_axis, signed_varint(*options.channel_axis));
  }
  if (options.training) {
    request.varint(field::training, static_cast<std::uint64_t>(*options.training));
  }
  if (options.momentum) {
    request.real(field::momentum, *options.momentum);
  }
  if (options.return_statistics) {
    request.varint(field::return_statistics, 1);
  }
  if (options.statistics) {
    const std::vector<std::byte> partial = options.statistics->to_bytes();
    request.text(field::statistics, {reinterpret_cast<const char*>(partial.data()), partial.size()});
  }
  const auto tensor = [&request](wire::field_number number, const std::optional<any_tensor>& value) {
    if (value) {
      request.nested(number, encode_tensor(*value));
    }
  };
  tensor(field::weight, options.weight);
  tensor(field::bias, options.bias);
  tensor(field::running_mean, options.running_mean);
  tensor(field::running_var, options.running_var);
  return request;
}

pooling pooling_of(norm_kind kind, const normalize_options& options) {
  return {.kind = kind, .axes = options.axes, .groups = options.groups, .channel_axis = options.channel_axis};
}

std::size_t statistics_bytes(const any_tensor& x, norm_kind kind, const normalize_options& options) {
  if (!options.return_statistics) {
    return 0;
  }
  // A number of the dtype of the statistics for each set, twice.
  return 2 * count_of(pooling_of(kind, options).sets(x.shape())) * std::max(size_of(x.type()), sizeof(float));
}

}  // namespace evenkeel::ops
