// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/memory/xen/owner_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <thread>

namespace tmem::memory::xen {
namespace {

constexpr std::chrono::milliseconds kPause{20};

}  // namespace

Result<UniqueFd> lock_owner(const std::string& path, std::chrono::milliseconds patience) {
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return fail_os("cannot open " + path);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (std::chrono::steady_clock::now() >= deadline)
      return fail(Errc::kConflict,
                  "another tmemd has the pool domain (" + path + " is locked): stop it");
    std::this_thread::sleep_for(kPause);
  }
  return lock;
}

}  // namespace tmem::memory::xen
