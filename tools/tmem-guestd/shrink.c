// SPDX-License-Identifier: GPL-2.0-or-later
#include "shrink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "text.h"

enum {
  kStepUs = 100000,    // of reading, at most: meanwhile the agent hears nothing
  kStepLooks = 32768,  // pages whose place is looked up
  kTrialPages = 512,   // by then it shows whether slots are freed (the kernel frees them by 64)
  kUsefulPages = 64,   // a pass that brings fewer is not repeated soon
  kTypeTries = 4,
};
static const char kPoolPages[] = "/sys/kernel/tmem/swap/pool_pages";
static const char kState[] = "/sys/kernel/tmem/state";

void shrink_init(Shrink* shrink, const char* root, const ShrinkSettings* settings) {
  memset(shrink, 0, sizeof(*shrink));
  shrink->root = root;
  shrink->settings = *settings;
  shrink_law_init(&shrink->law, settings->most_pages_per_s);
  swap_walk_init(&shrink->walk, root);
}

// 0 without tmem_swap.
static uint64_t held_pages(const Shrink* shrink) {
  uint64_t pages = 0;
  const int file = open_below(shrink->root, kPoolPages, O_RDONLY);
  if (file < 0) return 0;
  if (!read_number(file, &pages)) pages = 0;
  close(file);
  return pages;
}

// Who reads a page of a pool whose daemon is gone waits until it is back.
static bool is_connected(const Shrink* shrink) {
  static const char kConnected[] = "connected\n";
  char state[sizeof(kConnected)] = "";
  const int file = open_below(shrink->root, kState, O_RDONLY);
  if (file < 0) return false;
  const ssize_t length = read(file, state, sizeof(state) - 1);
  close(file);
  return length == sizeof(kConnected) - 1 && strcmp(state, kConnected) == 0;
}

typedef struct {
  unsigned line;  // 0: the headings
  unsigned ours;  // 0: not found
  bool others_used;
} SwapAreas;

static const char* skip_word(const char* at) {
  while (*at && *at != ' ' && *at != '\t') ++at;
  return skip_spaces(at);
}

// "/dev/tmemswap0    partition    163836    41216    -2"
static void take_area(void* context, const char* line) {
  SwapAreas* areas = context;
  const unsigned number = areas->line++;
  if (number == 0) return;
  uint64_t used_kib = 0;
  const char* used = skip_word(skip_word(skip_word(line)));
  take_number(&used, &used_kib);
  if (after(line, "/dev/tmemswap"))
    areas->ours = number;
  else if (used_kib > 0)
    areas->others_used = true;
}

// Which of the kernel's types of swap is ours. Where others are in use: the areas are listed in
// order of type, but types may be missing between, so it may be one of the next.
static bool find_types(Shrink* shrink) {
  SwapAreas areas = {0, 0, false};
  const int file = open_below(shrink->root, "/proc/swaps", O_RDONLY);
  if (file < 0) return false;
  for_each_line(file, take_area, &areas);
  close(file);
  if (areas.ours == 0) return false;
  const unsigned type = areas.ours - 1 + shrink->type_try;
  shrink->shared = areas.others_used;
  shrink->types = areas.others_used ? (uint32_t)1 << type % kSwapTypes : kAnySwapType;
  return true;
}

static bool begin_pass(Shrink* shrink, uint64_t held) {
  shrink->pass_pages = 0;
  shrink->pass_held_pages = held;
  shrink->pass_judged = false;
  return find_types(shrink) && swap_walk_begin(&shrink->walk);
}

// Some or all processes may not be looked into, or not be read.
static void say_refusal(Shrink* shrink) {
  char number[24];
  Text processes = text_in(number, sizeof(number));
  if (shrink->walk.refused == 0 || shrink->refusal_said) return;
  add_number(&processes, shrink->walk.refused);
  say("pages in swap of ", number,
      " processes cannot be brought back: ", strerror(shrink->walk.refusal),
      "; reading other users' processes needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH (--shrink 0: "
      "do not try)",
      NULL);
  shrink->refusal_said = true;
}

