// SPDX-License-Identifier: GPL-2.0-or-later
// tmemd: command line, log, signals, systemd. The daemon itself is in daemon.h.
//
// Exit status: 0 stopped cleanly (or --version, --help, --check-config of a good file); 1 could not
// start or serve; 2 wrong command line; 3 configuration refused.
// Signals: SIGTERM and SIGINT stop it, but are refused with an explanation in the log while clients
// hold persistent pages; SIGQUIT stops it all the same.
#include <poll.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "libtmem/base/clock.h"
#include "libtmem/base/unique_fd.h"
#include "tmem/text.hpp"
#include "tmemd/control/config.h"
#include "tmemd/daemon.h"

namespace tmem {
namespace {

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitConfig = 3;

struct CommandLine {
  std::string config_path;
  std::string loopback_socket;
  std::string control_socket;
  std::string memory;
  unsigned workers = 0;
  bool check_config = false;
};

// An exit status when the program ends here.
std::optional<int> parse_command_line(int argc, char** argv, CommandLine* line) {
  CLI::App app("tmemd: keeps pages that guests can spare", "tmemd");
  app.add_option("-c,--config", line->config_path,
                 std::string("configuration file (default ") + control::kDefaultConfigPath +
                     ", if it exists)");
  app.add_option("--loopback-socket", line->loopback_socket, "where local clients connect");
  app.add_option("--control-socket", line->control_socket, "where the tmem command connects");
  app.add_option("--memory", line->memory, "memory of the pool, as in the file: \"512M\"");
  app.add_option("--workers", line->workers, "worker threads; 0: min(4, CPUs)");
  app.add_flag("--check-config", line->check_config, "read the configuration, say if it is good");
  app.set_version_flag("--version", "tmemd " TMEM_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? kExitOk : kExitUsage;
  }
  return std::nullopt;
}

Result<control::Config> read_config(const CommandLine& line) {
  const bool named = !line.config_path.empty();
  auto config = control::load_config(named ? line.config_path : control::kDefaultConfigPath);
  if (!config && !named && config.error().code == Errc::kNotFound) config = control::Config{};
  if (!config) return config;
  if (!line.loopback_socket.empty()) config->loopback.socket_path = line.loopback_socket;
  if (!line.control_socket.empty()) config->control.socket_path = line.control_socket;
  if (line.workers != 0) config->workers = line.workers;
  if (!line.memory.empty()) {
    const auto bytes = parse_size_bytes(line.memory);
    if (!bytes) return fail(Errc::kMalformed, "--memory: not a size, write it as \"512M\"");
    const auto funded = control::check_funds(*config, *bytes);
    if (!funded) return fail(Errc::kMalformed, "--memory: " + funded.error().message);
    config->store.budget_bytes = *bytes;
    config->pool.has_size = true;
  }
  return config;
}

std::shared_ptr<spdlog::logger> make_logger(control::LogLevel level) {
  static constexpr std::array kLevels = {spdlog::level::trace, spdlog::level::debug,
                                         spdlog::level::info, spdlog::level::warn,
                                         spdlog::level::err};
  auto logger =
      std::make_shared<spdlog::logger>("tmemd", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(kLevels.at(static_cast<size_t>(level)));
  logger->flush_on(spdlog::level::trace);
  return logger;
}

// Each client needs 1 + 2 * queues descriptors.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

Result<UniqueFd> block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP}) sigaddset(&signals, number);
  // Before any thread starts, so that all inherit it.
  if (pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0) return fail_os("cannot block signals");
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  (void)sigaction(SIGPIPE, &ignore, nullptr);
  UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_os("cannot create a signalfd");
  return fd;
}

// True: stop now.
bool signal_stops(int number, Daemon& daemon, spdlog::logger& log) {
  if (number == SIGQUIT) {
    log.warn("SIGQUIT: stopping whatever clients hold");
    return true;
  }
  if (number == SIGHUP) {
    log.info("SIGHUP is ignored: the configuration is read at start only");
    return false;
  }
  const auto allowed = daemon.begin_stop();
  if (!allowed) log.warn("{}", allowed.error().message);
  return allowed.has_value();
}

enum class End { kStop, kMemoryLost };

End wait_for_the_end(int signals, Daemon& daemon, spdlog::logger& log) {
  while (true) {
    std::array<pollfd, 2> fds = {{{signals, POLLIN, 0}, {daemon.stop_event(), POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    if (daemon.stop_requested()) {
      log.info("stopping: asked over the control socket");
      return End::kStop;
    }
    if (daemon.memory_lost()) return End::kMemoryLost;
    signalfd_siginfo info{};
    if (read(signals, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info)) &&
        signal_stops(static_cast<int>(info.ssi_signo), daemon, log))
      return End::kStop;
  }
}

// A daemon that lost its memory sooner than this does not get another: it would lose that too.
constexpr uint64_t kLifeMsMin = 10'000;

// A daemon's life. An exit status when the program ends with it.
std::optional<int> serve_once(const control::Config& config, int signals, spdlog::logger& logger,
                              const LogSink& log) {
  const SteadyClock clock;
  ManualClock manual_clock;
  auto daemon = config.manual_clock ? Daemon::start_stepped(config, manual_clock, log)
                                    : Daemon::start(config, clock, log);
  if (!daemon) {
    logger.error("cannot start: {}", daemon.error().message);
    return kExitFailed;
  }
  logger.info("tmemd {} serves {} MiB on {}, control socket {}", TMEM_VERSION,
              (*daemon)->store().stats().budget_bytes / kMiB, config.loopback.socket_path,
              config.control.socket_path);
  const std::string status = "READY=1\nSTATUS=serving, " + (*daemon)->status_line();
  (void)sd_notify(0, status.c_str());
  const uint64_t started_ms = clock.now_ms();
  if (wait_for_the_end(signals, **daemon, logger) == End::kMemoryLost) {
    if (clock.now_ms() - started_ms >= kLifeMsMin) return std::nullopt;
    logger.error("the pool's memory was lost at once: see who destroys the domain tmem-pool");
    return kExitFailed;
  }
  logger.info("stopping: {}", (*daemon)->status_line());
  (void)sd_notify(0, "STOPPING=1");
  return kExitOk;
}

int serve(const control::Config& config) {
  const auto logger = make_logger(config.log_level);
  raise_descriptor_limit();
  const auto signals = block_signals();
  if (!signals) {
    logger->error("{}", signals.error().message);
    return kExitFailed;
  }
  const LogSink log = [logger](LogKind kind, const std::string& line) {
    logger->log(kind == LogKind::kWarning ? spdlog::level::warn : spdlog::level::info, line);
  };
  while (true)
    if (const auto status = serve_once(config, signals->get(), *logger, log)) return *status;
}

int run(int argc, char** argv) {
  CommandLine line;
  if (const auto status = parse_command_line(argc, argv, &line)) return *status;
  const auto config = read_config(line);
  if (!config) {
    (void)std::fprintf(stderr, "tmemd: %s\n", config.error().message.c_str());
    return kExitConfig;
  }
  if (line.check_config) {
    (void)std::printf("the configuration is good\n");
    return kExitOk;
  }
  return serve(*config);
}

}  // namespace
}  // namespace tmem

int main(int argc, char** argv) {
  try {
    return tmem::run(argc, argv);
  } catch (const std::exception& error) {
    (void)std::fprintf(stderr, "tmemd: %s\n", error.what());
    return 1;
  }
}
