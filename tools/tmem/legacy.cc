// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/tmem/legacy.h"

#include <fmt/format.h>

#include <algorithm>

#include "libtmem/base/units.h"
#include "tmem/text.hpp"

namespace tmem::cli {
namespace {

struct KindUse {
  bool ephemeral = false;
  bool persistent = false;
};

KindUse kinds_of(const ClientView& client) {
  KindUse use;
  for (const PoolView& pool : client.pools)
    (pool.persistent ? use.persistent : use.ephemeral) = true;
  return use;
}

// U0 and U1: the UUID's bytes as two little-endian words, as Xen on x86 printed them.
std::string uuid_fields(const std::string& text) {
  const Uuid uuid = parse_uuid(text).value_or(Uuid{});
  uint64_t words[2] = {0, 0};
  for (size_t i = 16; i-- > 0;) words[i / 8] = words[i / 8] << 8 | uuid[i];
  return fmt::format("U0:{:x},U1:{:x}", words[0], words[1]);
}

std::string pool_counts(uint64_t pages) {
  return fmt::format(
      ",Pc:{},Pm:{},Oc:0,Om:0,Nc:0,Nm:0,ps:0,pt:0,pd:0,pr:0,px:0,gs:0,gt:0,fs:0,ft:0,os:0,ot:0",
      pages, pages);
}

std::string global_record(const json& stats, const std::vector<ClientView>& clients,
                          bool detailed) {
  uint64_t operations = 0;
  uint64_t refused = 0;
  uint64_t good_puts = 0;
  uint64_t duplicates = 0;
  uint64_t same_filled = 0;
  for (const ClientView& client : clients) {
    operations += client.counter("puts") + client.counter("gets") + client.counter("flushes");
    refused += client.counter("puts_no_space");
    good_puts += client.counter("puts_ok");
    duplicates += client.counter("puts_duplicate");
    same_filled += client.counter("puts_same_filled");
  }
  const json store = stats.value("store", json::object());
  const uint64_t budget_bytes = number_at(store, "/budget_bytes");
  const uint64_t held_bytes = number_at(store, "/held_bytes");
  const uint64_t free_pages =
      budget_bytes > held_bytes ? (budget_bytes - held_bytes) / kPageBytes : 0;
  const uint64_t evicted = number_at(store, "/evicted_pages");
  const uint64_t relinquished = number_at(store, "/released_slots") * (2 * kMiB / kPageBytes);
  std::string record =
      fmt::format("G=Tt:{},Te:0,Cf:0,Af:0,Pf:{},Ta:{},Lm:0,Et:{},Ea:{},Rt:{},Ra:{},Rx:0,Fp:0",
                  operations, refused, free_pages, evicted, evicted, relinquished, relinquished);
  if (!detailed) return record + '\n';
  const uint64_t ephemeral = number_at(store, "/pages/ephemeral");
  const uint64_t all = ephemeral + number_at(store, "/pages/persistent");
  const uint64_t contents = number_at(store, "/contents");
  const uint64_t frames = held_bytes / kPageBytes;
  const uint64_t compressed_bytes =
      number_at(store, "/tier_bytes/lz4") + number_at(store, "/tier_bytes/zstd");
  record +=
      fmt::format(",Ec:{0},Em:{0},Oc:0,Om:0,Nc:0,Nm:0,Pc:{1},Pm:{1},Fc:{2},Fm:{2},Sc:{3},Sm:{3}",
                  ephemeral, all, frames, contents);
  return record + fmt::format(",Ep:{},Gd:{},Zt:{},Gz:{}\n", good_puts, duplicates, same_filled * 8,
                              compressed_bytes);
}

std::string shared_record(const ClientView& pool, const std::vector<ClientView>& clients,
                          bool detailed) {
  std::string record = fmt::format("S=SI:{},PT:ES,{}", pool.number, uuid_fields(pool.uuid));
  for (const ClientView& client : clients)
    for (const PoolView& joined : client.pools)
      if (!client.is_shared_pool && joined.shared && joined.uuid == pool.uuid)
        record += fmt::format(",SC:{}", client.domid);
  if (detailed) record += pool_counts(pool.pages_ephemeral);
  return record + '\n';
}

std::string client_record(const ClientView& client, bool detailed) {
  const KindUse use = kinds_of(client);
  const bool only_persistent = use.persistent && !use.ephemeral;
  const uint64_t hits = client.counter("hits");
  const uint64_t persistent_puts = only_persistent ? client.counter("puts_ok") : 0;
  // Xen's caps were percentages that nothing enforced; here: MiB, 0 for none.
  const uint64_t cap_mib = client.capped ? client.cap_pages * kPageBytes / kMiB : 0;
  std::string record =
      fmt::format("C=CI:{},ww:{},ca:{},co:{},fr:{},Tc:0,Ge:{},Pp:{},Gp:{}", client.domid,
                  client.weight, cap_mib, client.compress ? 1 : 0, client.frozen ? 1 : 0,
                  only_persistent ? 0 : hits, persistent_puts, only_persistent ? hits : 0);
  if (detailed) record += fmt::format(",Ec:{0},Em:{0},cp:0,cb:0,cn:0,cm:0", client.pages_ephemeral);
  return record + '\n';
}

std::string pool_record(const ClientView& client, const PoolView& pool, bool detailed) {
  return fmt::format("P=CI:{},PI:{},PT:{}{},{}{}\n", client.domid, pool.id,
                     pool.persistent ? 'P' : 'E', pool.shared ? 'S' : 'P', uuid_fields(pool.uuid),
                     detailed ? pool_counts(pool.pages) : "");
}

}  // namespace

std::string legacy_client_records(const std::vector<ClientView>& clients, bool detailed) {
  std::string text;
  for (const ClientView& client : clients) {
    if (client.is_shared_pool) continue;
    text += client_record(client, detailed);
    for (const PoolView& pool : client.pools) text += pool_record(client, pool, detailed);
  }
  return text;
}

std::string legacy_records(const json& stats, bool detailed) {
  const std::vector<ClientView> clients = views_of(stats.value("clients", json::array()));
  std::string text = global_record(stats, clients, detailed);
  for (const ClientView& client : clients)
    if (client.is_shared_pool) text += shared_record(client, clients, detailed);
  return text + legacy_client_records(clients, detailed) + "T\n";
}

}  // namespace tmem::cli
