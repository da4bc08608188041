// SPDX-License-Identifier: LGPL-2.1-or-later
// The C API (tmem.h) over Client. No exception leaves these functions.
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "libtmem/src/client.h"
#include "tmem/tmem.h"

struct tmem_client {
  tmem_client(tmem::client::Session session, uint32_t timeout_ms)
      : client(std::move(session), timeout_ms) {}
  tmem::client::Client client;
};

namespace {

constexpr uint32_t kTimeoutDefaultMs = 5'000;

int fill_uuid(const uint8_t* wanted, tmem::Uuid* uuid) {
  if (wanted != nullptr) std::copy_n(wanted, uuid->size(), uuid->begin());
  if (*uuid != tmem::Uuid{}) return 0;
  if (getrandom(uuid->data(), uuid->size(), 0) != static_cast<ssize_t>(uuid->size())) return -EIO;
  uuid->at(6) = static_cast<uint8_t>((uuid->at(6) & 0x0f) | 0x40);  // version 4, random
  uuid->at(8) = static_cast<uint8_t>((uuid->at(8) & 0x3f) | 0x80);
  return 0;
}

void explain(const std::string& text, char* reason, size_t reason_bytes) {
  if (reason == nullptr || reason_bytes == 0) return;
  const size_t bytes = std::min(text.size(), reason_bytes - 1);
  std::memcpy(reason, text.data(), bytes);
  reason[bytes] = '\0';
}

int connect_client(const tmem_connect_options& options, tmem_client** client, char* reason,
                   size_t reason_bytes) {
  tmem::client::SessionOptions session_options;
  session_options.socket_path =
      options.socket_path != nullptr ? options.socket_path : TMEM_DEFAULT_SOCKET;
  session_options.name = options.name != nullptr ? options.name : "pid-" + std::to_string(getpid());
  session_options.queues = options.queues;
  session_options.ring_order =
      options.ring_order != 0 ? options.ring_order : TMEM_RING_ORDER_DEFAULT;
  session_options.slots = options.slots != 0 ? options.slots : TMEM_SLOTS_DEFAULT;
  session_options.timeout_ms = options.timeout_ms != 0 ? options.timeout_ms : kTimeoutDefaultMs;
  if (session_options.name.size() >= 64) {
    explain("the name must have at most 63 bytes", reason, reason_bytes);
    return -EINVAL;
  }
  if (const int error = fill_uuid(options.uuid, &session_options.uuid); error < 0) return error;
  auto session = tmem::client::open_session(session_options);
  if (!session) {
    explain(session.error().reason, reason, reason_bytes);
    return session.error().os_errno > 0 ? -session.error().os_errno : -EIO;
  }
  auto connected = std::make_unique<tmem_client>(*std::move(session), session_options.timeout_ms);
  *client = connected.release();
  return 0;
}

int run_single(tmem_client* client, uint8_t op, const tmem_key* key, void* page) {
  if (client == nullptr || key == nullptr) return -EINVAL;
  try {
    tmem_batch_op single{op, *key, page, 0};
    (void)client->client.run({&single, 1});
    return single.status;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  } catch (...) {
    return -EIO;
  }
}

int run_pool(tmem_client* client, const tmem_request& wire) {
  if (client == nullptr || wire.pool >= TMEM_POOLS_MAX) return -EINVAL;
  try {
    return client->client.run_pool(wire);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  } catch (...) {
    return -EIO;
  }
}

tmem_request pool_request(uint8_t op, uint32_t pool) {
  tmem_request wire{};
  wire.op = op;
  wire.pool = pool;
  wire.u.page.slot = TMEM_NO_SLOT;
  return wire;
}

}  // namespace

extern "C" {

int tmem_connect(const struct tmem_connect_options* options, struct tmem_client** client,
                 char* reason, size_t reason_bytes) {
  explain("", reason, reason_bytes);
  if (client == nullptr) return -EINVAL;
  *client = nullptr;
  try {
    const tmem_connect_options defaults{};
    return connect_client(options != nullptr ? *options : defaults, client, reason, reason_bytes);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  } catch (...) {
    return -EIO;
  }
}

void tmem_disconnect(struct tmem_client* client) {
  const std::unique_ptr<tmem_client> owned(client);
}

uint32_t tmem_client_number(const struct tmem_client* client) {
  return client->client.number();
}

uint64_t tmem_store_epoch(const struct tmem_client* client) {
  return client->client.store_epoch();
}

int tmem_pool_create(struct tmem_client* client, uint32_t pool, uint32_t flags,
                     const uint8_t* uuid) {
  const uint32_t known = TMEM_POOL_PERSISTENT | TMEM_POOL_SHARED;
  const bool shared = (flags & TMEM_POOL_SHARED) != 0;
  if ((flags & ~known) != 0 || flags == known || (shared && uuid == nullptr)) return -EINVAL;
  tmem_request wire{};
  wire.op = TMEM_OP_POOL_CREATE;
  wire.pool = pool;
  wire.u.create.flags = flags;
  if (shared) std::copy_n(uuid, sizeof(wire.u.create.uuid), std::begin(wire.u.create.uuid));
  return run_pool(client, wire);
}

int tmem_pool_destroy(struct tmem_client* client, uint32_t pool) {
  return run_pool(client, pool_request(TMEM_OP_POOL_DESTROY, pool));
}

int tmem_pool_flush(struct tmem_client* client, uint32_t pool) {
  return run_pool(client, pool_request(TMEM_OP_POOL_FLUSH, pool));
}

int tmem_put(struct tmem_client* client, const struct tmem_key* key, const void* page) {
  // A put only reads the page; the batch's field serves both directions.
  return run_single(client, TMEM_OP_PUT, key, const_cast<void*>(page));
}

int tmem_get(struct tmem_client* client, const struct tmem_key* key, void* page) {
  return run_single(client, TMEM_OP_GET, key, page);
}

int tmem_flush_page(struct tmem_client* client, const struct tmem_key* key) {
  return run_single(client, TMEM_OP_FLUSH_PAGE, key, nullptr);
}

int tmem_flush_object(struct tmem_client* client, const struct tmem_key* key) {
  return run_single(client, TMEM_OP_FLUSH_OBJECT, key, nullptr);
}

int tmem_batch(struct tmem_client* client, struct tmem_batch_op* ops, size_t count) {
  if (client == nullptr || (ops == nullptr && count != 0)) return -EINVAL;
  try {
    return client->client.run({ops, count});
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  } catch (...) {
    return -EIO;
  }
}

const char* tmem_status_name(int status) {
  switch (status) {
    case TMEM_OK:
      return "ok";
    case TMEM_MISS:
      return "miss";
    case TMEM_NO_SPACE:
      return "no-space";
    case TMEM_FROZEN:
      return "frozen";
    case TMEM_NO_SUCH_POOL:
      return "no-such-pool";
    case TMEM_REFUSED:
      return "refused";
    case TMEM_STALE_EPOCH:
      return "stale-epoch";
    case TMEM_BAD_REQUEST:
      return "bad-request";
    default:
      break;
  }
  if (status >= 0) return "unknown status";
  const char* text = strerrordesc_np(-status);
  return text != nullptr ? text : "unknown error";
}

}  // extern "C"
