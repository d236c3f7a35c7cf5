// Messages of the language server protocol: JSON behind a header with its length.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace smelt::cli::lsp {

class Channel {
 public:
  Channel(int in, int out) : in_(in), out_(out) {}

  /// The next message, waited for; nothing at the end of the input, or when it is no such message.
  std::optional<nlohmann::json> read();
  /// Whether more has come already, so that work on what is old can wait.
  bool more() const;
  /// False when nobody reads any more.
  bool write(const nlohmann::json& message);

 private:
  bool fill();

  int in_, out_;
  std::string buffer_;  // read and not used
};

}  // namespace smelt::cli::lsp
