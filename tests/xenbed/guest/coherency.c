// SPDX-License-Identifier: GPL-2.0-or-later
// Several processes do all that can be done to a file, each to one of its own, and compare every
// byte they read with a copy in memory.
//
//   coherency DIR [--processes N] [--operations N] [--seed X] [--corrupt N]
//
// --operations is for each process. Buffered, direct and mmap reads and writes; truncate, punch,
// zero range; unlink and create again, so that blocks move from file to file; fsync, fadvise,
// drop_caches. At its end each process reads its whole file from the page cache and directly.
// --corrupt damages files behind the program's own back. Prints key=value: operations, reads,
// writes, bytes, mismatches. Exit status: 0 no mismatch, 1 mismatches, 2 an operation failed.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

enum { FILE_MAX = 2 << 20, IO_MAX = 64 << 10, MAX_PROCESSES = 64, SHOWN = 3 };

typedef struct {
  uint64_t operations, reads, writes, bytes, mismatches;
} Counts;

// One process's file. `shadow` holds what it must contain; beyond `size` it is zero.
typedef struct {
  char path[4096];
  int buffered, direct;
  uint8_t* shadow;
  uint8_t* io;  // page-aligned, for direct I/O
  uint64_t size, random;
  Counts* counts;  // shared with the parent
} Worker;

