#include "cli/lsp/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "cli/lsp/answers.h"
#include "ir/support/version.h"

namespace smelt::cli::lsp {

namespace {

enum ErrorCode { kInvalidRequest = -32600, kMethodNotFound = -32601, kInvalidParams = -32602, kRequestFailed = -32803 };

/// Why a request is not answered.
struct Refused : std::runtime_error {
  Refused(ErrorCode of, const std::string& why) : std::runtime_error(why), code(of) {}
  ErrorCode code;
};

}  // namespace

struct Server::Method {
  std::string_view name;
  json (Server::*answer)(const json& params);
  bool reads = true;  // what is open has to be analysed first
};

std::span<const Server::Method> Server::methods() {
  static constexpr Method kMethods[] = {
      {"initialize", &Server::initialize, false},        {"shutdown", &Server::shut_down, false},
      {"textDocument/didOpen", &Server::opened, false},  {"textDocument/didChange", &Server::changed, false},
      {"textDocument/didClose", &Server::closed, false}, {"textDocument/hover", &Server::hover},
      {"textDocument/completion", &Server::completion},  {"textDocument/definition", &Server::definition},
      {"textDocument/rename", &Server::rename},          {"textDocument/formatting", &Server::formatting},
      {"textDocument/inlayHint", &Server::inlay_hints},
  };
  return kMethods;
}

int Server::run() {
  while (!left_) {
    if (!channel_.more()) publish_changes();  // while keys come faster than they are looked at, the last text counts
    const std::optional<json> message = channel_.read();
    if (!message) break;
    handle(*message);
  }
  return shut_down_ && left_ ? 0 : 1;
}

void Server::handle(const json& message) {
  const bool named = message.is_object() && message.contains("method") && message["method"].is_string();
  const std::string name = named ? message["method"].get<std::string>() : std::string();
  if (name == "exit") {
    left_ = true;
    return;
  }
  const bool request = named && message.contains("id");
  const auto method = std::ranges::find(methods(), name, &Method::name);
  json answer = {{"jsonrpc", "2.0"}};
  if (request) answer["id"] = message["id"];
  const auto fail = [&](ErrorCode code, const std::string& why) {
    answer["error"] = {{"code", static_cast<int>(code)}, {"message", why}};
  };
  if (method == methods().end()) {
    fail(kMethodNotFound, fmt::format("`{}` is not supported", name));
  } else if (request && shut_down_) {
    fail(kInvalidRequest, "the server is shut down");
  } else {
    try {
      if (method->reads) publish_changes();
      answer["result"] = (this->*method->answer)(message.value("params", json::object()));
    } catch (const Refused& refused) {
      fail(refused.code, refused.what());
    } catch (const json::exception& error) {
      fail(kInvalidParams, error.what());
    }
  }
  if (request) channel_.write(answer);
}

nlohmann::json Server::initialize(const json&) {
  constexpr int kFullText = 1;
  return {{"serverInfo", {{"name", "smelt"}, {"version", version()}}},
          {"capabilities",
           {{"textDocumentSync", {{"openClose", true}, {"change", kFullText}}},
            {"hoverProvider", true},
            {"completionProvider", json::object()},
            {"definitionProvider", true},
            {"renameProvider", true},
            {"documentFormattingProvider", true},
            {"inlayHintProvider", true}}}};
}

nlohmann::json Server::shut_down(const json&) {
  shut_down_ = true;
  return nullptr;
}

void Server::take(const std::string& uri, std::string text) { changed_[uri] = std::move(text); }

nlohmann::json Server::opened(const json& params) {
  take(params.at("textDocument").at("uri"), params.at("textDocument").at("text"));
  return nullptr;
}

nlohmann::json Server::changed(const json& params) {
  const json& changes = params.at("contentChanges");
  if (!changes.empty()) take(params.at("textDocument").at("uri"), changes.back().at("text"));
  return nullptr;
}

nlohmann::json Server::closed(const json& params) {
  const std::string uri = params.at("textDocument").at("uri");
  documents_.erase(uri);
  changed_.erase(uri);
  channel_.write({{"jsonrpc", "2.0"},
                  {"method", "textDocument/publishDiagnostics"},
                  {"params", {{"uri", uri}, {"diagnostics", json::array()}}}});
  return nullptr;
}

void Server::publish_changes() {
  for (auto& [uri, text] : changed_) {
    Document& document = documents_[uri] = analyse(uri, std::move(text), limits_);
    channel_.write({{"jsonrpc", "2.0"},
                    {"method", "textDocument/publishDiagnostics"},
                    {"params", {{"uri", uri}, {"diagnostics", diagnostics_of(document)}}}});
  }
  changed_.clear();
}

const Document& Server::document(const json& params) {
  const std::string uri = params.at("textDocument").at("uri");
  const auto found = documents_.find(uri);
  if (found == documents_.end()) throw Refused(kInvalidParams, fmt::format("{} is not open", uri));
  return found->second;
}

size_t Server::offset(const json& params) {
  const json& position = params.at("position");
  return offset_of(document(params).text, {position.at("line"), position.at("character")});
}

nlohmann::json Server::hover(const json& params) { return lsp::hover(document(params), offset(params)); }
nlohmann::json Server::completion(const json& params) { return lsp::completion(document(params), offset(params)); }
nlohmann::json Server::definition(const json& params) { return lsp::definition(document(params), offset(params)); }
nlohmann::json Server::formatting(const json& params) { return lsp::formatting(document(params)); }

nlohmann::json Server::rename(const json& params) {
  Renamed renamed = lsp::rename(document(params), offset(params), params.at("newName"));
  if (!renamed.refused.empty()) throw Refused(kRequestFailed, renamed.refused);
  return std::move(renamed.edit);
}

nlohmann::json Server::inlay_hints(const json& params) {
  const Document& open = document(params);
  const auto place = [&](const char* end) {
    const json& position = params.at("range").at(end);
    return offset_of(open.text, {position.at("line"), position.at("character")});
  };
  return lsp::inlay_hints(open, place("start"), place("end"));
}

}  // namespace smelt::cli::lsp
