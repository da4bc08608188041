// SPDX-License-Identifier: GPL-2.0-or-later
// The pool domain's nodes in xenstore: its name, and requests that get an answer.
#include "tmemd/pool_nodes.h"

#include <catch2/catch.hpp>

#include "xen_host.h"

namespace tmem {
namespace {

using transport::xen::FakeHost;

PoolNodes publish(FakeHost& host) {
  auto nodes = PoolNodes::publish(std::move(host.platform().store), DomId{5});
  REQUIRE(nodes);
  return *std::move(nodes);
}

}  // namespace

TEST_CASE("the pool domain has a name", "[pool]") {
  FakeHost host;
  PoolNodes nodes = publish(host);
  CHECK(host.read("/local/domain/5/name") == "tmem-pool");
  CHECK(nodes.handle_events().empty());
  nodes.remove();
  CHECK_FALSE(host.exists_below("/local/domain/5"));
  CHECK(host.watches() == 0);
}

TEST_CASE("a request to shut down is acknowledged", "[pool]") {
  FakeHost host;
  PoolNodes nodes = publish(host);
  (void)nodes.handle_events();
  host.write("/local/domain/5/control/shutdown", "poweroff");
  CHECK(nodes.handle_events() == std::vector<std::string>{"poweroff"});
  CHECK(host.read("/local/domain/5/control/shutdown") == "");
  CHECK(nodes.handle_events().empty());
  host.write("/local/domain/5/control/shutdown", "reboot");
  CHECK(nodes.handle_events() == std::vector<std::string>{"reboot"});
}

TEST_CASE("a request from before the watch is acknowledged", "[pool]") {
  FakeHost host;
  host.write("/local/domain/5/control/shutdown", "poweroff");
  PoolNodes nodes = publish(host);
  CHECK(nodes.handle_events() == std::vector<std::string>{"poweroff"});
}

}  // namespace tmem
