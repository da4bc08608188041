// SPDX-License-Identifier: GPL-2.0-or-later
// How long a block device takes for a page, past the page cache, with up to so many in flight.
//
//   speed write|read DEVICE --pages N [--depth D] [--passes P] [--seed X] [--version V]
//   speed churn DEVICE --pages N [--depth D] [--seed X] --turns T --turn-ms M --turn-node NODE
//               [--pause-us P] [--xenbus DEVICE]
//
// Pages 1 to N (0 holds a header on swap devices), P times, in groups of D: all of a group are
// submitted by one call, and waited for. Prints key=value: pages, wrong, group_ns (median of the
// groups), page_ns (that divided by D), longest_ns (of the groups), late (how many took over three
// times the median), total_ns. `read` verifies what
// `write` of the same seed and version wrote; neither filling nor verifying is timed.
//
// `churn` writes all and reads all, each time another version, and tells what somebody else's work
// costs it, with a pause of P us after each group: 2 T + 1 turns of M ms, before each of which it
// writes 0 (to have that stopped) or, every other time, 1 to the xenstore node. Prints turns,
// wrong, page_ns (median of the turns alone, pauses included) and, in thousandths: permille, the
// pages of a turn with the other one at work over the mean of the turns before and after, the
// median, and the quartiles permille_low and permille_high; mean_permille, the pages of all turns
// with the other one at work over those of all turns alone, per turn, and its standard error,
// mean_error_permille.
//
// Exit status: 0 intact, 1 wrong bytes.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common.h"
#include "xenstore.h"

enum { DEPTH_MAX = 256, TURNS_MAX = 10000, SETTLE_NS = 100000000 };

typedef struct {
  int file;
  bool write;
  uint64_t pages, depth, passes, seed, version;
  uint64_t moved, pause_us;  // of churn: groups of this pass; after a group
  aio_context_t context;
  uint64_t* memory;
  uint64_t wrong;
} Speed;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// Submits pages first ... first + count - 1 and waits for them.
static void transfer(Speed* speed, uint64_t first, uint64_t count) {
  struct iocb blocks[DEPTH_MAX], *list[DEPTH_MAX];
  struct io_event events[DEPTH_MAX];
  memset(blocks, 0, count * sizeof blocks[0]);
  for (uint64_t i = 0; i < count; i++) {
    blocks[i].aio_lio_opcode = speed->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
    blocks[i].aio_fildes = (uint32_t)speed->file;
    blocks[i].aio_buf = (uint64_t)(speed->memory + i * PAGE_WORDS);
    blocks[i].aio_nbytes = PAGE;
    blocks[i].aio_offset = (int64_t)((first + i) * PAGE);
    list[i] = &blocks[i];
  }
  if (syscall(SYS_io_submit, speed->context, count, list) != (long)count) die("io_submit");
  for (uint64_t done = 0; done < count;) {
    long more =
        syscall(SYS_io_getevents, speed->context, count - done, count - done, events + done, NULL);
    if (more < 0 && errno != EINTR) die("io_getevents");
    if (more > 0) done += (uint64_t)more;
  }
  for (uint64_t i = 0; i < count; i++) {
    if (events[i].res == PAGE) continue;
    errno = events[i].res < 0 ? (int)-events[i].res : EIO;
    die(speed->write ? "write" : "read");
  }
}

static uint64_t group(Speed* speed, uint64_t first, uint64_t count) {
  for (uint64_t i = 0; speed->write && i < count; i++)
    fill_page(speed->memory + i * PAGE_WORDS, speed->seed, first + i, speed->version);
  uint64_t start = now_ns();
  transfer(speed, first, count);
  uint64_t taken = now_ns() - start;
  for (uint64_t i = 0; !speed->write && i < count; i++)
    speed->wrong +=
        !page_is(speed->memory + i * PAGE_WORDS, speed->seed, first + i, speed->version);
  return taken;
}

static int ascending(const void* a, const void* b) {
  uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
  return (x > y) - (x < y);
}

// Goes on moving pages for so long; returns how many in 1000 s.
static uint64_t churn(Speed* speed, uint64_t ns) {
  uint64_t start = now_ns(), taken, groups = 0;
  do {
    if (speed->moved == speed->pages / speed->depth) {
      speed->moved = 0;
      speed->write = !speed->write;
      speed->version += speed->write;
    }
    group(speed, 1 + speed->moved++ * speed->depth, speed->depth);
    groups++;
    if (speed->pause_us) usleep((useconds_t)speed->pause_us);
    taken = now_ns() - start;
  } while (taken < ns);
  return groups * speed->depth * 1000000000000 / taken;
}

static uint64_t sum_of(const uint64_t* rates, uint64_t count) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < count; i++) sum += rates[i];
  return sum;
}

// Of the mean of so many independent rates, squared; at least two.
static double squared_error(const uint64_t* rates, uint64_t count) {
  double mean = (double)sum_of(rates, count) / (double)count, squares = 0;
  for (uint64_t i = 0; i < count; i++)
    squares += ((double)rates[i] - mean) * ((double)rates[i] - mean);
  return squares / (double)(count - 1) / (double)count;
}

