// SPDX-License-Identifier: GPL-2.0-or-later
// Is standard input a guest's report as tmemd takes it? Prints key=value, or what is wrong with it.
#include <fmt/core.h>

#include <iostream>
#include <iterator>
#include <string>

#include "policy/report.h"

int main() {
  std::string text(std::istreambuf_iterator<char>(std::cin), {});
  if (text.ends_with('\n')) text.pop_back();  // of xenstore-read
  const auto sample = tmem::policy::parse_report(text);
  if (!sample) {
    fmt::print("{}\n", sample.error().message);
    return 1;
  }
  fmt::print("sequence={} uptime_ms={} total_bytes={} reserve_bytes={} committed_bytes={} psi={}\n",
             sample->sequence, sample->uptime_ms, sample->total_bytes, sample->reserve_bytes,
             sample->committed_bytes, sample->pressure ? 1 : 0);
  return 0;
}
