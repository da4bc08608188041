// SPDX-License-Identifier: GPL-2.0-or-later
// xendomains, the service that saves or shuts down guests when the host goes down.
#pragma once
#include <string>

namespace tmem {

inline constexpr const char* kXendomainsPath = "/etc/default/xendomains";

// A sentence for the log where its configuration, a file of shell assignments, has guests saved:
// `xl save` knows nothing of pages in the pool. Empty: all is well, or there is no such file.
std::string xendomains_warning(const std::string& path);

}  // namespace tmem
