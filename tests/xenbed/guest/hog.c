// SPDX-License-Identifier: GPL-2.0-or-later
// Fills anonymous memory, rewrites and verifies pages at random, and verifies all of them at the
// end.
//
//   hog --mib N [--seconds S] [--operations N] [--sweep 1] [--seed X] [--corrupt N]
//       [--pause-file PATH]
//
// --seconds and --operations: whichever is over first. --sweep: the pages in turn, not at random.
// Prints key=value: filled (at once), then pages, rewritten, verified, wrong (bytes differ), lost
// (reading gave SIGBUS: the swap device failed, the bytes are gone but nobody lied). --corrupt
// damages pages behind the program's own back, to show that it would be noticed. --pause-file:
// after the fill, waits until this file is gone. SIGTERM ends the work; what it did is verified all the
// same. Exit status: 0 all intact, 1 wrong, 3 lost.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common.h"

typedef struct {
  uint64_t* memory;
  uint32_t* versions;
  uint64_t pages, seed;
  uint64_t rewritten, verified, wrong, lost;
  uint64_t first_wrong;
} Hog;

static sigjmp_buf on_bus_error;
static volatile sig_atomic_t stopped;

static void stop(int signal_number) {
  (void)signal_number;
  stopped = 1;
}

static void bus_error(int signal_number) {
  (void)signal_number;
  siglongjmp(on_bus_error, 1);
}

static uint64_t* page_of(Hog* hog, uint64_t number) {
  return hog->memory + number * PAGE_WORDS;
}

static void rewrite(Hog* hog, uint64_t number) {
  hog->versions[number]++;
  fill_page(page_of(hog, number), hog->seed, number, hog->versions[number]);
}

static void* map_pages(void* where, uint64_t pages, int flags) {
  void* memory = mmap(where, pages * PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
  if (memory == MAP_FAILED) die("mmap");
  return memory;
}

// A lost page is given back to the kernel and written anew. Not by madvise: in a PV guest, kernel 6.1
// warns when that meets a swap entry (it reads back what it only queued for the hypervisor).
static void replace_lost(Hog* hog, uint64_t number) {
  hog->lost++;
  map_pages(page_of(hog, number), 1, MAP_FIXED);
  rewrite(hog, number);
}

static void verify(Hog* hog, uint64_t number) {
  if (sigsetjmp(on_bus_error, 1) != 0) {
    replace_lost(hog, number);
    return;
  }
  hog->verified++;
  if (page_is(page_of(hog, number), hog->seed, number, hog->versions[number])) return;
  if (hog->wrong++ == 0) hog->first_wrong = number;
}

// A rewrite touches the old page first: the kernel reads it from swap, which may fail.
static void rewrite_safely(Hog* hog, uint64_t number) {
  if (sigsetjmp(on_bus_error, 1) != 0) {
    replace_lost(hog, number);
    return;
  }
  rewrite(hog, number);
  hog->rewritten++;
}

static void work(Hog* hog, uint64_t operations, uint64_t end_ms, bool sweep, uint64_t* random) {
  for (uint64_t done = 0; done < operations && !stopped && now_ms() < end_ms; done++) {
    uint64_t number = sweep ? done % hog->pages : random_below(random, hog->pages);
    if (random_below(random, 10) < 4)
      rewrite_safely(hog, number);
    else
      verify(hog, number);
  }
}

static void corrupt(Hog* hog, uint64_t count, uint64_t* random) {
  for (uint64_t i = 0; i < count; i++) {
    uint64_t number = random_below(random, hog->pages);
    page_of(hog, number)[random_below(random, PAGE_WORDS)] ^= 1u << random_below(random, 32);
  }
}

// The arena alone is swapped: all else of this program stays in memory.
static void allocate(Hog* hog, uint64_t mib) {
  hog->pages = mib << 8;
  hog->versions = calloc(hog->pages, sizeof *hog->versions);
  if (!hog->versions) die("calloc");
  if (mlockall(MCL_CURRENT) != 0 && geteuid() == 0) die("mlockall");
  hog->memory = map_pages(NULL, hog->pages, 0);
  struct sigaction action = {.sa_handler = bus_error};
  if (sigaction(SIGBUS, &action, NULL) != 0 || signal(SIGTERM, stop) == SIG_ERR) die("sigaction");
}

int main(int argc, char** argv) {
  uint64_t mib = 0, seconds = 0, operations = 0, seed = 1, corruptions = 0, sweep = 0;
  const char* pause_file = NULL;
  const Option options[] = {{"--mib", &mib, NULL},
                            {"--seconds", &seconds, NULL},
                            {"--operations", &operations, NULL},
                            {"--sweep", &sweep, NULL},
                            {"--seed", &seed, NULL},
                            {"--corrupt", &corruptions, NULL},
                            {"--pause-file", NULL, &pause_file},
                            {NULL, NULL, NULL}};
  parse_options(argc - 1, argv + 1, options);
  if (mib == 0) parse_options(1, (char*[]){"--mib"}, options);

  static Hog hog;
  hog.seed = seed;
  allocate(&hog, mib);
  uint64_t random = seed, start = now_ms();
  for (uint64_t i = 0; i < hog.pages; i++) rewrite_safely(&hog, i);
  uint64_t filled = now_ms();
  printf("filled=%lu\n", hog.pages);
  fflush(stdout);
  while (pause_file && access(pause_file, F_OK) == 0) usleep(200000);
  work(&hog, operations ? operations : (seconds ? UINT64_MAX : 0),
       seconds ? now_ms() + seconds * 1000 : UINT64_MAX, sweep != 0, &random);
  corrupt(&hog, corruptions, &random);
  uint64_t worked = now_ms();
  for (uint64_t i = 0; i < hog.pages; i++) verify(&hog, i);

  printf("pages=%lu rewritten=%lu verified=%lu wrong=%lu lost=%lu\n", hog.pages, hog.rewritten,
         hog.verified, hog.wrong, hog.lost);
  printf("fill_ms=%lu work_ms=%lu verify_ms=%lu\n", filled - start, worked - filled,
         now_ms() - worked);
  if (hog.wrong) printf("first_wrong=%lu\n", hog.first_wrong);
  return hog.wrong ? EXIT_WRONG : hog.lost ? EXIT_LOST : 0;
}
