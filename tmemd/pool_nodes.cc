// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/pool_nodes.h"

#include "tmemd/transport/xen/nodes.h"

namespace tmem {
namespace {

constexpr const char* kName = "tmem-pool";
constexpr const char* kToken = "pool-request";

}  // namespace

PoolNodes::PoolNodes(std::unique_ptr<transport::xen::XenStore> store, DomId domain)
    : store_(std::move(store)),
      path_(transport::xen::domain_path(domain)),
      request_path_(path_ + "/control/shutdown") {}

Result<PoolNodes> PoolNodes::publish(std::unique_ptr<transport::xen::XenStore> store,
                                     DomId domain) {
  PoolNodes nodes(std::move(store), domain);
  TMEM_CHECK(
      nodes.store_->write_all({{nodes.path_ + "/name", kName},
                               {nodes.path_ + "/domid", transport::xen::number_of(domain)}}));
  TMEM_CHECK(nodes.store_->watch(nodes.request_path_, kToken));
  return nodes;
}

std::vector<std::string> PoolNodes::handle_events() {
  std::vector<std::string> requests;
  while (store_->next_event()) {
    const auto request = store_->read(request_path_);
    if (!request || request->empty()) continue;
    requests.push_back(*request);
    (void)store_->write(request_path_, "");
  }
  return requests;
}

void PoolNodes::remove() {
  store_->unwatch(request_path_, kToken);
  store_->remove(path_);
}

}  // namespace tmem
