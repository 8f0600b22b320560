/// @file
/// A protobuf message that is about to be sent. Its bulk stays where it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/fields.hpp"

namespace evenkeel::wire {

/// An encoded message: bytes of its own, and pieces of memory of the caller's between them.
class message {
 public:
  /// A varint: integers, enums and booleans. A negative number takes ten bytes, as protobuf has it.
  void varint(field_number field, std::uint64_t value);
  /// A double.
  void real(field_number field, double value);
  /// A string.
  void text(field_number field, std::string_view value);
  /// A packed list of varints; an empty one is left out.
  template <class T>
  void packed(field_number field, std::span<const T> values) {
    std::string list;
    for (const T value : values) {
      append_varint(list, static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
    }
    if (!list.empty()) {
      text(field, list);
    }
  }
  /// Bytes. Long ones are not copied: the memory must outlive the message, and what is made of it.
  void bytes(field_number field, std::span<const std::byte> value);
  /// A message within this one.
  void nested(field_number field, const message& value);

  /// The length of the whole.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Calls `own(string_view)` and `borrowed(span)` for the pieces of the message, in their order.
  template <class Own, class Borrowed>
  void for_each(Own&& own, Borrowed&& borrowed) const {
    std::size_t begin = 0;
    for (const auto& [end, piece] : borrowed_) {
      own(std::string_view{own_}.substr(begin, end - begin));
      borrowed(piece);
      begin = end;
    }
    own(std::string_view{own_}.substr(begin));
  }
  /// The message in one piece: a copy, for small messages.
  [[nodiscard]] std::vector<std::byte> to_bytes() const;

 private:
  static void append_varint(std::string& to, std::uint64_t value);
  void tag(field_number field, unsigned wire_type);
  void account(std::size_t before) { size_ += own_.size() - before; }

  std::string own_;
  /// Pieces of the caller's memory, each with its place among the own bytes.
  std::vector<std::pair<std::size_t, std::span<const std::byte>>> borrowed_;
  std::size_t size_ = 0;
};

}  // namespace evenkeel::wire
