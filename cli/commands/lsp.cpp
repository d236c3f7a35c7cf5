// lsp: the language server, on the standard input and output.
#include <unistd.h>

#include <csignal>

#include "cli/commands.h"
#include "cli/lsp/server.h"

namespace smelt::cli {

Runner add_lsp(Options options) {
  struct LspFlags {
    bool stdio = false;
    std::vector<std::string> limits;
  };
  auto flags = std::make_shared<LspFlags>();
  options.flag("--stdio", flags->stdio, "as editors ask for it; there is no other way");
  add_limits(options, flags->limits);
  return [flags] {
    const Result<Limits> limits = limits_of(flags->limits);
    if (!limits) return report(limits.error());
    std::signal(SIGPIPE, SIG_IGN);  // an editor that left is the end of the input, not a signal
    lsp::Channel channel(STDIN_FILENO, STDOUT_FILENO);
    return lsp::Server(channel, *limits).run();
  };
}

}  // namespace smelt::cli
