// SPDX-License-Identifier: GPL-2.0-or-later
// change_medium LOOP FILE: a read-only loop device gets another file of the same size, as a drive
// gets another disc.
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  int loop = open(argv[1], O_RDONLY);
  int file = open(argv[2], O_RDONLY);
  if (loop >= 0 && file >= 0 && ioctl(loop, LOOP_CHANGE_FD, file) == 0) return 0;
  perror("change_medium");
  return 1;
}
