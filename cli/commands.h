// The commands, one file each in cli/commands/.
#pragma once

#include "cli/common.h"

namespace smelt::cli {

Runner add_check(Options options);
Runner add_fmt(Options options);
Runner add_lsp(Options options);
Runner add_train(Options options);
Runner add_eval(Options options);
Runner add_sample(Options options);
Runner add_run(Options options);
Runner add_build(Options options);
Runner add_bench(Options options);
Runner add_profile(Options options);
Runner add_gradcheck(Options options);
Runner add_dump(Options options);
Runner add_show(Options options);
Runner add_tokens(Options options);
Runner add_explain(Options options);
Runner add_ops(Options options);
Runner add_debug(Options options);
Runner add_doctor(Options options);

}  // namespace smelt::cli
