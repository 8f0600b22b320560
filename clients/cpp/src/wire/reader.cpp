#include "wire/reader.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace evenkeel::wire {

reader::reader(std::span<const std::span<const std::byte>> pieces) : pieces_{pieces} {
  for (const auto& piece : pieces) {
    remaining_ += piece.size();
  }
  if (!pieces_.empty()) {
    piece_ = pieces_.front();
  }
}

bool reader::next() {
  if (pending_) {
    skip_value();
  }
  if (remaining_ == 0) {
    return false;
  }
  const std::uint64_t tag = raw_varint();
  field_ = static_cast<field_number>(tag >> 3U);
  type_ = static_cast<unsigned>(tag & 7U);
  if (field_ == 0 || tag >> 32U != 0) {
    throw malformed{"a field has no valid number"};
  }
  pending_ = true;
  return true;
}

void reader::expect(unsigned type) {
  if (!pending_ || type_ != type) {
    throw malformed{"field " + std::to_string(field_) + " is of another type"};
  }
  pending_ = false;
}

std::uint64_t reader::varint() {
  expect(varint_type);
  return raw_varint();
}

double reader::real() {
  expect(fixed64_type);
  return std::bit_cast<double>(raw_fixed64());
}

std::string reader::text() {
  std::string value(length(), '\0');
  take(std::as_writable_bytes(std::span{value}));
  return value;
}

void reader::repeated_real(std::vector<double>& values) {
  if (type_ != delimited_type) {
    values.push_back(real());
    return;
  }
  for (reader list = nested(); list.remaining_ > 0;) {
    values.push_back(std::bit_cast<double>(list.raw_fixed64()));
  }
}

reader reader::nested() {
  const std::size_t size = length();
  reader inner = *this;
  inner.remaining_ = size;
  skip(size);
  return inner;
}

std::size_t reader::length() {
  expect(delimited_type);
  const std::uint64_t size = raw_varint();
  if (size > remaining_) {
    throw malformed{"field " + std::to_string(field_) + " is cut off"};
  }
  return static_cast<std::size_t>(size);
}

void reader::take(std::span<std::byte> to) {
  if (to.size() > remaining_) {
    throw malformed{"the message is cut off"};
  }
  remaining_ -= to.size();
  while (!to.empty()) {
    if (piece_.empty()) {
      pieces_ = pieces_.subspan(1);
      piece_ = pieces_.front();
      continue;
    }
    const std::size_t count = std::min(to.size(), piece_.size());
    std::memcpy(to.data(), piece_.data(), count);
    to = to.subspan(count);
    piece_ = piece_.subspan(count);
  }
}

std::byte reader::raw_byte() {
  std::byte value{};
  take({&value, 1});
  return value;
}

std::uint64_t reader::raw_varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = std::to_integer<std::uint64_t>(raw_byte());
    value |= (byte & 0x7FU) << shift;
    if (byte < 0x80U) {
      return value;
    }
  }
  throw malformed{"a number is too long"};
}

std::uint64_t reader::raw_fixed64() {
  std::array<std::byte, 8> bytes{};
  take(bytes);
  return std::bit_cast<std::uint64_t>(bytes);
}

void reader::skip(std::size_t count) {
  if (count > remaining_) {
    throw malformed{"the message is cut off"};
  }
  remaining_ -= count;
  while (count > piece_.size()) {
    count -= piece_.size();
    pieces_ = pieces_.subspan(1);
    piece_ = pieces_.front();
  }
  piece_ = piece_.subspan(count);
}

void reader::skip_value() {
  pending_ = false;
  switch (type_) {
    case varint_type:
      raw_varint();
      break;
    case fixed64_type:
      skip(8);
      break;
    case delimited_type:
      pending_ = true;
      skip(length());
      break;
    case fixed32_type:
      skip(4);
      break;
    default:
      throw malformed{"field " + std::to_string(field_) + " is of an unknown type"};
  }
}

}  // namespace evenkeel::wire
