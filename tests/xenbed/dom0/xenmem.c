// SPDX-License-Identifier: GPL-2.0-or-later
// Looks at the machine's memory from dom0, past everything that is being tested.
//
//   xenmem free                   Xen's free memory, to the page
//   xenmem balloon MIB            has dom0's balloon give so much to Xen and take it again, timed
//   xenmem follow MS              a line each so many milliseconds, until it is ended: the time,
//   Xen's
//                                 free memory, and the memory of each domain, as ID=KIB
//   xenmem scan-free OPTIONS      all that is free, by way of a domain that takes and returns it
//   xenmem scan-domain ID OPTIONS all that a domain owns
//   OPTIONS: --seed X --pages N [--keep-mib M]
//
// Prints key=value. A page is `marked` if its first word is that of one of pages 0 to N-1 of the
// generator (common.h) in its versions 1 to 3; `nonzero` if any word is not zero. --keep-mib: so
// much is left free. Exit status: 0, or 2 when Xen refuses something.
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenforeignmemory.h>

#include "../guest/common.h"

// In the library, but in no header.
int xc_get_pfn_type_batch(xc_interface* control, uint32_t domain, unsigned count,
                          xen_pfn_t* frames);

enum { CHUNK = 512, VERSIONS = 3 };

typedef struct {
  xc_interface* control;
  xenforeignmemory_handle* foreign;
  uint64_t seed, pages, keep_mib;
  uint64_t* words;  // hash set of first words, 0: empty
  uint64_t mask;
  uint64_t scanned, marked, nonzero;
} Xenmem;

static xc_physinfo_t physinfo(Xenmem* x) {
  xc_physinfo_t info = {0};
  if (xc_physinfo(x->control, &info) != 0) die("xc_physinfo");
  return info;
}

static bool is_marked(const Xenmem* x, uint64_t word) {
  for (uint64_t i = word * 0x9e3779b97f4a7c15u;; i++) {
    if (x->words[i & x->mask] == word) return word != 0;
    if (x->words[i & x->mask] == 0) return false;
  }
}

static void make_words(Xenmem* x) {
  uint64_t size = 1024;
  while (size < 2 * VERSIONS * x->pages) size *= 2;
  x->mask = size - 1;
  x->words = calloc(size, sizeof *x->words);
  if (!x->words) die("calloc");
  for (uint64_t number = 0; number < x->pages; number++) {
    for (uint64_t version = 1; version <= VERSIONS; version++) {
      uint64_t state = page_state(x->seed, number, version);
      uint64_t word = page_word(&state, number, 0), i = word * 0x9e3779b97f4a7c15u;
      while (x->words[i & x->mask] != 0) i++;
      x->words[i & x->mask] = word;
    }
  }
}

// Frames that cannot be mapped are left out.
static void scan(Xenmem* x, uint32_t domain, const xen_pfn_t* frames, size_t count) {
  int errors[CHUNK];
  uint64_t* memory = xenforeignmemory_map(x->foreign, domain, PROT_READ, count, frames, errors);
  if (!memory) die("xenforeignmemory_map");
  for (size_t f = 0; f < count; f++) {
    if (errors[f] != 0) continue;
    const uint64_t* page = memory + f * PAGE_WORDS;
    uint64_t any = 0;
    for (unsigned i = 0; i < PAGE_WORDS; i++) any |= page[i];
    x->scanned++;
    x->nonzero += any != 0;
    x->marked += is_marked(x, page[0]);
  }
  xenforeignmemory_unmap(x->foreign, memory, count);
}

static uint32_t make_domain(Xenmem* x) {
  struct xen_domctl_createdomain config = {.handle = {0x7e, 0x57},
                                           .max_vcpus = 1,
                                           .max_evtchn_port = 1,
                                           .max_grant_frames = 1,
                                           .grant_opts = XEN_DOMCTL_GRANT_version(1)};
  uint32_t domain = 0;
  if (xc_domain_create(x->control, &domain, &config) != 0) die("xc_domain_create");
  if (xc_domain_setmaxmem(x->control, domain, UINT32_MAX) != 0) die("xc_domain_setmaxmem");
  return domain;
}

static void scan_free(Xenmem* x) {
  uint32_t domain = make_domain(x);
  while (physinfo(x).free_pages > x->keep_mib * 256 + CHUNK) {
    xen_pfn_t frames[CHUNK];
    for (int i = 0; i < CHUNK; i++) frames[i] = (xen_pfn_t)i;
    if (xc_domain_populate_physmap_exact(x->control, domain, CHUNK, 0, 0, frames) != 0) break;
    scan(x, domain, frames, CHUNK);
  }
  if (xc_domain_destroy(x->control, domain) != 0) die("xc_domain_destroy");
}

