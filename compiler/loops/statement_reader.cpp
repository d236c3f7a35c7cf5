#include "compiler/loops/statement_reader.h"

#include <algorithm>

#include "compiler/loops/scalar_names.h"

namespace smelt {

Result<int32_t> StatementReader::read_buffer_name() {
  std::string key;
  if (scanner_.take("#")) {
    SMELT_TRY(const int32_t number, read_index());
    key = fmt::format("#{}", number);
  } else {
    key = scanner_.word();
  }
  const auto found = buffers_.find(key);
  if (found == buffers_.end()) return wrong("no buffer `{}`", key);
  return found->second;
}

Result<DType> StatementReader::read_dtype() {
  const std::string_view word = scanner_.word();
  const std::optional<DType> dtype = parse_dtype(word);
  if (!dtype) return wrong("no dtype `{}`", word);
  return *dtype;
}

Result<int32_t> StatementReader::loop_named(std::string_view word) {
  const auto found = loops_.find(std::string(word));
  if (found == loops_.end()) return wrong("no loop `{}`", word);
  return found->second;
}

/// `i0` when a loop comes next, else -1.
int32_t StatementReader::take_loop() {
  for (const auto& [name, loop] : loops_) {
    if (scanner_.take(name)) return loop;
  }
  return -1;
}

Result<int32_t> StatementReader::read_value() {
  SMELT_TRY_VOID(expect("%"));
  return read_index();
}

Result<int32_t> StatementReader::define_value() {
  SMELT_TRY(const int32_t value, read_value());
  kernel_.num_values = std::max(kernel_.num_values, value + 1);
  return value;
}

Result<Carry> StatementReader::read_carry() {
  Carry carry;
  SMELT_TRY(carry.value, define_value());
  SMELT_TRY_VOID(expect("from"));
  SMELT_TRY(carry.start, read_value());
  SMELT_TRY_VOID(expect("next"));
  SMELT_TRY(carry.next, define_value());
  SMELT_TRY_VOID(expect("last"));
  SMELT_TRY(carry.last, define_value());
  return carry;
}

Result<Fold> StatementReader::read_fold() {
  Fold fold;
  SMELT_TRY(fold.result, define_value());
  SMELT_TRY_VOID(expect(":"));
  SMELT_TRY(fold.dtype, read_dtype());
  SMELT_TRY_VOID(expect("="));
  SMELT_TRY(const OpDef* op, read_body());
  fold.body = op->body;
  SMELT_TRY(fold.input, read_value());
  SMELT_TRY_VOID(expect("from"));
  SMELT_TRY(fold.identity, read_number());
  SMELT_TRY(fold.attrs, read_attributes(*op, function_.symbols));
  return fold;
}

Result<const OpDef*> StatementReader::read_body() {
  const std::string_view word = scanner_.word();
  const OpDef* op = op_with_body(word);
  if (op == nullptr) return wrong("no scalar body `{}`", word);
  return op;
}

Result<void> StatementReader::read_statements(std::vector<Stmt>& statements) {
  while (true) {
    Stmt stmt;
    if (scanner_.take("store")) {
      stmt.kind = StmtKind::Store;
      SMELT_TRY(stmt.access, read_access());
      SMELT_TRY_VOID(expect("="));
      SMELT_TRY(const int32_t value, read_value());
      stmt.operands = {value};
      stmt.dtype = dtype_of(function_, stmt.access.buffer);
    } else if (scanner_.next().starts_with("%")) {
      SMELT_TRY(stmt, read_definition());
    } else {
      return {};
    }
    statements.push_back(std::move(stmt));
  }
}

Result<Stmt> StatementReader::read_definition() {
  Stmt stmt;
  SMELT_TRY(stmt.value, define_value());
  SMELT_TRY_VOID(expect(":"));
  SMELT_TRY(stmt.dtype, read_dtype());
  SMELT_TRY_VOID(expect("="));
  if (const std::optional<double> constant = scanner_.number<double>()) {
    stmt.kind = StmtKind::Constant;
    stmt.constant = *constant;
  } else if (scanner_.take("load")) {
    stmt.kind = StmtKind::Load;
    SMELT_TRY(stmt.access, read_access());
  } else if (scanner_.take("index")) {
    stmt.kind = StmtKind::Index;
    SMELT_TRY(stmt.index, read_affine());
  } else if (scanner_.take("extent")) {
    stmt.kind = StmtKind::Extent;
    SMELT_TRY_VOID(expect("$"));
    SMELT_TRY(stmt.symbol, read_index());
  } else if (scanner_.take("sum of products")) {
    stmt.kind = StmtKind::Product;
  } else {
    SMELT_TRY_VOID(read_computation(stmt));
  }
  return stmt;
}

Result<void> StatementReader::read_computation(Stmt& stmt) {
  SMELT_TRY(const OpDef* op, read_body());
  stmt.body = op->body;
  do {
    SMELT_TRY(const int32_t operand, read_value());
    stmt.operands.push_back(operand);
  } while (scanner_.take(","));
  SMELT_TRY(stmt.attrs, read_attributes(*op, function_.symbols));
  if (op->kind != Kind::Random) return {};
  stmt.kind = StmtKind::Random;
  SMELT_TRY_VOID(expect("draw"));
  const std::optional<uint32_t> loop = scanner_.number<uint32_t>();
  scanner_.take_char('.');
  const std::optional<uint32_t> site = scanner_.number<uint32_t>();
  if (!loop || !site) return unexpected("the loop and the site of a draw");
  stmt.draw = {*loop, *site};
  SMELT_TRY_VOID(expect("at"));
  SMELT_TRY(stmt.index, read_affine());
  return {};
}

Result<Access> StatementReader::read_access() {
  Access access;
  SMELT_TRY(access.buffer, read_buffer_name());
  SMELT_TRY_VOID(expect("["));
  do {
    SMELT_TRY_VOID(read_term(access));
  } while (scanner_.take("+"));
  SMELT_TRY_VOID(expect("]"));
  if (scanner_.take("where")) {
    SMELT_TRY(access.predicate, read_value());
  }
  return access;
}

Result<Affine> StatementReader::read_affine() {
  Access access;
  do {
    SMELT_TRY_VOID(read_term(access));
  } while (scanner_.take("+"));
  if (access.row >= 0) return wrong("an index by a value");
  return access.offset;
}

/// `j2`, `784*i0`, `-3`, `10*%4 below 60000`.
Result<void> StatementReader::read_term(Access& access) {
  const std::optional<int64_t> number = scanner_.number<int64_t>();
  if (number && !scanner_.take("*")) {
    access.offset = access.offset + *number;
  } else if (number && scanner_.next().starts_with("%")) {
    access.row_stride = *number;
    SMELT_TRY(access.row, read_value());
    SMELT_TRY_VOID(expect("below"));
    SMELT_TRY(access.row_extent, read_extent(function_.symbols));
  } else {
    SMELT_TRY(const int32_t loop, loop_named(scanner_.word()));
    access.offset = access.offset + Affine::of(loop, number.value_or(1));
  }
  return {};
}

}  // namespace smelt
