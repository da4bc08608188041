// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/xen/native.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "libtmem/base/unique_fd.h"

namespace tmem::transport::xen {
namespace {

constexpr const char* kLockPath = "/run/tmemd-xen.lock";
constexpr std::chrono::seconds kLockPatience{10};
constexpr std::chrono::milliseconds kLockPause{20};

// Two daemons could map the same grants: held as long as the platform. A predecessor that is still
// dying is waited for.
Result<UniqueFd> take_lock() {
  UniqueFd lock(::open(kLockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return fail_os(std::string("cannot open ") + kLockPath);
  const auto deadline = std::chrono::steady_clock::now() + kLockPatience;
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (std::chrono::steady_clock::now() > deadline)
      return fail(Errc::kConflict, std::string("another tmemd serves this host's guests (") +
                                       kLockPath + " is locked): stop it");
    std::this_thread::sleep_for(kLockPause);
  }
  return lock;
}

// The domains' list, with the lock that the whole platform lives under.
class LockedDomains final : public Domains {
 public:
  LockedDomains(UniqueFd lock, std::unique_ptr<Domains> domains)
      : lock_(std::move(lock)), domains_(std::move(domains)) {}
  Result<std::vector<Domain>> list() override { return domains_->list(); }

 private:
  const UniqueFd lock_;
  const std::unique_ptr<Domains> domains_;
};

Result<Platform> open_parts() {
  Platform platform;
  TMEM_TRY(platform.domains, open_domains());
  TMEM_TRY(platform.store, open_xenstore());
  TMEM_TRY(platform.events, open_event_channels());
  TMEM_TRY(platform.grants, open_grant_mapper());
  return platform;
}

}  // namespace

bool is_built_in() {
  return true;
}

Result<Platform> open_native() {
  // Asked first, because the libraries print what they miss.
  if (::access("/dev/xen/privcmd", R_OK | W_OK) != 0)
    return fail(Errc::kNotFound, "this is not Xen's domain 0, or not root: no /dev/xen/privcmd");
  Result<Platform> platform = open_parts();
  if (!platform) return fail(Errc::kNotFound, platform.error().message);
  TMEM_TRY(UniqueFd lock, take_lock());
  platform->domains =
      std::make_unique<LockedDomains>(std::move(lock), std::move(platform->domains));
  return platform;
}

}  // namespace tmem::transport::xen
