// SPDX-License-Identifier: GPL-2.0-or-later
// A tmemd of our own: private sockets in a temporary directory, a clock that we move, stopped and
// removed with the object.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "libtmem/base/result.h"
#include "libtmem/base/units.h"

namespace tmem::lab {

struct DaemonOptions {
  std::string program;        // tmemd
  uint64_t memory_bytes = 0;  // the most that the pool will ever get
  bool dedup = false;         // scope host; else none
  bool compress = false;
  uint64_t seed = 1;
};

class DaemonProcess {
 public:
  // Serves when it returns. Errors: kNotFound without the program, else kOs with the end of the
  // daemon's log.
  static Result<std::unique_ptr<DaemonProcess>> start(const DaemonOptions& options);
  ~DaemonProcess();
  DaemonProcess(const DaemonProcess&) = delete;
  DaemonProcess& operator=(const DaemonProcess&) = delete;

  const std::string& loopback_socket() const { return loopback_socket_; }
  const std::string& control_socket() const { return control_socket_; }

 private:
  explicit DaemonProcess(std::string directory);
  Result<void> write_config(const DaemonOptions& options) const;
  Result<void> spawn(const std::string& program);
  Result<void> wait_until_ready();
  bool wait_for_exit(uint32_t timeout_ms);
  std::string log_tail() const;

  const std::string directory_;
  const std::string loopback_socket_;
  const std::string control_socket_;
  const std::string config_path_;
  const std::string log_path_;
  pid_t pid_ = -1;  // -1: not running
};

}  // namespace tmem::lab
