/// @file
/// GetServerInfo.
#pragma once

#include "evenkeel/results.hpp"
#include "wire/reader.hpp"

namespace evenkeel::ops {

/// The answer of GetServerInfo.
[[nodiscard]] server_description decode_server_info(const wire::rope& rope);

}  // namespace evenkeel::ops