static void scan_domain(Xenmem* x, uint32_t domain) {
  unsigned long end = 0;
  if (xc_maximum_ram_page(x->control, &end) != 0) die("xc_maximum_ram_page");
  for (unsigned long first = 0; first < end; first += CHUNK) {
    xen_pfn_t types[CHUNK], frames[CHUNK];
    size_t count = 0;
    for (unsigned i = 0; i < CHUNK; i++) types[i] = first + i;
    if (xc_get_pfn_type_batch(x->control, domain, CHUNK, types) != 0) die("xc_get_pfn_type_batch");
    for (unsigned i = 0; i < CHUNK; i++)
      if ((types[i] & XEN_DOMCTL_PFINFO_LTAB_MASK) != XEN_DOMCTL_PFINFO_XTAB)
        frames[count++] = first + i;
    if (count) scan(x, domain, frames, count);
  }
}

// ---- dom0's balloon ----

#define BALLOON "/sys/devices/system/xen_memory/xen_memory0/"

static uint64_t current_kib(void) {
  unsigned long kib = 0;
  FILE* file = fopen(BALLOON "info/current_kb", "r");
  if (!file || fscanf(file, "%lu", &kib) != 1) die(BALLOON "info/current_kb");
  fclose(file);
  return kib;
}

// Milliseconds until dom0 has this size.
static double balloon_to(uint64_t kib) {
  struct timespec begin, end, pause = {0, 1000000};
  clock_gettime(CLOCK_MONOTONIC, &begin);
  FILE* file = fopen(BALLOON "target_kb", "w");
  if (!file || fprintf(file, "%lu", (unsigned long)kib) < 0 || fclose(file) != 0)
    die(BALLOON "target_kb");
  for (int i = 0; current_kib() != kib; i++) {
    if (i == 60000) die("the balloon does not get there");
    nanosleep(&pause, NULL);
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  return (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6;
}

static void balloon(uint64_t mib) {
  uint64_t kib = current_kib();
  double down_ms = balloon_to(kib - mib * 1024), up_ms = balloon_to(kib);
  printf("give_us_per_mib=%.0f take_us_per_mib=%.0f\n", down_ms * 1e3 / (double)mib,
         up_ms * 1e3 / (double)mib);
}

// The time is dom0's since its boot, as in /proc/uptime.
static void follow(Xenmem* x, uint64_t period_ms) {
  enum { DOMAINS = 64 };
  xc_dominfo_t domains[DOMAINS];
  for (;;) {
    int count = xc_domain_getinfo(x->control, 0, DOMAINS, domains);
    if (count < 0) die("xc_domain_getinfo");
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    printf("%ld free=%lu", now.tv_sec * 1000 + now.tv_nsec / 1000000,
           (unsigned long)physinfo(x).free_pages * 4);
    for (int i = 0; i < count; i++)
      printf(" %u=%lu", domains[i].domid, (unsigned long)domains[i].nr_pages * 4);
    printf("\n");
    fflush(stdout);
    usleep((useconds_t)(period_ms * 1000));
  }
}

int main(int argc, char** argv) {
  Xenmem x = {.control = xc_interface_open(NULL, NULL, 0),
              .foreign = xenforeignmemory_open(NULL, 0),
              .keep_mib = 8};
  const char* mode = argc < 2 ? "" : argv[1];
  bool of_domain = strcmp(mode, "scan-domain") == 0 && argc > 2;
  if (!x.control || !x.foreign) die("this is not Xen's domain 0");
  if (strcmp(mode, "free") == 0) {
    xc_physinfo_t info = physinfo(&x);
    printf("free_pages=%lu claimed_pages=%lu total_pages=%lu\n", (unsigned long)info.free_pages,
           (unsigned long)info.outstanding_pages, (unsigned long)info.total_pages);
    return 0;
  }
  if (strcmp(mode, "balloon") == 0 && argc == 3) {
    balloon(strtoul(argv[2], NULL, 10));
    return 0;
  }
  if (strcmp(mode, "follow") == 0 && argc == 3) follow(&x, strtoul(argv[2], NULL, 10));
  if (!of_domain && strcmp(mode, "scan-free") != 0) {
    fprintf(stderr,
            "usage: xenmem free | balloon MIB | follow MS | scan-free OPTIONS | scan-domain ID "
            "OPTIONS\n");
    return EXIT_USAGE;
  }
  int positional = of_domain ? 3 : 2;
  parse_options(argc - positional, argv + positional,
                (Option[]){{"--seed", &x.seed, NULL},
                           {"--pages", &x.pages, NULL},
                           {"--keep-mib", &x.keep_mib, NULL},
                           {NULL, NULL, NULL}});
  make_words(&x);
  if (of_domain)
    scan_domain(&x, (uint32_t)strtoul(argv[2], NULL, 10));
  else
    scan_free(&x);
  printf("scanned=%lu marked=%lu nonzero=%lu\n", x.scanned, x.marked, x.nonzero);
  return 0;
}
