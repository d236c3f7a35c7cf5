// The members of a plain struct, one after the other, without a list of them: a member that is added later cannot be
// forgotten by those who visit all.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace smelt {
namespace fields {

/// Stands for a value of any type where only a count is wanted.
struct Anything {
  template <typename T>
  operator T() const;  // NOLINT: it converts to whatever a member is
};

template <typename T, size_t... I>
constexpr bool takes(std::index_sequence<I...>) {
  return requires { T{((void)I, Anything{})...}; };
}

/// How many members an aggregate has: the most values that it can be initialised with.
template <typename T, size_t N = 32>
constexpr size_t count() {
  if constexpr (N == 0 || takes<T>(std::make_index_sequence<N>{})) {
    return N;
  } else {
    return count<T, N - 1>();
  }
}

/// Of a struct with constructors, all of whose members are public, this has to be said beside it.
template <typename T>
inline constexpr size_t kCount = count<T>();

}  // namespace fields

/// visit(a, b, ..) with all members of `value`, at most 20, in the order of their declarations.
template <typename T, typename Visit>
decltype(auto) with_fields(T& value, Visit&& visit) {
  constexpr size_t kCount = fields::kCount<std::remove_const_t<T>>;
#define SMELT_FIELDS(n, ...)        \
  else if constexpr (kCount == n) { \
    auto& [__VA_ARGS__] = value;    \
    return visit(__VA_ARGS__);      \
  }
  if constexpr (kCount == 0) {
    return visit();
  }
  SMELT_FIELDS(1, a)
  SMELT_FIELDS(2, a, b)
  SMELT_FIELDS(3, a, b, c)
  SMELT_FIELDS(4, a, b, c, d)
  SMELT_FIELDS(5, a, b, c, d, e)
  SMELT_FIELDS(6, a, b, c, d, e, f)
  SMELT_FIELDS(7, a, b, c, d, e, f, g)
  SMELT_FIELDS(8, a, b, c, d, e, f, g, h)
  SMELT_FIELDS(9, a, b, c, d, e, f, g, h, i)
  SMELT_FIELDS(10, a, b, c, d, e, f, g, h, i, j)
  SMELT_FIELDS(11, a, b, c, d, e, f, g, h, i, j, k)
  SMELT_FIELDS(12, a, b, c, d, e, f, g, h, i, j, k, l)
  SMELT_FIELDS(13, a, b, c, d, e, f, g, h, i, j, k, l, m)
  SMELT_FIELDS(14, a, b, c, d, e, f, g, h, i, j, k, l, m, n)
  SMELT_FIELDS(15, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o)
  SMELT_FIELDS(16, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
  SMELT_FIELDS(17, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q)
  SMELT_FIELDS(18, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r)
  SMELT_FIELDS(19, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s)
  SMELT_FIELDS(20, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t)
  else {
    static_assert(kCount <= 20, "a struct of more members: add its line");
  }
#undef SMELT_FIELDS
}

}  // namespace smelt
