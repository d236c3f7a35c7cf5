// Texts compiled into the binary: the standard library.
#pragma once

namespace smelt {

struct EmbeddedText {
  const char* name;  // the file's stem: `nn` of std/nn.smelt; null ends a table
  const char* text;
};

}  // namespace smelt
