// A compiled program with memory: variables, counters and scalars live in one arena. One thread at a time. Members are
// defined in session.cpp, `run` in session_run.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/support/limits.h"
#include "ir/support/result.h"
#include "runtime/abi.h"
#include "runtime/buffer.h"
#include "runtime/call_frame.h"
#include "runtime/host_tensor.h"
#include "runtime/program.h"

namespace smelt {

struct SessionOptions {
  uint64_t seed = 0;
  int64_t horizon = 0;                     // iterations in all, for schedules
  const smelt_threads* threads = nullptr;  // null: the caller's thread only
  std::span<std::byte> arena = {};         // empty: the session's own memory; else 64-byte aligned and large enough
  Limits limits = {};                      // of its memory, and of files that it reads and pictures that it writes
};

struct NamedTensor {
  std::string name;
  HostTensor tensor;
};

struct RunOptions {
  std::vector<std::pair<std::string, int64_t>> sizes;  // of run-time dimensions that no input fixes, by name
  int64_t first_run = 0;                               // the RNG's run; chunk k uses first_run + k
};

class Session {
 public:
  /// `program` must outlive the session. Variables are zero until `initialise` or a load.
  /// Errors: Input when program and functions do not belong together or sizes are inconsistent; Usage for an
  /// arena that is too small or misaligned; Limit when memory is short, with the need and what there is.
  static Result<std::unique_ptr<Session>> create(const CompiledProgram& program, LoadedProgram loaded,
                                                 const SessionOptions& options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Resets counters and scalars and runs the initialisers. Errors: RunTime, NonFinite.
  Result<void> initialise();

  const CompiledProgram& program() const { return program_; }
  const Limits& limits() const { return limits_; }
  smelt_arena& header() { return *static_cast<smelt_arena*>(static_cast<void*>(arena_)); }
  const smelt_arena& header() const { return *static_cast<const smelt_arena*>(static_cast<const void*>(arena_)); }

  /// Header, counters, scalars and variables: what a copy must hold to go back to this moment.
  std::span<std::byte> state() { return {arena_, static_cast<size_t>(program_.variables_end)}; }
  std::span<const std::byte> state() const { return {arena_, static_cast<size_t>(program_.variables_end)}; }

  const StoredVariable* find_variable(std::string_view path) const;
  std::span<std::byte> bytes(const StoredVariable& variable);
  std::span<const std::byte> bytes(const StoredVariable& variable) const;
  /// Errors: Input when there is no such variable, or the tensor's type is another.
  Result<HostTensor> read(std::string_view path) const;
  Result<void> write(std::string_view path, const HostTensor& tensor);

  /// A number of a `step` line, such as `loss.lr`, or the last loss of an objective. Errors: Usage, listing
  /// the names.
  Result<void> set_scalar(std::string_view name, double value);
  Result<double> scalar(std::string_view name) const;
  /// Stores the last loss of objective `step`, for `stop when`; nothing when the program does not ask for it.
  void set_last_loss(int32_t step, double value);

  /// Executions of an entry so far.
  int64_t runs(const Entry& entry) const;
  void set_runs(const Entry& entry, int64_t runs);

  CallFrame frame(const Entry& entry) { return {program_, entry, arena_}; }
  /// Run without allocating; the status is that of abi.h.
  int32_t call(const CallFrame& frame) const;
  int32_t call_iteration(std::span<const smelt_call> calls) const { return loaded_.iteration(calls.data()); }

  /// Runs an entry on feeds by name: exports, samples, pictures. A first axis above its bound runs in chunks.
  /// Errors: Usage for missing, unknown or repeated names and wrong types; Limit for sizes above a bound that
  /// cannot run in chunks; NonFinite, RunTime from the call.
  Result<std::vector<NamedTensor>> run(const Entry& entry, std::span<const NamedTensor> inputs,
                                       const RunOptions& options = {});

 private:
  Session(const CompiledProgram& program, LoadedProgram loaded, const Limits& limits)
      : program_(program), loaded_(std::move(loaded)), limits_(limits) {}
  void reset(uint64_t seed, int64_t horizon, const smelt_threads* threads);
  const StoredScalar* find_scalar(std::string_view name) const;
  double& at_scalar(const StoredScalar& scalar) const;

  const CompiledProgram& program_;
  LoadedProgram loaded_;
  const Limits limits_;
  Buffer own_arena_;
  std::byte* arena_ = nullptr;
};

/// What a status of abi.h means for a run of `entry`. Errors: always, but for SMELT_CALL_OK.
Result<void> check_status(int32_t status, const Entry& entry);

/// Shape of a static type.
std::vector<int64_t> static_shape(const TensorType& type);

}  // namespace smelt
