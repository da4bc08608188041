// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/control/listener.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <vector>

namespace tmem::control {
namespace {

constexpr int kBacklog = 64;

Result<gid_t> group_id(const std::string& name) {
  std::vector<char> buffer(65536);
  group entry{};
  group* found = nullptr;
  const int error = getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (error != 0) return fail_os("cannot look up the group " + name, error);
  if (found == nullptr)
    return fail(Errc::kNotFound, "there is no group \"" + name +
                                     "\": create it with groupadd, or change [control] group");
  return entry.gr_gid;
}

// Makes the path free for bind(), unless somebody listens there.
Result<void> clear_path(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) return fail_os("cannot look at " + path);
    const std::string directory = path.substr(0, path.rfind('/'));
    if (!directory.empty() && mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
      return fail_os("cannot create the directory " + directory);
    return {};
  }
  if (!S_ISSOCK(status.st_mode))
    return fail(Errc::kConflict, path + " exists and is no socket: move it away");
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return fail_os("cannot create a socket");
  const auto* const plain = reinterpret_cast<const sockaddr*>(&address);
  if (connect(probe.get(), plain, sizeof(address)) == 0 || errno == EAGAIN)
    return fail(Errc::kConflict, "another tmemd listens on " + path +
                                     ": stop it first, or give this one another [control] socket");
  if (errno != ECONNREFUSED) return fail_os("cannot test the socket " + path);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return fail_os("cannot remove the old " + path);
  return {};
}

bool in_group(int connection_fd, gid_t primary, gid_t wanted) {
  if (primary == wanted) return true;
  std::array<gid_t, 256> groups{};
  socklen_t bytes = sizeof(groups);
  if (getsockopt(connection_fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) != 0)
    return false;
  const auto end = groups.begin() + bytes / sizeof(gid_t);
  return std::find(groups.begin(), end, wanted) != end;
}

}  // namespace

Result<Listener> Listener::create(const std::string& path, unsigned mode,
                                  const std::string& group) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path))
    return fail(Errc::kMalformed, "a socket path has 1 to 107 bytes: " + path);
  std::copy(path.begin(), path.end(), address.sun_path);
  Listener listener;
  if (!group.empty()) {
    TMEM_TRY(const gid_t gid, group_id(group));
    listener.group_ = gid;
  }
  TMEM_CHECK(clear_path(path, address));
  listener.fd_ = UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.fd_) return fail_os("cannot create a socket");
  const auto* const plain = reinterpret_cast<const sockaddr*>(&address);
  if (bind(listener.fd_.get(), plain, sizeof(address)) != 0) return fail_os("cannot bind " + path);
  listener.path_ = path;
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return fail_os("cannot look at " + path);
  listener.device_ = status.st_dev;
  listener.inode_ = status.st_ino;
  // Nobody can connect before listen(), so the permissions are never too wide.
  if (listener.group_ && lchown(path.c_str(), static_cast<uid_t>(-1), *listener.group_) != 0)
    return fail_os("cannot give " + path + " to the group " + group);
  if (chmod(path.c_str(), mode) != 0) return fail_os("cannot set the mode of " + path);
  if (listen(listener.fd_.get(), kBacklog) != 0) return fail_os("cannot listen on " + path);
  return listener;
}

Listener::Listener(Listener&& other) noexcept
    : fd_(std::move(other.fd_)),
      path_(std::exchange(other.path_, {})),
      device_(other.device_),
      inode_(other.inode_),
      group_(other.group_) {}

Listener::~Listener() {
  struct stat status {};
  if (!path_.empty() && lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ &&
      status.st_ino == inode_)
    (void)unlink(path_.c_str());
}

Result<Peer> Listener::identify(int connection_fd) const {
  ucred credentials{};
  socklen_t bytes = sizeof(credentials);
  if (getsockopt(connection_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0)
    return fail_os("cannot tell who connected");
  Peer peer;
  peer.uid = credentials.uid;
  peer.pid = credentials.pid;
  peer.may_change = credentials.uid == 0 || credentials.uid == geteuid() ||
                    (group_ && in_group(connection_fd, credentials.gid, *group_));
  return peer;
}

}  // namespace tmem::control
