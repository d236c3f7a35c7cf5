// IDX, the format of MNIST and its relatives: 00 00 <type> <rank>, `rank` big-endian u32 sizes, big-endian
// data.
#pragma once

#include <string>
#include <vector>

#include "ir/support/limits.h"
#include "ir/support/result.h"
#include "runtime/host_tensor.h"

namespace smelt {

struct IdxHeader {
  DType dtype = DType::U8;
  std::vector<int64_t> shape;
  uint64_t data_begin = 0;
};

/// Bytes that are enough to read any header that is accepted.
constexpr uint64_t kIdxHeaderBytes = 4 + 4 * 8;

/// Reads the header at the start of `file`, which may be cut behind it. Errors: Input with the byte at fault.
Result<IdxHeader> parse_idx_header(std::span<const std::byte> file, const std::string& name);

/// Errors: Input when a file of `file_bytes` bytes is not what its header says.
Result<void> check_idx_size(const IdxHeader& header, uint64_t file_bytes, const std::string& name);

/// Errors: as parse_idx_header; Input when the size differs from the header's.
Result<HostTensor> parse_idx(Buffer file, const std::string& name);
Result<HostTensor> read_idx(const std::string& path, const Limits& limits = {});

}  // namespace smelt
