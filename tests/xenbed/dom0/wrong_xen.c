// SPDX-License-Identifier: GPL-2.0-or-later
// Preloaded (LD_PRELOAD), makes Xen answer as it does to libraries of another version.
#include <errno.h>
#include <xenctrl.h>

int xc_physinfo(xc_interface* control, xc_physinfo_t* info) {
  (void)control, (void)info;
  errno = EACCES;
  return -1;
}

int xc_domain_getinfolist(xc_interface* control, uint32_t first, unsigned int count,
                          xc_domaininfo_t* infos) {
  (void)control, (void)first, (void)count, (void)infos;
  errno = EACCES;
  return -1;
}
