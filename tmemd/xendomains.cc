// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/xendomains.h"

#include <fstream>
#include <string_view>

namespace tmem {

std::string xendomains_warning(const std::string& path) {
  constexpr std::string_view kKey = "XENDOMAINS_SAVE=";
  std::ifstream file(path);
  bool saves = false;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kKey)) continue;
    const std::string_view value = std::string_view(line).substr(kKey.size());
    const std::string_view word = value.substr(0, value.find_first_of(" \t#"));
    saves = !word.empty() && word != "\"\"" && word != "''";
  }
  if (!saves) return "";
  return path +
         " has guests saved when the host goes down, without their swap that is in the pool: write "
         "XENDOMAINS_SAVE=\"\" there, so that they are shut down (docs/xen.md)";
}

}  // namespace tmem
