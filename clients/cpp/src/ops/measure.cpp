#include "ops/measure.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "ops/codec.hpp"
#include "ops/landing.hpp"
#include "ops/normalize.hpp"
#include "ops/sets.hpp"

namespace evenkeel::ops {

namespace {

/// What a piece of a gradient has in a message beside its elements, with room to spare.
constexpr std::size_t piece_overhead = 64;

/// Gradients cut into messages of some length.
class pieces {
 public:
  pieces(std::span<const gradient> gradients, std::optional<double> norm_type, std::size_t room)
      : gradients_{gradients}, norm_type_{norm_type}, room_{room} {
    begin_gradient();
  }

  /// The next message; false if there is none. The first may be empty, so that the order of the norm is told.
  bool next(wire::message& message) {
    namespace field = wire::measure_gradients_request;
    const bool is_first = !std::exchange(has_begun_, true);
    if (is_first && norm_type_) {
      message.real(field::norm_type, *norm_type_);
    }
    bool has_pieces = false;
    for (std::size_t room = room_; !gradients_.empty();) {
      const dtype type = gradients_.front().tensor.type();
      const std::size_t available = room > piece_overhead ? (room - piece_overhead) / size_of(type) : 0;
      // A message has one element at least, however short it has to be.
      const std::size_t length = std::max<std::size_t>(available, has_pieces ? 0 : 1) * size_of(type);
      if (length == 0) {
        break;
      }
      const auto elements = rest_.first(std::min(length, rest_.size()));
      rest_ = rest_.subspan(elements.size());
      const auto count = static_cast<std::int64_t>(elements.size() / size_of(type));
      if (count > 0) {
        message.nested(field::gradients, encode_tensor(any_tensor{type, elements, {count}}));
        has_pieces = true;
        room -= std::min(room, elements.size() + piece_overhead);
      }
      if (rest_.empty()) {
        gradients_ = gradients_.subspan(1);
        begin_gradient();
      }
    }
    return is_first || has_pieces;
  }

 private:
  void begin_gradient() {
    rest_ = gradients_.empty() ? std::span<const std::byte>{} : gradients_.front().tensor.bytes();
  }

