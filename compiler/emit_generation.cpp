#include "compiler/emit_generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "compiler/c_label_check.h"
#include "compiler/c_names.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

class GenerationWriter {
 public:
  GenerationWriter(const CompiledProgram& program, const Generation& generation, std::set<std::string>& used)
      : program_(program),
        generation_(generation),
        model_(identifier(program.name)),
        reset_(program.entries[static_cast<size_t>(generation.reset)]),
        step_(program.entries[static_cast<size_t>(generation.step)]) {
    reset_name_ = unique_function(fmt::format("{}_{}", model_, identifier(reset_.name)), used);
    step_name_ = unique_function(fmt::format("{}_{}", model_, identifier(step_.name)), used);
    positions_ = fmt::format("{}_{}_POSITIONS", model_, identifier(generation.name));
    std::ranges::transform(positions_, positions_.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    for (const Binding& input : reset_.inputs) reset_inputs_.push_back(unique(identifier(input.name), in_reset_));
    for (const auto& [symbol, variable] : generation.sizes)
      sizes_.push_back(unique(identifier(program.symbols[static_cast<size_t>(symbol)].name), in_reset_));
    for (const Binding& input : step_.inputs) step_inputs_.push_back(unique(identifier(input.name), in_step_));
    std::set<std::string> out;
    for (const Binding& output : step_.outputs) outputs_.push_back(unique(identifier(output.name), out));
  }

  std::string run() {
    describe();
    structs();
    reset();
    step();
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...);
  }

  void describe() {
    const std::string& text = step_.inputs.at(0).name;
    const bool ahead = generation_.lead == 1;
    add("\n/* export `{0}`, a position a call: the host writes `{1}` itself. {2} begins, with sizes that hold until "
        "the "
        "next\n * reset. It also computes what is the same at all positions: call it again when parameters have "
        "changed. "
        "Call k of\n * {3}, from 0, takes position {4} of `{1}`{5} and gives the scores of position {6}.\n"
        " * What later positions read is kept in the arena. After {7} calls there is no position left, which is a "
        "status.\n * The results are those of `smelt run` and `smelt sample`. */\n",
        generation_.name, text, reset_name_, step_name_, ahead ? "k" : "k - 1",
        ahead ? "" : ", the first call none (it may be null),", ahead ? "k + 1" : "k", positions_);
    add("#define {} {}\n", positions_, generation_.num_positions);
  }

  std::string type_of(const Binding& binding) const { return to_string(binding.type, program_.symbols); }

  void structs() {
    add("typedef struct {{\n");
    for (size_t i = 0; i < reset_.inputs.size(); ++i)
      add("  const {} *{}; /* {} */\n", c_type(reset_.inputs[i].type.dtype), reset_inputs_[i],
          type_of(reset_.inputs[i]));
    for (size_t i = 0; i < sizes_.size(); ++i)
      add("  int64_t {}; /* {} .. {} */\n", sizes_[i], least_of(i), bound_of(i));
    if (generation_.draws) add("  int64_t run; /* draws of different runs differ */\n");
    if (reset_.inputs.empty() && sizes_.empty() && !generation_.draws) add("  char unused;\n");
    add("}} {}_in;\ntypedef struct {{\n", reset_name_);
    for (size_t i = 0; i < step_.inputs.size(); ++i)
      add("  const {} *{}; /* {} */\n", c_type(step_.inputs[i].type.dtype), step_inputs_[i], type_of(step_.inputs[i]));
    add("}} {}_in;\ntypedef struct {{\n", step_name_);
    for (size_t i = 0; i < step_.outputs.size(); ++i)
      add("  {} *{}; /* {} */\n", c_type(step_.outputs[i].type.dtype), outputs_[i], type_of(step_.outputs[i]));
    add("}} {}_out;\n", step_name_);
  }

  int64_t bound_of(size_t size) const {
    return program_.symbols[static_cast<size_t>(generation_.sizes[size].first)].bound;
  }

  /// Of what both functions need.
  int64_t least_of(size_t size) const {
    int64_t least = 1;
    for (const Entry* entry : {&reset_, &step_}) {
      for (const LeastDim& dim : entry->least)
        if (dim.symbol == generation_.sizes[size].first) least = std::max(least, dim.size);
    }
    return least;
  }

  uint64_t offset_of(const std::string& variable) const {
    const auto at = std::ranges::find(program_.variables, variable, &StoredVariable::path);
    SMELT_CHECK(at != program_.variables.end(), "there is no variable `{}`", variable);
    return at->offset;
  }

  void refuse(const std::string& condition, const std::string& status = "BAD_ARGUMENT") {
    add("  if ({}) return SMELT_CALL_{};\n", condition, status);
  }

  void begin(const Entry& entry, const std::string& declaration = "") {
    add("  const void *inputs[{}];\n  void *outputs[{}];\n  int64_t extents[{}];\n",
        std::max<size_t>(entry.inputs.size(), 1), std::max<size_t>(entry.outputs.size(), 1),
        std::max<size_t>(program_.symbols.size(), 1));
    add("  smelt_call call;\n{}  int32_t status = smelt_check_arena(arena, UINT64_C({}));\n", declaration,
        program_.hash);
    add("  if (status != SMELT_CALL_OK) return status;\n");
  }

