// SPDX-License-Identifier: GPL-2.0-or-later
// A store on memory that goes back in whole slots only, for the tests of Store::shrink.
#pragma once
#include <map>

#include "tests/model/whole_slots.h"
#include "tests/unit/store_world.h"

namespace tmem::store {

inline constexpr uint64_t kSlot = memory::kSlotBytes;

inline ClientSettings guaranteed(uint64_t bytes) {
  ClientSettings settings;
  settings.guarantee_bytes = bytes;
  return settings;
}

struct ShrinkWorld : World {
  explicit ShrinkWorld(const Options& options = {})
      : ShrinkWorld(options, std::make_unique<model::WholeSlots>(options.budget_bytes)) {}

  ShrinkState shrink_to(uint64_t bytes, unsigned slices = 64) {
    store->set_arena_limit(bytes);
    for (int i = 0; i < 100'000; ++i)
      if (const ShrinkState state = store->shrink(worker, slices); state != ShrinkState::kMore)
        return state;
    return ShrinkState::kMore;
  }
  uint64_t arena_bytes() const { return store->stats().arena_bytes; }

  model::WholeSlots& slots;

 private:
  ShrinkWorld(const Options& options, std::unique_ptr<model::WholeSlots> made)
      : World(options, std::move(made)), slots(static_cast<model::WholeSlots&>(*provider)) {}
};

}  // namespace tmem::store
