#include "ops/codec.hpp"

#include <functional>
#include <utility>

namespace evenkeel::ops {

namespace field = wire::tensor;

internal_error broken_contract(const std::string& field, const std::string& reason) {
  return {status_code::internal, "the server's answer breaks the contract: " + field + " " + reason};
}

wire::message describe_tensor(const any_tensor& tensor, std::string_view name) {
  wire::message message;
  if (!name.empty()) {
    message.text(field::name, name);
  }
  message.varint(field::dtype, static_cast<std::uint64_t>(tensor.type()));
  message.packed(field::shape, std::span<const std::int64_t>{tensor.shape()});
  return message;
}

wire::message encode_tensor(const any_tensor& tensor, std::string_view name) {
  wire::message message = describe_tensor(tensor, name);
  if (!tensor.bytes().empty()) {
    message.bytes(field::data, tensor.bytes());
  }
  return message;
}

received_tensor::received_tensor(wire::reader message) {
  while (message.next()) {
    switch (message.field()) {
      case field::name:
        name_ = message.text();
        break;
      case field::dtype:
        type_ = message.varint();
        break;
      case field::shape:
        message.repeated(shape_);
        break;
      case field::float_data:
        has_numbers_ = true;
        break;
      case field::data:
        data_ = message.nested();
        length_ = data_->left();
        break;
      default:
        break;
    }
  }
}

void received_tensor::expect(const std::string& path, const any_tensor& sent, std::string_view name) const {
  if (name_ != name) {
    throw broken_contract(path + ".name", "is another one than was sent");
  }
  if (type_ != static_cast<std::uint64_t>(sent.type())) {
    throw broken_contract(path + ".dtype", "is another one than was sent");
  }
  if (shape_ != sent.shape()) {
    throw broken_contract(path + ".shape", "is another one than was sent");
  }
}

void received_tensor::expect(const std::string& path, dtype type, const shape_type& shape) const {
  if (!name_.empty()) {
    throw broken_contract(path + ".name", "is there, and none is due");
  }
  if (type_ != static_cast<std::uint64_t>(type)) {
    throw broken_contract(path + ".dtype", "is another one than is due");
  }
  if (shape_ != shape) {
    throw broken_contract(path + ".shape", "is another one than is due");
  }
}

void received_tensor::expect_no_elements(const std::string& path) const {
  if (length_ != 0 || has_numbers_) {
    throw broken_contract(path + ".data", "has elements, which do not belong in a header");
  }
}

void received_tensor::take(const std::string& path, std::span<std::byte> to) {
  if (has_numbers_ || length_ != to.size()) {
    throw broken_contract(path + ".data",
                          "has " + std::to_string(length_) + " bytes where " + std::to_string(to.size()) + " belong");
  }
  if (data_) {
    data_->take(to);
  }
}

any_array received_tensor::to_array(const std::string& path) {
  if (type_ < static_cast<std::uint64_t>(dtype::float32) || type_ > static_cast<std::uint64_t>(dtype::bfloat16)) {
    throw broken_contract(path + ".dtype", "is not known");
  }
  // The length comes first: a shape alone must not take memory.
  std::size_t elements = 1;
  for (const std::int64_t dimension : shape_) {
    if (dimension < 0 || __builtin_mul_overflow(elements, static_cast<std::size_t>(dimension), &elements)) {
      throw broken_contract(path + ".shape", "is none");
    }
  }
  const auto type = static_cast<dtype>(type_);
  if (length_ % size_of(type) != 0 || length_ / size_of(type) != elements) {
    throw broken_contract(path + ".data", "does not fit the shape");
  }
  any_array result{type, shape_};
  take(path, result.bytes());
  return result;
}

any_array landing_for(const any_tensor& like, const std::optional<mutable_tensor>& into) {
  if (!into) {
    return any_array{like.type(), like.shape()};
  }
  if (into->type() != like.type()) {
    throw invalid_argument{"into", "expected the dtype of the input"};
  }
  if (into->bytes().size() != like.bytes().size()) {
    throw invalid_argument{"into", "expected as many elements as the input has"};
  }
  require_apart(like, into);
  return any_array{*into, like.shape()};
}

void require_apart(const any_tensor& tensor, const std::optional<mutable_tensor>& into) {
  if (!into || into->bytes().empty() || tensor.bytes().empty()) {
    return;
  }
  constexpr std::less<> before;
  const std::span<const std::byte> to = into->bytes();
  const std::span<const std::byte> from = tensor.bytes();
  if (before(to.data(), from.data() + from.size()) && before(from.data(), to.data() + to.size())) {
    throw invalid_argument{"into", "expected memory that does not overlap what goes in"};
  }
}

}  // namespace evenkeel::ops
