#include "rpc/call.hpp"

#include <chrono>
#include <cstdint>

#include "evenkeel/errors.hpp"
#include "rpc/status.hpp"

namespace evenkeel::rpc {

call::call(pool& pool, const scope& scope, const std::string& authorization) : channel_{pool.next()} {
  scope.check();
  context_.emplace();
  context_->set_deadline(std::chrono::system_clock::now() +
                         std::chrono::duration_cast<std::chrono::system_clock::duration>(scope.left()));
  if (!authorization.empty()) {
    context_->AddMetadata("authorization", authorization);
  }
  canceller_.emplace(scope.stop(), canceller{&*context_});
}

call::~call() {
  canceller_.reset();
  context_.reset();
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

call::event call::wait() {
  void* tag = nullptr;
  event next;
  if (!queue_.Next(&tag, &next.ok)) {
    throw internal_error{status_code::internal, "the completion queue has shut down"};
  }
  next.tag = static_cast<int>(reinterpret_cast<std::intptr_t>(tag));
  return next;
}

void* call::as_tag(int number) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): gRPC's tags are pointers that nobody follows
  return reinterpret_cast<void*>(static_cast<std::intptr_t>(number));
}

void require_ok(const grpc::Status& status, const scope& scope) {
  if (!status.ok()) {
    throw_status(static_cast<status_code>(status.error_code()), status.error_message(), status.error_details(), scope);
  }
}

}  // namespace evenkeel::rpc
