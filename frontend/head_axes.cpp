// Axes at the border of a body: what its head calls those of the caller, on the way in and on the way out, and what is
// said where they do not fit.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/evaluator.h"
#include "frontend/signatures.h"

namespace smelt::frontend {

/// How a value gets as many axes as the head has.
std::string Signatures::rank_help(const ast::Type& type, const Axes& axes) const {
  const auto wanted = std::ranges::count_if(type.dims, [](const ast::DimItem& item) { return !item.rest; });
  if (std::ssize(axes) < wanted)
    return fmt::format(
        "`reshape(x, {})` gives it axes, sizes in the place of names; `stretch` repeats it along one that it lacks",
        declared_axes(type));
  return "`flatten(x)` makes one axis of all behind the first, `reshape` others, and a reduction takes some away";
}

std::string Signatures::declared_axes(const ast::Type& type) const {
  std::vector<std::string> names;
  for (const ast::DimItem& item : type.dims)
    names.push_back(item.rest ? "..." : ast::print(scopes_.ast(), item.extent));
  return fmt::format("[{}]", fmt::join(names, ", "));
}

/// Two names of the head that the value has too, in the other order: nothing says which of the two is right.
std::optional<TurnedAxes> Signatures::turned_axes(const std::vector<std::pair<const ast::DimItem*, size_t>>& places,
                                                  const Axes& axes) {
  const auto name_of = [&](const ast::DimItem& item) {
    const auto* name = item.rest ? nullptr : scopes_.ast().as<ast::NameExpr>(item.extent);
    return name != nullptr && scopes_.find_local(name->name) == nullptr ? name->name : std::string();
  };
  const auto place_of = [&](const std::string& name) {
    const auto same = [&](const Axis& axis) { return axis.dim != kAnonymous && shapes_.axis_text(axis) == name; };
    return std::ranges::find_if(axes, same) - axes.begin();
  };
  std::vector<std::string> wanted, given(axes.size());
  std::string first, second;
  for (const auto& [item, at] : places) {
    const std::string name = name_of(*item);
    const auto place = name.empty() ? std::ssize(axes) : place_of(name);
    if (place == std::ssize(axes)) continue;
    for (const std::string& before : wanted)
      if (first.empty() && place_of(before) > place) first = before, second = name;
    wanted.push_back(name);
    given[static_cast<size_t>(place)] = name;
  }
  if (first.empty()) return std::nullopt;
  std::erase(given, std::string());
  const auto indices = [](const std::vector<std::string>& names) {
    std::string list = fmt::format("{}", fmt::join(names, ", "));
    std::ranges::transform(list, list.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    return list;
  };
  const bool whole = wanted.size() == axes.size();
  TurnedAxes turned;
  turned.why = fmt::format("{} and {} are in the other order", first, second);
  turned.turn = fmt::format("turn it with a formula: `turned[{}{}] = x[{}{}]`", indices(wanted), whole ? "" : ", ..",
                            indices(given), whole ? "" : ", ..");
  Axes renamed;
  for (const std::string& name : wanted) renamed.push_back(axes[static_cast<size_t>(place_of(name))]);
  if (whole && std::ranges::equal(renamed, axes, {}, &Axis::extent, &Axis::extent))
    turned.rename = fmt::format("if only its names are wrong, rename them: `x as [{}]`", fmt::join(wanted, ", "));
  else
    turned.rename = fmt::format(
        "if its order is meant, give its axes names of their own: `dim A = {}, C = {}`, `x as [A, C]`", second, first);
  return turned;
}

/// A name that stands at an axis without one, while the value has that name at another axis: f32[4, Class] where a head
/// says f32[Class, 4] and Class is 4. `named`: the axes as the head names them, in the caller's dims.
std::optional<TurnedAxes> Signatures::misplaced_axis(const Axes& given, const Axes& named) const {
  for (size_t at = 0; at < given.size(); ++at) {
    if (given[at].dim != kAnonymous || named[at].dim == kAnonymous) continue;
    for (size_t own = 0; own < given.size(); ++own) {
      if (given[own].dim != named[at].dim || named[own].dim == named[at].dim) continue;
      std::vector<std::string> order;
      for (const Axis& axis : named) order.push_back(axis.dim == kAnonymous ? "K" : shapes_.axis_text(axis));
      TurnedAxes turned;
      turned.why =
          fmt::format("{} is axis {} of it, and axis {} has no name", shapes_.axis_text(named[at]), own + 1, at + 1);
      turned.turn = given.size() == 2 ? std::string("turn it with a formula: `turned[i, j] = x[j, i]`")
                                      : std::string("turn it with a formula");
      turned.rename = fmt::format("if only its names are wrong, rename them: `dim K = {}`, `x as [{}]`",
                                  named[own].extent.bound, fmt::join(order, ", "));
      return turned;
    }
  }
  return std::nullopt;
}

/// Whether `axis` is `wanted` for a caller further out: no parameter of this head has it, because it came in a tuple or
/// without a type. It stays what it is.
bool Signatures::is_outside(const Axis& wanted, Axis axis) const {
  for (const Frame* frame = scopes_.frame().caller; frame != nullptr; frame = frame->caller) {
    const auto known = frame->outside.find(axis.dim);
    if (known == frame->outside.end()) continue;
    axis = known->second;
    if (shapes_.unify(wanted, axis)) return true;
  }
  return false;
}

namespace {

/// Each axis and label of a value becomes what `renamed` makes of it.
template <typename Renamed>
Value with_axes(Value value, const Renamed& renamed) {
  const auto rename_all = [&](Axes& axes) {
    for (Axis& axis : axes) axis = renamed(axis);
  };
  if (auto* t = value.as<Tensor>()) {
    rename_all(t->axes);
    if (t->label != kAnonymous) t->label = renamed(Axis{t->label, {}}).dim;
  } else if (auto* shape = value.as<ShapeValue>()) {
    rename_all(shape->axes);
  } else if (auto* tuple = value.as<TupleValue>()) {
    for (Value& item : tuple->items) item = with_axes(std::move(item), renamed);
  } else if (auto* dist = value.as<Distribution>()) {
    for (Value& param : dist->params) param = with_axes(std::move(param), renamed);
    for (Distribution& part : dist->parts)
      part = *with_axes(Value(std::move(part)), renamed).template as<Distribution>();
    if (dist->shape) rename_all(*dist->shape);
  }
  return value;
}

}  // namespace

/// Dims of the body become what they were for the caller; those made inside stay what they are.
Value Signatures::to_outside(Value value, const Frame& inner) {
  return with_axes(std::move(value), [&](const Axis& axis) {
    const auto known = inner.outside.find(axis.dim);
    return known == inner.outside.end() ? axis : known->second;
  });
}

/// An axis of the caller that the head has bound to one name has that name in every argument, also where no type says
/// it: in `fn pick(text: f32[K, T], parent) = text[parent]` labels along the caller's axis are labels along K.
void Signatures::name_untyped(const std::vector<ast::Param>& params) {
  const std::map<DimId, Axis>& outside = scopes_.frame().outside;
  const auto renamed = [&](const Axis& axis) {
    const auto bound = [&](const auto& entry) { return entry.second.dim == axis.dim; };
    if (axis.dim == kAnonymous || std::ranges::count_if(outside, bound) != 1) return axis;
    return shapes_.axis_of(std::ranges::find_if(outside, bound)->first);
  };
  for (const ast::Param& param : params) {
    if (param.type.valid()) continue;
    Value& value = scopes_.find_local(param.name.text)->value;
    if (const auto* dim = value.as<DimValue>())
      value = Value(DimValue{renamed(shapes_.axis_of(dim->id)).dim});
    else
      value = with_axes(std::move(value), renamed);
  }
}

}  // namespace smelt::frontend
