// SPDX-License-Identifier: GPL-2.0-or-later
// Random streams of operations, swarm style: each run draws which operations occur at all and how
// often, how many keys and contents there are and how hot some of them are. Many runs that each do
// a few things often find more than one that does everything a little.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "tests/model/operation.h"
#include "tests/model/reference_store.h"
#include "tests/model/rng.h"

namespace tmem::model {

// What one run draws. In `kAmple`, all keys together with what maintain() has yet to free fit the
// budget several times; in `kTight` they exceed it.
struct Shape {
  static Shape draw(uint64_t seed, Regime regime);

  // Settings that an operation's seed stands for.
  store::ClientSettings settings_of(uint64_t seed) const;

  Regime regime = Regime::kAmple;
  store::Options options;
  uint64_t budget_max_bytes = 0;  // the most that kSetBudget asks for
  uint32_t clients = 1;
  uint32_t pools = 1;    // of a client, private
  uint32_t objects = 1;  // of a pool
  uint32_t indices = 1;  // of an object
  uint32_t hot_keys = 1;
  uint32_t hot_percent = 0;
  uint32_t fresh_percent = 0;     // of contents
  uint32_t popular = 1;           // contents that come again
  uint32_t textures = 1;          // bit mask over Texture
  uint32_t persistent_pools = 0;  // bit mask over pool ids
  uint64_t object_base = 0;
  uint32_t index_shift = 16;  // pairs of indices differ in this bit only
  uint32_t slices_max = 1;    // of a maintain()
  uint32_t batch = 1;         // operations in flight at once, ring mode
  uint32_t queues = 1;        // of a client, ring mode
  bool shared = false;
  bool caps = false;
  bool freezes = false;
  std::array<uint32_t, static_cast<size_t>(OpKind::kCount)> weights{};  // how often, relatively

  uint32_t keys() const { return objects * indices; }  // of a pool

 private:
  void draw_sizes(Rng& rng);
  void draw_weights(Rng& rng);
  // More persistent pages than fit, so that puts are refused, overwrites among them.
  void crowd(Rng& rng);
};

class Stream {
 public:
  Stream(uint64_t seed, const Shape& shape);
  Operation next();
  // The pools and authorisations that a run starts with.
  std::vector<Operation> opening();

 private:
  OpKind draw_kind();
  uint32_t draw_pool();
  store::Key draw_key();
  ContentId draw_content();
  store::PoolSpec draw_spec(uint32_t pool);
  Operation draw_admin(Operation op);
  Operation authorise(uint32_t client, uint32_t pool, bool allowed) const;

  const Shape& shape_;
  Rng rng_;
  uint32_t weight_sum_ = 0;
  uint64_t fresh_ = 1000;
  std::vector<ContentId> popular_;
  std::vector<Texture> textures_;
};

}  // namespace tmem::model
