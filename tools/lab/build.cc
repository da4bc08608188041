// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/build.h"

#include "libtmem/base/assert.h"

namespace tmem::lab {

Build::Build(const Parameters& parameters, const BuildModel& model, uint32_t guest,
             const GuestFiles& files, GuestMemory& memory)
    : parameters_(parameters), model_(model), guest_(guest), files_(files), memory_(memory) {
  for (const ContentRef& ref : files.compiler) compiler_.push_back(memory.create_file(0, ref));
  for (uint32_t t = 0; t < files.trees.size(); ++t) {
    Tree tree;
    for (const ContentRef& ref : files.trees[t].headers) {
      tree.headers.push_back(memory.create_file(t, ref));
    }
    for (const JobFiles& job : files.trees[t].jobs) {
      tree.sources.push_back(memory.create_file(t, job.source));
    }
    trees_.push_back(std::move(tree));
  }
}

uint32_t Build::jobs_total() const {
  return parameters_.rounds *
         static_cast<uint32_t>(trees_.size() * files_.trees.front().jobs.size());
}

void Build::clean() {
  for (const InodeId inode : trees_[tree_].outputs) memory_.unlink(inode);
  trees_[tree_].outputs.clear();
  groups_.assign((jobs() + model_.jobs_per_archive - 1) / model_.jobs_per_archive, {});
  archives_.clear();
  archive_bytes_ = 0;
  next_job_ = 0;
  linking_ = false;
  started_ = true;
}

Build::Started Build::next() {
  if (finished() || running_ >= model_.parallel) return {};
  if (!started_) clean();
  Started started;
  if (!complete_groups_.empty()) {
    const uint32_t group = complete_groups_.front();
    complete_groups_.pop_front();
    started = {archive(groups_[group]), kLinkers};
  } else if (next_job_ < jobs()) {
    started = {compile(next_job_), next_job_};
    ++next_job_;
  } else if (running_ == 0 && !linking_) {
    linking_ = true;
    started = {link(), kLinkers};
  } else {
    return {};
  }
  ++running_;
  return started;
}

void Build::ended(uint32_t id) {
  --running_;
  if (id < kLinkers) {
    ++jobs_done_;
    const uint32_t group = id / model_.jobs_per_archive;
    const uint32_t last = std::min((group + 1) * model_.jobs_per_archive, jobs());
    if (--groups_[group].compiling == 0 && next_job_ >= last) complete_groups_.push_back(group);
  } else if (linking_) {
    end_build();
  }
}

void Build::end_build() {
  TMEM_ASSERT(running_ == 0 && complete_groups_.empty());
  started_ = false;
  if (++tree_ == trees_.size()) {
    tree_ = 0;
    ++round_;
  }
}

InodeId Build::create_output(uint64_t seed, uint64_t bytes) {
  const InodeId inode = memory_.create_file(tree_, {ContentKind::kOutput, seed, bytes});
  trees_[tree_].outputs.push_back(inode);
  return inode;
}

std::unique_ptr<Work> Build::compile(uint32_t number) {
  const JobFiles& job = files_.trees[tree_].jobs[number];
  const uint64_t bytes = job.source.bytes * model_.object_percent / 100;
  const InodeId object = create_output(job.output_seed, bytes);
  Group& group = groups_[number / model_.jobs_per_archive];
  group.objects.push_back(object);
  group.bytes += bytes;
  ++group.compiling;
  const uint64_t build = (uint64_t{round_} << 40) + (uint64_t{tree_} << 32);
  const uint64_t seed = mix(parameters_.seed, guest_, build + number);
  const Tree& tree = trees_[tree_];
  return compile_job(parameters_, model_, {compiler_, tree.headers, tree.sources[number], object},
                     seed);
}

// The same bytes as the objects, but at other offsets: no page of it equals one of theirs.
std::unique_ptr<Work> Build::archive(const Group& group) {
  const auto& jobs_of_tree = files_.trees[tree_].jobs;
  const auto first = static_cast<size_t>(&group - groups_.data()) * model_.jobs_per_archive;
  uint64_t seed = 0;
  for (size_t i = 0; i < group.objects.size(); ++i) {
    seed = mix(seed, jobs_of_tree[first + i].output_seed);
  }
  const InodeId output = create_output(seed, group.bytes);
  archives_.push_back(output);
  archive_bytes_ += group.bytes;
  return link_job(model_, compiler_, group.objects, output,
                  static_cast<uint32_t>(group.bytes / kPageBytes) / 4);
}

std::unique_ptr<Work> Build::link() {
  uint64_t seed = tree_;
  for (const JobFiles& job : files_.trees[tree_].jobs) seed = mix(seed, job.output_seed);
  const InodeId program = create_output(seed, archive_bytes_ * model_.program_percent / 100);
  return link_job(model_, compiler_, archives_, program,
                  scaled_kib(model_.linker_heap_kib, parameters_.scale));
}

}  // namespace tmem::lab
