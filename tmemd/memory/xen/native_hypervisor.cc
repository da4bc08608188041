// SPDX-License-Identifier: GPL-2.0-or-later
// Memory of PV domains by libxenctrl and libxenforeignmemory. A PV domain's page is known by its
// machine frame.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

extern "C" {  // the headers do not say so themselves
#include <xenctrl.h>
#include <xenforeignmemory.h>
// In the library, but in no header.
int xc_get_pfn_type_batch(xc_interface* control, uint32_t domain, unsigned count,
                          xen_pfn_t* frames);
}

#include "libtmem/base/assert.h"
#include "tmemd/memory/xen/control_interface.h"
#include "tmemd/memory/xen/native.h"

namespace tmem::memory::xen {
namespace {

constexpr unsigned kExtentOrder = 9;  // 2 MiB
constexpr unsigned kDomainsPerCall = 64;
constexpr uint32_t kDomainsEnd = 0x7ff0;  // reserved numbers begin here
constexpr unsigned kTypesPerCall = 1024;  // Xen's limit

struct CloseForeign {
  void operator()(xenforeignmemory_handle* handle) const { (void)xenforeignmemory_close(handle); }
};
using Foreign = std::unique_ptr<xenforeignmemory_handle, CloseForeign>;

uint32_t number_of(DomId domain) {
  return static_cast<uint32_t>(domain);
}

std::string name_of(DomId domain) {
  return "pool domain " + std::to_string(number_of(domain));
}

std::vector<xen_pfn_t> pfns_of(std::span<const Frame> frames) {
  std::vector<xen_pfn_t> pfns(frames.size());
  std::ranges::transform(frames, pfns.begin(), [](Frame f) { return static_cast<xen_pfn_t>(f); });
  return pfns;
}

// Not every domain with the handle: a tenant may choose the UUID of a guest, but has it neither
// made without vCPUs nor with the flag.
bool is_this(const xc_domaininfo_t& info, const Uuid& handle) {
  return (info.flags & XEN_DOMINF_dying) == 0 && (info.flags & XEN_DOMINF_hvm_guest) == 0 &&
         (info.flags & XEN_DOMINF_xs_domain) != 0 && info.max_vcpu_id == XEN_INVALID_MAX_VCPU_ID &&
         std::equal(handle.begin(), handle.end(), std::begin(info.handle));
}

// Unmaps in the end what it has mapped.
class SharedInfo {
 public:
  SharedInfo(xenforeignmemory_handle* foreign, DomId domain, xen_pfn_t frame)
      : foreign_(foreign),
        info_(static_cast<shared_info_t*>(xenforeignmemory_map(
            foreign, number_of(domain), PROT_READ | PROT_WRITE, 1, &frame, nullptr))) {}
  SharedInfo(const SharedInfo&) = delete;
  SharedInfo& operator=(const SharedInfo&) = delete;
  ~SharedInfo() {
    if (info_ != nullptr) (void)xenforeignmemory_unmap(foreign_, info_, 1);
  }
  // The word by which a PV kernel would tell its own table of frames.
  xen_pfn_t* root() { return info_ == nullptr ? nullptr : &info_->arch.pfn_to_mfn_frame_list_list; }

 private:
  xenforeignmemory_handle* const foreign_;
  shared_info_t* const info_;
};

class NativeHypervisor final : public Hypervisor {
 public:
  NativeHypervisor(Control control, Foreign foreign)
      : control_(std::move(control)), foreign_(std::move(foreign)) {}

  Result<std::optional<DomId>> find(const Uuid& handle) override {
    std::array<xc_domaininfo_t, kDomainsPerCall> infos{};
    for (uint32_t first = 1; first < kDomainsEnd;) {
      const int count = xc_domain_getinfolist(control_.get(), first, infos.size(), infos.data());
      if (count < 0) return fail_os("cannot list Xen's domains");
      const auto end = infos.begin() + count;
      const auto found = std::find_if(
          infos.begin(), end, [&](const xc_domaininfo_t& info) { return is_this(info, handle); });
      if (found != end) return DomId{found->domain};
      if (static_cast<unsigned>(count) < infos.size()) break;
      first = uint32_t{infos.back().domain} + 1;
    }
    return std::nullopt;
  }

