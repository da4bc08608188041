// SPDX-License-Identifier: GPL-2.0-or-later
// One process overwrites pages of a file with direct I/O while others read them through the page
// cache and drop them from it: a cache below the page cache must never bring back an old page.
//
//   diorace FILE [--mib N] [--seconds N] [--readers N] [--seed X] [--corrupt N]
//
// A read that no write overlapped must give the last version. When all is quiet every page is read
// both ways again. --corrupt puts old versions back at that point. Prints key=value: written,
// judged, overlapped, stale (judged reads of a wrong version), stale_pages (at the end). Exit
// status: 0 none stale, 1 some.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

enum { DROP_PAGES = 64 };

// Shared by all processes. A page's versions: `started` is raised before its write, `completed`
// after.
typedef struct {
  atomic_uint started, completed;
} Versions;

typedef struct {
  atomic_ulong written, judged, overlapped, stale;
  atomic_bool quiet;
} Shared;

typedef struct {
  const char* path;
  uint64_t pages, seed;
  Versions* versions;
  Shared* shared;
} Race;

static void* shared_memory(size_t size) {
  void* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || (mlock(memory, size) != 0 && geteuid() == 0)) die("mmap");
  return memory;
}

static int open_race(const Race* race, int flags) {
  int file = open(race->path, flags, 0644);
  if (file < 0) die(race->path);
  return file;
}

static uint64_t* page_buffer(void) {
  uint64_t* page = aligned_alloc(PAGE, PAGE);
  if (!page) die("aligned_alloc");
  return page;
}

static void write_version(const Race* race, int file, uint64_t* page, uint64_t number,
                          unsigned version) {
  fill_page(page, race->seed, number, version);
  if (pwrite(file, page, PAGE, (off_t)(number * PAGE)) != PAGE) die("pwrite");
}

static void create(const Race* race) {
  int file = open_race(race, O_RDWR | O_CREAT | O_TRUNC);
  uint64_t* page = page_buffer();
  for (uint64_t i = 0; i < race->pages; i++) write_version(race, file, page, i, 0);
  if (fsync(file) != 0 || close(file) != 0) die("fsync");
}

static void writer(const Race* race, uint64_t end_ms) {
  int file = open_race(race, O_WRONLY | O_DIRECT);
  uint64_t* page = page_buffer();
  uint64_t random = race->seed;
  while (now_ms() < end_ms) {
    uint64_t number = random_below(&random, race->pages);
    Versions* v = &race->versions[number];
    unsigned version = atomic_load(&v->started) + 1;
    atomic_store(&v->started, version);
    write_version(race, file, page, number, version);
    atomic_store(&v->completed, version);
    atomic_fetch_add(&race->shared->written, 1);
  }
}

static void reader(const Race* race, uint64_t which) {
  int file = open_race(race, O_RDONLY);
  uint64_t* page = page_buffer();
  uint64_t random = page_state(race->seed, which, 1);
  Shared* shared = race->shared;
  while (!atomic_load(&shared->quiet)) {
    uint64_t number = random_below(&random, race->pages);
    Versions* v = &race->versions[number];
    unsigned completed = atomic_load(&v->completed);
    if (pread(file, page, PAGE, (off_t)(number * PAGE)) != PAGE) die("pread");
    if (completed != atomic_load(&v->started)) {
      atomic_fetch_add(&shared->overlapped, 1);
    } else {
      atomic_fetch_add(&shared->judged, 1);
      if (!page_is(page, race->seed, number, completed)) atomic_fetch_add(&shared->stale, 1);
    }
    if (random_below(&random, 4) == 0)
      posix_fadvise(file, (off_t)(number / DROP_PAGES * DROP_PAGES * PAGE), DROP_PAGES * PAGE,
                    POSIX_FADV_DONTNEED);
  }
}

static uint64_t stale_pages(const Race* race, int flags) {
  int file = open_race(race, O_RDONLY | flags);
  uint64_t* page = page_buffer();
  uint64_t stale = 0;
  for (uint64_t i = 0; i < race->pages; i++) {
    if (pread(file, page, PAGE, (off_t)(i * PAGE)) != PAGE) die("pread");
    if (!page_is(page, race->seed, i, atomic_load(&race->versions[i].completed))) stale++;
  }
  close(file);
  return stale;
}

static void corrupt(const Race* race, uint64_t count) {
  int file = open_race(race, O_WRONLY | O_DIRECT);
  uint64_t* page = page_buffer();
  for (uint64_t i = 0; i < count; i++)
    write_version(race, file, page, i, atomic_load(&race->versions[i].completed) + 1);
  close(file);
}

static pid_t start_reader(const Race* race, uint64_t which) {
  pid_t child = fork();
  if (child == 0) {
    reader(race, which);
    exit(0);
  }
  return child;
}

int main(int argc, char** argv) {
  uint64_t mib = 8, seconds = 5, readers = 3, corruptions = 0;
  Race race = {.seed = 1};
  const Option options[] = {{"--mib", &mib, NULL},
                            {"--seconds", &seconds, NULL},
                            {"--readers", &readers, NULL},
                            {"--seed", &race.seed, NULL},
                            {"--corrupt", &corruptions, NULL},
                            {NULL, NULL, NULL}};
  if (argc < 2) return EXIT_USAGE;
  parse_options(argc - 2, argv + 2, options);
  race.path = argv[1];
  race.pages = mib << 8;
  race.versions = shared_memory(race.pages * sizeof *race.versions);
  race.shared = shared_memory(sizeof *race.shared);
  create(&race);

  for (uint64_t i = 0; i < readers; i++) start_reader(&race, i);
  writer(&race, now_ms() + seconds * 1000);
  atomic_store(&race.shared->quiet, true);
  int failed = 0;
  for (int status; wait(&status) > 0;)
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) failed++;
  corrupt(&race, corruptions);

  uint64_t at_end = stale_pages(&race, 0) + stale_pages(&race, O_DIRECT);
  const Shared* s = race.shared;
  printf("written=%lu judged=%lu overlapped=%lu stale=%lu stale_pages=%lu failed=%d\n", s->written,
         s->judged, s->overlapped, s->stale, at_end, failed);
  return s->stale || at_end ? EXIT_WRONG : failed ? EXIT_USAGE : 0;
}
