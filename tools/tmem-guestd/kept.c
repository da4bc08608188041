// SPDX-License-Identifier: GPL-2.0-or-later
#include "kept.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "text.h"

static const char kFolder[] = "/run/tmem-guestd/";

static Text path_of(char path[kPathMax], const char* root, const char* name) {
  Text text = text_in(path, kPathMax);
  add_text(&text, root);
  add_text(&text, kFolder);
  add_text(&text, name);
  return text;
}

bool load_kept(const char* root, const char* name, uint64_t* number) {
  char path[kPathMax];
  if (path_of(path, root, name).cut) return false;
  const int file = open_below("", path, O_RDONLY);
  if (file < 0) return false;
  const bool loaded = read_number(file, number);
  close(file);
  return loaded;
}

bool keep(const char* root, const char* name, uint64_t number) {
  char path[kPathMax];
  path_of(path, root, "");
  if (mkdir(path, 0755) != 0 && errno != EEXIST) return false;
  if (path_of(path, root, name).cut) {
    errno = ENAMETOOLONG;
    return false;
  }
  const int file = open_below("", path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW);
  if (file < 0) return false;
  const int error = write_number(file, number);
  close(file);
  errno = -error;
  return error == 0;
}

void forget_kept(const char* root, const char* name) {
  char path[kPathMax];
  if (!path_of(path, root, name).cut) unlink(path);
}
