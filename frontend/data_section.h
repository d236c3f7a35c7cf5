// The data section: which columns the readers give, and fields as expressions on the rows of a batch. Members are
// defined in data_section.cpp, fields.cpp, field_checks.cpp and row_parts.cpp.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/build_experiment.h"
#include "frontend/graph_writer.h"

namespace smelt {

struct FrontendOptions;
struct ReaderRecord;
struct Experiment;
class Diagnostics;

namespace frontend {

struct FieldRead;
struct FileScope;
class Scopes;
class Shapes;
class GraphWriter;
class Signatures;
class Evaluator;

class DataSection {
 public:
  DataSection(const FileScope& file, const FrontendOptions& options, Experiment& experiment, Scopes& scopes,
              Shapes& shapes, GraphWriter& graph, Signatures& signatures, Evaluator& evaluator,
              Diagnostics& diagnostics)
      : file_(file),
        options_(options),
        experiment_(experiment),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        signatures_(signatures),
        evaluator_(evaluator),
        diagnostics_(diagnostics) {}

  /// Reports places for data that the file does not have.
  void check_data_sections();
  /// Finds the data sections that the train section names, or the only one, and reads their splits.
  void find_data();
  bool found() const { return !data_.empty(); }
  /// The names of the train section's data sections that have no such split.
  std::vector<std::string> sections_without(std::string_view split) const;
  /// Binds the parameters of an objective or metric to the fields of their names, the batch dim in front.
  bool bind_data_params(const std::vector<ast::Param>& params, std::string_view what);
  /// The rows of this batch of column `field`.
  Value field_column(int32_t field, Span span);

 private:
  void find_section(const ast::DataItem& named);
  void read_columns();
  void check_field_names();
  void read_section(int32_t section, DataPlan& plan);
  void read_split(const ast::FieldDecl& entry, int32_t section, DataPlan& plan);
  std::optional<Column> describe_column(int32_t field, Span span);
  int64_t columns_in_parts(const ast::DataDecl& decl);
  std::optional<ColumnSpan> columns_at(ast::ExprId position);
  void note_use(Column& column, const FieldRead& read, Span span);
  NodeId rows_argument(int32_t section, const Axis& batch);
  void refuse_pattern(const ReaderRecord& reader, const std::string& path, Span span);
  std::optional<SourceCall> read_source(ast::ExprId id, const std::string& split);
  std::optional<std::vector<Share>> read_shares(ast::ExprId stage, size_t count);
  void probe_splits(const DataPlan& plan, int32_t section);
  std::optional<Tensor> field_value(const std::string& name, Span span, const Axis& batch);
  std::string row_type(const std::string& name) const;
  Span place_of_fields() const;
  void report_missing(const std::string& name, Span span, const std::vector<std::string>& names);
  std::optional<Tensor> convert_field(const ast::FieldDecl& decl, Value value, const Axis& batch);
  bool limit_labels(const Tensor& x, DimId label, Span span);
  std::optional<Range> declared_range(ast::ExprId expr);
  struct AffineColumn;
  std::optional<AffineColumn> affine_column(NodeId id);
  std::optional<AffineColumn> part_of_rows(const Node& slice);
  int64_t num_takers(const std::string& name) const;
  std::string help_for_row(const Axes& wanted, const Axes& row, const Axis& batch) const;
  void state_range(const ast::FieldDecl& decl, const Tensor& value, const Range& range);
  bool state_exact(const ast::FieldDecl& decl, const Tensor& value, DType dtype);
  void state_narrowed(const ast::FieldDecl& decl, const Tensor& value, DType dtype);
  bool is_batch_axis(const Axis& axis);

  const FileScope& file_;
  const FrontendOptions& options_;
  Experiment& experiment_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Signatures& signatures_;
  Evaluator& evaluator_;
  Diagnostics& diagnostics_;
  std::vector<const ast::DataDecl*> data_;   // by section
  std::vector<std::vector<Column>> probed_;  // by section
  std::set<std::string> missing_;            // fields that were reported
  bool names_unknown_section_ = false;       // the train section does, which was reported
  bool data_failed_ = false;                 // a file was reported: nothing more is said of columns
  std::map<int32_t, int32_t> rows_symbols_;  // by section
};

}  // namespace frontend
}  // namespace smelt
