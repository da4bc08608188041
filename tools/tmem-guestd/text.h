// SPDX-License-Identifier: GPL-2.0-or-later
// Text without stdio: building it in a buffer of fixed size, and reading numbers out of it.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Always NUL-terminated; what does not fit is left out and makes `cut` true.
typedef struct {
  char* data;
  size_t size;
  size_t length;
  bool cut;
} Text;

Text text_in(char* buffer, size_t size);  // empty
void add_text(Text* text, const char* more);
void add_number(Text* text, uint64_t number);

// Decimal digits at *at, which moves behind them. False where there is none; a number too large for
// 64 bits becomes the largest there is.
bool take_number(const char** at, uint64_t* number);
// The whole of `text` is one number; spaces or a newline may surround it.
bool parse_number(const char* text, uint64_t* number);
// What follows `prefix` in `text`, or NULL.
const char* after(const char* text, const char* prefix);
const char* skip_spaces(const char* text);

// One line to standard error, from all texts up to a NULL. Of one write, for the journal.
void say(const char* first, ...) __attribute__((sentinel));

#ifdef __cplusplus
}
#endif
