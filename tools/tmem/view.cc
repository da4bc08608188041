// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/tmem/view.h"

namespace tmem::cli {
namespace {

const json* at(const json& object, const char* pointer) {
  const json::json_pointer place(pointer);
  return object.contains(place) ? &object[place] : nullptr;
}

bool flag_at(const json& object, const char* pointer) {
  const json* const value = at(object, pointer);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

}  // namespace

uint64_t number_at(const json& object, const char* pointer) {
  const json* const value = at(object, pointer);
  return value != nullptr && value->is_number_unsigned() ? value->get<uint64_t>() : 0;
}

std::string text_at(const json& object, const char* pointer) {
  const json* const value = at(object, pointer);
  return value != nullptr && value->is_string() ? plain(value->get_ref<const std::string&>()) : "";
}

uint64_t ClientView::counter(const char* counter_name) const {
  return number_at(counters, (std::string("/") + counter_name).c_str());
}

std::string ClientView::state() const {
  return frozen ? "frozen" : is_shared_pool ? "shared" : evacuating ? "evacuating" : "ok";
}

std::string ClientView::dedup_text() const {
  return dedup == "group" ? dedup + ":" + dedup_group : dedup;
}

ClientView view_of(const json& client) {
  ClientView view;
  view.number = number_at(client, "/number");
  view.domid = number_at(client, "/identity/domid");
  view.name = text_at(client, "/identity/name");
  view.uuid = text_at(client, "/identity/uuid");
  view.is_shared_pool = flag_at(client, "/is_shared_pool");
  view.frozen = flag_at(client, "/settings/frozen");
  view.compress = flag_at(client, "/settings/compress");
  view.weight = number_at(client, "/settings/weight");
  const json* const cap = at(client, "/settings/cap_pages");
  view.capped = cap != nullptr && cap->is_number();
  view.cap_pages = number_at(client, "/settings/cap_pages");
  view.guarantee_bytes = number_at(client, "/settings/guarantee_bytes");
  view.dedup = text_at(client, "/settings/dedup");
  view.dedup_group = text_at(client, "/settings/dedup_group");
  view.pages_ephemeral = number_at(client, "/pages/ephemeral");
  view.pages_persistent = number_at(client, "/pages/persistent");
  view.charged_bytes = number_at(client, "/charged_bytes/ephemeral") +
                       number_at(client, "/charged_bytes/persistent");
  view.entitled_bytes = number_at(client, "/entitled_bytes");
  view.transport = text_at(client, "/transport/kind");
  view.connection = text_at(client, "/transport/state");
  view.evacuating = flag_at(client, "/transport/evacuating");
  view.can_migrate = flag_at(client, "/transport/can_migrate");
  view.evacuate_error = text_at(client, "/transport/evacuate_error");
  if (const json* const counters = at(client, "/counters")) view.counters = *counters;
  const json* const pools = at(client, "/pools");
  for (size_t i = 0; pools != nullptr && pools->is_array() && i < pools->size(); ++i) {
    const json& pool = (*pools)[i];
    view.pools.push_back({number_at(pool, "/id"), text_at(pool, "/spec/kind") == "persistent",
                          flag_at(pool, "/spec/shared"), text_at(pool, "/spec/uuid"),
                          number_at(pool, "/pages")});
  }
  return view;
}

std::vector<ClientView> views_of(const json& clients) {
  std::vector<ClientView> views;
  if (!clients.is_array()) return views;
  for (const json& client : clients) views.push_back(view_of(client));
  return views;
}

}  // namespace tmem::cli
