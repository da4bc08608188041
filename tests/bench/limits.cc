// SPDX-License-Identifier: GPL-2.0-or-later
// persistent-priority: share of persistent puts within the guarantee that are accepted while the
// pool is full of another client's ephemeral pages. cap: pages held beyond a cap.
#include <cstring>
#include <random>

#include "tests/bench/benches.h"

namespace tmem::bench {
namespace {

constexpr uint64_t kGuaranteeBytes = 24 * kMiB;
constexpr uint64_t kBudgetBytes = 64 * kMiB;
// A raw page and what belongs to it: a put that needs less than this is within the guarantee.
constexpr uint64_t kPutBytes = kPageBytes + 256;
constexpr uint64_t kCapPages = 3000;

void make_noise(Buffer& page, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (size_t at = 0; at < kPageBytes; at += 8) {
    const uint64_t word = random();
    std::memcpy(&page.bytes()[at], &word, 8);
  }
}

Result<void> persistent_priority(const Context& context) {
  TMEM_TRY(
      const auto test,
      TestStore::create({.budget_bytes = kBudgetBytes, .touched = false, .nursery_percent = 10}));
  TMEM_TRY(const auto hog, test->add_client("hog", store::Kind::kEphemeral));
  store::ClientSettings settings;
  settings.guarantee_bytes = kGuaranteeBytes;
  TMEM_TRY(const auto guest, test->add_client("guest", store::Kind::kPersistent, settings));
  Buffer page(kPageBytes);
  const uint64_t hog_pages = kBudgetBytes / kPageBytes * 3 / 2;
  uint64_t refused = 0;
  for (uint64_t i = 0; i < hog_pages; ++i) {
    make_noise(page, i);
    refused +=
        test->store().put(test->worker(), *hog, key_of(i), page.page(0)) != store::Status::kOk;
  }
  uint64_t tried = 0;
  uint64_t accepted = 0;
  // No maintain(): the puts themselves must make room. The hog goes on putting in between.
  while (test->store().client_stats(*guest).charged_bytes[1] + kPutBytes <= kGuaranteeBytes &&
         tried < kGuaranteeBytes / kPageBytes) {
    make_noise(page, (uint64_t{1} << 40) + tried);
    accepted += test->store().put(test->worker(), *guest, key_of(tried), page.page(0)) ==
                store::Status::kOk;
    ++tried;
    make_noise(page, hog_pages + tried);
    (void)test->store().put(test->worker(), *hog, key_of(hog_pages + tried), page.page(0));
  }
  context.report.add({"persistent-priority", "-", static_cast<double>(accepted),
                      static_cast<double>(tried), "puts", Goal{1.0, Better::kHigher},
                      "persistent puts within the guarantee accepted : tried, pool full"});
  context.report.add({"ephemeral-refused", "-", static_cast<double>(refused),
                      static_cast<double>(hog_pages), "puts", Goal{0.0, Better::kLower},
                      "ephemeral puts refused while the pool fills up and beyond : tried"});
  return {};
}

Result<void> cap(const Context& context) {
  TMEM_TRY(
      const auto test,
      TestStore::create({.budget_bytes = kBudgetBytes, .touched = false, .nursery_percent = 10}));
  store::ClientSettings settings;
  settings.cap_pages = kCapPages;
  TMEM_TRY(const auto guest, test->add_client("guest", store::Kind::kEphemeral, settings));
  Buffer page(kPageBytes);
  uint64_t most = 0;
  for (uint64_t i = 0; i < 3 * kCapPages; ++i) {
    make_noise(page, i);
    (void)test->store().put(test->worker(), *guest, key_of(i), page.page(0));
    const auto stats = test->store().client_stats(*guest);
    most = std::max(most, stats.pages[0] + stats.pages[1]);
  }
  context.report.add({"cap", "-", static_cast<double>(most), static_cast<double>(kCapPages),
                      "pages", Goal{1.0, Better::kLower}, "most pages held : cap"});
  return {};
}

}  // namespace

Result<void> bench_limits(const Context& context) {
  if (context.report.wants("persistent-priority") || context.report.wants("ephemeral-refused"))
    TMEM_CHECK(persistent_priority(context));
  if (context.report.wants("cap")) TMEM_CHECK(cap(context));
  return {};
}

}  // namespace tmem::bench