static uint64_t below(Worker* w, uint64_t bound) {
  return random_below(&w->random, bound);
}
static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static void open_new(Worker* w) {
  w->buffered = open(w->path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  w->direct = open(w->path, O_RDWR | O_DIRECT);
  if (w->buffered < 0 || w->direct < 0) die(w->path);
  w->size = 0;
}

static void random_bytes(Worker* w, uint8_t* out, uint64_t length) {
  uint64_t word = 0;
  for (uint64_t i = 0; i < length; i++) {
    if (i % 8 == 0) word = next_random(&w->random);
    out[i] = (uint8_t)(word >> i % 8 * 8);
  }
}

static void compare(Worker* w, const uint8_t* got, uint64_t offset, uint64_t length,
                    const char* how) {
  w->counts->reads++;
  w->counts->bytes += length;
  if (memcmp(got, w->shadow + offset, length) == 0) return;
  uint64_t at = 0;
  while (got[at] == w->shadow[offset + at]) at++;
  if (w->counts->mismatches++ < SHOWN)
    fprintf(stderr, "%s: %s read of %lu+%lu, operation %lu: byte %lu is %02x, not %02x\n", w->path,
            how, offset, length, w->counts->operations, offset + at, got[at],
            w->shadow[offset + at]);
}

// A range to write: anywhere, or (for direct I/O) whole pages.
static uint64_t range_to_write(Worker* w, uint64_t unit, uint64_t* length) {
  uint64_t offset = below(w, FILE_MAX / unit) * unit;
  *length = (1 + below(w, IO_MAX / unit)) * unit;
  *length = least(*length, FILE_MAX - offset);
  return offset;
}

static void write_file(Worker* w, int file, uint64_t unit) {
  uint64_t length, offset = range_to_write(w, unit, &length);
  random_bytes(w, w->io, length);
  if (pwrite(file, w->io, length, (off_t)offset) != (ssize_t)length) die("pwrite");
  memcpy(w->shadow + offset, w->io, length);
  if (offset + length > w->size) w->size = offset + length;
  w->counts->writes++;
}

static void write_buffered(Worker* w) {
  write_file(w, w->buffered, 1);
}
static void write_direct(Worker* w) {
  write_file(w, w->direct, PAGE);
}

static void read_file(Worker* w, int file, uint64_t unit, const char* how) {
  if (w->size == 0) return;
  uint64_t offset = below(w, w->size) / unit * unit;
  uint64_t length = (1 + below(w, IO_MAX / unit)) * unit;
  uint64_t wanted = least(length, w->size - offset);
  ssize_t got = pread(file, w->io, length, (off_t)offset);
  if (got < 0) die("pread");
  if ((uint64_t)got != wanted) {
    fprintf(stderr, "%s: %s read of %lu bytes gave %zd\n", w->path, how, wanted, got);
    w->counts->mismatches++;
    return;
  }
  compare(w, w->io, offset, wanted, how);
}

static void read_buffered(Worker* w) {
  read_file(w, w->buffered, 1, "buffered");
}
static void read_direct(Worker* w) {
  read_file(w, w->direct, PAGE, "direct");
}

// Maps a range inside the file; `start` is the page that holds its first byte.
static uint8_t* map_range(Worker* w, uint64_t* start, uint64_t* offset, uint64_t* length) {
  *offset = below(w, w->size);
  *length = least(1 + below(w, IO_MAX), w->size - *offset);
  *start = *offset / PAGE * PAGE;
  uint8_t* map = mmap(NULL, *offset - *start + *length, PROT_READ | PROT_WRITE, MAP_SHARED,
                      w->buffered, (off_t)*start);
  if (map == MAP_FAILED) die("mmap");
  return map;
}

static void write_mapped(Worker* w) {
  if (w->size == 0) return;
  uint64_t start, offset, length;
  uint8_t* map = map_range(w, &start, &offset, &length);
  random_bytes(w, w->shadow + offset, length);
  memcpy(map + (offset - start), w->shadow + offset, length);
  if (below(w, 3) == 0 && msync(map, offset - start + length, MS_SYNC) != 0) die("msync");
  munmap(map, offset - start + length);
  w->counts->writes++;
}

static void read_mapped(Worker* w) {
  if (w->size == 0) return;
  uint64_t start, offset, length;
  uint8_t* map = map_range(w, &start, &offset, &length);
  compare(w, map + (offset - start), offset, length, "mapped");
  munmap(map, offset - start + length);
}

static void truncate_file(Worker* w) {
  uint64_t size = below(w, FILE_MAX + 1);
  if (ftruncate(w->buffered, (off_t)size) != 0) die("ftruncate");
  if (size < w->size) memset(w->shadow + size, 0, w->size - size);
  w->size = size;
}

static void zero(Worker* w, int mode) {
  if (w->size == 0) return;
  uint64_t offset = below(w, w->size), length = least(1 + below(w, IO_MAX), w->size - offset);
  if (fallocate(w->buffered, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) != 0)
    die("fallocate");
  memset(w->shadow + offset, 0, length);
}

static void punch(Worker* w) {
  zero(w, FALLOC_FL_PUNCH_HOLE);
}
static void zero_range(Worker* w) {
  zero(w, FALLOC_FL_ZERO_RANGE);
}

static void recreate(Worker* w) {
  memset(w->shadow, 0, FILE_MAX);
  if (close(w->buffered) != 0 || close(w->direct) != 0 || unlink(w->path) != 0) die(w->path);
  open_new(w);
}

static void sync_file(Worker* w) {
  if (fsync(w->buffered) != 0) die("fsync");
}

static void forget(Worker* w) {
  if (below(w, 2)) sync_file(w);
  int error = posix_fadvise(w->buffered, 0, 0, POSIX_FADV_DONTNEED);
  if (error) die("posix_fadvise");
}

// All page caches of the machine; only where we may.
static void drop_caches(Worker* w) {
  (void)w;
  int file = open("/proc/sys/vm/drop_caches", O_WRONLY);
  if (file < 0) return;
  if (write(file, "1", 1) != 1) die("drop_caches");
  close(file);
}

static const struct {
  void (*run)(Worker* w);
  unsigned weight;
} kinds[] = {{write_buffered, 14}, {write_direct, 8}, {write_mapped, 8},  {read_buffered, 20},
             {read_direct, 12},    {read_mapped, 14}, {truncate_file, 3}, {punch, 4},
             {zero_range, 3},      {recreate, 1},     {sync_file, 5},     {forget, 7},
             {drop_caches, 1}};
enum { KINDS = sizeof kinds / sizeof *kinds, TOTAL_WEIGHT = 100 };

static void run_one(Worker* w) {
  unsigned kind = 0;
  for (uint64_t left = below(w, TOTAL_WEIGHT); left >= kinds[kind].weight; kind++)
    left -= kinds[kind].weight;
  kinds[kind].run(w);
  w->counts->operations++;
}

static void read_all(Worker* w, int file, const char* how) {
  for (uint64_t offset = 0; offset < w->size; offset += IO_MAX) {
    ssize_t wanted = (ssize_t)least(IO_MAX, w->size - offset);
    if (pread(file, w->io, IO_MAX, (off_t)offset) != wanted) die("pread at the end");
    compare(w, w->io, offset, (uint64_t)wanted, how);
  }
}

static void work(Worker* w, uint64_t operations, uint64_t corruptions) {
  w->shadow = calloc(1, FILE_MAX);
  w->io = aligned_alloc(PAGE, IO_MAX);
  if (!w->shadow || !w->io) die("calloc");
  memset(w->shadow, 0, FILE_MAX);
  if (mlockall(MCL_CURRENT) != 0 && geteuid() == 0) die("mlockall");
  open_new(w);
  for (uint64_t i = 0; i < operations; i++) run_one(w);
  if (w->size < PAGE) write_direct(w);
  for (uint64_t i = 0; i < corruptions; i++)
    if (pwrite(w->buffered, "wrong", 5, (off_t)below(w, w->size - 5)) != 5) die("pwrite");
  read_all(w, w->buffered, "last buffered");
  sync_file(w);
  read_all(w, w->direct, "last direct");
}

int main(int argc, char** argv) {
  uint64_t processes = 6, operations = 1000, seed = 1, corruptions = 0;
  const Option options[] = {{"--processes", &processes, NULL},
                            {"--operations", &operations, NULL},
                            {"--seed", &seed, NULL},
                            {"--corrupt", &corruptions, NULL},
                            {NULL, NULL, NULL}};
  if (argc < 2) return EXIT_USAGE;
  parse_options(argc - 2, argv + 2, options);
  if (processes == 0 || processes > MAX_PROCESSES) return EXIT_USAGE;
  Counts* counts = mmap(NULL, processes * sizeof *counts, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (counts == MAP_FAILED) die("mmap");

  uint64_t start = now_ms();
  for (uint64_t i = 0; i < processes; i++) {
    if (fork() != 0) continue;
    static Worker worker;
    worker.counts = &counts[i];
    worker.random = page_state(seed, i, 0);
    snprintf(worker.path, sizeof worker.path, "%s/f%lu", argv[1], i);
    work(&worker, operations, corruptions);
    exit(0);
  }
  int failed = 0;
  for (int status; wait(&status) > 0;)
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) failed++;

  Counts sum = {0};
  for (uint64_t i = 0; i < processes; i++) {
    sum.operations += counts[i].operations;
    sum.reads += counts[i].reads;
    sum.writes += counts[i].writes;
    sum.bytes += counts[i].bytes;
    sum.mismatches += counts[i].mismatches;
  }
  printf("operations=%lu reads=%lu writes=%lu bytes=%lu mismatches=%lu failed=%d ms=%lu\n",
         sum.operations, sum.reads, sum.writes, sum.bytes, sum.mismatches, failed,
         now_ms() - start);
  return sum.mismatches ? EXIT_WRONG : failed ? EXIT_USAGE : 0;
}