static void say_useless(Shrink* shrink) {
  if (shrink->pass_pages < kTrialPages || shrink->useless_said) return;
  say("pages that are read keep their place in the host's pool: tmem_swap has sync=N, or "
      "processes share them; trying again ever more rarely",
      NULL);
  shrink->useless_said = true;
}

// Did the pool's pages become fewer by what was read? If not, the type may be wrong.
static void judge(Shrink* shrink, bool complete, uint64_t now_ms) {
  const uint64_t held = held_pages(shrink);
  const uint64_t fallen = shrink->pass_held_pages > held ? shrink->pass_held_pages - held : 0;
  const bool freed = fallen >= shrink->pass_pages / 2;
  shrink->pass_judged = true;
  if (complete) say_refusal(shrink);
  if (freed && (!complete || shrink->pass_pages >= kUsefulPages)) return;
  swap_walk_end(&shrink->walk);
  if (shrink->shared && ++shrink->type_try < kTypeTries) return;
  shrink->type_try = 0;
  if (!freed) say_useless(shrink);
  shrink_law_rest(&shrink->law, now_ms);
}

static uint64_t read_found(Shrink* shrink, const FoundPages* found) {
  const uint64_t begin_us = shrink->settings.now_us();
  const int count = shrink->settings.bring_back(found, shrink->settings.now_us, begin_us + kStepUs);
  const uint64_t own_us = shrink->settings.now_us() - begin_us;
  shrink_law_done(&shrink->law, found->count, own_us);
  if (count > 0) {
    shrink->back_pages += (unsigned)count;
    shrink->pass_pages += (unsigned)count;
  } else if (count == -EPERM) {
    swap_walk_refused(&shrink->walk, found->pid, -count);
  }
  return own_us;
}

// Processes have waited for as long as the law allows.
static bool waited_enough(const Shrink* shrink, const SampleSource* source) {
  uint64_t some_us;
  if (!read_some(source, &some_us)) return false;
  const ShrinkLaw* law = &shrink->law;
  return (int64_t)(some_us - law->last.some_us) >= law->stall_credit_us;
}

static void bring_back(Shrink* shrink, const SampleSource* source, uint32_t pages,
                       uint64_t now_ms) {
  uint32_t looks = kStepLooks;
  uint64_t own_us = 0;
  while (pages > 0 && looks > 0 && own_us < kStepUs) {
    FoundPages found;
    const bool more = swap_walk_next(&shrink->walk, shrink->types, pages, &found, &looks);
    if (!more) return judge(shrink, true, now_ms);
    if (found.count == 0) continue;
    own_us += read_found(shrink, &found);
    pages -= found.count;
    if (!shrink->pass_judged && shrink->pass_pages >= kTrialPages) judge(shrink, false, now_ms);
    if (!swap_walk_is_open(&shrink->walk) || waited_enough(shrink, source)) return;
  }
}

void shrink_step(Shrink* shrink, const SampleSource* source, const GuestSample* sample,
                 bool alarmed, uint64_t now_ms) {
  if (shrink->settings.most_pages_per_s == 0) return;
  const ShrinkInput input = {now_ms,
                             sample->total_kib,
                             sample->available_kib,
                             sample->swap_out_pages,
                             sample->refault_pages + sample->swap_in_pages,
                             sample->has_pressure,
                             sample->some_us,
                             alarmed};
  const bool calm = shrink_law_calm(&shrink->law, &input);
  if (!shrink->law.active || sample->swap_used_kib == 0) swap_walk_end(&shrink->walk);
  if (!calm || sample->swap_used_kib == 0 || !is_connected(shrink)) return;
  const uint64_t held = held_pages(shrink);
  const uint32_t pages = held == 0 ? 0 : shrink_law_pages(&shrink->law, held);
  if (pages == 0) return;
  if (!swap_walk_is_open(&shrink->walk) && !begin_pass(shrink, held)) {
    shrink_law_rest(&shrink->law, now_ms);
    return;
  }
  bring_back(shrink, source, pages, now_ms);
}

bool shrink_is_at_work(const Shrink* shrink) {
  return swap_walk_is_open(&shrink->walk);
}
