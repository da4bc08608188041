// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/daemon_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "tmem/control.hpp"

namespace tmem::lab {
namespace {

constexpr uint32_t kReadyTimeoutMs = 20'000;
constexpr uint32_t kStopTimeoutMs = 5'000;
constexpr std::chrono::milliseconds kPoll{5};

Result<std::string> make_directory() {
  const char* const base = std::getenv("TMPDIR");
  std::string path =
      std::string(base != nullptr && *base != '\0' ? base : "/tmp") + "/tmem-lab.XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return fail_os("cannot create the directory " + path);
  return path;
}

// In the child, between fork and exec: only calls that are safe there.
[[noreturn]] void become(const char* program, const char* config, const char* log, pid_t parent) {
  // A terminal's Ctrl-C is for us; we then end the daemon. If we are killed, it ends too.
  (void)::setpgid(0, 0);
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  sigset_t none;
  (void)sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int fd = ::open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || ::dup2(fd, STDOUT_FILENO) < 0 || ::dup2(fd, STDERR_FILENO) < 0) ::_exit(127);
  ::execl(program, program, "--config", config, static_cast<char*>(nullptr));
  ::_exit(127);
}

}  // namespace

DaemonProcess::DaemonProcess(std::string directory)
    : directory_(std::move(directory)),
      loopback_socket_(directory_ + "/loopback.sock"),
      control_socket_(directory_ + "/control.sock"),
      config_path_(directory_ + "/tmemd.toml"),
      log_path_(directory_ + "/tmemd.log") {}

DaemonProcess::~DaemonProcess() {
  if (pid_ > 0) {
    (void)::kill(pid_, SIGTERM);
    // It refuses while clients hold swap pages: after an interrupted run, nobody wants them.
    if (!wait_for_exit(kStopTimeoutMs)) {
      (void)::kill(pid_, SIGKILL);
      (void)wait_for_exit(kStopTimeoutMs);
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

Result<std::unique_ptr<DaemonProcess>> DaemonProcess::start(const DaemonOptions& options) {
  if (::access(options.program.c_str(), X_OK) != 0) {
    return fail(Errc::kNotFound, "there is no program " + options.program +
                                     ": build the target tmemd, or name it with --tmemd");
  }
  TMEM_TRY(std::string directory, make_directory());
  std::unique_ptr<DaemonProcess> daemon(new DaemonProcess(std::move(directory)));
  TMEM_CHECK(daemon->write_config(options));
  TMEM_CHECK(daemon->spawn(options.program));
  TMEM_CHECK(daemon->wait_until_ready());
  return daemon;
}

Result<void> DaemonProcess::write_config(const DaemonOptions& options) const {
  std::ofstream out(config_path_);
  out << fmt::format(
      "[pool]\nmemory = \"{}K\"\n"
      "[loopback]\nsocket = \"{}\"\nqueues = 1\n"
      "[control]\nsocket = \"{}\"\n"
      "[daemon]\nworkers = 1\nmanual_clock = true\nseed = {}\nlog_level = \"info\"\n"
      "{}"
      "[defaults]\ncompress = {}\ndedup = \"{}\"\n",
      options.memory_bytes / kKiB, loopback_socket_, control_socket_, options.seed,
      // Contents that several clients share follow the store's ages, not a client's setting.
      options.compress ? ""
                       : "[store]\nlz4_after = \"86400s\"\nzstd = false\nnursery_percent = 100\n",
      options.compress, options.dedup ? "host" : "none");
  out.close();
  if (!out) return fail_os("cannot write " + config_path_);
  return {};
}

Result<void> DaemonProcess::spawn(const std::string& program) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail_os("cannot start " + program);
  if (pid == 0) become(program.c_str(), config_path_.c_str(), log_path_.c_str(), parent);
  pid_ = pid;
  return {};
}

Result<void> DaemonProcess::wait_until_ready() {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(kReadyTimeoutMs);
  while (std::chrono::steady_clock::now() < deadline) {
    if (control::Client::connect({control_socket_, kStopTimeoutMs})) return {};
    if (wait_for_exit(0)) break;
    std::this_thread::sleep_for(kPoll);
  }
  return fail(Errc::kOs, "tmemd does not serve. Its log ends with:\n" + log_tail());
}

bool DaemonProcess::wait_for_exit(uint32_t timeout_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (pid_ > 0) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
    if (pid_ < 0 || std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(kPoll);
  }
  return pid_ < 0;
}

std::string DaemonProcess::log_tail() const {
  std::ifstream in(log_path_);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  constexpr size_t kTailBytes = 2000;
  return text.size() > kTailBytes ? text.substr(text.size() - kTailBytes) : text;
}

}  // namespace tmem::lab
