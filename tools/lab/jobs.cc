// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/jobs.h"

#include <algorithm>

namespace tmem::lab {
namespace {

// Runs a bit of the compiler's programs: low pages of each file are the hot ones.
void run_text(GuestMemory& memory, const std::vector<InodeId>& programs, Rng& rng,
              uint32_t touches) {
  for (uint32_t i = 0; i < touches; ++i) {
    const InodeId program = programs[rng.skewed_below(static_cast<uint32_t>(programs.size()))];
    memory.execute(program, rng.skewed_below(memory.file_pages(program)));
  }
}

// A half of the touches writes; new pages are touched more often than old ones.
void use_heap(GuestMemory& memory, SpaceId space, Rng& rng, uint32_t touches) {
  const uint32_t pages = memory.space_pages(space);
  for (uint32_t i = 0; i < touches && pages > 0; ++i) {
    memory.touch(space, pages - 1 - rng.skewed_below(pages), (i & 1) != 0);
  }
}

// The part of `total` that is due in unit `unit` of `units`, so that all parts add up.
uint32_t share(uint32_t total, uint32_t unit, uint32_t units) {
  return static_cast<uint32_t>(uint64_t{total} * (unit + 1) / units -
                               uint64_t{total} * unit / units);
}

class CompileJob final : public Work {
 public:
  CompileJob(const Parameters& parameters, const BuildModel& build, JobInput input, uint64_t seed)
      : build_(build), input_(std::move(input)), rng_(seed) {
    const uint32_t headers = std::min(build.headers_per_job / parameters.scale,
                                      static_cast<uint32_t>(input_.headers.size()));
    // Popular headers are at the front of the list; twice the same is read twice, from the cache.
    for (uint32_t i = 0; i < headers; ++i) {
      chosen_.push_back(
          input_.headers[rng_.skewed_below(static_cast<uint32_t>(input_.headers.size()))]);
    }
    const uint32_t least = scaled_kib(build.heap_min_kib, parameters.scale);
    const uint32_t most = scaled_kib(build.heap_max_kib, parameters.scale);
    heap_pages_ = least + rng_.below(most - least + 1);
  }

  StepResult step(GuestMemory& memory) override {
    if (unit_ == 0) {
      space_ = memory.create_space();
      cpu_ns_ = build_.job_ns + memory.file_pages(input_.source) * build_.job_source_page_ns;
    }
    const uint32_t reading = build_.units * 2 / 3;
    const uint32_t writing = build_.units - 4;
    run_text(memory, input_.compiler, rng_, build_.text_touches);
    memory.grow(space_, share(heap_pages_, unit_, build_.units));
    use_heap(memory, space_, rng_, build_.heap_touches);
    if (unit_ < reading) {
      read(memory, share(static_cast<uint32_t>(chosen_.size()), unit_, reading),
           share(memory.file_pages(input_.source), unit_, reading));
    }
    if (unit_ >= writing) {
      const uint32_t pages = share(memory.file_pages(input_.output), unit_ - writing, 4);
      memory.write_file(input_.output, written_, pages);
      written_ += pages;
    }
    const bool done = ++unit_ == build_.units;
    if (done) memory.destroy_space(space_);
    return {cpu_ns_ / build_.units, 0, done};
  }

 private:
  void read(GuestMemory& memory, uint32_t headers, uint32_t source_pages) {
    for (uint32_t i = 0; i < headers; ++i) {
      const InodeId header = chosen_[headers_read_++];
      memory.read_file(header, 0, memory.file_pages(header));
    }
    memory.read_file(input_.source, source_read_, source_pages);
    source_read_ += source_pages;
  }

  const BuildModel& build_;
  const JobInput input_;
  Rng rng_;
  std::vector<InodeId> chosen_;
  uint32_t heap_pages_ = 0;
  uint64_t cpu_ns_ = 0;
  SpaceId space_ = 0;
  uint32_t unit_ = 0;
  uint32_t headers_read_ = 0;
  uint32_t source_read_ = 0;
  uint32_t written_ = 0;
};

class LinkJob final : public Work {
 public:
  LinkJob(const BuildModel& build, std::vector<InodeId> compiler, std::vector<InodeId> inputs,
          InodeId output, uint32_t heap_pages)
      : build_(build),
        compiler_(std::move(compiler)),
        inputs_(std::move(inputs)),
        output_(output),
        heap_pages_(heap_pages),
        rng_(mix(output, 600)) {}

  StepResult step(GuestMemory& memory) override {
    if (unit_ == 0) space_ = memory.create_space();
    const auto units = static_cast<uint32_t>(inputs_.size());
    const InodeId input = inputs_[unit_];
    run_text(memory, compiler_, rng_, 4);
    memory.grow(space_, share(heap_pages_, unit_, units));
    use_heap(memory, space_, rng_, build_.heap_touches / 2);
    memory.read_file(input, 0, memory.file_pages(input));
    const uint32_t pages = share(memory.file_pages(output_), unit_, units);
    memory.write_file(output_, written_, pages);
    written_ += pages;
    const bool done = ++unit_ == units;
    if (done) memory.destroy_space(space_);
    return {(memory.file_pages(input) + pages) * build_.link_page_ns, 0, done};
  }

 private:
  const BuildModel& build_;
  const std::vector<InodeId> compiler_;
  const std::vector<InodeId> inputs_;
  const InodeId output_;
  const uint32_t heap_pages_;
  Rng rng_;
  SpaceId space_ = 0;
  uint32_t unit_ = 0;
  uint32_t written_ = 0;
};

class SystemLoad final : public Work {
 public:
  SystemLoad(const Parameters& parameters, const BuildModel& build, uint64_t seed)
      : committed_(scaled_kib(build.system_kib, parameters.scale)),
        used_(committed_ * build.system_used_percent / 100),
        rng_(seed) {}

  StepResult step(GuestMemory& memory) override {
    if (!started_) {
      started_ = true;
      memory.commit(committed_ - used_);
      space_ = memory.create_space();
      memory.grow(space_, used_);
    }
    for (uint32_t i = 0; i < used_ / 20; ++i) {
      memory.touch(space_, rng_.skewed_below(used_), (i & 3) == 0);
    }
    return {kMs, kSecond, false};
  }

 private:
  const uint32_t committed_;
  const uint32_t used_;
  Rng rng_;
  bool started_ = false;
  SpaceId space_ = 0;
};

}  // namespace

std::unique_ptr<Work> compile_job(const Parameters& parameters, const BuildModel& build,
                                  JobInput input, uint64_t seed) {
  return std::make_unique<CompileJob>(parameters, build, std::move(input), seed);
}

std::unique_ptr<Work> link_job(const BuildModel& build, std::vector<InodeId> compiler,
                               std::vector<InodeId> inputs, InodeId output, uint32_t heap_pages) {
  return std::make_unique<LinkJob>(build, std::move(compiler), std::move(inputs), output,
                                   heap_pages);
}

std::unique_ptr<Work> system_load(const Parameters& parameters, const BuildModel& build,
                                  uint64_t seed) {
  return std::make_unique<SystemLoad>(parameters, build, seed);
}

}  // namespace tmem::lab
