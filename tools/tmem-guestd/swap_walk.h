// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the pages of processes that are in swap, process by process, by /proc/PID/pagemap. What one
// call does is bounded, and so is the memory: a large guest takes many calls.
//
// Anonymous pages only: a swapped page of shared memory or tmpfs is in no page table. Left out are
// mappings that their process itself may not read, reservations of more than a TiB, and what would
// fill a control group.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { kSwapTypes = 32, kFoundMax = 16, kWalkChunk = 512 };
static const uint32_t kAnySwapType = UINT32_MAX;  // a bit for each type

// Pages of one process.
typedef struct {
  int pid;
  unsigned count;
  uint64_t addresses[kFoundMax];
} FoundPages;

typedef struct {
  const char* root;
  int processes;  // /proc; -1: no pass is under way
  int maps, pagemap;
  int pid;              // 0: none is open
  uint64_t pages_left;  // of it in swap, when it was opened
  uint64_t room_pages;  // that its control groups leave it
  uint64_t at, end;     // where it goes on, in addresses
  bool dense;           // there were some just before
  // Processes of this pass with pages in swap that may not be looked into, and why (an errno).
  unsigned refused;
  int refusal;
  size_t names_length, names_at, maps_length, maps_at;
  char names[1024] __attribute__((aligned(8)));  // as getdents64() gives them
  char lines[4096];
} SwapWalk;

void swap_walk_init(SwapWalk* walk, const char* root);
// A new pass. False, and errno, where /proc cannot be listed.
bool swap_walk_begin(SwapWalk* walk);
bool swap_walk_is_open(const SwapWalk* walk);
// The next pages, at most `most` and kFoundMax, that are in a swap area of one of these types.
// Looks at about `*looks` pages, and takes off what it did. False at the end of the pass, which
// closes it.
bool swap_walk_next(SwapWalk* walk, uint32_t types, unsigned most, FoundPages* found,
                    uint32_t* looks);
// This process may not be read: it is left.
void swap_walk_refused(SwapWalk* walk, int pid, int error);
void swap_walk_end(SwapWalk* walk);

#ifdef __cplusplus
}
#endif
