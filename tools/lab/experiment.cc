// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/experiment.h"

#include "tools/lab/daemon_process.h"
#include "tools/lab/daemon_store.h"

namespace tmem::lab {

Result<RunResult> run_configuration(const Configuration& configuration,
                                    const Experiment& experiment,
                                    const Simulation::Progress& progress) {
  const Parameters& parameters = experiment.parameters;
  const Model& model = experiment.model;
  Simulation::Setup setup;
  setup.self_ballooning = configuration.self_ballooning;
  if (!configuration.tmem) {
    Simulation simulation(parameters, model, experiment.contents, setup);
    return simulation.run(progress);
  }
  DaemonOptions options;
  options.program = experiment.program;
  options.memory_bytes =
      (uint64_t{model.host.guests} * scaled_mib(model.guest.memory_mib, parameters.scale) +
       scaled_mib(model.host.fallow_mib, parameters.scale)) *
      kPageBytes;
  options.dedup = configuration.dedup;
  options.compress = configuration.compress;
  options.seed = mix(parameters.seed, 800) >> 2 | 1;
  // Destroyed in reverse order: the clients disconnect, then the daemon stops.
  TMEM_TRY(const auto daemon, DaemonProcess::start(options));
  TMEM_TRY(const auto pool, DaemonPool::connect(daemon->control_socket()));
  std::vector<std::unique_ptr<PageStore>> stores;
  for (uint32_t guest = 0; guest < model.host.guests; ++guest) {
    TMEM_TRY(auto store, connect_guest(daemon->loopback_socket(), guest));
    setup.stores.push_back(store.get());
    stores.push_back(std::move(store));
  }
  setup.pool = pool.get();
  Simulation simulation(parameters, model, experiment.contents, setup);
  return simulation.run(progress);
}

}  // namespace tmem::lab
