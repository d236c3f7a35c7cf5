// Reads loops as loops_text.h describes them.
#include <algorithm>

#include "compiler/loops/loops_text.h"
#include "compiler/loops/statement_reader.h"
#include "ir/text_formula.h"

namespace smelt {
namespace {

class LoopReader : StatementReader {
 public:
  explicit LoopReader(TextScanner& scanner) : StatementReader(scanner) {}

  Result<LoopFunction> run() {
    if (scanner_.take("dims")) SMELT_TRY_VOID(read_dims());
    SMELT_TRY_VOID(expect("loops"));
    SMELT_TRY_VOID(expect("@"));
    if (std::optional<std::string> name = scanner_.quoted()) {
      function_.name = *std::move(name);
    } else {
      function_.name = scanner_.word();
    }
    SMELT_TRY_VOID(read_header());
    while (scanner_.take("buffer")) SMELT_TRY_VOID(read_buffer());
    while (scanner_.take("repeat")) SMELT_TRY_VOID(read_repeat());
    while (scanner_.take("kernel")) SMELT_TRY_VOID(read_kernel());
    return std::move(function_);
  }

 private:
  Result<void> read_dims() {
    do {
      SMELT_TRY(DimSymbol symbol, at_line(read_symbol(scanner_, function_.symbols)));
      function_.usual.push_back(symbol.bound);
      function_.symbols.push_back(std::move(symbol));
      if (scanner_.take("usually")) {
        SMELT_TRY(function_.usual.back(), read_integer());
      }
    } while (scanner_.take(","));
    return {};
  }

  template <typename Enum, size_t N>
  Result<Enum> read_word(const std::string_view (&words)[N]) {
    const std::string_view word = scanner_.word();
    const auto found = std::ranges::find(words, word);
    if (found == std::end(words)) return wrong("`{}` means nothing here", word);
    return static_cast<Enum>(found - std::begin(words));
  }

  Result<void> read_header() {
    SMELT_TRY_VOID(expect("computes"));
    SMELT_TRY(function_.arithmetic, read_dtype());
    while (scanner_.take(",")) {
      if (scanner_.take("may round to bf16")) {
        function_.bf16_products = true;
      } else if (scanner_.take("is a step")) {
        function_.is_step = true;
      } else if (scanner_.take("lanes")) {
        VectorLanes lanes;
        SMELT_TRY(lanes.count, read_integer());
        SMELT_TRY(lanes.dtype, read_dtype());
        function_.lanes = lanes;
      } else if (scanner_.take("temporaries")) {
        SMELT_TRY(function_.temporaries.begin, read_integer());
        SMELT_TRY_VOID(expect("to"));
        SMELT_TRY(function_.temporaries.end, read_integer());
      } else if (scanner_.take("runs at")) {
        SMELT_TRY(function_.runs_offset, read_integer());
      } else if (scanner_.take("advances")) {
        function_.advances = true;
      } else if (scanner_.take("stamps at")) {
        SMELT_TRY(function_.stamps_offset, read_integer());
      } else {
        return unexpected("a fact of the function");
      }
    }
    return {};
  }

