// SPDX-License-Identifier: GPL-2.0-or-later
// When guests that have a disk behind their swap bring home what has lain in the pool for long.
//
// Persistent pages stay until their guest wants them. What a program left behind would fill the
// pool for good, and what is swapped out now, and wanted soon, would go to the disk instead: the
// inversion that zram has beside a disk. So when they have nearly all of what the pool may hold,
// guests write those to their disks that nobody asked for in half a minute; zswap's writeback, by
// age.
#pragma once
#include <cstdint>

namespace tmem::policy {

class WriteBack {
 public:
  // Call now and then. `limit_bytes`: what the pool may hold at this moment; `pinned_bytes`: what
  // of it further persistent pages cannot have. True: guests write back.
  bool update(uint64_t pinned_bytes, uint64_t limit_bytes) {
    const uint64_t least = limit_bytes / 16 * (wanted_ ? kStopSixteenths : kStartSixteenths);
    wanted_ = pinned_bytes > least;
    return wanted_;
  }

 private:
  static constexpr uint64_t kStartSixteenths = 14;
  static constexpr uint64_t kStopSixteenths = 13;

  bool wanted_ = false;
};

}  // namespace tmem::policy
