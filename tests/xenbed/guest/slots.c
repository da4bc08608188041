// SPDX-License-Identifier: GPL-2.0-or-later
// Writes and reads pages of a block device one by one, past the page cache: what a swap device does
// with each of its slots.
//
//   slots write DEVICE --pages N --version V [--first F] [--seed X]
//   slots read DEVICE --pages N --version V [--first F] [--seed X]
//
// `read` expects version V and prints key=value: intact, lost (read errors), zero, old (an earlier
// version), wrong (anything else). Exit status: 0 all intact, 1 zero, old or wrong, 3 lost.
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "common.h"

typedef struct {
  int file;
  uint64_t* page;
  uint64_t seed, version;
  uint64_t intact, lost, zero, old, wrong;
} Slots;

static void write_slot(Slots* slots, uint64_t number) {
  fill_page(slots->page, slots->seed, number, slots->version);
  if (pwrite(slots->file, slots->page, PAGE, (off_t)(number * PAGE)) != PAGE) die("write");
}

static bool is_zero(const uint64_t* page) {
  uint64_t bits = 0;
  for (unsigned i = 0; i < PAGE_WORDS; i++) bits |= page[i];
  return bits == 0;
}

static bool is_older(const Slots* slots, uint64_t number) {
  for (uint64_t version = 0; version < slots->version; version++)
    if (page_is(slots->page, slots->seed, number, version)) return true;
  return false;
}

static void read_slot(Slots* slots, uint64_t number) {
  // What a failed read leaves in the buffer proves nothing.
  memset(slots->page, 0x5a, PAGE);
  if (pread(slots->file, slots->page, PAGE, (off_t)(number * PAGE)) != PAGE)
    slots->lost++;
  else if (page_is(slots->page, slots->seed, number, slots->version))
    slots->intact++;
  else if (is_zero(slots->page))
    slots->zero++;
  else if (is_older(slots, number))
    slots->old++;
  else
    slots->wrong++;
}

static int usage(void) {
  fprintf(stderr, "usage: slots write|read DEVICE --pages N --version V [OPTION VALUE]...\n");
  return EXIT_USAGE;
}

int main(int argc, char** argv) {
  if (argc < 3) return usage();
  bool writes = strcmp(argv[1], "write") == 0;
  if (!writes && strcmp(argv[1], "read") != 0) return usage();
  uint64_t pages = 0, first = 0;
  Slots slots = {.seed = 1};
  parse_options(argc - 3, argv + 3,
                (Option[]){{"--pages", &pages, NULL},
                           {"--first", &first, NULL},
                           {"--version", &slots.version, NULL},
                           {"--seed", &slots.seed, NULL},
                           {NULL, NULL, NULL}});
  if (pages == 0 || slots.version == 0) return usage();
  slots.file = open(argv[2], (writes ? O_WRONLY : O_RDONLY) | O_DIRECT);
  slots.page = aligned_alloc(PAGE, PAGE);
  if (slots.file < 0 || !slots.page) die(argv[2]);

  for (uint64_t number = first; number < first + pages; number++)
    (writes ? write_slot : read_slot)(&slots, number);
  if (writes) {
    printf("written=%lu\n", pages);
    return close(slots.file) == 0 ? 0 : EXIT_USAGE;
  }
  printf("intact=%lu lost=%lu zero=%lu old=%lu wrong=%lu\n", slots.intact, slots.lost, slots.zero,
         slots.old, slots.wrong);
  return slots.zero || slots.old || slots.wrong ? EXIT_WRONG : slots.lost ? EXIT_LOST : 0;
}
