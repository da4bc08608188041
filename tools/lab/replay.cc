// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/replay.h"

#include <fmt/format.h>

#include <fstream>

#include "policy/decision_log.h"

namespace tmem::lab {

Result<std::string> run_replay(const std::string& log_path) {
  std::ifstream log(log_path);
  if (!log) return fail_os("cannot read " + log_path);
  TMEM_TRY(const policy::ReplayResult result, policy::replay(log));
  if (result.different > 0)
    return fail(Errc::kConflict,
                fmt::format("{} of {} lines came out differently. {}", result.different,
                            result.lines, result.first_difference));
  return fmt::format("{} ticks, {} lines, all the same\n", result.ticks, result.lines);
}

}  // namespace tmem::lab
