// Input text in messages.
#pragma once

#include <string>
#include <string_view>

namespace smelt {

/// `text` fit for a terminal: control characters, characters that turn the direction of writing, and bytes that are not
/// UTF-8 become \xNN, and what is longer than `max_bytes` is cut and ends in `...`.
std::string printable(std::string_view text, size_t max_bytes = 120);

/// The same for a message of several lines: whole, line ends kept.
std::string printable_lines(std::string_view text);

/// `text` as one word of a command that is shown to be copied into a shell.
std::string shell_word(std::string_view text);

/// Bytes of the UTF-8 character that begins at `at`; 0 when none does, as of overlong forms and surrogates.
size_t utf8_length(std::string_view text, size_t at);

/// The same of a character that may be shown as it is; 0 of others.
size_t shown_character(std::string_view text, size_t at);

}  // namespace smelt
