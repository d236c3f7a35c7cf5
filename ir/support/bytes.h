// Plain values as bytes and back, for this build and this machine alone: numbers as they lie in memory, containers
// behind their sizes, structs member by member (fields.h). Equal values have equal bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "ir/support/fields.h"

namespace smelt {
namespace bytes {

template <typename T>
concept Plain = std::is_arithmetic_v<T> || std::is_enum_v<T>;
/// Has its elements side by side, without padding.
template <typename T>
concept PlainList = std::ranges::contiguous_range<T> && Plain<std::ranges::range_value_t<T>>;

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <typename T>
inline constexpr bool kIsShared = false;
template <typename T>
inline constexpr bool kIsShared<std::shared_ptr<T>> = true;
template <typename T>
inline constexpr bool kIsPair = false;
template <typename A, typename B>
inline constexpr bool kIsPair<std::pair<A, B>> = true;
template <typename T>
inline constexpr bool kIsVariant = false;
template <typename... T>
inline constexpr bool kIsVariant<std::variant<T...>> = true;
template <typename T>
inline constexpr bool kIsMap = false;
template <typename K, typename V>
inline constexpr bool kIsMap<std::map<K, V>> = true;

class Writer {
 public:
  template <typename T>
  void write(const T& value) {
    if constexpr (Plain<T>) {
      append(&value, sizeof(T));
    } else if constexpr (PlainList<T>) {
      write(uint64_t{std::ranges::size(value)});
      append(std::ranges::data(value), std::ranges::size(value) * sizeof(std::ranges::range_value_t<T>));
    } else if constexpr (kIsOptional<T> || kIsShared<T>) {
      const bool has = static_cast<bool>(value);
      write(has);
      if (has) write(*value);
    } else if constexpr (kIsPair<T>) {
      write(value.first);
      write(value.second);
    } else if constexpr (kIsVariant<T>) {
      write(uint64_t{value.index()});
      std::visit([this](const auto& held) { write(held); }, value);
    } else if constexpr (std::ranges::range<T>) {
      write(static_cast<uint64_t>(std::ranges::distance(value)));
      for (const auto& element : value) write(element);
    } else {
      with_fields(value, [this](const auto&... members) { (write(members), ...); });
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void append(const void* data, size_t size) { out_.append(static_cast<const char*>(data), size); }

  std::string out_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  /// Whether the bytes were enough; without that the value is of no use.
  template <typename T>
  bool read(T& value) {
    if constexpr (Plain<T>) {
      return copy(&value, sizeof(T));
    } else if constexpr (kIsOptional<T>) {
      bool has = false;
      return read(has) && (!has || read(value.emplace()));
    } else if constexpr (kIsMap<T>) {
      return each([&] {
        std::pair<typename T::key_type, typename T::mapped_type> entry;
        return read(entry.first) && read(entry.second) && value.insert(std::move(entry)).second;
      });
    } else if constexpr (requires { value.push_back(*std::ranges::begin(value)); }) {
      return each([&] {
        std::ranges::range_value_t<T> element{};
        if (!read(element)) return false;
        value.push_back(std::move(element));
        return true;
      });
    } else if constexpr (std::ranges::range<T>) {  // std::array
      uint64_t size = 0;
      if (!read(size) || size != std::ranges::size(value)) return false;
      return std::ranges::all_of(value, [this](auto& element) { return read(element); });
    } else {
      return with_fields(value, [this](auto&... members) { return (read(members) && ...); });
    }
  }

  bool at_end() const { return rest_.empty(); }

 private:
  bool copy(void* to, size_t size) {
    if (rest_.size() < size) return false;
    std::memcpy(to, rest_.data(), size);
    rest_.remove_prefix(size);
    return true;
  }
  template <typename Element>
  bool each(const Element& element) {
    uint64_t size = 0;
    if (!read(size)) return false;
    for (uint64_t k = 0; k < size; ++k) {
      if (!element()) return false;
    }
    return true;
  }

  std::string_view rest_;
};

}  // namespace bytes

/// The values one behind the other.
template <typename... T>
std::string to_bytes(const T&... values) {
  bytes::Writer writer;
  (writer.write(values), ...);
  return writer.take();
}

/// What to_bytes made `bytes` of; nothing when they end early or late.
template <typename T>
std::optional<T> from_bytes(std::string_view bytes) {
  std::optional<T> value(std::in_place);
  bytes::Reader reader(bytes);
  if (!reader.read(*value) || !reader.at_end()) return std::nullopt;
  return value;
}

}  // namespace smelt
