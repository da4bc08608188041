// SPDX-License-Identifier: GPL-2.0-or-later
// Xenstore by libxenstore.
#include <array>
#include <cerrno>
#include <cstdlib>

extern "C" {  // the header does not say so itself
#include <xenstore.h>
}

#include "tmemd/transport/xen/native.h"

namespace tmem::transport::xen {
namespace {

constexpr int kTransactionTries = 16;

struct Free {
  void operator()(void* memory) const { std::free(memory); }  // NOLINT: what libxenstore hands out
};
template <class T>
using Malloced = std::unique_ptr<T, Free>;

struct CloseStore {
  void operator()(xs_handle* handle) const { xs_close(handle); }
};

class NativeStore final : public XenStore {
 public:
  explicit NativeStore(xs_handle* handle) : handle_(handle) {}

  Result<std::optional<std::string>> look(const std::string& path) override {
    unsigned bytes = 0;
    const Malloced<void> value(xs_read(handle_.get(), XBT_NULL, path.c_str(), &bytes));
    if (value != nullptr) return std::string(static_cast<const char*>(value.get()), bytes);
    if (errno == ENOENT) return std::nullopt;
    return fail_os("cannot read " + path + " in xenstore");
  }

  std::vector<std::string> list(const std::string& path) override {
    unsigned count = 0;
    const Malloced<char*> names(xs_directory(handle_.get(), XBT_NULL, path.c_str(), &count));
    std::vector<std::string> result;
    for (unsigned i = 0; names != nullptr && i < count; ++i) result.emplace_back(names.get()[i]);
    return result;
  }

  Result<void> write(const std::string& path, const std::string& value) override {
    if (!write_in(XBT_NULL, path, value)) return fail_os("cannot write " + path + " to xenstore");
    return {};
  }

  Result<void> write_all(const Nodes& nodes) override { return write_together({}, nullptr, nodes); }
  Result<void> write_while(const std::string& guard, const Nodes& nodes) override {
    return write_together(guard, nullptr, nodes);
  }
  Result<void> write_while(const std::string& guard, const Folder& folder,
                           const Nodes& nodes) override {
    return write_together(guard, &folder, nodes);
  }

  Result<void> make(const std::string& path, const NodeAccess& access) override {
    if (!make_in(XBT_NULL, path, access)) return fail_os("cannot make " + path + " in xenstore");
    return {};
  }

  void remove(const std::string& path) override {
    (void)xs_rm(handle_.get(), XBT_NULL, path.c_str());
  }

  Result<void> watch(const std::string& path, const std::string& token) override {
    if (!xs_watch(handle_.get(), path.c_str(), token.c_str()) && errno != EEXIST)
      return fail_os("cannot watch " + path + " in xenstore");
    return {};
  }

  void unwatch(const std::string& path, const std::string& token) override {
    (void)xs_unwatch(handle_.get(), path.c_str(), token.c_str());
  }

  int event_fd() const override { return xs_fileno(handle_.get()); }

  std::optional<WatchEvent> next_event() override {
    const Malloced<char*> event(xs_check_watch(handle_.get()));
    if (event == nullptr) return std::nullopt;
    return WatchEvent{event.get()[XS_WATCH_PATH], event.get()[XS_WATCH_TOKEN]};
  }

 private:
  // `guard` empty: whatever there is; `folder` null: none is to be made.
  Result<void> write_together(const std::string& guard, const Folder* folder, const Nodes& nodes) {
    for (int i = 0; i < kTransactionTries; ++i) {
      const xs_transaction_t transaction = xs_transaction_start(handle_.get());
      if (transaction == XBT_NULL) break;
      if (!guard.empty() && !exists_in(transaction, guard)) {
        (void)xs_transaction_end(handle_.get(), transaction, true);
        return fail(Errc::kNotFound, "there is no " + guard + " in xenstore");
      }
      bool good = folder == nullptr || make_in(transaction, folder->path, folder->access);
      for (const auto& [path, value] : nodes) good = good && write_in(transaction, path, value);
      const int error = errno;
      if (xs_transaction_end(handle_.get(), transaction, !good)) {
        if (good) return {};
        errno = error;
        break;
      }
      if (errno != EAGAIN) break;
    }
    return fail_os("cannot write " + nodes.front().first + " and others to xenstore");
  }
  bool make_in(xs_transaction_t transaction, const std::string& path, const NodeAccess& access) {
    std::array<xs_permissions, 2> permissions{};
    permissions[0].id = static_cast<unsigned>(access.owner);
    permissions[0].perms = XS_PERM_NONE;  // of others
    permissions[1].id = static_cast<unsigned>(access.reader);
    permissions[1].perms = XS_PERM_READ;
    return xs_mkdir(handle_.get(), transaction, path.c_str()) &&
           xs_set_permissions(handle_.get(), transaction, path.c_str(), permissions.data(),
                              permissions.size());
  }
  bool exists_in(xs_transaction_t transaction, const std::string& path) {
    unsigned bytes = 0;
    const Malloced<void> value(xs_read(handle_.get(), transaction, path.c_str(), &bytes));
    return value != nullptr;
  }
  bool write_in(xs_transaction_t transaction, const std::string& path, const std::string& value) {
    return xs_write(handle_.get(), transaction, path.c_str(), value.data(),
                    static_cast<unsigned>(value.size()));
  }

  const std::unique_ptr<xs_handle, CloseStore> handle_;
};

}  // namespace

Result<std::unique_ptr<XenStore>> open_xenstore() {
  xs_handle* const handle = xs_open(0);
  if (handle == nullptr)
    return fail_os("cannot reach xenstored (is it running? start tmemd after it)");
  return std::make_unique<NativeStore>(handle);
}

}  // namespace tmem::transport::xen
