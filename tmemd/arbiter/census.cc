// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/census.h"

#include <algorithm>

#include "libtmem/base/units.h"
#include "tmem/text.hpp"
#include "tmemd/transport/xen/nodes.h"

namespace tmem::arbiter {
namespace {

using transport::xen::Domain;
using transport::xen::domain_path;

constexpr uint64_t kDescribeEveryMs = 10'000;
constexpr uint64_t kKibMax = uint64_t{1} << 44;
constexpr size_t kNameBytesMax = 63;

std::string printable(std::string_view text) {
  std::string name;
  for (const char c : text.substr(0, kNameBytesMax)) name += c > 0x20 && c < 0x7f ? c : '_';
  return name;
}

}  // namespace

std::string target_path(DomId guest) {
  return domain_path(guest) + "/memory/target";
}
std::string report_path(DomId guest) {
  return domain_path(guest) + "/data/tmem/report";
}
std::string tmem_path(DomId guest) {
  return domain_path(guest) + "/tmem";
}

std::optional<uint64_t> Census::read_kib(const std::string& path) const {
  const auto text = xenstore_.read(path);
  const auto kib = text ? parse_number(*text, kKibMax) : std::nullopt;
  return kib ? std::optional(*kib * kKiB) : std::nullopt;
}

std::optional<Census::Description> Census::describe(const Domain& domain, uint64_t now_ms) const {
  const std::string path = domain_path(domain.id);
  const auto name = xenstore_.read(path + "/name");
  const auto static_max_bytes = read_kib(path + "/memory/static-max");
  if (!name || !static_max_bytes) return std::nullopt;
  Description description{domain.handle, now_ms, printable(*name), *static_max_bytes, 0, false};
  description.video_bytes = read_kib(path + "/memory/videoram").value_or(0);
  // The guest's word, where it has one. Without it: a driver is usual where nothing is emulated.
  const std::string says = xenstore_.read(path + "/control/feature-balloon").value_or("");
  const std::string device_model = domain_path(transport::xen::kOurDomain) + "/device-model/" +
                                   transport::xen::number_of(domain.id);
  description.has_balloon =
      says == "1" || (says != "0" && !xenstore_.read(device_model + "/state"));
  return description;
}

Result<std::vector<GuestSight>> Census::take(uint64_t now_ms) {
  TMEM_TRY(std::vector<Domain> domains, domains_.list());
  std::ranges::sort(domains, {}, &Domain::id);
  std::vector<GuestSight> guests;
  std::map<DomId, Description> described;
  for (const Domain& domain : domains) {
    if (!domain.runs || domain.id == transport::xen::kOurDomain) continue;
    const auto old = described_.find(domain.id);
    const bool known = old != described_.end() && old->second.uuid == domain.handle &&
                       now_ms - old->second.read_ms < kDescribeEveryMs;
    const auto description = known ? old->second : describe(domain, now_ms);
    if (!description) continue;
    described[domain.id] = *description;
    GuestSight guest;
    guest.id = domain.id;
    guest.uuid = domain.handle;
    guest.name = description->name;
    guest.actual_bytes = minus_or_zero(domain.memory_bytes, description->video_bytes);
    guest.ceiling_bytes = minus_or_zero(
        std::min(domain.memory_bytes_max, description->static_max_bytes), description->video_bytes);
    guest.target_bytes = read_kib(target_path(domain.id));
    guest.has_balloon = description->has_balloon;
    guest.mode = xenstore_.read(tmem_path(domain.id) + "/mode").value_or("");
    guest.report = xenstore_.read(report_path(domain.id));
    guests.push_back(std::move(guest));
  }
  described_ = std::move(described);
  return guests;
}

}  // namespace tmem::arbiter
