// How much memory the process may still take.
#pragma once

#include <cstdint>

namespace smelt {

/// Bytes that can be had without swapping, from the kernel's own estimate, and within the limits of the control groups
/// that the process is in: a container ends a process that takes more. 0 when it is unknown.
uint64_t available_memory();

}  // namespace smelt
