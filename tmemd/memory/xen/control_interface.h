// SPDX-License-Identifier: GPL-2.0-or-later
// An open handle of libxenctrl that is known to match the running Xen.
#pragma once
#include <memory>

extern "C" {  // the header does not say so itself
#include <xenctrl.h>
}

#include "libtmem/base/result.h"

namespace tmem::memory::xen {

struct CloseControl {
  void operator()(xc_interface* handle) const { (void)xc_interface_close(handle); }
};
// Usable by many threads at once.
using Control = std::unique_ptr<xc_interface, CloseControl>;

// Errors: kNotFound, with what to do.
Result<Control> open_control();

}  // namespace tmem::memory::xen
