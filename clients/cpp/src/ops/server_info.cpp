#include "ops/server_info.hpp"

#include <cstdint>
#include <vector>

#include "ops/codec.hpp"

namespace evenkeel::ops {

namespace {

/// Adds those of the numbers of an enum that this client knows.
template <class E>
void append_known(wire::reader& message, std::vector<E>& to, E first, E last) {
  std::vector<std::uint64_t> numbers;
  message.repeated(numbers);
  for (const std::uint64_t number : numbers) {
    if (number >= static_cast<std::uint64_t>(first) && number <= static_cast<std::uint64_t>(last)) {
      to.push_back(static_cast<E>(number));
    }
  }
}

}  // namespace

server_description decode_server_info(const wire::rope& rope) {
  namespace field = wire::get_server_info_response;
  return decoded(rope, [](wire::reader message) {
    server_description info;
    while (message.next()) {
      switch (message.field()) {
        case field::version:
          info.version = message.text();
          break;
        case field::max_message_bytes:
          info.max_message_bytes = message.varint();
          break;
        case field::max_stream_chunk_bytes:
          info.max_stream_chunk_bytes = message.varint();
          break;
        case field::dtypes:
          append_known(message, info.dtypes, dtype::float32, dtype::bfloat16);
          break;
        case field::norm_kinds:
          append_known(message, info.norm_kinds, norm_kind::batch, norm_kind::l2);
          break;
        case field::compression:
          info.compression.push_back(message.text());
          break;
        default:
          break;
      }
    }
    return info;
  });
}

}  // namespace evenkeel::ops
