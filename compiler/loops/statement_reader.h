// Reads the statements of kernels, the part of loops_text.h with an expression language.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/loops/loop_ir.h"
#include "ir/text_reader.h"

namespace smelt {

class StatementReader : protected TextReader {
 protected:
  explicit StatementReader(TextScanner& scanner) : TextReader(scanner) {}

  Result<DType> read_dtype();
  Result<int32_t> read_buffer_name();
  Result<int32_t> loop_named(std::string_view word);
  Result<int32_t> read_value();
  /// `i0` when a loop comes next, else -1.
  int32_t take_loop();
  /// All statements that come next.
  Result<void> read_statements(std::vector<Stmt>& statements);
  Result<Carry> read_carry();
  Result<Fold> read_fold();

  LoopFunction function_;
  Kernel kernel_;                                   // the one at hand
  std::map<std::string, int32_t> buffers_, loops_;  // by the name in the text

 private:
  Result<int32_t> define_value();
  Result<const OpDef*> read_body();
  Result<Stmt> read_definition();
  Result<void> read_computation(Stmt& stmt);
  Result<Access> read_access();
  Result<Affine> read_affine();
  Result<void> read_term(Access& access);
};

}  // namespace smelt
