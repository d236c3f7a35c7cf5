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

Attributes::Attributes(std::initializer_list<std::pair<std::string_view, AttrValue>> entries)
    : entries_(std::make_shared<const Entries>(entries)) {}

const Attributes::Entries& Attributes::entries() const {
  static const Entries none;
  return entries_ ? *entries_ : none;
}

const AttrValue* Attributes::find(std::string_view name) const {
  const auto found = std::ranges::find(entries(), name, &Entries::value_type::first);
  return found == end() ? nullptr : &found->second;
}

void Attributes::set(std::string_view name, AttrValue value) {
  auto changed = std::make_shared<Entries>(entries());
  const auto found = std::ranges::find(*changed, name, &Entries::value_type::first);
  if (found != changed->end()) {
    found->second = std::move(value);
  } else {
    changed->emplace_back(name, std::move(value));
  }
  entries_ = std::move(changed);
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
