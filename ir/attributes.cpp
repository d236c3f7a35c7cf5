#include "ir/attributes.h"

#include <algorithm>

#include "ir/support/check.h"

namespace smelt {
namespace {

template <typename T>
const T& get(const Attributes& attrs, std::string_view name) {
  const AttrValue* value = attrs.find(name);
  SMELT_CHECK(value != nullptr, "no attribute `{}`", name);
  const T* typed = std::get_if<T>(value);
  SMELT_CHECK(typed != nullptr, "attribute `{}` has another type", name);
  return *typed;
}

}  // namespace

Attributes::Attributes(std::initializer_list<std::pair<std::string_view, AttrValue>> entries) : entries_(entries) {}

const AttrValue* Attributes::find(std::string_view name) const {
  const auto found = std::ranges::find(entries_, name, &std::pair<std::string_view, AttrValue>::first);
  return found == entries_.end() ? nullptr : &found->second;
}

void Attributes::set(std::string_view name, AttrValue value) {
  const auto found = std::ranges::find(entries_, name, &std::pair<std::string_view, AttrValue>::first);
  if (found != entries_.end()) {
    found->second = std::move(value);
  } else {
    entries_.emplace_back(name, std::move(value));
  }
}

int64_t Attributes::integer(std::string_view name) const { return get<int64_t>(*this, name); }
double Attributes::number(std::string_view name) const { return get<double>(*this, name); }
const std::string& Attributes::text(std::string_view name) const { return get<std::string>(*this, name); }
const std::vector<int64_t>& Attributes::integers(std::string_view name) const {
  return get<std::vector<int64_t>>(*this, name);
}
const TensorType& Attributes::type(std::string_view name) const { return get<TensorType>(*this, name); }
const IndexFormula& Attributes::formula(std::string_view name) const { return get<IndexFormula>(*this, name); }

}  // namespace smelt
