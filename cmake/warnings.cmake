# The warnings every target of ours is built with; both g++ 12 and clang 19 must be silent.
add_library(smelt_warnings INTERFACE)
target_compile_options(smelt_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  -Wno-missing-field-initializers $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)  # designated initialisers leave the rest at their defaults; g++ 12 sees overlap in operator+ of strings (GCC bug 105651)

if(SMELT_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
elseif(SMELT_SANITIZE STREQUAL "fuzzer")  # with clang alone; tests/fuzz_targets links the rest of libFuzzer
  # Comparisons are not traced: that took a third of the time, and words.dict has what they would find.
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-coverage=trace-cmp -fno-omit-frame-pointer
    -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
elseif(SMELT_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
endif()