  Result<DomId> create(const Uuid& handle) override {
    xen_domctl_createdomain config{};
    std::ranges::copy(handle, std::begin(config.handle));
    // `xl shutdown --all` leaves out what has this flag; it gives rights to vCPUs, of which there
    // are none.
    config.flags = XEN_DOMCTL_CDF_xs_domain;
    config.max_vcpus = 1;  // Xen wants one; it is never made
    config.max_evtchn_port = 1;
    config.max_grant_frames = 1;
    config.grant_opts = XEN_DOMCTL_GRANT_version(1);
    uint32_t domain = 0;
    if (xc_domain_create(control_.get(), &domain, &config) != 0)
      return fail_os("Xen creates no pool domain");
    const DomId id{static_cast<uint16_t>(domain)};
    // Whoever waits for its end (`xl shutdown --wait`) finds that it has shut down.
    if (xc_domain_shutdown(control_.get(), domain, SHUTDOWN_poweroff) == 0) return id;
    const int error = errno;
    (void)xc_domain_destroy(control_.get(), domain);
    return fail_os("Xen does not mark the pool domain as shut down", error);
  }

  Result<void> destroy(DomId domain) override {
    if (xc_domain_destroy(control_.get(), number_of(domain)) != 0)
      return fail_os("cannot destroy " + name_of(domain));
    return {};
  }

  Result<bool> is_alive(DomId domain, const Uuid& handle) override {
    xc_domaininfo_t info{};
    const int count = xc_domain_getinfolist(control_.get(), number_of(domain), 1, &info);
    if (count < 0) return fail_os("cannot ask Xen for " + name_of(domain));
    return count == 1 && info.domain == number_of(domain) && is_this(info, handle);
  }

  Result<void> set_pages_max(DomId domain, uint64_t pages) override {
    const uint64_t kib = pages * (kPageBytes / kKiB);
    if (xc_domain_setmaxmem(control_.get(), number_of(domain), kib) != 0)
      return fail_os("cannot set the maximum memory of " + name_of(domain));
    return {};
  }

  Result<uint64_t> owned_pages(DomId domain) override {
    TMEM_TRY(const xc_domaininfo_t info, info_of(domain));
    return uint64_t{info.tot_pages};
  }

  Result<std::vector<Frame>> owned_frames(DomId domain) override {
    TMEM_TRY(const uint64_t end, frames_end());
    std::vector<Frame> owned;
    std::array<xen_pfn_t, kTypesPerCall> types{};
    for (uint64_t first = 0; first < end; first += types.size()) {
      const auto count = static_cast<unsigned>(std::min<uint64_t>(types.size(), end - first));
      for (unsigned i = 0; i < count; ++i) types[i] = first + i;
      if (xc_get_pfn_type_batch(control_.get(), number_of(domain), count, types.data()) != 0)
        return fail_os("cannot look for the frames of " + name_of(domain));
      for (unsigned i = 0; i < count; ++i)
        if ((types[i] & XEN_DOMCTL_PFINFO_LTAB_MASK) < XEN_DOMCTL_PFINFO_BROKEN)
          owned.push_back(Frame{first + i});
    }
    return owned;
  }

  Result<uint64_t> frames_end() override {
    unsigned long last = 0;
    if (xc_maximum_ram_page(control_.get(), &last) != 0)
      return fail_os("cannot ask Xen for the machine's last frame");
    return uint64_t{last} + 1;
  }

  Result<Frame> root(DomId domain) override {
    TMEM_TRY(const xc_domaininfo_t info, info_of(domain));
    SharedInfo shared(foreign_.get(), domain, info.shared_info_frame);
    if (shared.root() == nullptr) return fail_os("cannot map a page of " + name_of(domain));
    return Frame{*shared.root()};
  }

  Result<void> set_root(DomId domain, Frame root) override {
    TMEM_TRY(const xc_domaininfo_t info, info_of(domain));
    SharedInfo shared(foreign_.get(), domain, info.shared_info_frame);
    if (shared.root() == nullptr) return fail_os("cannot map a page of " + name_of(domain));
    *shared.root() = static_cast<xen_pfn_t>(root);
    return {};
  }

  Result<Frame> populate_extent(DomId domain) override {
    xen_pfn_t frame = 0;
    const int count =
        xc_domain_populate_physmap(control_.get(), number_of(domain), 1, kExtentOrder, 0, &frame);
    if (count < 0) return fail_os("cannot take memory for " + name_of(domain));
    if (count == 0) return fail(Errc::kNoSpace, "Xen has no contiguous 2 MiB");
    return Frame{frame};
  }

