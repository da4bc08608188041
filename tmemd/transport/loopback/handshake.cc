// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/loopback/handshake.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "libtmem/base/ring_layout.h"

namespace tmem::transport {
namespace {

tl::unexpected<HandshakeRefusal> refuse(int os_errno, std::string reason) {
  return tl::make_unexpected(HandshakeRefusal{os_errno, std::move(reason)});
}

bool name_is_valid(const char (&name)[TMEM_LOOPBACK_NAME_BYTES]) {
  const auto* end = std::find(std::begin(name), std::end(name), '\0');
  if (end == std::end(name) || end == std::begin(name)) return false;
  return std::all_of(std::begin(name), end, [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace

tl::expected<Grant, HandshakeRefusal> check_hello(std::span<const std::byte> message,
                                                  const HandshakeLimits& limits) {
  tmem_loopback_hello hello{};
  if (message.size() != sizeof(hello)) return refuse(EBADMSG, "the hello has a wrong length");
  std::memcpy(&hello, message.data(), sizeof(hello));
  if (hello.magic != TMEM_LOOPBACK_MAGIC) return refuse(EBADMSG, "the hello has a wrong magic");
  if (hello.version_min > TMEM_ABI_VERSION || hello.version_max < TMEM_ABI_VERSION)
    return refuse(EPROTONOSUPPORT, "this tmemd speaks ABI version " +
                                       std::to_string(TMEM_ABI_VERSION) +
                                       " only: install a libtmem of the same version");
  if (!RingLayout::is_valid(hello.ring_order, hello.slots))
    return refuse(EINVAL, "ring_order must be 1..6 and slots 8..4096");
  if (hello.queues > TMEM_QUEUES_MAX) return refuse(EINVAL, "queues must be 0..8");
  if (!name_is_valid(hello.name))
    return refuse(EINVAL, "the name must be 1..63 printable ASCII characters without spaces");

  Grant grant;
  std::copy(std::begin(hello.uuid), std::end(hello.uuid), grant.uuid.begin());
  if (grant.uuid == Uuid{}) return refuse(EINVAL, "the uuid must not be all zero");
  grant.version = TMEM_ABI_VERSION;
  grant.queues =
      std::min(hello.queues == 0 ? limits.queues_default : hello.queues, limits.queues_max);
  grant.ring_order = hello.ring_order;
  grant.slots = hello.slots;
  grant.features = hello.features & kLoopbackFeatures;
  grant.name = hello.name;
  grant.memory_bytes = grant.queues * RingLayout::of(grant.ring_order, grant.slots).bytes;
  if (grant.memory_bytes > limits.memory_max_bytes)
    return refuse(ENOMEM, "the queues need " + std::to_string(grant.memory_bytes / kKiB) +
                              " KiB, the limit is " +
                              std::to_string(limits.memory_max_bytes / kKiB) +
                              " KiB: ask for fewer queues or slots");
  return grant;
}

}  // namespace tmem::transport
