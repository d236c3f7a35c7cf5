// Names that modules of PyTorch give their tensors, for the messages of whoever looks for others in a file.
#pragma once

#include <string_view>

namespace smelt {

inline bool is_pytorch_name(std::string_view name) {
  return name.ends_with(".weight") || name.ends_with(".running_mean");
}

inline constexpr std::string_view kPyTorchNames =
    "these are names of PyTorch; docs/cookbook.md has functions that write its weights under the names of a model";

}  // namespace smelt
