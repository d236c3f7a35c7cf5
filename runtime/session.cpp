#include "runtime/session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ir/support/check.h"
#include "ir/support/suggest.h"
#include "runtime/available_memory.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

bool fits(uint64_t offset, uint64_t bytes, uint64_t end) { return offset <= end && bytes <= end - offset; }

// A program may come from a file: nothing in it may point outside the arena.
Result<void> check_layout(const CompiledProgram& program, const LoadedProgram& loaded) {
  const auto damaged = [&](std::string_view what) {
    return fail(ErrorKind::Input, fmt::format("program `{}` is damaged: {}", printable(program.name), what));
  };
  if (loaded.entries.size() != program.entries.size()) return damaged("the number of functions differs");
  if (std::find(loaded.entries.begin(), loaded.entries.end(), nullptr) != loaded.entries.end()) {
    return damaged("a function is missing");
  }
  if (!program.iteration_symbol.empty() && loaded.iteration == nullptr) return damaged("its iteration is missing");
  if (program.variables_end > program.arena_bytes || program.variables_end < sizeof(smelt_arena)) {
    return damaged("the arena's sizes are inconsistent");
  }
  for (const StoredVariable& variable : program.variables) {
    const std::optional<int64_t> bytes = byte_size(variable.type);
    if (!is_static(variable.type.shape) || !bytes ||
        !fits(variable.offset, static_cast<uint64_t>(*bytes), program.variables_end)) {
      return damaged(fmt::format("variable `{}` lies outside the arena", printable(variable.path)));
    }
  }
  for (const StoredScalar& scalar : program.scalars) {
    if (!fits(scalar.offset, sizeof(double), program.variables_end)) return damaged("a scalar lies outside the arena");
  }
  for (const Entry& entry : program.entries) {
    if (!fits(entry.runs_offset, sizeof(int64_t), program.variables_end)) {
      return damaged("a counter lies outside the arena");
    }
  }
  return {};
}

std::unexpected<Error> arena_too_large(const CompiledProgram& program, std::string_view why,
                                       const std::string& allow = {}) {
  std::string message =
      fmt::format("out of memory: `{}` needs {}{}", printable(program.name), human_bytes(program.arena_bytes), why);
  if (!program.largest.empty())
    message += fmt::format("; the largest tensors are {}", fmt::join(program.largest, "; "));
  std::string help = "make the model or the batch smaller, or give a --memory-budget";
  if (std::optional<LooseBounds> loose = loose_bounds(program.symbols, program.train)) {
    message += "; " + loose->text;
    help = std::move(loose->help);
  }
  if (!allow.empty()) help += "; " + allow;
  return fail(ErrorKind::Limit, std::move(message), std::move(help));
}

Result<Buffer> allocate_arena(const CompiledProgram& program, const Limits& limits) {
  const uint64_t available = available_memory();  // what the kernel says
  const double share = static_cast<double>(available) * static_cast<double>(limits.memory) / 100;
  if (available != 0 && static_cast<double>(program.arena_bytes) > share) {
    const double percent = 100 * static_cast<double>(program.arena_bytes) / static_cast<double>(available);
    return arena_too_large(
        program,
        fmt::format(", the limit is {} ({} % of the available {})", human_bytes(static_cast<uint64_t>(share)),
                    limits.memory, human_bytes(available)),
        raise_limit(&Limits::memory, static_cast<uint64_t>(std::min(percent, 1e6)) + 1));
  }
  Result<Buffer> arena = Buffer::allocate(program.arena_bytes, "the arena");
  if (!arena) return arena_too_large(program, ", which the system does not give");
  return arena;
}

}  // namespace

std::vector<int64_t> static_shape(const TensorType& type) {
  std::vector<int64_t> shape;
  for (const Extent& extent : type.shape) shape.push_back(extent.bound);
  return shape;
}

Result<void> check_status(int32_t status, const Entry& entry) {
  switch (status) {
    case SMELT_CALL_OK: return {};
    case SMELT_CALL_NONFINITE:
      return fail(ErrorKind::NonFinite,
                  fmt::format("{} `{}`: the loss or the norm of its gradients is not finite; nothing was changed",
                              to_string(entry.kind), entry.name));
    case SMELT_CALL_NONFINITE_UPDATE:
      return fail(ErrorKind::NonFinite,
                  fmt::format("{} `{}`: a new parameter is not finite", to_string(entry.kind), entry.name),
                  "load the last checkpoint again");
    default: break;
  }
  return fail(ErrorKind::RunTime, fmt::format("{} `{}`: status {}", to_string(entry.kind), entry.name, status));
}

Result<std::unique_ptr<Session>> Session::create(const CompiledProgram& program, LoadedProgram loaded,
                                                 const SessionOptions& options) {
  SMELT_TRY_VOID(check_layout(program, loaded));
  std::unique_ptr<Session> session(new Session(program, std::move(loaded), options.limits));
  if (options.arena.empty()) {
    SMELT_TRY(session->own_arena_, allocate_arena(program, options.limits));
    session->arena_ = session->own_arena_.data();
  } else {
    if (options.arena.size() < program.arena_bytes) {
      return fail(ErrorKind::Usage, fmt::format("the arena has {} bytes, `{}` needs {}", options.arena.size(),
                                                printable(program.name), program.arena_bytes));
    }
    if (reinterpret_cast<uintptr_t>(options.arena.data()) % SMELT_ARENA_ALIGNMENT != 0) {
      return fail(ErrorKind::Usage, fmt::format("the arena is not aligned to {} bytes", SMELT_ARENA_ALIGNMENT));
    }
    session->arena_ = options.arena.data();
    std::memset(session->arena_, 0, program.variables_end);
  }
  session->reset(options.seed, options.horizon, options.threads);
  return session;
}

