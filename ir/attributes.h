// Attributes of a node: the compile-time part, in braces in the text. A handful a node at most.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ir/index_formula.h"
#include "ir/type.h"

namespace smelt {

using AttrValue = std::variant<int64_t, double, std::string, std::vector<int64_t>, TensorType, IndexFormula>;

/// The alternative of AttrValue that an attribute holds, in the same order.
enum class AttrType : uint8_t { Int, Float, String, Ints, Type, Formula };

/// Name -> value, kept in the order of the op's record, so that equal attributes compare equal. Copies share the values
/// until one is changed, because passes copy every node of a graph.
class Attributes {
  using Entries = std::vector<std::pair<std::string_view, AttrValue>>;

 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string_view, AttrValue>> entries);

  const AttrValue* find(std::string_view name) const;
  void set(std::string_view name, AttrValue value);  // `name` must outlive the node: use the record's own

  /// Checked access: a missing name or another type is our mistake (InternalError).
  int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  const std::vector<int64_t>& integers(std::string_view name) const;
  const TensorType& type(std::string_view name) const;
  const IndexFormula& formula(std::string_view name) const;

  auto begin() const { return entries().begin(); }
  auto end() const { return entries().end(); }
  bool empty() const { return entries().empty(); }
  friend bool operator==(const Attributes& a, const Attributes& b) {
    return a.entries_ == b.entries_ || a.entries() == b.entries();
  }

 private:
  const Entries& entries() const;

  std::shared_ptr<const Entries> entries_;  // null: none
};

}  // namespace smelt
