// The language server: what an editor opens, changes and asks, until it says goodbye.
#pragma once

#include <map>
#include <string>

#include "cli/lsp/document.h"
#include "cli/lsp/protocol.h"

namespace smelt::cli::lsp {

class Server {
 public:
  Server(Channel& channel, const Limits& limits) : channel_(channel), limits_(limits) {}

  /// 0 when the editor shut the server down before it left, as the protocol asks, else 1.
  int run();

 private:
  using json = nlohmann::json;
  struct Method;
  static std::span<const Method> methods();

  void handle(const json& message);
  json initialize(const json& params);
  json shut_down(const json& params);
  json opened(const json& params);
  json changed(const json& params);
  json closed(const json& params);
  json hover(const json& params);
  json completion(const json& params);
  json definition(const json& params);
  json rename(const json& params);
  json formatting(const json& params);
  json inlay_hints(const json& params);

  void take(const std::string& uri, std::string text);
  void publish_changes();
  const Document& document(const json& params);
  size_t offset(const json& params);

  Channel& channel_;
  const Limits limits_;
  std::map<std::string, Document> documents_;
  std::map<std::string, std::string> changed_;  // texts that are not analysed yet
  bool shut_down_ = false, left_ = false;
};

}  // namespace smelt::cli::lsp
