#include "ir/support/fault.h"

#ifdef SMELT_FAULTS

#include <cstdlib>

namespace smelt {

bool fault_is_on(int number) {
  static const int chosen = [] {
    const char* text = std::getenv("SMELT_FAULT");
    return text == nullptr ? 0 : std::atoi(text);
  }();
  return number == chosen;
}

}  // namespace smelt

#endif