  Result<size_t> populate_pages(DomId domain, std::span<Frame> frames) override {
    std::vector<xen_pfn_t> pfns(frames.size());
    const int count = xc_domain_populate_physmap(control_.get(), number_of(domain), pfns.size(), 0,
                                                 0, pfns.data());
    if (count < 0) return fail_os("cannot take memory for " + name_of(domain));
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) frames[i] = Frame{pfns[i]};
    return static_cast<size_t>(count);
  }

  Result<void> release(DomId domain, std::span<const Frame> frames) override {
    std::vector<xen_pfn_t> pfns = pfns_of(frames);
    const int count = xc_domain_decrease_reservation(control_.get(), number_of(domain), pfns.size(),
                                                     0, pfns.data());
    if (count < 0 || static_cast<size_t>(count) != pfns.size())
      return fail_os("cannot give memory of " + name_of(domain) + " back to Xen");
    return {};
  }

  // With a list for the errors the library leaves the range mapped when pages fail, so that no
  // other thread's mapping can slip in before it is reserved again.
  Result<void> map(DomId domain, std::span<const Frame> frames, std::byte* place) override {
    const std::vector<xen_pfn_t> pfns = pfns_of(frames);
    std::vector<int> errors(pfns.size(), 0);
    const size_t bytes = pfns.size() * kPageBytes;
    if (xenforeignmemory_map2(foreign_.get(), number_of(domain), place, PROT_READ | PROT_WRITE,
                              MAP_FIXED | MAP_SHARED, pfns.size(), pfns.data(),
                              errors.data()) == nullptr) {
      const int error = errno;
      // It has unmapped the range, unless it never mapped it. Another thread's mapping there would
      // be overwritten one day: then it is better to end, the pool domain survives that.
      TMEM_ASSERT(reserve(place, bytes, MAP_FIXED_NOREPLACE) || is_reserved(place, bytes));
      return fail_os("cannot map memory of " + name_of(domain), error);
    }
    const auto bad = std::ranges::find_if(errors, [](int e) { return e != 0; });
    if (bad == errors.end()) return {};
    TMEM_CHECK(unmap(place, bytes));
    const int error = std::abs(*bad);
    if (error != EINVAL && error != ENOENT && error != EPERM && error != ESRCH)
      return fail_os("cannot map memory of " + name_of(domain), error);
    return fail(Errc::kConflict, "a frame is not of " + name_of(domain));
  }

  Result<void> unmap(std::byte* place, size_t bytes) override {
    if (!reserve(place, bytes, MAP_FIXED)) return fail_os("cannot unmap memory of the pool domain");
    return {};
  }

 private:
  static bool reserve(std::byte* place, size_t bytes, int how) {
    return mmap(place, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | how, -1,
                0) == place;
  }

  // Whether the kernel lists a private mapping without access and file for all of the range.
  static bool is_reserved(const std::byte* place, size_t bytes) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      unsigned long from = 0;
      unsigned long to = 0;
      unsigned long inode = 0;
      std::array<char, 5> access{};
      if (std::sscanf(line.c_str(), "%lx-%lx %4s %*x %*s %lu", &from, &to, access.data(), &inode) !=
          4)
        continue;
      const auto start = reinterpret_cast<unsigned long>(place);
      if (from <= start && start < to)
        return start + bytes <= to && std::string_view(access.data()) == "---p" && inode == 0;
    }
    return false;
  }

  Result<xc_domaininfo_t> info_of(DomId domain) {
    xc_domaininfo_t info{};
    const int count = xc_domain_getinfolist(control_.get(), number_of(domain), 1, &info);
    if (count < 0) return fail_os("cannot ask Xen for " + name_of(domain));
    if (count != 1 || info.domain != number_of(domain))
      return fail(Errc::kNotFound, name_of(domain) + " is gone");
    return info;
  }

  const Control control_;
  const Foreign foreign_;
};

}  // namespace

Result<std::unique_ptr<Hypervisor>> open_hypervisor() {
  TMEM_TRY(Control control, open_control());
  Foreign foreign(xenforeignmemory_open(nullptr, 0));
  if (foreign == nullptr)
    return fail(Errc::kNotFound, "cannot open Xen's memory of other domains /dev/xen/privcmd");
  return std::make_unique<NativeHypervisor>(std::move(control), std::move(foreign));
}

}  // namespace tmem::memory::xen
