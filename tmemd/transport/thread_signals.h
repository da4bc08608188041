// SPDX-License-Identifier: GPL-2.0-or-later
// Our threads take no signals: the embedding program's main thread does. This includes SIGPIPE,
// which a wake-up of a client that just died would raise.
#pragma once
#include <signal.h>

namespace tmem::transport {

inline void block_signals_in_this_thread() {
  sigset_t all;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace tmem::transport
