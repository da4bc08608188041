// SPDX-License-Identifier: GPL-2.0-or-later
// A progress bar on a terminal, a line for each finished configuration elsewhere. Also notices
// Ctrl-C, so that everything is taken down in order.
#pragma once
#include <cstdint>
#include <string>

#include "libtmem/base/result.h"
#include "libtmem/base/unique_fd.h"

namespace tmem::lab {

class Progress {
 public:
  // Blocks SIGINT, SIGTERM and SIGHUP for the process; they are reported by interrupted().
  static Result<Progress> create();

  // A configuration, the `number`-th of `total`, begins.
  void begin(std::string name, uint32_t number, uint32_t total);
  // `part` of it (0 .. 1) is done. False when the run shall end.
  bool update(double part);
  void end(const std::string& summary);

  bool interrupted();

 private:
  Progress(UniqueFd signals, bool terminal) : signals_(std::move(signals)), terminal_(terminal) {}
  void draw(double part);
  void clear();

  UniqueFd signals_;
  bool terminal_;
  bool interrupted_ = false;
  std::string name_;
  uint32_t number_ = 0;
  uint32_t total_ = 1;
  int drawn_percent_ = -1;
};

}  // namespace tmem::lab
