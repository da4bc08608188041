// SPDX-License-Identifier: GPL-2.0-or-later
// Makes a set of files whose bytes are known, and reads it again, comparing every page.
//
//   fileset create DIR --mib N [--file-kib K] [--seed X] [--corrupt N]
//   fileset read DIR --mib N [--file-kib K] [--seed X] [--order sequential|random] [--rewrite
//   PERCENT]
//
// `read` visits every page once: sequentially, or in a random order in runs of four pages.
// --rewrite overwrites so many per cent of the pages on the way, with the same bytes. Prints
// key=value: pages, read, rewritten, wrong, failed (short reads and errors), ms. Exit status: 0
// intact, 1 not.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"

enum { RUN_PAGES = 4, CHUNK_PAGES = 32 };

typedef struct {
  const char* folder;
  uint64_t pages, file_pages, seed;
  uint64_t read, rewritten, wrong, failed;
  uint64_t rewrite_percent, random;
  int file;
  uint64_t file_number;
} FileSet;

static uint64_t buffer[CHUNK_PAGES * PAGE_WORDS];

// Opens the file of a page unless it is open already.
static void open_file(FileSet* set, uint64_t page, int flags) {
  uint64_t number = page / set->file_pages;
  if (set->file >= 0 && set->file_number == number) return;
  if (set->file >= 0 && close(set->file) != 0) die("close");
  char path[4096];
  snprintf(path, sizeof path, "%s/%05lu", set->folder, number);
  set->file = open(path, flags, 0644);
  if (set->file < 0) die(path);
  set->file_number = number;
}

static off_t offset_of(const FileSet* set, uint64_t page) {
  return (off_t)(page % set->file_pages * PAGE);
}

// Pages from `page` that one call can take: no more than `most`, not beyond the file or the set.
static uint64_t run_length(const FileSet* set, uint64_t page, uint64_t most) {
  uint64_t in_file = set->file_pages - page % set->file_pages;
  uint64_t in_set = set->pages - page;
  uint64_t length = in_file < in_set ? in_file : in_set;
  return length < most ? length : most;
}

static void create(FileSet* set) {
  for (uint64_t page = 0, length; page < set->pages; page += length) {
    open_file(set, page, O_WRONLY | O_CREAT | O_TRUNC);
    length = run_length(set, page, CHUNK_PAGES);
    for (uint64_t i = 0; i < length; i++)
      fill_page(buffer + i * PAGE_WORDS, set->seed, page + i, 1);
    if (pwrite(set->file, buffer, length * PAGE, offset_of(set, page)) != (ssize_t)(length * PAGE))
      die("write");
  }
}

static void corrupt(FileSet* set, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) {
    uint64_t page = random_below(&set->random, set->pages);
    open_file(set, page, O_WRONLY);
    if (pwrite(set->file, "wrong", 5, offset_of(set, page) + 1000) != 5) die("write");
  }
}

static void read_run(FileSet* set, uint64_t page, uint64_t length) {
  open_file(set, page, set->rewrite_percent ? O_RDWR : O_RDONLY);
  ssize_t got = pread(set->file, buffer, length * PAGE, offset_of(set, page));
  if (got != (ssize_t)(length * PAGE)) set->failed++;
  for (uint64_t i = 0; (ssize_t)((i + 1) * PAGE) <= got; i++) {
    set->read++;
    if (!page_is(buffer + i * PAGE_WORDS, set->seed, page + i, 1)) set->wrong++;
  }
  if (random_below(&set->random, 100) >= set->rewrite_percent) return;
  for (uint64_t i = 0; i < length; i++) fill_page(buffer + i * PAGE_WORDS, set->seed, page + i, 1);
  if (pwrite(set->file, buffer, length * PAGE, offset_of(set, page)) == (ssize_t)(length * PAGE))
    set->rewritten += length;
  else
    set->failed++;
}

static void read_sequentially(FileSet* set) {
  for (uint64_t page = 0, length; page < set->pages; page += length) {
    length = run_length(set, page, CHUNK_PAGES);
    read_run(set, page, length);
  }
}

// A shuffle of the runs, so that each page is read exactly once.
static void read_at_random(FileSet* set) {
  uint64_t runs = (set->pages + RUN_PAGES - 1) / RUN_PAGES;
  uint32_t* order = malloc(runs * sizeof *order);
  if (!order) die("malloc");
  for (uint64_t i = 0; i < runs; i++) {
    uint64_t other = random_below(&set->random, i + 1);
    order[i] = order[other];
    order[other] = (uint32_t)i;
  }
  for (uint64_t i = 0; i < runs; i++) {
    uint64_t page = (uint64_t)order[i] * RUN_PAGES, end = page + RUN_PAGES;
    for (uint64_t length; page < end && page < set->pages; page += length) {
      length = run_length(set, page, end - page);
      read_run(set, page, length);
    }
  }
  free(order);
}

static int usage(void) {
  fprintf(stderr, "usage: fileset create|read DIR --mib N [OPTION VALUE]...\n");
  return EXIT_USAGE;
}

int main(int argc, char** argv) {
  if (argc < 3) return usage();
  uint64_t mib = 0, file_kib = 1024, corruptions = 0;
  const char* order = "sequential";
  FileSet set = {.folder = argv[2], .seed = 1, .file = -1};
  parse_options(argc - 3, argv + 3,
                (Option[]){{"--mib", &mib, NULL},
                           {"--file-kib", &file_kib, NULL},
                           {"--seed", &set.seed, NULL},
                           {"--corrupt", &corruptions, NULL},
                           {"--rewrite", &set.rewrite_percent, NULL},
                           {"--order", NULL, &order},
                           {NULL, NULL, NULL}});
  if (mib == 0 || file_kib < 4) return usage();
  set.pages = mib << 8;
  set.file_pages = file_kib / 4;
  set.random = set.seed;

  uint64_t start = now_ms();
  if (strcmp(argv[1], "create") == 0) {
    create(&set);
    corrupt(&set, corruptions);
  } else if (strcmp(argv[1], "read") == 0 && strcmp(order, "random") == 0) {
    read_at_random(&set);
  } else if (strcmp(argv[1], "read") == 0 && strcmp(order, "sequential") == 0) {
    read_sequentially(&set);
  } else {
    return usage();
  }
  if (close(set.file) != 0) die("close");
  printf("pages=%lu read=%lu rewritten=%lu wrong=%lu failed=%lu ms=%lu\n", set.pages, set.read,
         set.rewritten, set.wrong, set.failed, now_ms() - start);
  return set.wrong || set.failed ? EXIT_WRONG : 0;
}
