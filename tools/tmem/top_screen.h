// SPDX-License-Identifier: GPL-2.0-or-later
// The full screen of tmem top.
#pragma once
#include "tools/tmem/cli.h"
#include "tools/tmem/top_model.h"

namespace tmem::cli {

struct TopOptions {
  double delay_s = 3.0;
  bool batch = false;
  uint64_t iterations = 0;  // 0: no end
  bool full_names = false;
  TopOrder order;
};

// The time of day, "14:03:09".
std::string wall_clock();

// Until the user quits, or `iterations` are over. If no daemon answers at first: an error; later
// it says so on the screen and keeps trying. Returns the exit code.
int run_screen(const Globals& globals, const TopOptions& options);

}  // namespace tmem::cli
