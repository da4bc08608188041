// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/bench/fixture.h"

#include "tmemd/memory/memfd.h"

namespace tmem::bench {

Error unexpected_status(const char* what, store::Status status) {
  return {Errc::kConflict, std::string(what) + " answered " + std::string(to_string(status))};
}

Result<std::unique_ptr<TestStore>> TestStore::create(const Setup& setup) {
  std::unique_ptr<TestStore> made(new TestStore);
  made->options_.budget_bytes = setup.budget_bytes;
  made->options_.zstd = setup.zstd;
  made->options_.nursery_percent = setup.nursery_percent;
  if (setup.touched) {
    TMEM_TRY(auto provider, TouchedProvider::create(setup.budget_bytes));
    made->touched_ = provider.get();
    made->provider_ = std::move(provider);
  } else {
    TMEM_TRY(made->provider_, memory::create_memfd_provider({.bytes_max = setup.budget_bytes}));
  }
  TMEM_TRY(made->store_,
           store::Store::create(made->options_, *made->provider_, made->clock_, 20261121));
  return made;
}

Result<store::ClientRef> TestStore::add_client(const std::string& name, store::Kind kind,
                                               const store::ClientSettings& settings) {
  store::ClientIdentity identity;
  ++clients_;
  identity.uuid[0] = static_cast<uint8_t>(clients_);
  identity.domid = DomId{static_cast<uint16_t>(clients_)};
  identity.name = name;
  TMEM_TRY(auto client, store_->add_client(identity, settings));
  const store::Status status =
      store_->create_pool(*client, kPool, {.kind = kind, .shared = false, .uuid = {}});
  if (status != store::Status::kOk)
    return tl::make_unexpected(unexpected_status("create_pool", status));
  return client;
}

Result<void> TestStore::put(store::Client& client, const store::Key& key, store::PageBytes page) {
  const store::Status status = store_->put(worker_, client, key, page);
  if (status != store::Status::kOk) return tl::make_unexpected(unexpected_status("put", status));
  return {};
}

Result<void> TestStore::drain() {
  const uint64_t deadline = wall_ns() + 300'000'000'000;
  while (store_->maintain(worker_, 256))
    if (wall_ns() > deadline)
      return fail(Errc::kConflict, "maintain() still had work after five minutes");
  return {};
}

Result<void> TestStore::age(bool to_zstd) {
  TMEM_CHECK(drain());
  clock_.advance_ms(options_.lz4_after_ms + 1);
  TMEM_CHECK(drain());
  if (!to_zstd) return {};
  clock_.advance_ms(options_.zstd_after_ms + 1);
  return drain();
}

Result<void> TestStore::rest() {
  for (int step = 0; step < 6; ++step) {
    clock_.advance_ms(5'000);
    TMEM_CHECK(drain());
  }
  return {};
}

Result<void> TestStore::tidy() {
  TMEM_CHECK(drain());
  if (touched_ != nullptr) touched_->scrub();
  return {};
}

}  // namespace tmem::bench