  Result<void> read_buffer() {
    LoopBuffer buffer;
    const auto index = static_cast<int32_t>(function_.buffers.size());
    std::string key;
    if (scanner_.take("#")) {
      SMELT_TRY(const int32_t number, read_index());
      if (number != index) return wrong("buffer {} has the number {}", index, number);
      key = fmt::format("#{}", number);
      SMELT_TRY(buffer.name, read_quoted());
    } else {
      buffer.name = key = scanner_.word();
    }
    if (!buffers_.try_emplace(key, index).second) return wrong("buffer `{}` is there twice", key);
    SMELT_TRY_VOID(expect("="));
    SMELT_TRY(buffer.storage, read_word<Storage>(kStorageWords));
    if (buffer.storage == Storage::Scalar) {
      SMELT_TRY(buffer.slot, read_word<ScalarSlot>(kSlotWords));
    }
    if (buffer.storage == Storage::Slice) {
      SMELT_TRY_VOID(expect("of"));
      SMELT_TRY(buffer.ref, read_buffer_name());
      SMELT_TRY_VOID(expect("by"));
      SMELT_TRY(buffer.repeat, read_repeat_name());
    } else if (scanner_.take("#")) {
      SMELT_TRY(buffer.ref, read_index());
    }
    if (buffer.storage == Storage::Input) function_.num_inputs = std::max(function_.num_inputs, buffer.ref + 1);
    if (buffer.storage == Storage::Output) function_.num_outputs = std::max(function_.num_outputs, buffer.ref + 1);
    SMELT_TRY(buffer.type, read_type(function_.symbols));
    if (scanner_.take("at")) {
      SMELT_TRY(buffer.offset, read_integer());
    }
    while (scanner_.take(",")) {
      if (scanner_.take("over")) {
        SMELT_TRY(buffer.over, read_buffer_name());
      } else if (scanner_.take("in")) {
        SMELT_TRY(buffer.repeat, read_repeat_name());
      } else {
        SMELT_TRY_VOID(expect("checked"));
        buffer.check_finite = true;
      }
    }
    function_.buffers.push_back(std::move(buffer));
    return {};
  }

  /// `r2`: the text of repetitions stands behind that of buffers, so that the verifier tells whether it is there.
  Result<int32_t> read_repeat_name() {
    const std::string word(scanner_.word());
    if (word.size() < 2 || word[0] != 'r' || word.size() > 9) return wrong("no repetition `{}`", word);
    TextScanner number(std::string_view(word).substr(1));
    const std::optional<int32_t> index = number.number<int32_t>();
    if (!index || *index < 0 || !number.at_end()) return wrong("no repetition `{}`", word);
    return *index;
  }

  Result<void> read_repeat() {
    Repeat repeat;
    SMELT_TRY(const int32_t number, read_repeat_name());
    if (number != static_cast<int32_t>(function_.repeats.size())) return wrong("repetition r{} is out of turn", number);
    SMELT_TRY_VOID(expect("="));
    SMELT_TRY(repeat.steps, read_extent(function_.symbols));
    SMELT_TRY_VOID(expect("steps of kernels"));
    SMELT_TRY(repeat.first, read_index());
    SMELT_TRY_VOID(expect("to"));
    SMELT_TRY(repeat.last, read_index());
    while (scanner_.take(",")) {
      if (scanner_.take("in")) {
        SMELT_TRY(repeat.parent, read_repeat_name());
      } else if (scanner_.take("until")) {
        SMELT_TRY(repeat.until, read_buffer_name());
      } else {
        SMELT_TRY_VOID(expect("backwards"));
        repeat.reverse = true;
      }
    }
    function_.repeats.push_back(repeat);
    return {};
  }

  Result<void> read_kernel() {
    kernel_ = {};
    loops_.clear();
    const std::string word(scanner_.word());
    const std::string number = fmt::format("k{}_", function_.kernels.size());
    if (!word.starts_with(number)) return wrong("kernel `{}` does not begin with `{}`", word, number);
    kernel_.label = word.substr(number.size());
    kernel_.serial = scanner_.take("serial");
    kernel_.by_columns = scanner_.take("by columns");
    kernel_.vector_outer = scanner_.take("in vectors");
    if (scanner_.take("group")) {
      SMELT_TRY(kernel_.group, read_index());
    }
    if (scanner_.take("flops")) {
      SMELT_TRY(kernel_.flops, read_number());
      SMELT_TRY_VOID(expect("bytes"));
      SMELT_TRY(kernel_.bytes, read_number());
    }
    if (scanner_.take("outer")) SMELT_TRY_VOID(read_loops());
    kernel_.num_outer = static_cast<int32_t>(kernel_.loops.size());
    if (scanner_.take("loops")) SMELT_TRY_VOID(read_loops());
    if (scanner_.take("product")) SMELT_TRY_VOID(read_product());
    if (scanner_.take("pack")) SMELT_TRY_VOID(read_pack());
    SMELT_TRY_VOID(read_statements(kernel_.setup));
    while (scanner_.take("sweep")) SMELT_TRY_VOID(read_sweep());
    while (scanner_.take("return unless")) {
      SMELT_TRY(const int32_t guarded, read_buffer_name());
      kernel_.guarded.push_back(guarded);
      SMELT_TRY_VOID(expect("is finite"));
    }
    function_.kernels.push_back(std::move(kernel_));
    return {};
  }

