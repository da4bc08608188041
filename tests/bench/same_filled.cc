// SPDX-License-Identifier: GPL-2.0-or-later
// P4: put of a zero or same-filled page; P5: get of it. Both against M.
#include <algorithm>
#include <cstring>

#include "tests/bench/benches.h"
#include "tests/bench/reference.h"

namespace tmem::bench {
namespace {

// Every eighth page is filled with a number of its own, the others are zero.
Buffer make_pages(size_t count) {
  Buffer pages(count * kPageBytes);
  for (size_t i = 0; i < count; i += 8)
    for (size_t at = 0; at < kPageBytes; at += 8) std::memcpy(&pages.page(i)[at], &i, 8);
  return pages;
}

}  // namespace

Result<void> bench_same_filled(const Context& context) {
  Report& report = context.report;
  if (!report.wants("P4") && !report.wants("P5")) return {};
  const size_t count = context.settings.round_pages * 4;
  const size_t slice = context.settings.round_pages;
  const Buffer pages = make_pages(count);
  TMEM_TRY(const auto test, TestStore::create({.budget_bytes = roomy_budget(count)}));
  TMEM_TRY(const auto client, test->add_client("guest", store::Kind::kPersistent));
  Buffer hot(2 * kPageBytes);
  Paired puts;
  Paired gets;
  for (unsigned r = 0; r <= context.settings.rounds; ++r) {
    const auto order = shuffled(count, 400 + r);
    store::Status worst = store::Status::kOk;
    const double m = cpu_ns_each(slice, [&] {
      for (size_t i = 0; i < slice; ++i) reference_m(pages.page(order[i]), hot.page(0));
    });
    const double put = cpu_ns_each(slice, [&] {
      for (size_t i = slice; i < 2 * slice; ++i)
        worst = std::max(worst, test->store().put(test->worker(), *client, key_of(order[i]),
                                                  pages.page(order[i])));
    });
    const double get = cpu_ns_each(slice, [&] {
      for (size_t i = slice; i < 2 * slice; ++i)
        worst = std::max(worst,
                         test->store().get(test->worker(), *client, key_of(order[i]), hot.page(1)));
    });
    if (worst != store::Status::kOk) return tl::make_unexpected(unexpected_status("P4, P5", worst));
    if (std::memcmp(hot.page(1).data(), pages.page(order[2 * slice - 1]).data(), kPageBytes) != 0)
      return fail(Errc::kConflict, "a same-filled page came back different");
    for (uint64_t object = 0; object < count; object += 64)
      (void)test->store().flush_object(*client, kPool, key_of(object).object);
    TMEM_CHECK(test->tidy());
    if (r == 0) continue;  // warms up
    puts.ours.push_back(put);
    gets.ours.push_back(get);
    puts.reference.push_back(m);
  }
  const double m = median(puts.reference);
  report.add({"P4", "-", median(puts.ours), m, "ns", Goal{2.0, Better::kLower},
              "zero or same-filled page, put : memcpy"});
  report.add({"P5", "-", median(gets.ours), m, "ns", Goal{1.0, Better::kLower},
              "zero or same-filled page, get : memcpy"});
  return {};
}

}  // namespace tmem::bench
