// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/progress.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace tmem::lab {

Result<Progress> Progress::create() {
  sigset_t signals;
  (void)sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) (void)sigaddset(&signals, number);
  if (::sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return fail_os("cannot block signals");
  UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_os("cannot create a signalfd");
  return Progress(std::move(fd), ::isatty(STDERR_FILENO) == 1);
}

void Progress::begin(std::string name, uint32_t number, uint32_t total) {
  name_ = std::move(name);
  number_ = number;
  total_ = total;
  drawn_percent_ = -1;
  draw(0);
}

bool Progress::update(double part) {
  draw(part);
  return !interrupted();
}

void Progress::end(const std::string& summary) {
  clear();
  (void)std::fputs(fmt::format("[{}/{}] {:<23} {}\n", number_, total_, name_, summary).c_str(),
                   stderr);
}

bool Progress::interrupted() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    interrupted_ = true;
    clear();
  }
  return interrupted_;
}

void Progress::draw(double part) {
  const int percent = static_cast<int>(100 * std::clamp(part, 0.0, 1.0));
  if (!terminal_ || percent == drawn_percent_) return;
  drawn_percent_ = percent;
  constexpr int kCells = 40;
  const int full = percent * kCells / 100;
  (void)std::fputs(fmt::format("\r[{}/{}] {:<23} [{}{}] {:3} %", number_, total_, name_,
                               std::string(static_cast<size_t>(full), '#'),
                               std::string(static_cast<size_t>(kCells - full), '.'), percent)
                       .c_str(),
                   stderr);
}

void Progress::clear() {
  if (terminal_) (void)std::fputs("\r\x1b[2K", stderr);
}

}  // namespace tmem::lab