  Result<void> read_loops() {
    do {
      Loop loop{std::string(scanner_.word()), {}};
      SMELT_TRY_VOID(expect("<"));
      SMELT_TRY(loop.extent, read_extent(function_.symbols));
      loop.reverse = scanner_.take("backwards");
      if (scanner_.take("at")) {
        SMELT_TRY(loop.only, read_value());
      }
      if (!loops_.try_emplace(loop.name, static_cast<int32_t>(kernel_.loops.size())).second)
        return wrong("loop `{}` is there twice", loop.name);
      kernel_.loops.push_back(std::move(loop));
    } while (scanner_.take(","));
    return {};
  }

  Result<ProductAxis> read_axis() {
    ProductAxis axis;
    axis.loop = take_loop();
    if (scanner_.take("by")) {
      SMELT_TRY(axis.inner, read_integer());
      SMELT_TRY_VOID(expect("in"));
      axis.outer_loop = take_loop();
    }
    SMELT_TRY(axis.extent, read_extent(function_.symbols));
    SMELT_TRY_VOID(read_strides(axis.a_stride, axis.b_stride));
    return axis;
  }

  Result<void> read_strides(int64_t& first, int64_t& second) {
    SMELT_TRY_VOID(expect("("));
    SMELT_TRY(first, read_integer());
    SMELT_TRY_VOID(expect(","));
    SMELT_TRY(second, read_integer());
    return expect(")");
  }

  Result<void> read_product() {
    Product product;
    SMELT_TRY(product.dtype, read_dtype());
    do {
      ProductOperands pair;
      SMELT_TRY(pair.a, read_buffer_name());
      SMELT_TRY_VOID(expect("*"));
      SMELT_TRY(pair.b, read_buffer_name());
      product.pairs.push_back(pair);
    } while (scanner_.take("+"));
    if (scanner_.take("from")) {
      SMELT_TRY(product.a_start, read_integer());
      SMELT_TRY_VOID(expect(","));
      SMELT_TRY(product.b_start, read_integer());
    }
    while (scanner_.take("outer")) {
      SMELT_TRY(const ProductAxis axis, read_axis());
      product.outer.push_back(axis);
    }
    SMELT_TRY_VOID(expect("row"));
    SMELT_TRY(product.row, read_axis());
    SMELT_TRY_VOID(expect("column"));
    SMELT_TRY(product.column, read_axis());
    while (scanner_.take("inner")) {
      SMELT_TRY(const ProductAxis axis, read_axis());
      product.inner.push_back(axis);
    }
    const bool scheduled =
        std::ranges::any_of(kFormWords, [&](std::string_view word) { return scanner_.next().starts_with(word); });
    if (scheduled) {
      SMELT_TRY(product.schedule, read_schedule());
    }
    kernel_.work = std::move(product);
    return {};
  }

