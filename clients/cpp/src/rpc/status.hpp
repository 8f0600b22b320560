/// @file
/// The exceptions of statuses.
#pragma once

#include <string>
#include <string_view>

#include "evenkeel/errors.hpp"
#include "rpc/scope.hpp"

namespace evenkeel::rpc {

/// Throws the exception of a status that is not ok.
/// @param code gRPC's code
/// @param message the status's message
/// @param details the bytes of `grpc-status-details-bin`, a google.rpc.Status; empty: none
/// @param scope the call's time and token, which tell a cancellation from the end of the time
[[noreturn]] void throw_status(status_code code, const std::string& message, std::string_view details,
                               const scope& scope);

}  // namespace evenkeel::rpc
