/// @file
/// Reads a protobuf message that lies in several pieces of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "wire/fields.hpp"

namespace evenkeel::wire {

/// Received bytes in the pieces in which they arrived, and what keeps them in memory.
struct rope {
  std::vector<std::span<const std::byte>> pieces;
  std::shared_ptr<const void> owner;
};

/// The bytes are not a protobuf message, or a field has another type than the contract says.
class malformed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A position in a message. `next` goes to a field; one of the functions that read its value may follow, else it is
/// skipped. The pieces must outlive the reader. All functions throw malformed.
class reader {
 public:
  /// Reads a whole message.
  explicit reader(std::span<const std::span<const std::byte>> pieces);

  /// Goes to the next field; false at the end.
  bool next();
  /// The number of the current field.
  [[nodiscard]] field_number field() const noexcept { return field_; }

  /// The value of a varint field.
  std::uint64_t varint();
  /// The value of a double field.
  double real();
  /// The value of a string field, or of short bytes.
  std::string text();
  /// Adds the value or the values of a repeated varint field, packed or not.
  template <class T>
  void repeated(std::vector<T>& values) {
    if (type_ != delimited_type) {
      values.push_back(static_cast<T>(varint()));
      return;
    }
    for (reader list = nested(); list.remaining_ > 0;) {
      values.push_back(static_cast<T>(list.raw_varint()));
    }
  }
  /// Adds the value or the values of a repeated double field, packed or not.
  void repeated_real(std::vector<double>& values);
  /// A reader of the message that the field has.
  reader nested();

  /// The length of what is left of the message.
  [[nodiscard]] std::size_t left() const noexcept { return remaining_; }
  /// Copies the next bytes, whatever they are: nested() gives a reader of the bytes of a field.
  void take(std::span<std::byte> to);

 private:
  static constexpr unsigned varint_type = 0;
  static constexpr unsigned fixed64_type = 1;
  static constexpr unsigned delimited_type = 2;
  static constexpr unsigned fixed32_type = 5;

  std::size_t length();
  std::byte raw_byte();
  std::uint64_t raw_varint();
  std::uint64_t raw_fixed64();
  void skip(std::size_t count);
  void skip_value();
  void expect(unsigned type);

  std::span<const std::span<const std::byte>> pieces_;
  std::span<const std::byte> piece_;  // what is left of the first of the pieces
  std::size_t remaining_ = 0;         // what is left of the message
  field_number field_ = 0;
  unsigned type_ = 0;
  bool pending_ = false;  // whether the value of the field is still to be read
};

}  // namespace evenkeel::wire
