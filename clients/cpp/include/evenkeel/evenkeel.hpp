/// @file
/// Everything but evenkeel/testing.hpp.
#pragma once

#include "evenkeel/array.hpp"     // IWYU pragma: export
#include "evenkeel/client.hpp"    // IWYU pragma: export
#include "evenkeel/enums.hpp"     // IWYU pragma: export
#include "evenkeel/errors.hpp"    // IWYU pragma: export
#include "evenkeel/float16.hpp"   // IWYU pragma: export
#include "evenkeel/options.hpp"   // IWYU pragma: export
#include "evenkeel/partials.hpp"  // IWYU pragma: export
#include "evenkeel/random.hpp"    // IWYU pragma: export
#include "evenkeel/results.hpp"   // IWYU pragma: export
#include "evenkeel/tensor.hpp"    // IWYU pragma: export
#include "evenkeel/version.hpp"   // IWYU pragma: export
