// SPDX-License-Identifier: GPL-2.0-or-later
// P6: put of a page whose twin is stored with LZ4, against V.
// P7: the same with a twin that is still raw, against H. (The store compares bytes always; the goal
// was set for a store that trusts the hash.)
#include <algorithm>

#include "tests/bench/benches.h"
#include "tests/bench/reference.h"

namespace tmem::bench {
namespace {

constexpr uint64_t kSecondCopies = 1 << 24;

class Duplicates {
 public:
  Duplicates(const Context& context, const Corpus& corpus, bool raw)
      : context_(context),
        corpus_(corpus),
        raw_(raw),
        pages_(corpus.compressible()),
        slice_(std::min(context.settings.round_pages, pages_.size() / 2)) {}

  Result<Paired> run() {
    TMEM_TRY(test_, TestStore::create({.budget_bytes = roomy_budget(pages_.size())}));
    TMEM_TRY(client_, test_->add_client("guest", store::Kind::kEphemeral));
    for (size_t i = 0; i < pages_.size(); ++i)
      TMEM_CHECK(test_->put(*client_, key_of(i), corpus_.page(pages_[i])));
    if (!raw_) {
      TMEM_CHECK(test_->age());
      blobs_ = std::make_unique<BlobArena>(corpus_, pages_);
    }
    TMEM_CHECK(round(0, nullptr));  // warms up
    Paired times;
    for (unsigned r = 0; r < context_.settings.rounds; ++r) TMEM_CHECK(round(r, &times));
    return times;
  }

 private:
  void reference(size_t i) {
    const Page page = corpus_.page(pages_[i]);
    reference_h(page);
    if (raw_) return;
    codec_.decompress(blobs_->blob(i));
    keep(std::memcmp(codec_.output().data(), page.data(), kPageBytes));
  }

  Result<void> round(unsigned r, Paired* times) {
    const auto order = shuffled(pages_.size(), 100 + r);
    const double theirs = cpu_ns_each(slice_, [&] {
      for (size_t i = 0; i < slice_; ++i) reference(order[i]);
    });
    const uint64_t before = test_->store().client_stats(*client_).counters.puts_duplicate;
    store::Status worst = store::Status::kOk;
    const double ours = cpu_ns_each(slice_, [&] {
      for (size_t i = 0; i < slice_; ++i) {
        const Page page = corpus_.page(pages_[order[slice_ + i]]);
        worst = std::max(
            worst, test_->store().put(test_->worker(), *client_, key_of(kSecondCopies + i), page));
      }
    });
    if (worst != store::Status::kOk) return tl::make_unexpected(unexpected_status("put", worst));
    const uint64_t found = test_->store().client_stats(*client_).counters.puts_duplicate - before;
    if (found < slice_ * 99 / 100)
      return fail(Errc::kConflict, std::to_string(found) + " of " + std::to_string(slice_) +
                                       " duplicates were found as such");
    for (size_t i = 0; i < slice_; i += 64)
      (void)test_->store().flush_object(*client_, kPool, key_of(kSecondCopies + i).object);
    TMEM_CHECK(test_->tidy());
    if (times == nullptr) return {};
    times->ours.push_back(ours);
    times->reference.push_back(theirs);
    return {};
  }

  const Context& context_;
  const Corpus& corpus_;
  const bool raw_;
  const std::vector<uint32_t>& pages_;
  const size_t slice_;
  Codec codec_;
  std::unique_ptr<BlobArena> blobs_;
  std::unique_ptr<TestStore> test_;
  store::ClientRef client_;
};

}  // namespace

Result<void> bench_duplicate(const Context& context, const Corpus& corpus) {
  Report& report = context.report;
  if (corpus.compressible().size() / 2 < context.settings.pages_min) {
    for (const char* id : {"P6", "P7"})
      report.skip(id, corpus.name(), "too few different compressible pages");
    return {};
  }
  if (report.wants("P6")) {
    TMEM_TRY(const Paired t, Duplicates(context, corpus, false).run());
    report.add({"P6", corpus.name(), median(t.ours), median(t.reference), "ns",
                Goal{1.15, Better::kLower}, "duplicate of an LZ4 page, put : V"});
  }
  if (report.wants("P7")) {
    TMEM_TRY(const Paired t, Duplicates(context, corpus, true).run());
    report.add({"P7", corpus.name(), median(t.ours), median(t.reference), "ns",
                Goal{2.2, Better::kLower}, "duplicate of a raw page, compared, put : H"});
  }
  return {};
}

}  // namespace tmem::bench
