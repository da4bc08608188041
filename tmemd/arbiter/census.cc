// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/census.h"

#include <algorithm>
#include <utility>

#include "libtmem/base/units.h"
#include "policy/decision_log.h"
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

Result<std::optional<uint64_t>> Census::read_kib(const std::string& path) const {
  TMEM_TRY(const auto text, xenstore_.look(path));
  const auto kib = text ? parse_number(*text, kKibMax) : std::nullopt;
  return kib ? std::optional(*kib * kKiB) : std::nullopt;
}

Result<std::optional<Census::Description>> Census::describe(const Domain& domain,
                                                            uint64_t now_ms) const {
  const std::string path = domain_path(domain.id);
  TMEM_TRY(const auto name, xenstore_.look(path + "/name"));
  TMEM_TRY(const auto static_max_bytes, read_kib(path + "/memory/static-max"));
  if (!name || !static_max_bytes) return std::nullopt;
  TMEM_TRY(const auto video_bytes, read_kib(path + "/memory/videoram"));
  TMEM_TRY(const auto says, xenstore_.look(path + "/control/feature-balloon"));
  // A PV guest has this node too, where QEMU serves its disk.
  TMEM_TRY(const auto emulator,
           xenstore_.look(domain_path(transport::xen::kOurDomain) + "/device-model/" +
                          transport::xen::number_of(domain.id) + "/state"));
  Description description;
  description.uuid = domain.handle;
  description.read_ms = now_ms;
  description.name = printable(*name);
  description.static_max_bytes = *static_max_bytes;
  description.video_bytes = video_bytes.value_or(0);
  // The guest's word, where it has one. Without it: a driver is usual where nothing is emulated.
  description.denies_balloon = says == "0";
  description.has_balloon =
      says == "1" || (!description.denies_balloon && !(domain.hvm && emulator));
  return description;
}

Result<GuestSight> Census::see(const Domain& domain, const Description& description) const {
  GuestSight guest;
  guest.id = domain.id;
  guest.uuid = domain.handle;
  guest.name = description.name;
  guest.actual_bytes = minus_or_zero(domain.memory_bytes, description.video_bytes);
  guest.ceiling_bytes = minus_or_zero(
      std::min(domain.memory_bytes_max, description.static_max_bytes), description.video_bytes);
  guest.has_balloon = description.has_balloon;
  guest.denies_balloon = description.denies_balloon;
  TMEM_TRY(guest.target_bytes, read_kib(target_path(domain.id)));
  TMEM_TRY(const auto mode, xenstore_.look(tmem_path(domain.id) + "/mode"));
  guest.mode = mode.value_or("");
  if (mode) {
    TMEM_TRY(const auto told_bytes, read_kib(tmem_path(domain.id) + "/max_kib"));
    guest.told_max_bytes = told_bytes.value_or(0);
  }
  TMEM_TRY(auto report, xenstore_.look(report_path(domain.id)));
  if (report) guest.report = policy::as_logged(*std::move(report));
  return guest;
}

Result<std::vector<GuestSight>> Census::take(uint64_t now_ms, Of of) {
  TMEM_TRY(std::vector<Domain> domains, domains_.list());
  std::ranges::sort(domains, {}, &Domain::id);
  std::vector<GuestSight> guests;
  std::map<DomId, Description> described;
  for (const Domain& domain : domains) {
    const bool counts = of == Of::kAll ? !domain.dying : domain.runs;
    if (!counts || domain.id == transport::xen::kOurDomain) continue;
    const auto old = described_.find(domain.id);
    std::optional<Description> description;
    if (old != described_.end() && old->second.uuid == domain.handle &&
        now_ms - old->second.read_ms < kDescribeEveryMs) {
      description = old->second;
    } else {
      TMEM_TRY(description, describe(domain, now_ms));
    }
    if (!description) continue;
    described[domain.id] = *description;
    TMEM_TRY(GuestSight guest, see(domain, *description));
    guests.push_back(std::move(guest));
  }
  described_ = std::move(described);
  return guests;
}

}  // namespace tmem::arbiter
