// Checksums of checkpoints, for whoever reads their tensors alone.
#pragma once

#include <string>

#include "ir/support/result.h"
#include "runtime/files/safetensors.h"

namespace smelt {

/// Checks the checksums of a file that has them; a plain safetensors file passes. Errors: Input.
Result<void> verify_checksums(const Safetensors& file, const std::string& path);

}  // namespace smelt
