/// @file
/// The values of the conformance protocol: tensors, numbers, bytes; see conformance/README.md.
#pragma once

#include <cstddef>
#include <deque>
#include <evenkeel/evenkeel.hpp>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace conformance {

using json = nlohmann::json;

/// What this language cannot be asked for.
class unsupported : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The bytes of base64.
[[nodiscard]] std::vector<std::byte> from_base64(const std::string& text);
/// The base64 of bytes.
[[nodiscard]] std::string to_base64(std::span<const std::byte> bytes);

/// A number of 64 bits, which is a string of digits.
[[nodiscard]] std::uint64_t to_uint64(const json& value);
/// A double, which is a number or the name of one that JSON does not have.
[[nodiscard]] double to_double(const json& value);
/// The JSON of a double.
[[nodiscard]] json from_double(double value);

/// The tensors of a request, and their memory.
class tensors {
 public:
  /// A tensor of the request, in the layout that it asks for.
  evenkeel::any_tensor operator()(const json& value);

 private:
  std::deque<std::vector<std::byte>> bytes_;
  std::deque<evenkeel::any_array> arrays_;
};

/// The JSON of a tensor of the answer.
[[nodiscard]] json from_tensor(const evenkeel::any_tensor& tensor, bool digest);

/// Calls a function with an element of the type of a dtype.
template <class Function>
auto with_type(evenkeel::dtype type, const Function& function) {
  switch (type) {
    case evenkeel::dtype::float64:
      return function(double{});
    case evenkeel::dtype::float16:
      return function(evenkeel::float16{0.0F});
    case evenkeel::dtype::bfloat16:
      return function(evenkeel::bfloat16{0.0F});
    case evenkeel::dtype::float32:
      break;
  }
  return function(float{});
}

}  // namespace conformance
