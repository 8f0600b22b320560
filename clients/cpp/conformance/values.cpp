#include "values.hpp"

#include <openssl/evp.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

namespace conformance {

namespace {

/// The JSON of bytes, or of their digest.
void put_bytes(json& to, std::span<const std::byte> bytes, bool digest) {
  if (!digest) {
    to["data"] = to_base64(bytes);
    return;
  }
  std::array<unsigned char, 32> hash{};
  EVP_Digest(bytes.data(), bytes.size(), hash.data(), nullptr, EVP_sha256(), nullptr);
  std::string text;
  for (const unsigned char byte : hash) {
    constexpr std::string_view digits = "0123456789abcdef";
    text += {digits[byte >> 4U], digits[byte & 15U]};
  }
  to["sha256"] = text;
}

/// The strides, in elements, of memory in which the first axis is the innermost, or in which elements are two apart.
std::vector<std::int64_t> strides_of(const evenkeel::shape_type& shape, bool transposed) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = transposed ? 1 : 2;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::size_t axis = transposed ? i : shape.size() - 1 - i;
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/// The same elements in memory with these strides, gathered by the client.
template <class T>
evenkeel::any_array laid_out(std::span<const std::byte> dense, const evenkeel::shape_type& shape, bool transposed) {
  const std::vector<std::int64_t> strides = strides_of(shape, transposed);
  std::vector<T> memory(2 * dense.size() / sizeof(T) + 1, T{});
  for (std::size_t i = 0; i < dense.size() / sizeof(T); ++i) {
    std::int64_t place = 0;
    auto rest = static_cast<std::int64_t>(i);
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      place += rest % shape[axis] * strides[axis];
      rest /= shape[axis];
    }
    std::memcpy(&memory[static_cast<std::size_t>(place)], dense.data() + i * sizeof(T), sizeof(T));
  }
  return evenkeel::contiguous(memory.data(), shape, strides).to_any();
}

}  // namespace

std::vector<std::byte> from_base64(const std::string& text) {
  std::vector<std::byte> bytes(text.size() / 4 * 3);
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  bytes.resize(size < 0 ? 0 : static_cast<std::size_t>(size) - padding);
  return bytes;
}

std::string to_base64(std::span<const std::byte> bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::uint64_t to_uint64(const json& value) {
  const auto text = value.get<std::string>();
  std::uint64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc{} || end != text.data() + text.size()) {
    throw unsupported{"the compiler refuses a seed or an offset that is no std::uint64_t: {.seed = -1} is an error"};
  }
  return number;
}

double to_double(const json& value) {
  if (!value.is_string()) {
    return value.get<double>();
  }
  const auto name = value.get<std::string>();
  if (name == "NaN") {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return name == "-Infinity" ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
}

json from_double(double value) {
  if (std::isnan(value)) {
    return "NaN";
  }
  if (std::isinf(value)) {
    return value > 0 ? "Infinity" : "-Infinity";
  }
  return value;
}

evenkeel::any_tensor tensors::operator()(const json& value) {
  const evenkeel::dtype type = evenkeel::to_dtype(value.at("dtype").get<std::string>());
  const auto shape = value.at("shape").get<evenkeel::shape_type>();
  std::vector<std::byte> piece = from_base64(value.at("data").get<std::string>());
  std::vector<std::byte> bytes;
  for (std::size_t i = value.value("repeat", std::size_t{1}); i > 0; --i) {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
  }
  const auto layout = value.value("layout", std::string{});
  if (layout.empty()) {
    return {type, bytes_.emplace_back(std::move(bytes)), shape};
  }
  if (layout == "big-endian") {
    throw unsupported{"C++ has no arrays in another byte order than the machine's"};
  }
  return arrays_.emplace_back(
      with_type(type, [&](auto element) { return laid_out<decltype(element)>(bytes, shape, layout == "transposed"); }));
}

json from_tensor(const evenkeel::any_tensor& tensor, bool digest) {
  json value{{"dtype", evenkeel::to_string(tensor.type())}, {"shape", tensor.shape()}};
  put_bytes(value, tensor.bytes(), digest);
  return value;
}

}  // namespace conformance
