// SPDX-License-Identifier: GPL-2.0-or-later
#include "options.h"

#include <string.h>
#include <unistd.h>

#include "text.h"

static const char kHelp[] =
    "usage: tmem-guestd [--once] [--interval SECONDS] [--shrink MIB] [--xenbus PATH] [--root DIR]\n"
    "\n"
    "Tells dom0 what this Xen guest needs of memory, in its xenstore node data/tmem/report, and "
    "sets\n"
    "the guest's balloon where dom0 leaves that to it.\n"
    "\n"
    "  --once              print a report and exit; needs no Xen\n"
    "  --interval SECONDS  between reports while nothing changes: 1 to 60 (10)\n"
    "  --shrink MIB        bring pages of swap back from the host's pool while the guest is calm, "
    "so "
    "many\n"
    "                      MiB a second at most: 1 to 1024 (16); 0: never\n"
    "  --xenbus PATH       the xenbus device, or the UNIX socket of a xenstored\n"
    "  --root DIR          stands before /proc, /sys, /dev and /run\n"
    "  --help, --version\n"
    "\n"
    "SIGUSR1 has it report at once.\n";

static int print(const char* text) {
  const size_t length = strlen(text);
  return write(STDOUT_FILENO, text, length) == (ssize_t)length ? 0 : 1;
}

static int refuse(const char* what, const char* why) {
  say(what, why, "; see tmem-guestd --help", NULL);
  return 2;
}

static int take_value(const char* name, const char* value, Options* options) {
  uint64_t seconds, mib;
  if (strcmp(name, "--root") == 0) {
    options->root = value;
  } else if (strcmp(name, "--xenbus") == 0) {
    options->xenbus = value;
  } else if (strcmp(name, "--interval") == 0) {
    if (!parse_number(value, &seconds) || seconds < 1 || seconds > 60)
      return refuse("--interval", " is a number of seconds from 1 to 60");
    options->heartbeat_ms = (uint32_t)seconds * 1000;
  } else if (strcmp(name, "--shrink") == 0) {
    if (!parse_number(value, &mib) || mib > 1024)
      return refuse("--shrink", " is a number of MiB a second from 0 to 1024");
    options->shrink_mib_per_s = (uint32_t)mib;
  } else {
    return refuse(name, " is no option");
  }
  return -1;
}

int parse_options(int argc, char** argv, Options* options) {
  const Options defaults = {"", NULL, false, 10000, 16};
  *options = defaults;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--help") == 0) return print(kHelp);
    if (strcmp(argv[i], "--version") == 0) return print("tmem-guestd " TMEM_VERSION "\n");
    if (strcmp(argv[i], "--once") == 0) {
      options->once = true;
      continue;
    }
    // The name is judged before its value is missed.
    if (i + 1 == argc) {
      const bool known = strcmp(argv[i], "--root") == 0 || strcmp(argv[i], "--xenbus") == 0 ||
                         strcmp(argv[i], "--interval") == 0 || strcmp(argv[i], "--shrink") == 0;
      return refuse(argv[i], known ? " needs a value" : " is no option");
    }
    const int status = take_value(argv[i], argv[i + 1], options);
    if (status >= 0) return status;
    ++i;
  }
  return -1;
}
