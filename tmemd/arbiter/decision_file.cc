// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/decision_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "libtmem/base/unique_fd.h"
#include "libtmem/base/units.h"

namespace tmem::arbiter {
namespace {

constexpr uint64_t kQueuedBytesMax = 4 * kMiB;
// What must fit in before the log goes on after a gap.
constexpr uint64_t kTryBytes = kMiB;

uint64_t size_of(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

// Of a line, or there is no file.
bool ends_at_line_end(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  char last = '\n';
  if (file && lseek(file.get(), -1, SEEK_END) >= 0) (void)!read(file.get(), &last, 1);
  return last == '\n';
}

// All or nothing. `keep`: else it is taken away again.
Result<void> write(const std::string& path, const std::string& lines, bool keep) {
  // Opened each time: somebody may have moved or removed the file.
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!file) return fail_os(path + ": cannot be opened");
  const off_t before = lseek(file.get(), 0, SEEK_END);
  size_t done = 0;
  int error = 0;
  while (done < lines.size() && error == 0) {
    const ssize_t now = ::write(file.get(), lines.data() + done, lines.size() - done);
    if (now >= 0)
      done += static_cast<size_t>(now);
    else if (errno != EINTR)
      error = errno;
  }
  if ((error != 0 || !keep) && before >= 0) (void)!ftruncate(file.get(), before);
  if (error != 0) return fail_os(path + ": cannot be written", error);
  return {};
}

}  // namespace

Result<std::unique_ptr<DecisionFile>> DecisionFile::start(const std::string& path,
                                                          uint64_t bytes_max, Log log) {
  std::error_code ignored;  // the first write tells
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  std::unique_ptr<DecisionFile> file(new DecisionFile(path, bytes_max, std::move(log)));
  file->file_bytes_ = file->counters_.bytes = size_of(path);
  try {
    file->thread_ = std::thread([raw = file.get()] { raw->run(); });
  } catch (const std::system_error& error) {
    return fail(Errc::kOs,
                std::string("cannot start the thread of the decision log: ") + error.what());
  }
  (void)pthread_setname_np(file->thread_.native_handle(), "tmem-decisions");
  return file;
}

DecisionFile::~DecisionFile() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool DecisionFile::needs_start(uint64_t now_ms) {
  const std::lock_guard lock(mutex_);
  now_ms_ = now_ms;
  if (state_ == State::kGap && idle() && now_ms >= retry_ms_) {
    state_ = State::kTrying;
    changed_.notify_all();
  }
  if (started_ms_ && now_ms - *started_ms_ < kBetweenStartsMs) return false;
  const bool full = file_bytes_ >= bytes_max_ && idle();
  return state_ == State::kUsable || (state_ == State::kGood && full);
}

void DecisionFile::start_anew(std::string lines, uint64_t now_ms) {
  const std::lock_guard lock(mutex_);
  now_ms_ = now_ms;
  if (state_ == State::kUsable || state_ == State::kGood) {
    state_ = State::kGood;
    started_ms_ = now_ms;
    if (queued_.empty()) {
      starts_ = true;
      rotate_ = file_bytes_ >= bytes_max_;
      if (rotate_) file_bytes_ = 0;
    }
  }
  queue(std::move(lines));
}

void DecisionFile::append(std::string lines, uint64_t now_ms) {
  const std::lock_guard lock(mutex_);
  now_ms_ = now_ms;
  queue(std::move(lines));
}

void DecisionFile::queue(std::string lines) {
  if (state_ != State::kGood) {
    counters_.lost_bytes += lines.size();
    return;
  }
  if (queued_.size() + lines.size() > kQueuedBytesMax) return lose(lines.size());
  file_bytes_ += lines.size();
  queued_ += lines;
  changed_.notify_all();
}

void DecisionFile::lose(uint64_t bytes) {
  counters_.lost_bytes += bytes;
  state_ = State::kGap;
  retry_ms_ = now_ms_ + kRetryMs;
}

DecisionFile::Counters DecisionFile::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

void DecisionFile::flush() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return idle() && state_ != State::kTrying; });
}

void DecisionFile::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !queued_.empty() || state_ == State::kTrying; });
    if (!queued_.empty())
      write_queued(lock);
    else if (stop_)
      return;
    else
      try_again(lock);
    changed_.notify_all();
  }
}

void DecisionFile::write_queued(std::unique_lock<std::mutex>& lock) {
  const std::string lines = std::exchange(queued_, {});
  const bool starts = std::exchange(starts_, false);
  bool rotates = std::exchange(rotate_, false);
  busy_ = true;
  lock.unlock();
  rotates = rotates || (starts && !ends_at_line_end(path_));
  if (rotates) rotate();
  const auto written = write(path_, lines, true);
  if (!written) complain(written.error());
  const uint64_t bytes = size_of(path_);
  lock.lock();
  busy_ = false;
  counters_.bytes = bytes;
  file_bytes_ = bytes + queued_.size();
  if (rotates) ++counters_.rotations;
  if (written) return;
  ++counters_.write_errors;
  // What follows a gap is of no use.
  starts_ = rotate_ = false;
  lose(lines.size() + std::exchange(queued_, {}).size());
}

void DecisionFile::try_again(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  const auto written = write(path_, std::string(kTryBytes, ' '), false);
  if (written)
    told_ = false;
  else
    complain(written.error());
  lock.lock();
  state_ = State::kUsable;
  if (written) return;
  ++counters_.write_errors;
  lose(0);
}

void DecisionFile::complain(const Error& error) {
  if (!std::exchange(told_, true) && log_)
    log_("the decision log cannot be written, and has a gap: " + error.message);
}

void DecisionFile::rotate() {
  // Where that fails the file grows on: the write tells what is wrong with the disk.
  (void)std::rename(path_.c_str(), (path_ + ".1").c_str());
}

}  // namespace tmem::arbiter
