// SPDX-License-Identifier: GPL-2.0-or-later
// P1: all CPU of a fresh page, from put to LZ4 in the background, against S.
// P1-path: what the guest waits for (the put alone), against a cold memcpy.
// P8: the same as P1 for incompressible pages.
#include <algorithm>

#include "tests/bench/benches.h"
#include "tests/bench/reference.h"

namespace tmem::bench {
namespace {

struct PutTimes {
  Paired total;  // against S
  Paired path;   // against M
};

// Half of the pages fill the store; slices of the other half come and go.
class FreshPages {
 public:
  FreshPages(const Context& context, const Corpus& corpus, const std::vector<uint32_t>& pages)
      : context_(context),
        corpus_(corpus),
        filling_(pages.begin(), pages.begin() + static_cast<std::ptrdiff_t>(pages.size() / 2)),
        fresh_(pages.begin() + static_cast<std::ptrdiff_t>(pages.size() / 2), pages.end()),
        slice_(std::min(context.settings.round_pages, fresh_.size())) {}

  Result<PutTimes> run() {
    TMEM_TRY(test_, TestStore::create({.budget_bytes = roomy_budget(filling_.size() + slice_)}));
    TMEM_TRY(client_, test_->add_client("guest", store::Kind::kEphemeral));
    for (size_t i = 0; i < filling_.size(); ++i)
      TMEM_CHECK(test_->put(*client_, key_of(i), corpus_.page(filling_[i])));
    TMEM_CHECK(test_->age());
    TMEM_CHECK(round(0, nullptr));  // warms up
    PutTimes times;
    for (unsigned r = 0; r < context_.settings.rounds; ++r) TMEM_CHECK(round(r, &times));
    return times;
  }

 private:
  Page fresh(size_t at) const { return corpus_.page(fresh_[at % fresh_.size()]); }

  // The reference works on other pages than ours, so that neither finds them in the cache.
  double reference_s(size_t from) {
    return cpu_ns_each(slice_, [&] {
      for (size_t i = 0; i < slice_; ++i) (void)codec_.reference_s(fresh(from + i));
    });
  }
  double reference_m(size_t from) {
    return cpu_ns_each(slice_, [&] {
      for (size_t i = 0; i < slice_; ++i) bench::reference_m(fresh(from + i), out_.page(0));
    });
  }

  Result<void> round(unsigned r, PutTimes* times) {
    const size_t from = r * slice_;
    const size_t elsewhere = from + fresh_.size() / 2;
    const double s = reference_s(elsewhere);
    TMEM_CHECK(test_->tidy());
    store::Status worst = store::Status::kOk;
    const double path = cpu_ns_each(slice_, [&] {
      for (size_t i = 0; i < slice_; ++i) {
        const auto status = test_->store().put(test_->worker(), *client_,
                                               key_of(filling_.size() + 64 + i), fresh(from + i));
        worst = std::max(worst, status);
      }
    });
    if (worst != store::Status::kOk) return tl::make_unexpected(unexpected_status("put", worst));
    Result<void> aged;
    const double background = cpu_ns_each(slice_, [&] { aged = test_->age(); });
    TMEM_CHECK(aged);
    const double m = reference_m(elsewhere);
    for (size_t i = 0; i < slice_ + 64; i += 64)
      (void)test_->store().flush_object(*client_, kPool, key_of(filling_.size() + 64 + i).object);
    TMEM_CHECK(test_->tidy());
    if (times == nullptr) return {};
    times->total.ours.push_back(path + background);
    times->total.reference.push_back(s);
    times->path.ours.push_back(path);
    times->path.reference.push_back(m);
    return {};
  }

  const Context& context_;
  const Corpus& corpus_;
  const std::vector<uint32_t> filling_;
  const std::vector<uint32_t> fresh_;
  const size_t slice_;
  Codec codec_;
  Buffer out_{kPageBytes};
  std::unique_ptr<TestStore> test_;
  store::ClientRef client_;
};

}  // namespace

Result<void> bench_put(const Context& context, const Corpus& corpus) {
  Report& report = context.report;
  const auto row = [&](const char* id, const Paired& times, Goal goal, const char* note) {
    report.add({id, corpus.name(), median(times.ours), median(times.reference), "ns", goal, note});
  };
  if (report.wants_group("P1")) {
    if (corpus.compressible().size() < std::max(context.settings.pages_min, corpus.pages() / 4)) {
      report.skip("P1", corpus.name(), "too few different compressible pages");
    } else {
      TMEM_TRY(const PutTimes times, FreshPages(context, corpus, corpus.compressible()).run());
      row("P1", times.total, {1.18, Better::kLower}, "fresh page, put + LZ4 later : S");
      row("P1-path", times.path, {2.5, Better::kLower}, "fresh page, put alone : memcpy");
    }
  }
  if (report.wants("P8") && corpus.incompressible().size() >= context.settings.pages_min) {
    TMEM_TRY(const PutTimes times, FreshPages(context, corpus, corpus.incompressible()).run());
    row("P8", times.total, {1.6, Better::kLower}, "incompressible page, put + attempt later : S");
  }
  return {};
}

}  // namespace tmem::bench
