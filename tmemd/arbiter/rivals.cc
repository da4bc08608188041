// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/rivals.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <system_error>

namespace tmem::arbiter {
namespace {

// Sessions of its clients, and what they have reserved.
constexpr const char* kSqueezedState = "/squeezed/state";

bool is_socket(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

// What a process calls itself, as the kernel keeps it: at most 15 characters.
std::string rival_process(const std::string& processes) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (fs::directory_iterator it(processes, error), end; !error && it != end; it.increment(error)) {
    const std::string number = it->path().filename();
    if (number.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string name;
    std::getline(std::ifstream(it->path() / "comm"), name);
    if (name == "squeezed") return "squeezed";
    if (name == "qmemmand" || name == "qmemman") return "qmemman";
  }
  return "";
}

}  // namespace

std::string find_rival(transport::xen::XenStore& xenstore, const RivalPlaces& places) {
  const std::string process = rival_process(places.processes);
  if (!process.empty()) return process;
  if (is_socket(places.qmemman_socket)) return "qmemman";
  if (!xenstore.list(kSqueezedState).empty()) return "squeezed";
  return "";
}

}  // namespace tmem::arbiter
