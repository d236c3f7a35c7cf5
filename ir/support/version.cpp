#include "ir/support/version.h"

namespace smelt {

std::string_view version() { return SMELT_VERSION; }

}  // namespace smelt
