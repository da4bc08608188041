// SPDX-License-Identifier: GPL-2.0-or-later
// The decision log's file, written by a thread of its own: no disk is waited for by who decides.
//
// A log can be replayed from a start line only, and a start line begins a new loop. So whoever
// writes it asks needs_start() before each tick; that is true at first, when the file was rotated,
// and when lines were lost.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "libtmem/base/result.h"

namespace tmem::arbiter {

class DecisionFile {
 public:
  struct Counters {
    uint64_t bytes = 0;  // of the present file, as far as written
    uint64_t rotations = 0;
    uint64_t write_errors = 0;
    uint64_t lost_bytes = 0;  // by errors, or because the disk was too slow
  };
  using Log = std::function<void(const std::string&)>;

  // Appends to `path`, whose folder is made when it is not there. What cannot be written is told by
  // `log`, once until a write succeeds again.
  static Result<std::unique_ptr<DecisionFile>> start(const std::string& path, uint64_t bytes_max,
                                                     Log log);
  // Writes what is left.
  ~DecisionFile();
  DecisionFile(const DecisionFile&) = delete;
  DecisionFile& operator=(const DecisionFile&) = delete;

  bool needs_start() const;
  // `lines` begins with a start line. When the file is full it is renamed to PATH.1 first.
  void start_anew(std::string lines);
  // Never blocks on the disk.
  void append(std::string lines);
  Counters counters() const;
  // Waits until everything was written, or could not be.
  void flush();

 private:
  DecisionFile(std::string path, uint64_t bytes_max, Log log)
      : path_(std::move(path)), bytes_max_(bytes_max), log_(std::move(log)) {}
  void queue(std::string lines, bool rotate);
  void run();
  Result<void> write(const std::string& lines);
  void rotate();

  const std::string path_;
  const uint64_t bytes_max_;
  const Log log_;
  bool told_ = false;  // of the thread: that nothing can be written

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::string queued_;
  bool rotate_ = false;  // before what is queued
  bool busy_ = false;
  bool stop_ = false;
  bool needs_start_ = true;
  uint64_t file_bytes_ = 0;  // with what is queued
  Counters counters_;

  std::thread thread_;  // last: it uses everything above
};

}  // namespace tmem::arbiter