  std::span<const gradient> gradients_;
  std::span<const std::byte> rest_;  // of the first of the gradients
  std::optional<double> norm_type_;
  std::size_t room_;
  bool has_begun_ = false;
};

/// Makes a call with many messages and one answer, and returns the answer. Each try takes messages from a new source.
template <class MakeSource>
wire::rope collected(detail::core& core, const char* method, const MakeSource& make_source, const rpc::scope& scope) {
  return core.retried(scope, [&] {
    std::optional<wire::rope> answer;
    core.stream(
        method, make_source(),
        [&answer](const wire::rope& rope) {
          if (answer) {
            throw broken_contract("the message", "is not the only one");
          }
          answer = rope;
        },
        scope);
    if (!answer) {
      throw broken_contract("the message", "is missing");
    }
    return *answer;
  });
}

/// A partial within an answer, in one piece. What no elements can have breaks the contract.
template <class Partial>
Partial read_partial(const std::string& bytes) {
  try {
    return Partial::from_bytes(std::as_bytes(std::span{bytes}));
  } catch (const invalid_argument& fault) {
    throw broken_contract("partial", fault.what());
  }
}

/// Refuses a norm that is not of these gradients and this order, or beside a value that is not its own.
void expect_norm(const norm_partial& partial, double total_norm, std::span<const gradient> gradients, double order) {
  std::uint64_t elements = 0;
  for (const auto& [name, tensor] : gradients) {
    elements += tensor.bytes().size() / size_of(tensor.type());
  }
  if (partial.norm_type() != order) {
    throw broken_contract("partial.norm_type", "is another one than was sent");
  }
  if (partial.elements() != elements) {
    throw broken_contract("partial.elements", "are not as many as were sent");
  }
  const double due = partial.total_norm();
  if (total_norm != due && !(std::isnan(total_norm) && std::isnan(due))) {
    throw broken_contract("total_norm", "is not that of the partial");
  }
}

/// Refuses a set that has not so many elements, or lacks the sums of gradients that were sent.
void expect_set(wire::reader message, std::uint64_t due, bool has_gradients) {
  namespace field = wire::set_statistics;
  std::uint64_t elements = 0;
  bool are_there = false;
  while (message.next()) {
    if (message.field() == field::elements) {
      elements = message.varint();
    } else if (message.field() == field::sum_of_gradients) {
      are_there = true;
    }
  }
  if (elements != due) {
    throw broken_contract("sets[0].elements", "are not as many as were sent");
  }
  if (are_there != has_gradients) {
    throw broken_contract("sets[0].sum_of_gradients", "must be there if, and only if, gradients were sent");
  }
}

/// Refuses statistics that are not of the sets of a tensor, before the sets are read.
void expect_sets(wire::reader message, const pooling& pool, const any_tensor& x, bool has_gradients) {
  namespace field = wire::statistics_partial;
  std::uint64_t kind = 0;
  shape_type shape;
  std::size_t count = 0;
  const shape_type due = pool.sets(x.shape());
  const std::size_t due_count = count_of(due);
  const std::uint64_t elements = due_count == 0 ? 0 : x.bytes().size() / size_of(x.type()) / due_count;
  while (message.next()) {
    if (message.field() == field::kind) {
      kind = message.varint();
    } else if (message.field() == field::shape) {
      message.repeated(shape);
    } else if (message.field() == field::sets && ++count == 1) {
      expect_set(message.nested(), elements, has_gradients);
    }
    if (count > due_count) {
      throw broken_contract("sets", "are more than those of the tensor");
    }
  }
  if (kind != static_cast<std::uint64_t>(pool.kind)) {
    throw broken_contract("kind", "is another one than was sent");
  }
  if (shape != due || count != due_count) {
    throw broken_contract("shape", "is another one than that of the sets");
  }
}

/// All bytes of a message.
std::string whole(wire::reader message) {
  std::string bytes(message.left(), '\0');
  message.take(std::as_writable_bytes(std::span{bytes}));
  return bytes;
}

}  // namespace

norm_partial measure_gradients(detail::core& core, std::span<const gradient> gradients, std::optional<double> norm_type,
                               const rpc::scope& scope) {
  std::size_t total = 0;
  for (const auto& [name, tensor] : gradients) {
    total += tensor.bytes().size() + piece_overhead;
  }
  const std::size_t room = core.limits_for(total, scope).chunk_bytes();
  const wire::rope rope = collected(
      core, wire::method::measure_gradients,
      [&]() -> rpc::source {
        return [messages = pieces{gradients, norm_type, room}](wire::message& message) mutable {
          return messages.next(message);
        };
      },
      scope);
  return decoded(rope, [&](wire::reader message) {
    std::optional<norm_partial> partial;
    double norm = 0;
    while (message.next()) {
      if (message.field() == wire::measure_gradients_response::partial) {
        partial = read_partial<norm_partial>(whole(message.nested()));
      } else if (message.field() == wire::measure_gradients_response::total_norm) {
        norm = message.real();
      }
    }
    if (!partial) {
      throw broken_contract("partial", "is missing");
    }
    expect_norm(*partial, norm, gradients, norm_type.value_or(2));
    return *partial;
  });
}

statistics_partial measure_statistics(detail::core& core, const any_tensor& x, norm_kind kind,
                                      const measure_statistics_options& options, const rpc::scope& scope) {
  namespace field = wire::measure_statistics_request;
  wire::message header =
      encode_normalize(kind, {.axes = options.axes, .groups = options.groups, .channel_axis = options.channel_axis});
  header.nested(wire::normalize_request::input, describe_tensor(x));
  std::span<const std::byte> gradients;
  if (options.grad_output) {
    header.nested(wire::normalize_backward_request::grad_output, describe_tensor(*options.grad_output));
    gradients = options.grad_output->bytes();
  }
  const std::size_t room = core.limits_for(x.bytes().size() + gradients.size() + header.size(), scope).chunk_bytes();
  const std::size_t chunk = options.grad_output ? std::max<std::size_t>(room / 2, 1) : room;
  const wire::rope rope = collected(
      core, wire::method::measure_statistics,
      [&]() -> rpc::source {
        return [&header, &options, has_begun = false, data = chunks{x.bytes(), chunk},
                grad_data = chunks{gradients, chunk}](wire::message& message) mutable {
          if (!std::exchange(has_begun, true)) {
            message.nested(options.grad_output ? field::backward_header : field::header, header);
            return true;
          }
          // If there are more gradients than elements, they are sent all the same: the server reports the error.
          if (data.is_over() && grad_data.is_over()) {
            return false;
          }
          if (!data.is_over()) {
            message.bytes(field::data, data.next());
          }
          if (!grad_data.is_over()) {
            message.bytes(field::grad_data, grad_data.next());
          }
          return true;
        };
      },
      scope);
  const pooling pool{
      .kind = kind, .axes = options.axes, .groups = options.groups, .channel_axis = options.channel_axis};
  return decoded(rope, [&](wire::reader message) {
    expect_sets(message, pool, x, options.grad_output.has_value());
    return read_partial<statistics_partial>(whole(message));
  });
}

}  // namespace evenkeel::ops
