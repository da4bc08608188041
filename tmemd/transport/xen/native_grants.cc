// SPDX-License-Identifier: GPL-2.0-or-later
// Grants by libxengnttab (/dev/xen/gntdev).
#include <sys/mman.h>

#include <vector>

extern "C" {  // the header does not say so itself
#include <xengnttab.h>
}

#include "tmemd/transport/xen/native.h"

namespace tmem::transport::xen {
namespace {

struct CloseTable {
  void operator()(xengnttab_handle* handle) const { (void)xengnttab_close(handle); }
};
using Table = std::shared_ptr<xengnttab_handle>;

class NativeMapping final : public GrantMapping {
 public:
  NativeMapping(Table table, void* base, uint32_t pages)
      : table_(std::move(table)), base_(base), pages_(pages) {}
  NativeMapping(const NativeMapping&) = delete;
  NativeMapping& operator=(const NativeMapping&) = delete;
  ~NativeMapping() override { (void)xengnttab_unmap(table_.get(), base_, pages_); }

  std::span<std::byte> bytes() const override {
    return {static_cast<std::byte*>(base_), size_t{pages_} * kPageBytes};
  }

 private:
  const Table table_;  // open as long as any mapping
  void* const base_;
  const uint32_t pages_;
};

class NativeMapper final : public GrantMapper {
 public:
  explicit NativeMapper(xengnttab_handle* handle) : table_(handle, CloseTable{}) {}

  Result<std::unique_ptr<GrantMapping>> map(DomId guest, std::span<const uint32_t> refs,
                                            GrantAccess access) override {
    std::vector<uint32_t> copy(refs.begin(), refs.end());  // the library's parameter is not const
    const auto count = static_cast<uint32_t>(copy.size());
    const int protection = access == GrantAccess::kWrite ? PROT_READ | PROT_WRITE : PROT_READ;
    void* const base = xengnttab_map_domain_grant_refs(
        table_.get(), count, static_cast<uint32_t>(guest), copy.data(), protection);
    if (base == nullptr) return fail_os("cannot map " + std::to_string(count) + " granted pages");
    return std::make_unique<NativeMapping>(table_, base, count);
  }

  Result<std::unique_ptr<GrantMapping>> map_with_notice(DomId guest, uint32_t ref,
                                                        const UnmapNotice& notice) override {
    void* const base = xengnttab_map_grant_ref_notify(
        table_.get(), static_cast<uint32_t>(guest), ref, PROT_READ | PROT_WRITE,
        static_cast<uint32_t>(notice.offset_bytes), notice.local_port);
    if (base == nullptr) return fail_os("cannot map a control page");
    return std::make_unique<NativeMapping>(table_, base, 1);
  }

 private:
  const Table table_;
};

}  // namespace

Result<std::unique_ptr<GrantMapper>> open_grant_mapper() {
  xengnttab_handle* const handle = xengnttab_open(nullptr, 0);
  if (handle == nullptr) return fail_os("cannot open /dev/xen/gntdev (modprobe xen-gntdev)");
  return std::make_unique<NativeMapper>(handle);
}

}  // namespace tmem::transport::xen
