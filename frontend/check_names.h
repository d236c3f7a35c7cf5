// Names of a file before anything is evaluated: imports, unknown names, use before definition, double
// binding, hiding, unused bindings. Works on the syntax alone, so that layers which no model uses are checked
// too.
#pragma once

#include "frontend/library.h"

namespace smelt::frontend {

void check_names(const FileScope& scope, const Library& library, Diagnostics& diagnostics);

}  // namespace smelt::frontend