void Session::reset(uint64_t seed, int64_t horizon, const smelt_threads* threads) {
  header() = smelt_arena{program_.hash, seed, 0, horizon, threads, 0, 0, 0};
  for (const StoredScalar& scalar : program_.scalars) at_scalar(scalar) = scalar.scalar.initial;
  for (const Entry& entry : program_.entries) set_runs(entry, 0);
}

Result<void> Session::initialise() {
  reset(header().seed, header().horizon, header().threads);
  for (const Entry& entry : program_.entries) {
    if (entry.kind != FunctionKind::Init) continue;
    SMELT_TRY_VOID(check_status(call(frame(entry)), entry));
  }
  // The initialisers are no part of training: counters start at zero behind them.
  header().iteration = 0;
  for (const Entry& entry : program_.entries) set_runs(entry, 0);
  return {};
}

const StoredVariable* Session::find_variable(std::string_view path) const {
  for (const StoredVariable& variable : program_.variables) {
    if (variable.path == path) return &variable;
  }
  return nullptr;
}

std::span<std::byte> Session::bytes(const StoredVariable& variable) {
  return {arena_ + variable.offset, static_cast<size_t>(*byte_size(variable.type))};
}

std::span<const std::byte> Session::bytes(const StoredVariable& variable) const {
  return {arena_ + variable.offset, static_cast<size_t>(*byte_size(variable.type))};
}

namespace {

std::unexpected<Error> no_variable(const CompiledProgram& program, std::string_view path) {
  std::vector<std::string_view> paths;
  for (const StoredVariable& variable : program.variables) paths.push_back(variable.path);
  return fail(ErrorKind::Input, fmt::format("there is no variable `{}`", printable(path)), suggest(path, paths));
}

}  // namespace

Result<HostTensor> Session::read(std::string_view path) const {
  const StoredVariable* variable = find_variable(path);
  if (variable == nullptr) return no_variable(program_, path);
  SMELT_TRY(Buffer data, Buffer::copy_of(bytes(*variable), path));
  return HostTensor{variable->type.dtype, static_shape(variable->type), std::move(data)};
}

Result<void> Session::write(std::string_view path, const HostTensor& tensor) {
  const StoredVariable* variable = find_variable(path);
  if (variable == nullptr) return no_variable(program_, path);
  if (tensor.dtype != variable->type.dtype || tensor.shape != static_shape(variable->type)) {
    return fail(ErrorKind::Input, fmt::format("variable `{}` is {}, got {}", path, to_string(variable->type),
                                              describe(tensor.dtype, tensor.shape)));
  }
  const std::span<const std::byte> from = tensor.data.bytes();
  std::copy(from.begin(), from.end(), bytes(*variable).begin());
  return {};
}

const StoredScalar* Session::find_scalar(std::string_view name) const {
  for (const StoredScalar& scalar : program_.scalars) {
    if (scalar.scalar.name == name) return &scalar;
  }
  return nullptr;
}

double& Session::at_scalar(const StoredScalar& scalar) const {
  return *static_cast<double*>(static_cast<void*>(arena_ + scalar.offset));
}

namespace {

std::unexpected<Error> no_scalar(const CompiledProgram& program, std::string_view name) {
  std::vector<std::string_view> names;
  for (const StoredScalar& scalar : program.scalars) names.push_back(scalar.scalar.name);
  return fail(ErrorKind::Usage, fmt::format("there is no scalar `{}`", printable(name)), suggest(name, names));
}

}  // namespace

Result<void> Session::set_scalar(std::string_view name, double value) {
  const StoredScalar* scalar = find_scalar(name);
  if (scalar == nullptr) return no_scalar(program_, name);
  if (std::isnan(value)) return fail(ErrorKind::Usage, fmt::format("`{}` cannot be NaN", printable(name)));
  at_scalar(*scalar) = value;
  return {};
}

Result<double> Session::scalar(std::string_view name) const {
  const StoredScalar* scalar = find_scalar(name);
  if (scalar == nullptr) return no_scalar(program_, name);
  return at_scalar(*scalar);
}

void Session::set_last_loss(int32_t step, double value) {
  for (const StoredScalar& scalar : program_.scalars) {
    if (scalar.scalar.kind == ScalarKind::Loss && scalar.scalar.ref == step) at_scalar(scalar) = value;
  }
}

int64_t Session::runs(const Entry& entry) const {
  int64_t runs = 0;
  if (entry.runs_offset != 0) std::memcpy(&runs, arena_ + entry.runs_offset, sizeof runs);
  return runs;
}

void Session::set_runs(const Entry& entry, int64_t runs) {
  // Offset 0 is the header's: an entry that draws nothing has no counter.
  if (entry.runs_offset != 0) std::memcpy(arena_ + entry.runs_offset, &runs, sizeof runs);
}

int32_t Session::call(const CallFrame& frame) const {
  const auto index = static_cast<size_t>(&frame.entry() - program_.entries.data());
  SMELT_CHECK(index < loaded_.entries.size(), "an entry of another program");
  return loaded_.entries[index](&frame.call());
}

}  // namespace smelt
