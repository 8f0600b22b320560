/// @file
/// Tensors in messages.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "evenkeel/array.hpp"
#include "evenkeel/errors.hpp"
#include "wire/message.hpp"
#include "wire/reader.hpp"

namespace evenkeel::ops {

/// The exception of an answer that breaks the contract.
[[nodiscard]] internal_error broken_contract(const std::string& field, const std::string& reason);

/// Reads a message by a function that takes a reader of it. Bytes that are no such message break the contract.
template <class Read>
auto decoded(const wire::rope& rope, const Read& read) {
  try {
    return read(wire::reader{rope.pieces});
  } catch (const wire::malformed& fault) {
    throw broken_contract("the message", fault.what());
  }
}

/// A tensor with its elements, which are not copied if they are many.
[[nodiscard]] wire::message encode_tensor(const any_tensor& tensor, std::string_view name = {});
/// A tensor's name, dtype and shape.
[[nodiscard]] wire::message describe_tensor(const any_tensor& tensor, std::string_view name = {});

/// A tensor in an answer. Its elements are read from the message by take().
class received_tensor {
 public:
  /// Reads the tensor's fields.
  explicit received_tensor(wire::reader message);

  /// Refuses a tensor that has not the sent one's name, dtype and shape.
  void expect(const std::string& path, const any_tensor& sent, std::string_view name = {}) const;
  /// Refuses a tensor that has not this dtype and shape, or has a name.
  void expect(const std::string& path, dtype type, const shape_type& shape) const;
  /// Refuses elements where none belong.
  void expect_no_elements(const std::string& path) const;
  /// Copies the elements to memory of their length.
  void take(const std::string& path, std::span<std::byte> to);
  /// The tensor with memory of its own, whose dtype and shape were expected.
  [[nodiscard]] any_array to_array(const std::string& path);

 private:
  std::string name_;
  std::uint64_t type_ = 0;
  shape_type shape_;
  std::optional<wire::reader> data_;
  std::size_t length_ = 0;
  bool has_numbers_ = false;
};

/// Memory for a result in shape and dtype of a tensor: the caller's, if it has given some.
/// @throws invalid_argument, of the field `into`, if that does not fit, or overlaps the tensor
[[nodiscard]] any_array landing_for(const any_tensor& like, const std::optional<mutable_tensor>& into);
/// Refuses memory for a result that overlaps a tensor of the request.
void require_apart(const any_tensor& tensor, const std::optional<mutable_tensor>& into);

}  // namespace evenkeel::ops
