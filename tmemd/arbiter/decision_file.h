// SPDX-License-Identifier: GPL-2.0-or-later
// The decision log's file, written by a thread of its own: no disk is waited for by who decides.
//
// A log can be replayed from a start line only, and a start line begins a new loop, which has
// learned nothing. So whoever writes it asks needs_start() before each tick. That is true at first,
// when the file is full, and when lines were lost and the file can be written again; but for the
// first time not within ten minutes of the last start. An error alone never makes it true.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "libtmem/base/result.h"

namespace tmem::arbiter {

// The loop does not begin anew for the log's sake sooner: a file may grow beyond its size
// meanwhile.
inline constexpr uint64_t kBetweenStartsMs = 600'000;
// When lines were lost the file is tried again no sooner.
inline constexpr uint64_t kRetryMs = 60'000;

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

  bool needs_start(uint64_t now_ms);
  // `lines` begins with a start line. When the file is full, or ends within a line (tmemd was
  // killed), it is renamed to PATH.1 first.
  void start_anew(std::string lines, uint64_t now_ms);
  // Never blocks on the disk. After a gap lines are lost until the next start.
  void append(std::string lines, uint64_t now_ms);
  Counters counters() const;
  // Waits until everything was written, or could not be.
  void flush();

 private:
  DecisionFile(std::string path, uint64_t bytes_max, Log log)
      : path_(std::move(path)), bytes_max_(bytes_max), log_(std::move(log)) {}
  enum class State : uint8_t {
    kUsable,  // takes a start line
    kGood,    // takes lines
    kGap,     // lines were lost
    kTrying,  // the thread finds out whether the file can be written again
  };
  bool idle() const { return queued_.empty() && !busy_; }
  void queue(std::string lines);
  void lose(uint64_t bytes);
  void run();
  void write_queued(std::unique_lock<std::mutex>& lock);
  void try_again(std::unique_lock<std::mutex>& lock);
  void complain(const Error& error);
  void rotate();

  const std::string path_;
  const uint64_t bytes_max_;
  const Log log_;
  bool told_ = false;  // of the thread: that nothing can be written

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::string queued_;
  bool starts_ = false;  // what is queued begins with a start line
  bool rotate_ = false;  // before what is queued
  bool busy_ = false;
  bool stop_ = false;
  State state_ = State::kUsable;
  uint64_t now_ms_ = 0;    // as last told
  uint64_t retry_ms_ = 0;  // in kGap
  std::optional<uint64_t> started_ms_;
  uint64_t file_bytes_ = 0;  // with what is queued
  Counters counters_;

  std::thread thread_;  // last: it uses everything above
};

}  // namespace tmem::arbiter
