// SPDX-License-Identifier: GPL-2.0-or-later
// What the test programs share: a generator of page contents, random numbers, options, errors.
//
// The generator is the only source of truth: a page's bytes follow from (seed, number, version), so
// a checker needs no copy of what it wrote. It shares no code with what is being tested.
#ifndef TESTS_XENBED_GUEST_COMMON_H
#define TESTS_XENBED_GUEST_COMMON_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE = 4096, PAGE_WORDS = PAGE / 8, EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_LOST = 3 };

// splitmix64: each call gives the next number of the sequence that `state` began.
static inline uint64_t next_random(uint64_t* state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static inline uint64_t random_below(uint64_t* state, uint64_t bound) {
  return next_random(state) % bound;
}

static inline uint64_t page_state(uint64_t seed, uint64_t number, uint64_t version) {
  uint64_t state = seed * 0xd6e8feb86659fd93u ^ number * 0xa0761d6478bd642fu;
  state = next_random(&state) ^ version * 0xe7037ed1a0b428dbu;
  return next_random(&state);
}

// Word `i` of a page. Odd pages are incompressible; even ones repeat one random word, each time
// with a small number added, so they compress well; every sixteenth repeats it as it is. No two
// pages are equal.
static inline uint64_t page_word(uint64_t* state, uint64_t number, unsigned i) {
  if (number & 1) return next_random(state);
  return number % 16 == 8 ? *state : *state + (i >> 4);
}

static inline void fill_page(uint64_t* page, uint64_t seed, uint64_t number, uint64_t version) {
  uint64_t state = page_state(seed, number, version);
  for (unsigned i = 0; i < PAGE_WORDS; i++) page[i] = page_word(&state, number, i);
}

static inline bool page_is(const uint64_t* page, uint64_t seed, uint64_t number, uint64_t version) {
  uint64_t state = page_state(seed, number, version);
  uint64_t differs = 0;
  for (unsigned i = 0; i < PAGE_WORDS; i++) differs |= page[i] ^ page_word(&state, number, i);
  return differs == 0;
}

static inline _Noreturn void die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(EXIT_USAGE);
}

static inline uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// Options are `--name NUMBER` (or `--name WORD`), in any order, after what is positional.
typedef struct {
  const char* name;
  uint64_t* number;
  const char** word;
} Option;

static inline void parse_options(int argc, char** argv, const Option* options) {
  for (int i = 0; i < argc; i += 2) {
    const Option* option = options;
    while (option->name && strcmp(option->name, argv[i]) != 0) option++;
    if (!option->name || i + 1 >= argc) {
      fprintf(stderr, "bad option %s, or it has no value\n", argv[i]);
      exit(EXIT_USAGE);
    }
    if (option->word) {
      *option->word = argv[i + 1];
      continue;
    }
    char* end;
    *option->number = strtoull(argv[i + 1], &end, 10);
    if (*end || end == argv[i + 1]) {
      fprintf(stderr, "%s %s: not a number\n", argv[i], argv[i + 1]);
      exit(EXIT_USAGE);
    }
  }
}

#endif
