// SPDX-License-Identifier: GPL-2.0-or-later
// Asks tmemd one thing over its control socket, at a set time: `tmem` costs the emulated CPU a tenth
// of a second before it says anything, which would be measured too.
//
//   ask SOCKET REQUEST [AFTER_MS]
//
// Connects, waits, sends the line, prints the answer. Exit status: 0, or 2 without an answer.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../guest/common.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: ask SOCKET REQUEST [AFTER_MS]\n");
    return EXIT_USAGE;
  }
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
  int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (peer < 0 || connect(peer, (struct sockaddr*)&address, sizeof address) != 0) die(argv[1]);
  if (argc > 3) usleep((useconds_t)(strtoul(argv[3], NULL, 10) * 1000));
  if (dprintf(peer, "%s\n", argv[2]) < 0) die("write");
  char answer[65536];
  ssize_t got = read(peer, answer, sizeof answer - 1);
  if (got <= 0) die("read");
  answer[got] = 0;
  fputs(answer, stdout);
  return 0;
}