  Result<ProductSchedule> read_schedule() {
    ProductSchedule schedule;
    SMELT_TRY(schedule.form, read_word<ProductForm>(kFormWords));
    SMELT_TRY_VOID(expect("tile"));
    SMELT_TRY(schedule.tile.rows, read_integer());
    scanner_.take_char('x');
    SMELT_TRY(schedule.tile.columns, read_integer());
    if (scanner_.take("by pairs")) schedule.multiply = Multiply::Bf16Pairs;
    SMELT_TRY_VOID(expect(", left"));
    const auto left = std::ranges::find_if(kLeftWords, [&](std::string_view words) { return scanner_.take(words); });
    if (left == std::end(kLeftWords)) return wrong("`{}` is no place of a left operand", scanner_.word());
    schedule.left = static_cast<LeftOperand>(left - std::begin(kLeftWords));
    SMELT_TRY_VOID(expect(", right"));
    if (scanner_.take("copied by")) {
      CopiedColumns copied;
      SMELT_TRY(copied.steps, read_integer());
      schedule.right = copied;
    } else if (scanner_.take("in panels of")) {
      PackedColumns packed;
      SMELT_TRY(packed.panel_elements, read_integer());
      schedule.right = packed;
    } else {
      SMELT_TRY_VOID(expect("in place"));
    }
    if (scanner_.take(", blocks of")) {
      DepthBlocks blocks;
      SMELT_TRY(blocks.positions, read_integer());
      SMELT_TRY_VOID(expect("summed in"));
      SMELT_TRY(blocks.sums, read_buffer_name());
      schedule.blocks = blocks;
    }
    return schedule;
  }

  Result<PackAxis> read_pack_axis() {
    PackAxis axis;
    SMELT_TRY(axis.extent, read_extent(function_.symbols));
    SMELT_TRY_VOID(read_strides(axis.from, axis.to));
    return axis;
  }

  Result<void> read_pack() {
    Pack pack;
    SMELT_TRY(pack.from, read_buffer_name());
    SMELT_TRY_VOID(expect("into"));
    SMELT_TRY(pack.to, read_buffer_name());
    SMELT_TRY_VOID(expect("by"));
    SMELT_TRY(pack.form, read_word<PanelForm>(kPanelWords));
    SMELT_TRY_VOID(expect("of"));
    SMELT_TRY(pack.width, read_integer());
    if (scanner_.take(", shared by steps")) pack.units = PackUnits::Steps;
    if (scanner_.take("from")) {
      SMELT_TRY(pack.start, read_integer());
    }
    SMELT_TRY_VOID(expect("column"));
    SMELT_TRY(pack.column, read_pack_axis());
    SMELT_TRY_VOID(expect("depth"));
    SMELT_TRY(pack.depth, read_pack_axis());
    while (scanner_.take("outer")) {
      SMELT_TRY(const PackAxis axis, read_pack_axis());
      pack.outer.push_back(axis);
    }
    kernel_.work = std::move(pack);
    return {};
  }

  Result<void> read_sweep() {
    Sweep sweep;
    SMELT_TRY_VOID(read_statements(sweep.setup));
    if (scanner_.take("for")) {
      for (int32_t loop = take_loop(); loop >= 0;) {
        sweep.loops.push_back(loop);
        if (!scanner_.take(",")) break;
        SMELT_TRY(loop, loop_named(scanner_.word()));
      }
      sweep.ordered = scanner_.take("in order");
      sweep.vectorize = scanner_.take("in vectors");
      while (scanner_.take("carry")) {
        SMELT_TRY(const Carry carry, read_carry());
        sweep.carries.push_back(carry);
      }
      SMELT_TRY_VOID(read_statements(sweep.body));
      while (scanner_.take("fold")) {
        SMELT_TRY(Fold fold, read_fold());
        sweep.folds.push_back(std::move(fold));
      }
    }
    kernel_.sweeps.push_back(std::move(sweep));
    return {};
  }
};

}  // namespace

Result<LoopFunction> read_loops(TextScanner& scanner) { return LoopReader(scanner).run(); }

Result<LoopFunction> parse_loops(std::string_view text) {
  TextScanner scanner(text);
  SMELT_TRY(LoopFunction function, read_loops(scanner));
  if (!scanner.at_end())
    return fail(ErrorKind::Model, fmt::format("line {}: expected the end, got `{}`", scanner.line(), scanner.next()));
  return function;
}

}  // namespace smelt
