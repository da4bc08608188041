// SPDX-License-Identifier: GPL-2.0-or-later
// The Xen that this machine runs on, by libxenstore, libxengnttab, libxenevtchn and libxenctrl.
#pragma once
#include "tmemd/transport/xen/platform.h"

namespace tmem::transport::xen {

// True if the program was built with Xen's libraries.
bool is_built_in();

// Errors: kNotFound when it was built without them, this is not Xen's domain 0 or the drivers of
// its kernel are missing; kConflict when another tmemd serves this host's guests. The message says
// what to do.
Result<Platform> open_native();

// The parts, each with the error of its library.
Result<std::unique_ptr<XenStore>> open_xenstore();
Result<std::unique_ptr<GrantMapper>> open_grant_mapper();
Result<std::unique_ptr<EventChannels>> open_event_channels();
Result<std::unique_ptr<Domains>> open_domains();

}  // namespace tmem::transport::xen
