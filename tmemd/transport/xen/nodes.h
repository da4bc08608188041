// SPDX-License-Identifier: GPL-2.0-or-later
// Where things stand in xenstore (docs/protocol.md, Xen handshake).
#pragma once
#include <string>

#include "libtmem/base/units.h"

namespace tmem::transport::xen {

inline constexpr DomId kOurDomain{0};
inline constexpr const char* kBackendRoot = "/local/domain/0/backend/tmem";
inline constexpr const char* kErrorRoot = "/local/domain/0/error/backend/tmem";

// xenbus's states, the same for both ends.
enum class BusState : uint32_t {
  kNone = 0,  // no node, or no number in it
  kInitialising = 1,
  kInitWait = 2,
  kInitialised = 3,
  kConnected = 4,
  kClosing = 5,
  kClosed = 6,
};

inline std::string number_of(DomId domain) {
  return std::to_string(static_cast<uint32_t>(domain));
}
inline std::string domain_path(DomId guest) {
  return "/local/domain/" + number_of(guest);
}
inline std::string frontend_path(DomId guest) {
  return domain_path(guest) + "/device/tmem/0";
}
inline std::string backend_folder(DomId guest) {
  return std::string(kBackendRoot) + "/" + number_of(guest);
}
inline std::string backend_path(DomId guest) {
  return backend_folder(guest) + "/0";
}
inline std::string error_folder(DomId guest) {
  return std::string(kErrorRoot) + "/" + number_of(guest);
}

}  // namespace tmem::transport::xen
