// The one place in which a Target is made.
#pragma once

#include <string>

#include "compiler/schedule/target.h"
#include "ir/support/result.h"

namespace smelt {

/// Errors (Usage): an unknown name; (Unsupported) not an x86-64 machine.
Result<Target> make_target(const std::string& name);

/// Whether this machine can run code for `target`.
bool runs_here(const Target& target);

}  // namespace smelt
