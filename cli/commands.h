// The commands, one file each in cli/commands/.
#pragma once

#include "cli/common.h"

namespace smelt::cli {

Runner add_check(CLI::App& app);
Runner add_train(CLI::App& app);
Runner add_eval(CLI::App& app);
Runner add_sample(CLI::App& app);
Runner add_run(CLI::App& app);
Runner add_build(CLI::App& app);
Runner add_bench(CLI::App& app);
Runner add_profile(CLI::App& app);
Runner add_gradcheck(CLI::App& app);
Runner add_dump(CLI::App& app);
Runner add_show(CLI::App& app);
Runner add_explain(CLI::App& app);
Runner add_ops(CLI::App& app);
Runner add_debug(CLI::App& app);
Runner add_doctor(CLI::App& app);

}  // namespace smelt::cli
