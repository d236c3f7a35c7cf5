#include "api/smelt/run_pass.h"

#include <fmt/format.h>

#include "compiler/codegen/make_target.h"
#include "compiler/unit_text.h"

namespace smelt {

Result<std::string> run_pass(std::string_view name, std::string_view text, const PassFlags& flags) {
  PassContext context;
  SMELT_TRY(context.target, make_target(flags.cpu));
  context.target.has_bf16_pairs |= flags.bf16_pairs;
  const std::optional<DType> precision = flags.precision.empty() ? DType::F32 : parse_dtype(flags.precision);
  if (precision != DType::F32 && precision != DType::F64 && precision != DType::BF16)
    return fail(ErrorKind::Usage, fmt::format("no precision `{}`", flags.precision), "choose f32, f64 or bf16");
  context.precision = *precision;
  context.lower.arithmetic = *precision == DType::F64 ? DType::F64 : DType::F32;
  context.lower.bf16_products = *precision == DType::BF16;
  context.memory_budget = flags.memory_budget;
  context.small_bytes = 0;  // texts are small
  context.fusion = flags.unfused ? Fusion::None : Fusion::Full;
  return run_pass_on_text(name, text, context);
}

}  // namespace smelt