  void call(const Entry& entry) {
    add("  (void)extents;\n  call.arena = arena; call.inputs = inputs; call.outputs = outputs; call.extents = "
        "extents;\n");
    add("  status = {}(&call);\n", entry.symbol);
  }

  void reset() {
    add("static inline int32_t {0}(void *arena, const {0}_in *in) {{\n", reset_name_);
    begin(reset_);
    refuse("in == 0");
    for (size_t i = 0; i < sizes_.size(); ++i)
      refuse(fmt::format("in->{0} < {2} || in->{0} > {1}", sizes_[i], bound_of(i), least_of(i)));
    for (size_t i = 0; i < reset_.inputs.size(); ++i) {
      refuse(fmt::format("in->{} == 0", reset_inputs_[i]));
      if (reset_.inputs[i].limit.below > 0)
        out_ += label_check(reset_.inputs[i], "in->" + reset_inputs_[i], [&](int32_t symbol) {
          return size_expression(program_.symbols, symbol,
                                 [&](int32_t whole) { return "in->" + sizes_[index_of(whole)]; });
        });
      add("  inputs[{}] = in->{};\n", i, reset_inputs_[i]);
    }
    add("  (void)inputs; (void)outputs;\n");
    for (size_t i = 0; i < sizes_.size(); ++i) add("  extents[{}] = in->{};\n", generation_.sizes[i].first, sizes_[i]);
    const auto given = [&](int32_t symbol) {
      const size_t at = index_of(symbol);
      return at < sizes_.size() ? "in->" + sizes_[at] : std::string();
    };
    out_ += sizes_that_follow(program_.symbols, given);
    for (const Entry* entry : {&reset_, &step_}) {
      for (const LeastDim& least : entry->least) {  // of a sum, which no member of its own bounds
        if (program_.symbols[static_cast<size_t>(least.symbol)].follows() &&
            !size_expression(program_.symbols, least.symbol, given).empty())
          refuse(fmt::format("extents[{}] < {}", least.symbol, least.size));
      }
    }
    if (generation_.draws) add("  smelt_store_i64(arena, {}, in->run);\n", reset_.runs_offset);
    call(reset_);
    for (size_t i = 0; i < sizes_.size(); ++i)
      add("  smelt_store_i64(arena, {}, in->{});\n", offset_of(generation_.sizes[i].second), sizes_[i]);
    add("  return status;\n}}\n");
  }

  size_t index_of(int32_t symbol) const {
    return static_cast<size_t>(std::ranges::find(generation_.sizes, symbol, &std::pair<int32_t, std::string>::first) -
                               generation_.sizes.begin());
  }

  void step() {
    add("static inline int32_t {0}(void *arena, const {0}_in *in, {0}_out *out) {{\n", step_name_);
    begin(step_, "  int32_t position = 0;\n");
    refuse("in == 0 || out == 0");
    add("  memcpy(&position, (const char *)arena + {}, sizeof position);\n", offset_of(generation_.position));
    refuse("position < 1", "NOT_RESET");
    refuse(fmt::format("position > {}", positions_), "NO_POSITION");
    for (const auto& [symbol, variable] : generation_.sizes)
      add("  memcpy(&extents[{}], (const char *)arena + {}, sizeof extents[0]);\n", symbol, offset_of(variable));
    out_ += sizes_that_follow(program_.symbols, [&](int32_t symbol) {
      return index_of(symbol) < sizes_.size() ? fmt::format("extents[{}]", symbol) : std::string();
    });
    for (size_t i = 0; i < step_.inputs.size(); ++i) bind_input(i);
    for (size_t i = 0; i < outputs_.size(); ++i) {
      refuse(fmt::format("out->{} == 0", outputs_[i]));
      add("  outputs[{}] = out->{};\n", i, outputs_[i]);
    }
    call(step_);
    add("  return status;\n}}\n");
  }

  /// Where a sequence is read one position late, the first call is given none: what lies in the arena is not read.
  void bind_input(size_t i) {
    const std::string pointer = "in->" + step_inputs_[i];
    const bool may_lack = generation_.lead == 0;
    refuse(fmt::format("{} == 0{}", pointer, may_lack ? " && position > 1" : ""));
    if (step_.inputs[i].limit.below > 0) {
      if (may_lack) add("  if (position > 1)\n");
      out_ += label_check(step_.inputs[i], pointer, [&](int32_t symbol) { return fmt::format("extents[{}]", symbol); });
    }
    if (may_lack)
      add("  inputs[{0}] = {1} == 0 ? arena : (const void *){1};\n", i, pointer);
    else
      add("  inputs[{}] = {};\n", i, pointer);
  }

  const CompiledProgram& program_;
  const Generation& generation_;
  std::string model_;
  const Entry& reset_;
  const Entry& step_;
  std::string reset_name_, step_name_, positions_;
  std::set<std::string> in_reset_{"run"}, in_step_;
  std::vector<std::string> reset_inputs_, sizes_, step_inputs_, outputs_;
  std::string out_;
};

}  // namespace

std::string emit_generation(const CompiledProgram& program, const Generation& generation, std::set<std::string>& used) {
  if (!generation.why_not.empty())
    return fmt::format("\n/* export `{}` writes a sequence, but has no function of a position: {}. */\n",
                       generation.name, generation.why_not);
  return GenerationWriter(program, generation, used).run();
}

}  // namespace smelt
