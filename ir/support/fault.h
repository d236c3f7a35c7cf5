// Seeded faults: mistakes that are compiled in once and switched on one at a time, to see whether the tests notice. The
// table is faults.def, the runner tests/faults/run. In an ordinary build the macro is its healthy half.
#pragma once

#ifdef SMELT_FAULTS

namespace smelt {

/// Whether the environment variable SMELT_FAULT is `number`.
bool fault_is_on(int number);

}  // namespace smelt

#define SMELT_FAULT(number, healthy, faulty) (::smelt::fault_is_on(number) ? (faulty) : (healthy))

#else

#define SMELT_FAULT(number, healthy, faulty) (healthy)

#endif
