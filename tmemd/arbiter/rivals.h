// SPDX-License-Identifier: GPL-2.0-or-later
// Other programs that set the balloons of this host's guests: two of them at once fight.
#pragma once
#include <string>

#include "tmemd/transport/xen/platform.h"

namespace tmem::arbiter {

// Where to look.
struct RivalPlaces {
  std::string processes = "/proc";
  std::string qmemman_socket = "/var/run/qubes/qmemman.sock";
};

// XAPI's squeezed or Qubes' qmemman, by its running process, its socket, or the reservations that
// it keeps in xenstore. Empty: none.
std::string find_rival(transport::xen::XenStore& xenstore, const RivalPlaces& places);

}  // namespace tmem::arbiter
