// lsp: the language server, on the standard input and output.
#include <unistd.h>

#include <csignal>

#include "cli/commands.h"
#include "cli/lsp/server.h"

namespace smelt::cli {

Runner add_lsp(Options options) {
  auto stdio = std::make_shared<bool>(false);
  options.flag("--stdio", *stdio, "as editors ask for it; there is no other way");
  return [stdio] {
    std::signal(SIGPIPE, SIG_IGN);  // an editor that left is the end of the input, not a signal
    lsp::Channel channel(STDIN_FILENO, STDOUT_FILENO);
    return lsp::Server(channel).run();
  };
}

}  // namespace smelt::cli
