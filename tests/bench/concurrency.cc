// SPDX-License-Identifier: GPL-2.0-or-later
// C1: CPU time of an operation with two threads against one, keys apart, one pool. Each thread puts
// a slice of fresh pages, gets it, and does its share of the background work, as a daemon's workers
// do. C1-bare: the same for LZ4 alone: what the machine itself adds when both cores are busy.
#include <algorithm>
#include <thread>

#include "tests/bench/benches.h"
#include "tests/bench/reference.h"

namespace tmem::bench {
namespace {

constexpr size_t kThreads = 2;
constexpr size_t kMaintainEvery = 64;

struct Work {
  uint64_t cpu_ns = 0;
  uint64_t failures = 0;
};

// Runs job(t) for t < threads at once; sums up.
template <class Job>
Work run_threads(size_t threads, const Job& job) {
  std::vector<Work> results(threads);
  std::vector<std::jthread> running;
  running.reserve(threads);
  for (size_t t = 0; t < threads; ++t)
    running.emplace_back([&results, &job, t] {
      const uint64_t start = thread_cpu_ns();
      results[t].failures = job(t);
      results[t].cpu_ns = thread_cpu_ns() - start;
    });
  running.clear();
  Work sum;
  for (const Work& work : results) {
    sum.cpu_ns += work.cpu_ns;
    sum.failures += work.failures;
  }
  return sum;
}

class Slices {
 public:
  Slices(const Context& context, const Corpus& corpus)
      : corpus_(corpus),
        pages_(corpus.compressible()),
        slice_(std::min(context.settings.round_pages, pages_.size() / kThreads) / 64 * 64),
        workers_(kThreads) {}

  Result<void> open() {
    TMEM_TRY(test_, TestStore::create({.budget_bytes = roomy_budget(pages_.size())}));
    TMEM_TRY(client_, test_->add_client("guest", store::Kind::kPersistent));
    return {};
  }

  // CPU nanoseconds of an operation. The clock moves between the phases only, so that exactly the
  // same pages are compressed with one thread as with two.
  Result<double> store_round(size_t threads) {
    Work sum;
    const auto phase = [&](auto&& job) {
      const Work work = run_threads(threads, job);
      sum.cpu_ns += work.cpu_ns;
      sum.failures += work.failures;
      test_->clock().advance_ms(test_->options().lz4_after_ms + 1);
    };
    phase([this](size_t t) { return put_all(t, 0, slice_ / 2); });
    phase([this](size_t t) { return put_all(t, slice_ / 2, slice_) + finish(t); });
    phase([this](size_t t) { return finish(t) + get_all(t); });
    if (sum.failures != 0) return fail(Errc::kConflict, "an operation failed in C1");
    for (uint64_t i = 0; i < pages_.size(); i += 64)
      (void)test_->store().flush_object(*client_, kPool, key_of(i).object);
    TMEM_CHECK(test_->tidy());
    return static_cast<double>(sum.cpu_ns) / static_cast<double>(threads * slice_ * 2);
  }

  double bare_round(size_t threads) const {
    const Work work = run_threads(threads, [this](size_t t) {
      Codec codec;
      for (size_t i = 0; i < slice_; ++i) (void)codec.reference_s(page(t, i));
      return uint64_t{0};
    });
    return static_cast<double>(work.cpu_ns) / static_cast<double>(threads * slice_);
  }

  size_t slice() const { return slice_; }

 private:
  Page page(size_t thread, size_t i) const { return corpus_.page(pages_[thread * slice_ + i]); }

  store::Key key(size_t thread, size_t i) const { return key_of(thread * slice_ + i); }

  uint64_t put_all(size_t thread, size_t from, size_t to) {
    uint64_t failures = 0;
    for (size_t i = from; i < to; ++i) {
      failures += test_->store().put(workers_[thread], *client_, key(thread, i), page(thread, i)) !=
                  store::Status::kOk;
      if (i % kMaintainEvery == 0) (void)test_->store().maintain(workers_[thread], 16);
    }
    return failures;
  }

  // Until there is nothing left to compress.
  uint64_t finish(size_t thread) {
    while (test_->store().maintain(workers_[thread], 16)) continue;
    return 0;
  }

  uint64_t get_all(size_t thread) {
    Buffer out(kPageBytes);
    uint64_t failures = 0;
    for (size_t i = 0; i < slice_; ++i)
      failures += test_->store().get(workers_[thread], *client_, key(thread, i), out.page(0)) !=
                  store::Status::kOk;
    return failures;
  }

  const Corpus& corpus_;
  const std::vector<uint32_t>& pages_;
  const size_t slice_;  // whole objects: threads share none
  std::vector<store::Worker> workers_;
  std::unique_ptr<TestStore> test_;
  store::ClientRef client_;
};

}  // namespace

Result<void> bench_threads(const Context& context, const Corpus& corpus) {
  Report& report = context.report;
  if (!report.wants_group("C1")) return {};
  if (std::thread::hardware_concurrency() < kThreads) {
    report.skip("C1", corpus.name(), "this machine has one CPU");
    return {};
  }
  Slices slices(context, corpus);
  if (slices.slice() < context.settings.pages_min) {
    report.skip("C1", corpus.name(), "too few different compressible pages");
    return {};
  }
  TMEM_CHECK(slices.open());
  Paired ours;
  Paired bare;
  for (unsigned r = 0; r <= context.settings.rounds; ++r) {
    TMEM_TRY(const double one, slices.store_round(1));
    const double bare_one = slices.bare_round(1);
    TMEM_TRY(const double two, slices.store_round(kThreads));
    const double bare_two = slices.bare_round(kThreads);
    if (r == 0) continue;  // warms up
    ours.ours.push_back(two);
    ours.reference.push_back(one);
    bare.ours.push_back(bare_two);
    bare.reference.push_back(bare_one);
  }
  report.add({"C1", corpus.name(), median(ours.ours), median(ours.reference), "ns",
              Goal{1.10, Better::kLower}, "CPU of an operation, two threads : one, one pool"});
  report.add({"C1-bare", corpus.name(), median(bare.ours), median(bare.reference), "ns",
              std::nullopt, "S with two threads : one (the machine's share of C1)"});
  return {};
}

}  // namespace tmem::bench
