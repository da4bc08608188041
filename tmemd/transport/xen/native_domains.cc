// SPDX-License-Identifier: GPL-2.0-or-later
// Domains by libxenctrl. Its domctl interface belongs to one version of Xen: the program must be
// built against the libraries of the Xen that runs.
#include <algorithm>
#include <array>

extern "C" {  // the header does not say so itself
#include <xenctrl.h>
}

#include "tmemd/transport/xen/native.h"

namespace tmem::transport::xen {
namespace {

constexpr unsigned kDomainsPerCall = 64;
constexpr uint32_t kDomainsEnd = 0x7ff0;  // reserved numbers begin here

struct CloseInterface {
  void operator()(xc_interface* handle) const { (void)xc_interface_close(handle); }
};

class NativeDomains final : public Domains {
 public:
  explicit NativeDomains(xc_interface* handle) : handle_(handle) {}

  Result<std::vector<Domain>> list() override {
    std::vector<Domain> domains;
    std::array<xc_domaininfo_t, kDomainsPerCall> infos{};
    for (uint32_t first = 1; first < kDomainsEnd;) {
      const int count = xc_domain_getinfolist(handle_.get(), first, infos.size(), infos.data());
      if (count < 0) return fail_os("cannot list Xen's domains");
      for (int i = 0; i < count; ++i)
        if (is_guest(infos[static_cast<size_t>(i)]))
          domains.push_back(to_domain(infos[static_cast<size_t>(i)]));
      if (static_cast<unsigned>(count) < infos.size()) break;
      first = uint32_t{infos.back().domain} + 1;
    }
    return domains;
  }

 private:
  // Others serve the host: xenstore's domain has this flag, and the pool domain.
  static bool is_guest(const xc_domaininfo_t& info) {
    return (info.flags & XEN_DOMINF_xs_domain) == 0;
  }
  static Domain to_domain(const xc_domaininfo_t& info) {
    Domain domain;
    domain.id = DomId{info.domain};
    std::copy(std::begin(info.handle), std::end(info.handle), domain.handle.begin());
    constexpr uint32_t kStill = XEN_DOMINF_dying | XEN_DOMINF_shutdown | XEN_DOMINF_paused;
    domain.dying = (info.flags & XEN_DOMINF_dying) != 0;
    domain.hvm = (info.flags & XEN_DOMINF_hvm_guest) != 0;
    domain.runs = (info.flags & kStill) == 0;
    domain.memory_bytes = info.tot_pages * kPageBytes;
    domain.memory_bytes_max = info.max_pages * kPageBytes;
    return domain;
  }

  const std::unique_ptr<xc_interface, CloseInterface> handle_;
};

}  // namespace

Result<std::unique_ptr<Domains>> open_domains() {
  xc_interface* const handle = xc_interface_open(nullptr, nullptr, 0);
  if (handle == nullptr) return fail_os("cannot open Xen's control interface /dev/xen/privcmd");
  auto domains = std::make_unique<NativeDomains>(handle);
  // The call fails when libraries and Xen have different versions.
  TMEM_TRY(const std::vector<Domain> probe, domains->list());
  return domains;
}

}  // namespace tmem::transport::xen
