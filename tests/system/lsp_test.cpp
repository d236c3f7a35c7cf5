// `smelt lsp`, driven as an editor does: messages through pipes, one session from hello to goodbye.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "cli/lsp/protocol.h"
#include "tests/system/run_command.h"

namespace smelt::test {
namespace {

using nlohmann::json;

class Editor {
 public:
  Editor() {
    std::array<int, 2> to{}, from{};
    REQUIRE(::pipe2(to.data(), O_CLOEXEC) == 0);
    REQUIRE(::pipe2(from.data(), O_CLOEXEC) == 0);
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(to[0], STDIN_FILENO);
      ::dup2(from[1], STDOUT_FILENO);
      ::setenv("SMELT_CACHE_DIR", fresh_directory("lsp-cache").c_str(), 1);
      ::execl(SMELT_BINARY_DIR "/smelt", "smelt", "lsp", "--stdio", nullptr);
      ::_exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    in_ = to[1];
    channel_ = std::make_unique<cli::lsp::Channel>(from[0], to[1]);
  }
  ~Editor() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  void notify(const std::string& method, json params) {
    channel_->write({{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}});
  }
  /// The answer; messages of the server before it are kept.
  json ask(const std::string& method, json params) {
    channel_->write({{"jsonrpc", "2.0"}, {"id", ++id_}, {"method", method}, {"params", std::move(params)}});
    while (true) {
      const std::optional<json> message = channel_->read();
      REQUIRE(message.has_value());
      if (message->contains("method")) {
        published_ = (*message)["params"];
        continue;
      }
      CHECK((*message)["id"] == id_);
      return *message;
    }
  }
  json next_diagnostics() {
    const std::optional<json> message = channel_->read();
    REQUIRE(message.has_value());
    CHECK((*message)["method"] == "textDocument/publishDiagnostics");
    return (*message)["params"]["diagnostics"];
  }
  int leave() {
    notify("exit", json::object());
    int status = 0;
    ::waitpid(child_, &status, 0);
    child_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t child_ = 0;
  int in_ = -1, id_ = 0;
  std::unique_ptr<cli::lsp::Channel> channel_;
  json published_;
};

const std::string kUri = "file:///tmp/net.smelt";
// The first line has a character of two UTF-16 units, and one of two bytes.
const std::string kText =
    "# \U0001F457 \u00fc\n"
    "import std.nn (Dense)\n"
    "dim B <= 8, X = 4, H = 3\n"
    "layer Net(x: f32[B, X]) -> f32[B, H] {\n"
    "  h = x |> hid: Dense{16, act=tanh}\n"
    "  h |> out: Dense{H}\n"
    "}\n"
    "model net = Net\n"
    "export run(x: f32[B, X]) = softmax(net(x), over=H)\n";

const std::string kTrained =
    "import std.nn (Dense)\n"
    "dim B <= 8, X = 4\n"
    "layer Net(x: f32[N, X]) -> f32[N, X] {\n"
    "  assert X == 4, \"{X} channels\"\n"
    "  x |> out: Dense{X}\n"
    "}\n"
    "data d { train, valid = npy(\"no-such-file.npy\") |> split(0.5)\n"
    "  x: f32[X] = field(0) }\n"
    "model net = Net\n"
    "objective loss(x: f32[B, X]) updates net { mean(net(x) ^ 2) }\n"
    "train {\n"
    "  data d\n"
    "  batch B = 2\n"
    "  steps 2\n"
    "  step loss with sgd(lr = 0.1)\n"
    "  every 1 step { eval valid: loss }\n"
    "}\n";

json at(int line, int character) {
  return {{"textDocument", {{"uri", kUri}}}, {"position", {{"line", line}, {"character", character}}}};
}

json range(int line, int begin, int end) {
  return {{"start", {{"line", line}, {"character", begin}}}, {"end", {{"line", line}, {"character", end}}}};
}

void open(Editor& editor, const std::string& text) {
  editor.notify("textDocument/didOpen",
                {{"textDocument", {{"uri", kUri}, {"languageId", "smelt"}, {"version", 1}, {"text", text}}}});
}

void change(Editor& editor, const std::string& text) {
  editor.notify("textDocument/didChange", {{"textDocument", {{"uri", kUri}, {"version", 2}}},
                                           {"contentChanges", json::array({{{"text", text}}})}});
}

TEST_CASE("an editor works on a file") {
  Editor editor;
  const json hello =
      editor.ask("initialize", {{"processId", nullptr}, {"rootUri", nullptr}, {"capabilities", json::object()}});
  CHECK(hello["result"]["capabilities"]["inlayHintProvider"] == true);
  editor.notify("initialized", json::object());
  open(editor, kText);
  CHECK(editor.next_diagnostics() == json::array());

  // Diagnostics as one types.
  std::string wrong = kText;
  wrong.replace(wrong.find("net(x)"), 6, "nett(x)");
  change(editor, wrong);
  const json messages = editor.next_diagnostics();
  REQUIRE(messages.size() == 1);
  CHECK(messages[0]["code"] == "E0301");
  CHECK(messages[0]["severity"] == 1);
  CHECK(messages[0]["range"] == range(8, 35, 39));
  CHECK(messages[0]["message"].get<std::string>().find("did you mean `net`?") != std::string::npos);
  change(editor, kText);
  CHECK(editor.next_diagnostics() == json::array());

  // Hover: a binding with its type, bytes and range; a declaration; an entry of the library.
  const auto hover = [&](int line, int character) {
    const json result = editor.ask("textDocument/hover", at(line, character))["result"];
    return result.is_null() ? std::string() : result["contents"]["value"].get<std::string>();
  };
  CHECK(hover(4, 2).find("h: f32[B, 16]") != std::string::npos);
  CHECK(hover(4, 2).find("512 bytes; values in -1..1") != std::string::npos);
  CHECK(hover(5, 2) == hover(4, 2));
  CHECK(hover(7, 6).find("model net = Net") != std::string::npos);
  CHECK(hover(4, 17).find("y = act(x @ W + b)") != std::string::npos);
  CHECK(hover(8, 30).find("softmax(x, over=)") != std::string::npos);
  CHECK(hover(4, 11).empty());  // a label

  // Definitions, into the library too.
  const auto defined = [&](int line, int character) {
    return editor.ask("textDocument/definition", at(line, character))["result"];
  };
  CHECK(defined(5, 2)["range"] == range(4, 2, 3));
  CHECK(defined(7, 13)["range"] == range(3, 6, 9));
  const std::string dense = defined(4, 17)["uri"];
  REQUIRE(dense.ends_with("/std/nn.smelt"));
  CHECK(read_text_file(dense.substr(std::string("file://").size())).find("layer Dense{out") != std::string::npos);

  // Completion knows the body, the file, the library and the words of the place.
  const json items = editor.ask("textDocument/completion", at(5, 2))["result"];
  const auto offers = [&](std::string_view label) {
    return std::ranges::any_of(items, [&](const json& item) { return item["label"] == label; });
  };
  for (const char* label : {"h", "x", "H", "net", "Dense", "softmax", "param"}) CHECK_MESSAGE(offers(label), label);
  CHECK(!offers("epochs"));

  // Hints: what nothing in the text says.
  const json hints = editor.ask(
      "textDocument/inlayHint",
      {{"textDocument", {{"uri", kUri}}},
       {"range", {{"start", {{"line", 0}, {"character", 0}}}, {"end", {{"line", 9}, {"character", 0}}}}}})["result"];
  REQUIRE(hints.size() == 1);
  CHECK(hints[0]["label"] == ": f32[B, 16]");
  CHECK(hints[0]["position"] == json{{"line", 4}, {"character", 3}});

  // Renaming: all places of a name, and none when the file would not compile.
  json params = at(7, 6);
  params["newName"] = "judge";
  const json edits = editor.ask("textDocument/rename", params)["result"]["changes"][kUri];
  CHECK(edits == json::array({{{"range", range(7, 6, 9)}, {"newText", "judge"}},
                              {{"range", range(8, 35, 38)}, {"newText", "judge"}}}));
  params["newName"] = "H";
  CHECK(editor.ask("textDocument/rename", params)["error"]["message"].get<std::string>().find("error") !=
        std::string::npos);
  params = at(4, 17);
  params["newName"] = "Linear";
  CHECK(editor.ask("textDocument/rename", params)["error"]["code"] == -32803);

  // A field of the data is renamed with the objectives that take it, a split where it is evaluated, and a dim in the
  // message of an assertion.
  change(editor, kTrained);
  CHECK(editor.next_diagnostics() == json::array());
  const auto renamed = [&](int line, int character) {
    json request = at(line, character);
    request["newName"] = "W2";
    json places = json::array();
    const json answer = editor.ask("textDocument/rename", request);
    for (const json& edit : answer["result"]["changes"][kUri]) places.push_back(edit["range"]["start"]);
    return places;
  };
  const auto place = [](int line, int character) { return json{{"line", line}, {"character", character}}; };
  CHECK(renamed(7, 2) == json::array({place(7, 2), place(9, 15), place(9, 52)}));  // x
  CHECK(renamed(9, 15) == renamed(7, 2));
  CHECK(renamed(6, 16) == json::array({place(6, 16), place(15, 22)}));  // valid
  CHECK(renamed(1, 12).size() == 8);                                    // X
  CHECK(hover(3, 19).find("dim B <= 8, X = 4") != std::string::npos);   // "{X} channels"
  params = at(3, 2);
  params["newName"] = "claim";
  CHECK(editor.ask("textDocument/rename", params)["error"]["message"] ==
        "`assert` is no name that a declaration of the file gives");
  change(editor, kText);
  CHECK(editor.next_diagnostics() == json::array());

  // A new name that means something already would change what lines say, also where the file still compiles.
  const auto refusal = [&](int line, int character, const char* name) {
    json request = at(line, character);
    request["newName"] = name;
    const json answer = editor.ask("textDocument/rename", request);
    return answer.contains("error") ? answer["error"]["message"].get<std::string>() : std::string();
  };
  change(editor, "config width = 3\nfn area(x) = x * width * pi\nfn more(x) = area(x)\n");
  editor.next_diagnostics();
  CHECK(refusal(0, 7, "pi") == "`pi` has a meaning already: line 2 would say another thing");
  CHECK(refusal(0, 7, "side") == "");
  CHECK(refusal(1, 3, "pi") == "`pi` has a meaning already: line 2 would say another thing");
  change(editor, kText);
  CHECK(editor.next_diagnostics() == json::array());

  // Formatting.
  CHECK(editor.ask("textDocument/formatting", {{"textDocument", {{"uri", kUri}}}})["result"] == json::array());
  std::string loose = kText;
  loose.replace(loose.find("B <= 8"), 6, "B<=8");
  change(editor, loose);
  const json formatted = editor.ask("textDocument/formatting", {{"textDocument", {{"uri", kUri}}}})["result"];
  REQUIRE(formatted.size() == 1);
  CHECK(formatted[0]["newText"] == kText);

  CHECK(editor.ask("textDocument/foldingRange", {{"textDocument", {{"uri", kUri}}}})["error"]["code"] == -32601);
  CHECK(editor.ask("textDocument/hover", {{"textDocument", {{"uri", "file:///other"}}},
                                          {"position", {{"line", 0}, {"character", 0}}}})["error"]["code"] == -32602);
  CHECK(editor.ask("shutdown", nullptr)["result"].is_null());
  CHECK(editor.leave() == 0);
}

TEST_CASE("an editor may leave at any time, and send anything") {
  {
    Editor editor;
    open(editor, "layer {{{{ \xff");
    CHECK(editor.next_diagnostics().size() >= 1);
    CHECK(editor.leave() == 1);  // without shutting down
  }
  Editor editor;
  editor.notify("textDocument/didOpen", json::array());
  CHECK(editor.ask("textDocument/hover", 7)["error"]["code"] == -32602);
  CHECK(editor.ask("shutdown", nullptr)["result"].is_null());
  CHECK(editor.leave() == 0);
}

}  // namespace
}  // namespace smelt::test
