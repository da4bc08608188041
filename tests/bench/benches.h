// SPDX-License-Identifier: GPL-2.0-or-later
// The groups of benchmarks. Each adds rows to the report, and fails only when the store answers
// what it must not. Goals are those of docs/performance.md.
#pragma once
#include "tests/bench/fixture.h"

namespace tmem::bench {

// put.cc: P1, P1-path, P8 (fresh pages).
Result<void> bench_put(const Context& context, const Corpus& corpus);
// duplicate.cc: P6, P7.
Result<void> bench_duplicate(const Context& context, const Corpus& corpus);
// get.cc: P2, P3, P9.
Result<void> bench_get(const Context& context, const Corpus& corpus);
// same_filled.cc: P4, P5.
Result<void> bench_same_filled(const Context& context);
// density.cc: density-client, -group, -host, and what zero pages and zstd add.
Result<void> bench_density(const Context& context, const Corpus& corpus);
// arena.cc: D1, D2 (bytes of the arena over payload), D4 (metadata of a page).
Result<void> bench_arena(const Context& context, const Corpus& corpus);
Result<void> bench_metadata(const Context& context);
// peers.cc: D6 (density against zram).
Result<void> bench_zram(const Context& context, const Corpus& corpus);
// concurrency.cc: C1.
Result<void> bench_threads(const Context& context, const Corpus& corpus);
// stall.cc: destroy-stall.
Result<void> bench_destroy(const Context& context);
// weights.cc: weights-*.
Result<void> bench_weights(const Context& context);
// limits.cc: persistent-priority, cap.
Result<void> bench_limits(const Context& context);

}  // namespace tmem::bench
