// SPDX-License-Identifier: GPL-2.0-or-later
#include "text.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

Text text_in(char* buffer, size_t size) {
  const Text text = {buffer, size, 0, false};
  buffer[0] = '\0';
  return text;
}

void add_text(Text* text, const char* more) {
  size_t length = strlen(more);
  if (length > text->size - 1 - text->length) {
    length = text->size - 1 - text->length;
    text->cut = true;
  }
  memcpy(text->data + text->length, more, length);
  text->length += length;
  text->data[text->length] = '\0';
}

void add_number(Text* text, uint64_t number) {
  char digits[21];
  char* first = digits + sizeof(digits) - 1;
  *first = '\0';
  do {
    *--first = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  add_text(text, first);
}

bool take_number(const char** at, uint64_t* number) {
  const char* first = *at;
  uint64_t value = 0;
  for (; **at >= '0' && **at <= '9'; ++*at) {
    const uint64_t digit = (uint64_t)(**at - '0');
    value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
  }
  if (*at == first) return false;
  *number = value;
  return true;
}

bool parse_number(const char* text, uint64_t* number) {
  const char* at = skip_spaces(text);
  uint64_t value;
  if (!take_number(&at, &value) || *skip_spaces(at) != '\0') return false;
  *number = value;
  return true;
}

const char* after(const char* text, const char* prefix) {
  const size_t length = strlen(prefix);
  return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

const char* skip_spaces(const char* text) {
  while (*text == ' ' || *text == '\t' || *text == '\n') ++text;
  return text;
}

void say(const char* first, ...) {
  char line[400];
  Text text = text_in(line, sizeof(line) - 1);
  add_text(&text, "tmem-guestd: ");
  va_list more;
  va_start(more, first);
  for (const char* part = first; part; part = va_arg(more, const char*)) add_text(&text, part);
  va_end(more);
  line[text.length++] = '\n';
  // Nothing can be done about a standard error that is closed.
  if (write(STDERR_FILENO, line, text.length) < 0) return;
}
