// ClipGradientsStream.
#include <optional>
#include <string>
#include <utility>

#include "ops/clip.hpp"
#include "ops/codec.hpp"
#include "ops/landing.hpp"

namespace evenkeel::ops {

namespace {

namespace request = wire::clip_gradients_stream_request;
namespace response = wire::clip_gradients_stream_response;

/// The messages of the request: a header, and for each gradient its description and its elements.
class gradient_messages {
 public:
  gradient_messages(std::span<const gradient> gradients, const wire::message& header, std::size_t chunk)
      : gradients_{gradients}, header_{header}, chunk_{chunk} {}

  bool operator()(wire::message& message) {
    if (!std::exchange(has_begun_, true)) {
      message.nested(request::header, header_);
      return true;
    }
    if (!elements_.is_over()) {
      message.bytes(request::data, elements_.next());
      return true;
    }
    if (gradients_.empty()) {
      return false;
    }
    const auto& [name, tensor] = gradients_.front();
    message.nested(request::tensor, describe_tensor(tensor, name));
    elements_ = chunks{tensor.bytes(), chunk_};
    gradients_ = gradients_.subspan(1);
    return true;
  }

 private:
  std::span<const gradient> gradients_;
  const wire::message& header_;
  std::size_t chunk_;
  chunks elements_{{}, 1};
  bool has_begun_ = false;
};

/// The messages of the answer.
class clipped_messages {
 public:
  clipped_messages(std::span<const gradient> gradients, std::size_t first) : gradients_{gradients}, first_{first} {
    result_.scale = 0;  // a number that is 0 is not sent
  }

  void operator()(wire::reader message) {
    while (message.next()) {
      switch (message.field()) {
        case response::header:
          order_.header();
          break;
        case response::tensor:
          order_.body();
          begin(received_tensor{message.nested()});
          break;
        case response::data:
          order_.body();
          if (!elements_) {
            throw broken_contract("tensor", "is missing before data: each gradient begins with one");
          }
          elements_->take(message.nested());
          break;
        case response::summary:
          order_.summary();
          read_clip_response(message.nested(), result_, [](wire::reader) {});
          break;
        default:
          break;
      }
    }
  }

  clipped finish() {
    order_.end();
    complete();
    if (result_.gradients.size() != gradients_.size()) {
      throw broken_contract("gradients", "are fewer than were sent");
    }
    return std::move(result_);
  }

 private:
  void begin(const received_tensor& tensor) {
    complete();
    const std::size_t index = result_.gradients.size();
    if (index == gradients_.size()) {
      throw broken_contract("gradients", "are more than were sent");
    }
    const auto& [name, sent] = gradients_[index];
    const std::string path = "gradients[" + std::to_string(first_ + index) + "]";
    tensor.expect(path, sent, name);
    tensor.expect_no_elements(path);
    result_.gradients.push_back({name, any_array{sent.type(), sent.shape()}});
    elements_.emplace(path + ".data", result_.gradients.back().tensor.bytes());
  }

  void complete() const {
    if (elements_) {
      elements_->complete();
    }
  }

  std::span<const gradient> gradients_;
  std::size_t first_;
  sequence order_;
  std::optional<landing> elements_;
  clipped result_;
};

}  // namespace

clipped clip_as_stream(detail::core& core, std::span<const gradient> gradients, std::size_t first, clip_mode mode,
                       const wire::message& header, std::size_t chunk, const rpc::scope& scope) {
  return core.retried(scope, [&] {
    clipped_messages answer{gradients, first};
    core.stream(
        wire::method::clip_gradients_stream, gradient_messages{gradients, header, chunk},
        [&answer](const wire::rope& rope) { decoded(rope, [&answer](wire::reader message) { answer(message); }); },
        scope);
    clipped result = answer.finish();
    expect_norms(mode, result);
    return result;
  });
}

}  // namespace evenkeel::ops
