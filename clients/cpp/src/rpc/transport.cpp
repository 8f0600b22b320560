#include "rpc/transport.hpp"

#include <grpcpp/completion_queue.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "evenkeel/errors.hpp"
#include "rpc/address.hpp"
#include "rpc/buffers.hpp"
#include "rpc/call.hpp"
#include "rpc/pool.hpp"

namespace evenkeel::rpc {

namespace {

/// A stream in both directions, on one thread: a message is on its way in each.
class pump {
 public:
  pump(call& call, const char* method, const source& next, const sink& take)
      : call_{call},
        next_{next},
        take_{take},
        exchange_{call.stub().PrepareCall(&call.context(), method, &call.queue())} {}

  /// Runs until the call has ended, and returns its status. What source and sink have thrown is thrown again.
  grpc::Status run() {
    exchange_->StartCall(begin(started));
    while (pending_ > 0) {
      const call::event event = call_.wait();
      --pending_;
      handle(event);
    }
    if (failure_) {
      std::rethrow_exception(failure_);
    }
    return status_;
  }

 private:
  enum tags : int { started = 1, written, closed, received, finished };

  void* begin(int tag) {
    ++pending_;
    return call::as_tag(tag);
  }

  void handle(const call::event& event) {
    switch (event.tag) {
      case started:
        if (event.ok) {
          exchange_->Read(&received_, begin(received));
          write();
        } else {
          exchange_->Finish(&status_, begin(finished));
        }
        break;
      case written:
        // A server that has ended the call does not take the rest of the request.
        if (event.ok && !failure_) {
          write();
        }
        break;
      case received:
        if (event.ok) {
          read();
          exchange_->Read(&received_, begin(received));
        } else {
          exchange_->Finish(&status_, begin(finished));
        }
        break;
      default:
        break;
    }
  }

  void write() {
    attempt([this] {
      wire::message message;
      if (next_(message)) {
        exchange_->Write(to_buffer(message), begin(written));
      } else {
        exchange_->WritesDone(begin(closed));
      }
    });
  }

  void read() {
    if (!failure_) {
      attempt([this] { take_(to_rope(received_)); });
    }
    received_.Clear();
  }

  /// Cancels the call if the step throws.
  template <class Step>
  void attempt(const Step& step) {
    try {
      step();
    } catch (...) {
      failure_ = std::current_exception();
      call_.context().TryCancel();
    }
  }

  call& call_;
  const source& next_;
  const sink& take_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> exchange_;
  grpc::ByteBuffer received_;
  grpc::Status status_;
  std::exception_ptr failure_;
  int pending_ = 0;
};

class grpc_transport final : public transport {
 public:
  grpc_transport(const address& address, const client_options& options)
      : pool_{address, options}, authorization_{options.token.empty() ? "" : "Bearer " + options.token} {}

  wire::rope unary(const char* method, const wire::message& request, const scope& scope) override {
    call call{pool_, scope, authorization_};
    grpc::ByteBuffer response;
    grpc::Status status;
    auto exchange = call.stub().PrepareUnaryCall(&call.context(), method, to_buffer(request), &call.queue());
    exchange->StartCall();
    exchange->Finish(&response, &status, call::as_tag(1));
    (void)call.wait();
    require_ok(status, scope);
    return to_rope(response);
  }

  void stream(const char* method, const source& next, const sink& take, const scope& scope) override {
    call call{pool_, scope, authorization_};
    require_ok(pump{call, method, next, take}.run(), scope);
  }

  void pause(std::chrono::nanoseconds duration, const rpc::scope& scope) override {
    constexpr std::chrono::nanoseconds longest_step = std::chrono::milliseconds{20};
    pool_.reconnect();
    // Where no thread polls a queue, gRPC does not go on with its handshakes, so this thread does not just sleep.
    grpc::CompletionQueue queue;
    const auto end = rpc::scope::clock::now() + duration;
    for (auto left = duration; left.count() > 0 && !scope.stop().stop_requested();
         left = end - rpc::scope::clock::now()) {
      void* tag = nullptr;
      bool ok = false;
      const auto step = std::chrono::ceil<std::chrono::system_clock::duration>(std::min(left, longest_step));
      queue.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + step);
    }
    queue.Shutdown();
    if (scope.stop().stop_requested()) {
      scope.check();
    }
  }

 private:
  pool pool_;
  std::string authorization_;
};

}  // namespace

std::unique_ptr<transport> connect(std::string_view address, const client_options& options) {
  const bool is_printable =
      std::all_of(options.token.begin(), options.token.end(), [](char c) { return c > ' ' && c < '\x7F'; });
  if (!is_printable) {
    throw invalid_argument{"token", "expected visible ASCII characters alone"};
  }
  return std::make_unique<grpc_transport>(parse_address(address), options);
}

}  // namespace evenkeel::rpc
