#include "wire/message.hpp"

#include <bit>
#include <cstring>

namespace evenkeel::wire {

namespace {

/// Shorter bytes are copied: that is cheaper than a piece of their own.
constexpr std::size_t least_borrowed = 4096;

constexpr unsigned varint_type = 0;
constexpr unsigned fixed64_type = 1;
constexpr unsigned delimited_type = 2;

}  // namespace

void message::append_varint(std::string& to, std::uint64_t value) {
  while (value >= 0x80) {
    to.push_back(static_cast<char>((value & 0x7F) | 0x80));
    value >>= 7;
  }
  to.push_back(static_cast<char>(value));
}

void message::tag(field_number field, unsigned wire_type) { append_varint(own_, (field << 3U) | wire_type); }

void message::varint(field_number field, std::uint64_t value) {
  const std::size_t before = own_.size();
  tag(field, varint_type);
  append_varint(own_, value);
  account(before);
}

void message::real(field_number field, double value) {
  const std::size_t before = own_.size();
  tag(field, fixed64_type);
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (int shift = 0; shift < 64; shift += 8) {
    own_.push_back(static_cast<char>(bits >> shift & 0xFF));
  }
  account(before);
}

void message::text(field_number field, std::string_view value) {
  const std::size_t before = own_.size();
  tag(field, delimited_type);
  append_varint(own_, value.size());
  own_ += value;
  account(before);
}

void message::bytes(field_number field, std::span<const std::byte> value) {
  if (value.size() < least_borrowed) {
    text(field, {reinterpret_cast<const char*>(value.data()), value.size()});
    return;
  }
  const std::size_t before = own_.size();
  tag(field, delimited_type);
  append_varint(own_, value.size());
  account(before);
  borrowed_.emplace_back(own_.size(), value);
  size_ += value.size();
}

void message::nested(field_number field, const message& value) {
  const std::size_t before = own_.size();
  tag(field, delimited_type);
  append_varint(own_, value.size_);
  const std::size_t base = own_.size();
  own_ += value.own_;
  account(before);
  for (const auto& [place, piece] : value.borrowed_) {
    borrowed_.emplace_back(base + place, piece);
    size_ += piece.size();
  }
}

std::vector<std::byte> message::to_bytes() const {
  std::vector<std::byte> result;
  result.reserve(size_);
  const auto append = [&result](const auto& piece) {
    const auto bytes = std::as_bytes(std::span{piece.data(), piece.size()});
    result.insert(result.end(), bytes.begin(), bytes.end());
  };
  for_each(append, append);
  return result;
}

}  // namespace evenkeel::wire
