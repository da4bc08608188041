// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/guest.h"

#include <vector>

#include "tmem/text.hpp"

namespace tmem::arbiter {

Result<DomId> find_guest(const std::map<DomId, Guest>& guests, const std::string& name) {
  const auto number = parse_number(name, UINT16_MAX);
  if (number && guests.contains(DomId{static_cast<uint16_t>(*number)}))
    return DomId{static_cast<uint16_t>(*number)};
  const auto uuid = parse_uuid(name);
  std::vector<DomId> found;
  for (const auto& [id, guest] : guests)
    if (guest.sight.name == name || (uuid && guest.sight.uuid == *uuid)) found.push_back(id);
  if (found.empty())
    return fail(Errc::kNotFound,
                "no guest '" + name + "' runs here, or the policy is off: see tmem policy show");
  if (found.size() > 1)
    return fail(Errc::kConflict, "several guests are '" + name + "': use the number");
  return found.front();
}

}  // namespace tmem::arbiter
