// SPDX-License-Identifier: GPL-2.0-or-later
// The listening end of a unix stream socket, and who is at the other end of its connections.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>

#include "libtmem/base/result.h"
#include "libtmem/base/unique_fd.h"
#include "tmemd/control/dispatcher.h"

namespace tmem::control {

// Owns the socket and its name; the destructor removes the name if it is still this socket's.
class Listener {
 public:
  // Replaces a socket that nobody listens on; creates the last directory of the path if missing.
  // `group` may be empty. Errors: kConflict if somebody listens or the path is no socket,
  // kNotFound for an unknown group, kMalformed for an unusable path, kOs.
  static Result<Listener> create(const std::string& path, unsigned mode, const std::string& group);
  ~Listener();
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&&) = delete;

  int fd() const { return fd_.get(); }
  // The peer of an accepted connection, by SO_PEERCRED and SO_PEERGROUPS.
  Result<Peer> identify(int connection_fd) const;

 private:
  Listener() = default;

  UniqueFd fd_;
  std::string path_;  // empty: not ours to remove
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::optional<gid_t> group_;
};

}  // namespace tmem::control
