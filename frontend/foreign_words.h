// Words of other languages and frameworks, and what stands for them here.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace smelt::frontend {

/// Of a word that begins a statement or a section elsewhere: `return`, `let`, `def`. Empty: it is no such word.
std::string_view help_for_keyword(std::string_view word);

/// Of an operator elsewhere, with which `text` begins: `**`, `&&`, `+=`. `length` of it is the sign. Empty: it is none.
std::string_view help_for_operator(std::string_view text, size_t* length = nullptr);

/// Of a function, layer, type or constant elsewhere: "`Linear` is called `Dense` here". Empty: it is no such name.
std::string help_for_foreign_name(std::string_view name);

/// Which of the `known` options is meant: that of another framework, `padding` is `pad`, or the nearest. Empty: none.
std::string help_for_option(std::string_view option, std::span<const std::string> known);

}  // namespace smelt::frontend