static int churn_in_turns(Speed* speed, uint64_t turns, uint64_t turn_ms, int xenbus,
                          const char* node) {
  uint64_t* alone = calloc(turns + 1, sizeof *alone);
  uint64_t* beside = calloc(turns, sizeof *beside);
  uint64_t* permille = calloc(turns, sizeof *permille);
  if (!alone || !beside || !permille) die("calloc");
  for (uint64_t i = 0; i < 2 * turns + 1; i++) {
    bool work = i % 2 != 0;
    xenstore_write(xenbus, node, work ? "1" : "0");
    churn(speed, SETTLE_NS);
    uint64_t rate = churn(speed, turn_ms * 1000000);
    (work ? beside : alone)[i / 2] = rate;
  }
  for (uint64_t i = 0; i < turns; i++) permille[i] = 2000 * beside[i] / (alone[i] + alone[i + 1]);
  double alone_mean = (double)sum_of(alone, turns + 1) / (double)(turns + 1);
  double beside_mean = (double)sum_of(beside, turns) / (double)turns;
  double error = sqrt(squared_error(alone, turns + 1) + squared_error(beside, turns));
  qsort(alone, turns + 1, sizeof *alone, ascending);
  qsort(permille, turns, sizeof *permille, ascending);
  printf("turns=%lu wrong=%lu page_ns=%lu permille=%lu permille_low=%lu permille_high=%lu ", turns,
         speed->wrong, 1000000000000 / alone[turns / 2], permille[turns / 2], permille[turns / 4],
         permille[turns * 3 / 4]);
  printf("mean_permille=%.0f mean_error_permille=%.0f\n", 1000 * beside_mean / alone_mean,
         1000 * error / alone_mean);
  return speed->wrong ? EXIT_WRONG : 0;
}

int main(int argc, char** argv) {
  Speed speed = {.depth = 1, .passes = 1, .seed = 1, .version = 1};
  const char* mode = argc < 3 ? "" : argv[1];
  bool churns = strcmp(mode, "churn") == 0;
  uint64_t turns = 0, turn_ms = 0;
  const char *turn_node = NULL, *xenbus_path = "/dev/xen/xenbus";
  if (!churns && strcmp(mode, "write") != 0 && strcmp(mode, "read") != 0) {
    fprintf(stderr, "usage: speed write|read|churn DEVICE --pages N [OPTION VALUE]...\n");
    return EXIT_USAGE;
  }
  parse_options(argc - 3, argv + 3,
                (Option[]){{"--pages", &speed.pages, NULL},
                           {"--depth", &speed.depth, NULL},
                           {"--passes", &speed.passes, NULL},
                           {"--seed", &speed.seed, NULL},
                           {"--version", &speed.version, NULL},
                           {"--turns", &turns, NULL},
                           {"--turn-ms", &turn_ms, NULL},
                           {"--pause-us", &speed.pause_us, NULL},
                           {"--turn-node", NULL, &turn_node},
                           {"--xenbus", NULL, &xenbus_path},
                           {NULL, NULL, NULL}});
  if (speed.depth < 1 || speed.depth > DEPTH_MAX || speed.pages < speed.depth || !speed.passes) {
    fprintf(stderr, "--depth is 1 to %d, --pages not less, --passes at least 1\n", DEPTH_MAX);
    return EXIT_USAGE;
  }
  if (speed.pause_us > 1000000) {
    fprintf(stderr, "--pause-us is at most 1000000\n");
    return EXIT_USAGE;
  }
  if (churns && (!turn_node || turns < 2 || turns > TURNS_MAX || turn_ms < 1 || turn_ms > 10000)) {
    fprintf(stderr, "churn wants --turn-node, --turns of 2 to %d and --turn-ms of 1 to 10000\n",
            TURNS_MAX);
    return EXIT_USAGE;
  }
  speed.write = churns || mode[0] == 'w';
  speed.file = open(argv[2], O_RDWR | O_DIRECT);
  if (speed.file < 0) die(argv[2]);
  if (syscall(SYS_io_setup, DEPTH_MAX, &speed.context) != 0) die("io_setup");
  speed.memory = mmap(NULL, DEPTH_MAX * PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (speed.memory == MAP_FAILED) die("mmap");
  if (churns) {
    int xenbus = open(xenbus_path, O_RDWR);
    if (xenbus < 0) die(xenbus_path);
    return churn_in_turns(&speed, turns, turn_ms, xenbus, turn_node);
  }
  uint64_t per_pass = speed.pages / speed.depth, groups = per_pass * speed.passes, total = 0;
  uint64_t* times = calloc(groups, sizeof *times);
  if (!times) die("calloc");
  for (uint64_t i = 0; i < groups; i++) {
    times[i] = group(&speed, 1 + i % per_pass * speed.depth, speed.depth);
    total += times[i];
  }
  qsort(times, groups, sizeof *times, ascending);
  uint64_t median = times[groups / 2];
  uint64_t late = 0;
  for (uint64_t i = 0; i < groups; i++) late += times[i] > 3 * median;
  printf("pages=%lu wrong=%lu group_ns=%lu page_ns=%lu longest_ns=%lu late=%lu total_ns=%lu\n",
         groups * speed.depth, speed.wrong, median, median / speed.depth, times[groups - 1], late,
         total);
  return speed.wrong ? EXIT_WRONG : 0;
}
