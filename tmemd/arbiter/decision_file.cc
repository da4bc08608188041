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

uint64_t size_of(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
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

bool DecisionFile::needs_start() const {
  const std::lock_guard lock(mutex_);
  return needs_start_;
}

void DecisionFile::start_anew(std::string lines) {
  {
    const std::lock_guard lock(mutex_);
    needs_start_ = false;
  }
  queue(std::move(lines), true);
}

void DecisionFile::append(std::string lines) {
  queue(std::move(lines), false);
}

void DecisionFile::queue(std::string lines, bool rotate) {
  {
    const std::lock_guard lock(mutex_);
    if (queued_.size() + lines.size() > kQueuedBytesMax) {
      counters_.lost_bytes += lines.size();
      needs_start_ = true;
      return;
    }
    if (rotate && file_bytes_ >= bytes_max_ && !rotate_ && queued_.empty()) {
      rotate_ = true;
      file_bytes_ = 0;
    }
    file_bytes_ += lines.size();
    queued_ += lines;
    if (file_bytes_ >= bytes_max_) needs_start_ = true;
  }
  changed_.notify_all();
}

DecisionFile::Counters DecisionFile::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

void DecisionFile::flush() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queued_.empty() && !busy_; });
}

void DecisionFile::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !queued_.empty(); });
    if (queued_.empty()) return;
    const std::string lines = std::exchange(queued_, {});
    const bool rotates = std::exchange(rotate_, false);
    busy_ = true;
    lock.unlock();
    if (rotates) rotate();
    const auto written = write(lines);
    if (!written && !std::exchange(told_, true) && log_)
      log_("the decision log cannot be written, and has a gap: " + written.error().message);
    if (written) told_ = false;
    lock.lock();
    busy_ = false;
    counters_.bytes = file_bytes_ - queued_.size();
    if (rotates) ++counters_.rotations;
    if (!written) {
      ++counters_.write_errors;
      counters_.lost_bytes += lines.size();
      needs_start_ = true;
    }
    changed_.notify_all();
  }
}

void DecisionFile::rotate() {
  // Where that fails the file grows on: the write tells what is wrong with the disk.
  (void)std::rename(path_.c_str(), (path_ + ".1").c_str());
}

Result<void> DecisionFile::write(const std::string& lines) {
  // Opened each time: somebody may have moved or removed the file.
  const UniqueFd file(open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!file) return fail_os(path_ + ": cannot be opened");
  const off_t before = lseek(file.get(), 0, SEEK_END);
  size_t done = 0;
  while (done < lines.size()) {
    const ssize_t now = ::write(file.get(), lines.data() + done, lines.size() - done);
    if (now < 0 && errno == EINTR) continue;
    if (now < 0) {
      const int error = errno;
      // No half lines: what follows would be joined to them.
      if (before >= 0) (void)!ftruncate(file.get(), before);
      return fail_os(path_ + ": cannot be written", error);
    }
    done += static_cast<size_t>(now);
  }
  return {};
}

}  // namespace tmem::arbiter
