// What is known by name and not built yet: using it says so, instead of calling it unknown.
#pragma once

#include <algorithm>
#include <string_view>

namespace smelt::frontend {

enum class PlannedKind { Function, Command };

struct Planned {
  PlannedKind kind;
  std::string_view name;
  std::string_view params = {};  // of a function
};

inline constexpr Planned kPlanned[] = {
    {PlannedKind::Function, "uniform", "dim"},
    {PlannedKind::Function, "power_iteration", "W, u"},
    {PlannedKind::Command, "export"},
    {PlannedKind::Command, "graph"},
    {PlannedKind::Command, "diff"},
    {PlannedKind::Command, "runs"},
};

inline bool is_planned(PlannedKind kind, std::string_view name) {
  return std::ranges::any_of(kPlanned, [&](const Planned& p) { return p.kind == kind && p.name == name; });
}

}  // namespace smelt::frontend
