// SPDX-License-Identifier: GPL-2.0-or-later
// P2: get of a compressed page at random, against D.
// P3: gets in runs of 16 neighbours with the next ones prefetched, against D.
// P9: get of an incompressible page at random, against M.
#include <algorithm>

#include "tests/bench/benches.h"
#include "tests/bench/reference.h"

namespace tmem::bench {
namespace {

constexpr size_t kRunPages = 16;
constexpr size_t kAheadPages = 3;

class StoredPages {
 public:
  StoredPages(const Context& context, const Corpus& corpus, const std::vector<uint32_t>& pages)
      : context_(context),
        corpus_(corpus),
        pages_(pages),
        slice_(std::min(context.settings.round_pages, pages.size() / 2) / kRunPages * kRunPages) {}

  Result<void> fill() {
    TMEM_TRY(test_, TestStore::create({.budget_bytes = roomy_budget(pages_.size())}));
    // Persistent: gets leave the pages where they are.
    TMEM_TRY(client_, test_->add_client("guest", store::Kind::kPersistent));
    for (size_t i = 0; i < pages_.size(); ++i)
      TMEM_CHECK(test_->put(*client_, key_of(i), corpus_.page(pages_[i])));
    return test_->age();
  }

  // `runs`: in runs of neighbours, with prefetch.
  template <class Reference>
  Result<Paired> run(bool runs, Reference&& reference) {
    TMEM_CHECK(check_bytes());
    Paired times;
    for (unsigned r = 0; r <= context_.settings.rounds; ++r) {
      const auto ours_order = runs ? order_of_runs(r) : shuffled(pages_.size(), 200 + r);
      const auto order = shuffled(pages_.size(), 300 + r);
      const double theirs = cpu_ns_each(slice_, [&] {
        for (size_t i = 0; i < slice_; ++i) reference(order[i]);
      });
      const double ours = cpu_ns_each(slice_, [&] { get_all(ours_order, runs); });
      if (misses_ != 0) return fail(Errc::kConflict, "get of a persistent page missed");
      if (r == 0) continue;  // warms up
      times.ours.push_back(ours);
      times.reference.push_back(theirs);
    }
    return times;
  }

  Page source(size_t i) const { return corpus_.page(pages_[i]); }

 private:
  void get_all(const std::vector<uint32_t>& order, bool ahead) {
    for (size_t i = 0; i < slice_; ++i) {
      if (ahead && i + kAheadPages < slice_)
        test_->store().prefetch(*client_, key_of(order[i + kAheadPages]));
      misses_ += test_->store().get(test_->worker(), *client_, key_of(order[i]), out_.page(0)) !=
                 store::Status::kOk;
      keep(out_.bytes().data());
    }
  }

  std::vector<uint32_t> order_of_runs(unsigned r) const {
    std::vector<uint32_t> order;
    for (const uint32_t run : shuffled(pages_.size() / kRunPages, 200 + r))
      for (uint32_t i = 0; i < kRunPages; ++i)
        order.push_back(run * static_cast<uint32_t>(kRunPages) + i);
    return order;
  }

  Result<void> check_bytes() {
    for (size_t i = 0; i < pages_.size(); ++i) {
      const auto status = test_->store().get(test_->worker(), *client_, key_of(i), out_.page(0));
      if (status != store::Status::kOk)
        return tl::make_unexpected(unexpected_status("get", status));
      if (std::memcmp(out_.bytes().data(), source(i).data(), kPageBytes) != 0)
        return fail(Errc::kConflict, "get returned other bytes than were put");
    }
    return {};
  }

  const Context& context_;
  const Corpus& corpus_;
  const std::vector<uint32_t>& pages_;
  const size_t slice_;
  size_t misses_ = 0;
  Buffer out_{kPageBytes};
  std::unique_ptr<TestStore> test_;
  store::ClientRef client_;
};

}  // namespace

Result<void> bench_get(const Context& context, const Corpus& corpus) {
  Report& report = context.report;
  const auto row = [&](const char* id, const Paired& times, Goal goal, const char* note) {
    report.add({id, corpus.name(), median(times.ours), median(times.reference), "ns", goal, note});
  };
  const auto& pages = corpus.compressible();
  if (report.wants("P2") || report.wants("P3")) {
    if (pages.size() / 2 < context.settings.pages_min) {
      report.skip("P2", corpus.name(), "too few different compressible pages");
    } else {
      StoredPages stored(context, corpus, pages);
      TMEM_CHECK(stored.fill());
      const BlobArena blobs(corpus, pages);
      Codec codec;
      const auto d = [&](size_t i) { codec.decompress(blobs.blob(i)); };
      TMEM_TRY(const Paired random, stored.run(false, d));
      row("P2", random, {1.35, Better::kLower}, "get at random, LZ4 : D");
      TMEM_TRY(const Paired batch, stored.run(true, d));
      row("P3", batch, {0.95, Better::kLower}, "gets in runs of 16, prefetched, LZ4 : D");
    }
  }
  const auto& packed = corpus.incompressible();
  if (report.wants("P9") && packed.size() / 2 >= context.settings.pages_min) {
    StoredPages stored(context, corpus, packed);
    TMEM_CHECK(stored.fill());
    Buffer hot(kPageBytes);
    const auto m = [&](size_t i) { reference_m(stored.source(i), hot.page(0)); };
    TMEM_TRY(const Paired times, stored.run(false, m));
    row("P9", times, {1.9, Better::kLower}, "get of an incompressible page : memcpy");
  }
  return {};
}

}  // namespace tmem::bench
