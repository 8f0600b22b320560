/// @file
/// The elements of a streamed tensor, on both ways.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "ops/codec.hpp"
#include "wire/reader.hpp"

namespace evenkeel::ops {

/// The elements of a tensor in chunks.
class chunks {
 public:
  chunks(std::span<const std::byte> elements, std::size_t length) : rest_{elements}, length_{length} {}

  /// Whether all were given.
  [[nodiscard]] bool is_over() const noexcept { return rest_.empty(); }
  /// The next chunk.
  std::span<const std::byte> next() {
    const auto chunk = rest_.first(std::min(length_, rest_.size()));
    rest_ = rest_.subspan(chunk.size());
    return chunk;
  }

 private:
  std::span<const std::byte> rest_;
  std::size_t length_;
};

/// Memory that chunks of an answer fill, one after the other.
class landing {
 public:
  landing(std::string path, std::span<std::byte> memory) : path_{std::move(path)}, rest_{memory} {}

  /// Copies the next chunk.
  void take(wire::reader chunk) {
    if (chunk.left() > rest_.size()) {
      throw broken_contract(path_, "has more bytes than were sent");
    }
    const auto place = rest_.first(chunk.left());
    rest_ = rest_.subspan(place.size());
    chunk.take(place);
  }
  /// Refuses an answer that has ended too early.
  void complete() const {
    if (!rest_.empty()) {
      throw broken_contract(path_, "lacks the last " + std::to_string(rest_.size()) + " bytes");
    }
  }

 private:
  std::string path_;
  std::span<std::byte> rest_;
};

/// The order of an answer's messages: a header, chunks, a summary, and nothing after it.
class sequence {
 public:
  /// The header is there.
  void header() {
    if (has_header_) {
      throw broken_contract("header", "comes a second time");
    }
    has_header_ = true;
  }
  /// A chunk, or what begins one, is there.
  void body() const {
    if (!has_header_ || has_summary_) {
      throw broken_contract("header", "is missing, or the summary is not the last message");
    }
  }
  /// The summary is there.
  void summary() {
    body();
    has_summary_ = true;
  }
  /// Refuses a stream that has ended without a summary.
  void end() const {
    if (!has_summary_) {
      throw broken_contract("summary", "is missing at the end of the stream");
    }
  }

 private:
  bool has_header_ = false;
  bool has_summary_ = false;
};

}  // namespace evenkeel::ops
