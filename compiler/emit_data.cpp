#include "compiler/emit_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "compiler/c_names.h"
#include "ir/readers.h"

namespace smelt {
namespace {

/// The strings of a section by whose lengths its rows are sorted; none when they are not.
std::vector<size_t> sorted_strings(const CompiledProgram& program, int32_t section) {
  const auto split = std::ranges::find(program.data->splits, section, &Split::section);
  if (program.train.bucket == 0 || split == program.data->splits.end() || !has_lengths(split->source)) return {};
  const SourceCall& source = split->source;
  const size_t count = find_reader_record(source.reader)->kind == FileKind::Pairs ? 2 : 1;
  return strings_that_sort({source.length_symbols.begin(), source.length_symbols.begin() + count});
}

std::string plain_order(const std::string& function, int32_t section) {
  return fmt::format(
      "static inline void {}(uint64_t seed, uint32_t epoch, int32_t n, int32_t *rows) {{\n"
      "  smelt_shuffle(seed, epoch, {}, n, rows);\n}}\n",
      function, section);
}

std::string bucket_order(const CompiledProgram& program, const std::string& function, int32_t section,
                         const std::vector<size_t>& strings) {
  std::string parameters, keys;
  for (const size_t k : strings) {
    parameters += fmt::format("const int32_t *lengths{}, ", k);
    keys += fmt::format("{}lengths{}", keys.empty() ? "" : ", ", k);
  }
  return fmt::format(
      "/* Rows of like length are a batch: `lengths{}` has the length of each row's string, as the reader counts it. "
      "`scratch` is memory\n * for 3 * n numbers. */\n"
      "static inline void {}(uint64_t seed, uint32_t epoch, int32_t n, {}int32_t *rows, int32_t *scratch) {{\n"
      "  const int32_t *lengths[2];\n  lengths[0] = lengths{}; lengths[1] = {};\n"
      "  smelt_order_in_buckets(seed, epoch, {}, {}, n, {}, {}, lengths, rows, scratch);\n}}\n",
      strings.size() == 1 ? std::to_string(strings[0]) : "k", function, parameters, strings[0],
      strings.size() == 1 ? "0" : fmt::format("lengths{}", strings[1]), section, program.train.shuffle ? 1 : 0,
      program.train.batch, program.train.bucket);
}

std::string emit_orders(const CompiledProgram& program, const std::string& name, std::set<std::string>& used) {
  const DataPlan& data = *program.data;
  std::string out;
  if (data.num_sections() > 1)
    out += fmt::format(
        "\n/* Each data section has an order of its own. Batch number k of a run, counted from 0, is rows k % b * {0} "
        "and "
        "on of epoch k / b,\n * where b is the section's rows / {0}, rounded down: all batches are full. */\n",
        program.train.batch);
  for (int32_t section = 0; section < data.num_sections(); ++section) {
    std::string function = name + "_order";
    if (section > 0) function = unique(function + "_" + identifier(data.section_name(section)), used);
    out +=
        fmt::format("\n/* The rows{} of epoch `epoch` (from 0) in the order in which `smelt train` visits them. */\n",
                    data.num_sections() == 1 ? "" : " of data section " + data.section_name(section));
    const std::vector<size_t> strings = sorted_strings(program, section);
    out += strings.empty() ? plain_order(function, section) : bucket_order(program, function, section, strings);
  }
  return out;
}

/// The condition that `values[i]` is no label. Of a float, NaN and what lies between whole numbers are none either.
std::string outside(DType dtype, int64_t below) {
  if (dtype == DType::U8 || dtype == DType::Bool) return fmt::format("values[i] >= {}", below);
  if (!is_float(dtype)) return fmt::format("values[i] < 0 || values[i] >= {}", below);
  return fmt::format("!(values[i] >= 0 && values[i] < {0} && values[i] == ({1})(int64_t)values[i])", below,
                     c_type(dtype));
}

std::string column_check(const CompiledProgram& program, const ColumnLimit& limit, const std::string& function) {
  const DType dtype = program.data->columns[static_cast<size_t>(limit.column)].dtype;
  std::string out = fmt::format(
      "\n/* The first place of `values` that is not in 0 .. {} ({}), or -1. The model trusts its data: call this "
      "once. */\nstatic inline int64_t {}(const {} *values, int64_t count) {{\n  int64_t i;\n"
      "  if (values == 0) return count > 0 ? 0 : -1;\n",
      limit.below - 1, limit.dim, function, c_type(dtype));
  if (dtype == DType::U8 && limit.below > 255)  // every byte is one
    return out + "  (void)i;\n  return -1;\n}\n";
  return out + fmt::format("  for (i = 0; i < count; ++i) if ({}) return i;\n  return -1;\n}}\n",
                           outside(dtype, limit.below));
}

/// Those of a column that a field of whole numbers or truths takes as they are.
std::string exact_check(const CompiledProgram& program, const ColumnExact& exact, const std::string& function) {
  const Column& column = program.data->columns[static_cast<size_t>(exact.column)];
  const double below = exact.dtype == DType::Bool ? 2
                       : exact.dtype == DType::U8 ? 256
                                                  : std::ldexp(1.0, 8 * static_cast<int>(size_of(exact.dtype)) - 1);
  const double low = exact.dtype == DType::Bool || exact.dtype == DType::U8 ? 0 : -below;
  int64_t per_row = 1;
  for (const int64_t size : column.row_shape) per_row *= size;
  const std::string part = exact.end == 0 ? ""
                                          : fmt::format("    if (i % {0} < {1} || i % {0} >= {2}) continue;\n", per_row,
                                                        exact.begin, exact.end);
  return fmt::format(
      "\n/* The first place of `values` where the field `{}` is nothing that {} holds, or -1. The model trusts its "
      "data: "
      "call this\n * once. */\nstatic inline int64_t {}(const {} *values, int64_t count) {{\n  int64_t i;\n"
      "  if (values == 0) return count > 0 ? 0 : -1;\n  for (i = 0; i < count; ++i) {{\n"
      "    const double value = (double)values[i]{};\n{}"
      "    if (!(value >= {:.1f} && value < {:.1f} && value == (double)(int64_t)value)) return i;\n  }}\n"
      "  return -1;\n}}\n",
      exact.field, to_string(exact.dtype), function, c_type(column.dtype),
      exact.is_bare() ? "" : fmt::format(" * {:.1f} + {:.1f}", exact.scale, exact.offset), part, low, below);
}

}  // namespace

std::string emit_data(const CompiledProgram& program, const std::string& name, std::set<std::string>& used) {
  std::string out = emit_orders(program, name, used);
  for (const ColumnLimit& limit : program.data->limits)
    out += column_check(program, limit, unique(fmt::format("{}_check_column{}", name, limit.column), used));
  for (const ColumnExact& exact : program.data->exact) {
    const DType dtype = program.data->columns[static_cast<size_t>(exact.column)].dtype;
    if (dtype == DType::F16 || dtype == DType::BF16) continue;  // C has no arithmetic of theirs
    out += exact_check(program, exact, unique(fmt::format("{}_check_column{}", name, exact.column), used));
  }
  return out;
}

std::string length_text(const CompiledProgram& program, int32_t symbol) {
  if (!program.data) return {};
  for (const Split& split : program.data->splits) {
    for (size_t k = 0; k < split.source.length_symbols.size(); ++k) {
      if (split.source.length_symbols[k] != symbol) continue;
      const int64_t ends = split.source.ends[k];
      return fmt::format("; at least as long as the batch's longest string{}",
                         ends == 0 ? "" : fmt::format(" and {}", ends));
    }
  }
  return {};
}

}  // namespace smelt
