// The textual form of loops: print(parse(text)) == text, and parse(print(function)) is the same function without spans.
//
//   dims B<=128 usually 64
//   loops @loss computes f32, lanes 16 f32, temporaries 4096 to 12288
//     buffer x = input #0 f32[B<=128, 784]
//     buffer w = variable #2 f32[784, 10] at 512
//     buffer contract4 = temporary f32[B<=128, 10] at 4096
//     buffer loss = output #0 f32
//     kernel k0_contract group 0, flops 1e6, bytes 3e5
//       outer i0<B<=128, i1<10
//       product f32 x * w
//         row i0 B<=128 (784, 0)
//         column i1 10 (0, 1)
//         inner 784 (1, 10)
//         broadcast tile 14x16, left in place, right in place
//       for
//         %0: f32 = sum of products
//         store contract4[10*i0 + i1] = %0
//
// A buffer has its name, or `#3 "name"` when that is not an identifier or not unique. Strides of a product's axis are
// those of its left and its right operand, of a pack's those of the operand and of the panels. Values are numbered in a
// kernel. What a pass of the schedule has not filled in yet is not there.
#pragma once

#include <string_view>

#include "compiler/loops/loop_ir.h"
#include "ir/support/result.h"
#include "ir/text_scanner.h"

namespace smelt {

/// Errors (Model) name the line of the text. The result is not verified.
Result<LoopFunction> read_loops(TextScanner& scanner);
Result<LoopFunction> parse_loops(std::string_view text);

/// Words of the text, by enumerator.
inline constexpr std::string_view kStorageWords[] = {"variable", "temporary", "input", "output", "scalar", "slice"};
inline constexpr std::string_view kSlotWords[] = {"seed", "run", "iteration", "horizon", "update", "stored"};
inline constexpr std::string_view kFormWords[] = {"broadcast", "transposed", "dot", "streamed"};
inline constexpr std::string_view kLeftWords[] = {"in place", "in a panel", "copied"};
inline constexpr std::string_view kPanelWords[] = {"columns", "pairs", "depth"};

}  // namespace smelt
