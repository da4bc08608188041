// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/model/stream.h"

#include <algorithm>
#include <string_view>

namespace tmem::model {
namespace {

using store::Kind;

constexpr size_t at(OpKind kind) {
  return static_cast<size_t>(kind);
}

uint32_t between(Rng& rng, uint32_t low, uint32_t high) {
  return low + rng.below(high - low + 1);
}

}  // namespace

Uuid client_uuid(uint32_t client) {
  Uuid uuid{};
  uuid[0] = 0xc1;
  uuid[15] = static_cast<uint8_t>(client + 1);
  return uuid;
}

Uuid shared_uuid(uint32_t pool) {
  Uuid uuid{};
  uuid[0] = 0x5a;
  uuid[15] = static_cast<uint8_t>(pool + 1);
  return uuid;
}

std::string describe(const Operation& op) {
  static constexpr std::array<std::string_view, at(OpKind::kCount)> kNames = {
      "put",          "get",        "flush_page", "flush_object", "flush_pool",
      "create",       "destroy",    "stale get",  "stale put",    "stale flush",
      "configure",    "remove",     "add",        "authorise",    "evict",
      "evict_client", "set_budget", "advance",    "maintain"};
  const auto word = [](uint64_t value) { return std::to_string(value); };
  std::string text = std::string(kNames[at(op.kind)]) + " client " + word(op.client);
  if (is_client_op(op.kind)) {
    const auto& oid = op.key.object.word;
    text += " pool " + word(static_cast<uint32_t>(op.key.pool)) + " object " + word(oid[0]) + ":" +
            word(oid[1]) + ":" + word(oid[2]) + " index " + word(op.key.index);
  }
  if (op.kind == OpKind::kPut) text += " content " + word(static_cast<uint64_t>(op.content));
  if (op.kind == OpKind::kCreatePool) {
    text += op.spec.kind == Kind::kPersistent ? " persistent" : " ephemeral";
    if (op.spec.shared) text += " shared";
  }
  if (op.kind == OpKind::kAuthorise) text += op.allowed ? " yes" : " no";
  if (op.amount != 0) text += " amount " + word(op.amount);
  return text;
}

Shape Shape::draw(uint64_t seed, Regime regime) {
  Rng rng(seed);
  Shape shape;
  shape.regime = regime;
  shape.draw_sizes(rng);
  shape.draw_weights(rng);
  shape.hot_percent = rng.below(90);
  shape.fresh_percent = rng.below(100);
  shape.textures = between(rng, 1, (1u << static_cast<uint32_t>(Texture::kCount)) - 1);
  shape.persistent_pools = rng.below(1u << kPrivatePools);
  shape.object_base = rng.one_in(2) ? 0 : rng.next();
  shape.index_shift = between(rng, 16, 31);
  shape.slices_max = 1u << between(rng, 0, 8);
  shape.batch = between(rng, 1, 64);
  shape.queues = between(rng, 1, 4);
  shape.shared = rng.one_in(2);
  shape.caps = rng.one_in(3);
  shape.freezes = rng.one_in(3);
  shape.options.lz4_after_ms = 1u << between(rng, 0, 11);
  shape.options.zstd_after_ms = shape.options.lz4_after_ms * between(rng, 1, 30);
  shape.options.nursery_percent = between(rng, 1, 50);
  shape.options.zstd = !rng.one_in(4);
  if (regime == Regime::kTight && rng.one_in(2)) shape.crowd(rng);
  return shape;
}

void Shape::crowd(Rng& rng) {
  options.budget_bytes = 12 * kMiB;
  budget_max_bytes = 2 * options.budget_bytes;
  persistent_pools = (1u << kPrivatePools) - 1;
  textures = 1u << static_cast<uint32_t>(Texture::kRandom) |
             1u << static_cast<uint32_t>(rng.one_in(2) ? Texture::kSameFilled : Texture::kMixed);
  fresh_percent = between(rng, 80, 100);
  indices = std::min(indices, 64u);
  objects = std::max(1u, between(rng, 6000, 9000) / (clients * pools * indices));
  hot_percent = 0;
  shared = false;
  caps = false;
  freezes = false;
  weights[at(OpKind::kPut)] = 60'000;
  weights[at(OpKind::kGet)] = 10'000;
  weights[at(OpKind::kFlushPage)] = rng.below(500);
  for (const OpKind kind : {OpKind::kFlushObject, OpKind::kFlushPool, OpKind::kDestroyPool,
                            OpKind::kRemoveClient, OpKind::kSetBudget})
    weights[at(kind)] = 0;
}

void Shape::draw_sizes(Rng& rng) {
  clients = between(rng, 1, kClientsMax);
  pools = between(rng, 1, kPrivatePools);
  options.budget_bytes = regime == Regime::kAmple ? 64 * kMiB : between(rng, 16, 24) * kMiB;
  budget_max_bytes = 2 * options.budget_bytes;
  // Ample: at most 4096 pages, a quarter of the budget. Tight: 4 to 16 thousand, so about 1 to 4
  // times the budget.
  const uint32_t pages =
      regime == Regime::kAmple ? between(rng, 64, 4096) : between(rng, 5000, 20000);
  const uint32_t keys_wanted = std::max(2u, pages / (clients * pools));
  indices = std::min(keys_wanted, 1u << between(rng, 0, 9));
  objects = std::max(1u, keys_wanted / indices);
  hot_keys = between(rng, 1, 32);
  popular = between(rng, 1, 64);
}

void Shape::draw_weights(Rng& rng) {
  const bool tight = regime == Regime::kTight;
  const auto set = [&](OpKind kind, uint32_t low, uint32_t high) {
    weights[at(kind)] = between(rng, low, high);
  };
  const auto maybe = [&](OpKind kind, uint32_t high) {
    weights[at(kind)] = rng.one_in(2) ? 0 : between(rng, 1, high);
  };
  set(OpKind::kPut, 20'000, 60'000);
  set(OpKind::kGet, 5'000, 40'000);
  maybe(OpKind::kFlushPage, tight ? 4'000 : 20'000);
  maybe(OpKind::kFlushObject, tight ? 100 : 2'000);
  maybe(OpKind::kFlushPool, tight ? 4 : 60);
  maybe(OpKind::kDestroyPool, tight ? 4 : 60);
  maybe(OpKind::kRemoveClient, tight ? 2 : 15);
  maybe(OpKind::kConfigure, 40);
  maybe(OpKind::kAuthorise, 40);
  maybe(OpKind::kEvict, tight ? 10 : 3);
  maybe(OpKind::kEvictClient, tight ? 5 : 10);
  maybe(OpKind::kStaleGet, 500);
  maybe(OpKind::kStalePut, 500);
  maybe(OpKind::kStaleFlush, 500);
  if (tight) maybe(OpKind::kSetBudget, 10);
  set(OpKind::kAdvance, 10, 200);
  set(OpKind::kMaintain, tight ? 5 : 50, 2'000);
  // What ends must come back, or the run idles.
  weights[at(OpKind::kCreatePool)] =
      20 + 8 * (weights[at(OpKind::kDestroyPool)] + weights[at(OpKind::kRemoveClient)] * pools);
  weights[at(OpKind::kAddClient)] = 8 * weights[at(OpKind::kRemoveClient)];
}

store::ClientSettings Shape::settings_of(uint64_t seed) const {
  Rng rng(seed);
  static constexpr std::array<uint32_t, 5> kWeights = {0, 1, 50, 100, 1000};
  store::ClientSettings settings;
  settings.weight = kWeights[rng.below(kWeights.size())];
  const uint32_t cap = between(rng, 1, std::max(2u, keys() * pools / 2));
  if (caps && rng.one_in(2)) settings.cap_pages = cap;
  settings.guarantee_bytes = options.budget_bytes / 16 * rng.below(3);
  settings.compress = !rng.one_in(4);
  settings.frozen = freezes && rng.one_in(4);
  settings.dedup = static_cast<store::DedupScope>(rng.below(4));
  settings.dedup_group = rng.one_in(2) ? "red" : "blue";
  return settings;
}

Stream::Stream(uint64_t seed, const Shape& shape) : shape_(shape), rng_(seed) {
  for (const uint32_t weight : shape.weights) weight_sum_ += weight;
  for (size_t t = 0; t < static_cast<size_t>(Texture::kCount); ++t)
    if ((shape.textures >> t & 1) != 0) textures_.push_back(static_cast<Texture>(t));
  for (uint32_t i = 0; i < shape.popular; ++i) {
    const Texture texture = textures_[rng_.below(static_cast<uint32_t>(textures_.size()))];
    popular_.push_back(content_id(texture, static_cast<uint8_t>(rng_.below(8)), rng_.below(4)));
  }
}

std::vector<Operation> Stream::opening() {
  std::vector<Operation> ops;
  for (uint32_t client = 0; client < shape_.clients; ++client) {
    for (uint32_t pool = 0; shape_.shared && pool < kSharedPools; ++pool)
      ops.push_back(authorise(client, pool, true));
    for (uint32_t pool = 0; pool < kFirstSharedPool + kSharedPools; ++pool) {
      const bool is_shared = pool >= kFirstSharedPool;
      if (is_shared ? !shape_.shared : pool >= shape_.pools) continue;
      Operation op;
      op.kind = OpKind::kCreatePool;
      op.client = static_cast<uint8_t>(client);
      op.key.pool = PoolId{pool};
      op.spec = draw_spec(pool);
      ops.push_back(op);
    }
  }
  return ops;
}

OpKind Stream::draw_kind() {
  uint32_t left = rng_.below(weight_sum_);
  size_t kind = 0;
  while (left >= shape_.weights[kind]) left -= shape_.weights[kind++];
  return static_cast<OpKind>(kind);
}

// Now and then a pool that does not exist.
uint32_t Stream::draw_pool() {
  if (shape_.shared && rng_.one_in(4)) return kFirstSharedPool + rng_.below(kSharedPools);
  return rng_.below(shape_.pools + (rng_.one_in(200) ? 1 : 0));
}

// Neighbouring numbers differ only in the object's last word or in a high bit of the index.
store::Key Stream::draw_key() {
  const bool hot = rng_.percent(shape_.hot_percent);
  const uint32_t all = shape_.keys();
  const uint32_t key = hot ? rng_.below(std::min(all, shape_.hot_keys)) : rng_.below(all);
  const uint32_t object = key % shape_.objects;
  const uint32_t index = key / shape_.objects;
  store::Key drawn;
  drawn.pool = PoolId{draw_pool()};
  drawn.object.word = {shape_.object_base + (object >> 1), shape_.object_base >> 7,
                       (object & 1) != 0 ? uint64_t{1} << 63 : 0};
  drawn.index = (index >> 1) | (index & 1) << shape_.index_shift;
  return drawn;
}

ContentId Stream::draw_content() {
  if (!rng_.percent(shape_.fresh_percent))
    return popular_[rng_.below(static_cast<uint32_t>(popular_.size()))];
  const Texture texture = textures_[rng_.below(static_cast<uint32_t>(textures_.size()))];
  return content_id(texture, static_cast<uint8_t>(rng_.below(8)), ++fresh_);
}

store::PoolSpec Stream::draw_spec(uint32_t pool) {
  store::PoolSpec spec;
  if (pool >= kFirstSharedPool) {
    spec.shared = true;
    spec.uuid = shared_uuid(pool - kFirstSharedPool);
    if (rng_.one_in(50)) spec.kind = Kind::kPersistent;  // never allowed
    return spec;
  }
  const bool usual = !rng_.one_in(8);
  const bool persistent = (shape_.persistent_pools >> pool & 1) != 0;
  spec.kind = persistent == usual ? Kind::kPersistent : Kind::kEphemeral;
  return spec;
}

Operation Stream::authorise(uint32_t client, uint32_t pool, bool allowed) const {
  Operation op;
  op.kind = OpKind::kAuthorise;
  op.client = static_cast<uint8_t>(client);
  op.spec = {.kind = Kind::kEphemeral, .shared = true, .uuid = shared_uuid(pool)};
  op.allowed = allowed;
  return op;
}

Operation Stream::draw_admin(Operation op) {
  switch (op.kind) {
    case OpKind::kConfigure:
    case OpKind::kAddClient:
      op.settings = rng_.next();
      break;
    case OpKind::kAuthorise:
      return authorise(op.client, rng_.below(kSharedPools), rng_.one_in(2));
    case OpKind::kEvict:
      op.amount = uint64_t{1} << between(rng_, 12, 24);
      break;
    case OpKind::kSetBudget:
      op.amount = shape_.options.budget_bytes / 8 * between(rng_, 8, 16);
      break;
    case OpKind::kAdvance:
      op.amount = 1u << between(rng_, 0, 17);
      break;
    case OpKind::kMaintain:
      op.amount = between(rng_, 1, shape_.slices_max);
      break;
    default:
      break;
  }
  return op;
}

Operation Stream::next() {
  Operation op;
  op.kind = draw_kind();
  op.client = static_cast<uint8_t>(rng_.below(shape_.clients));
  if (!is_client_op(op.kind)) return draw_admin(op);
  op.key = draw_key();
  if (op.kind == OpKind::kPut || op.kind == OpKind::kStalePut) op.content = draw_content();
  if (op.kind == OpKind::kCreatePool) {
    // Any pool, not only those that keys are drawn from most.
    const bool shared = shape_.shared && rng_.one_in(4);
    op.key.pool =
        PoolId{shared ? kFirstSharedPool + rng_.below(kSharedPools) : rng_.below(shape_.pools)};
    op.spec = draw_spec(static_cast<uint32_t>(op.key.pool));
  }
  return op;
}

}  // namespace tmem::model
