// SPDX-License-Identifier: GPL-2.0-or-later
// native.h for builds without Xen's libraries.
#include "tmemd/transport/xen/native.h"

namespace tmem::transport::xen {

bool is_built_in() {
  return false;
}

Result<Platform> open_native() {
  return fail(Errc::kNotFound,
              "this tmemd was built without Xen: install libxen-dev and build it again");
}

}  // namespace tmem::transport::xen
