// Units as text, and single passes on text: what `smelt dump` prints and `smelt debug pass` reads.
#pragma once

#include <string>
#include <string_view>

#include "compiler/passes.h"

namespace smelt {

/// The text of the unit's level: a graph with its schedule (ir/text.h), that and a plan (plan/plan_text.h), or loops
/// (loops/loops_text.h).
std::string print(const FunctionUnit& unit);

/// Reads what `print` wrote of a unit at `stage`, and verifies it. Errors (Model) name the line or what is wrong.
Result<FunctionUnit> parse_unit(std::string_view text, Stage stage);

/// The text after one pass. Errors (Usage): no such pass; (Model): a text that is not one of the stage that it takes.
Result<std::string> run_pass_on_text(std::string_view name, std::string_view text, const PassContext& context);

/// One line a pass, in the order in which they run first: name, stage before and after, what it does.
std::string describe_passes();

}  // namespace smelt
