// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/xendomains.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

namespace tmem {
namespace {

std::string warning_of(const std::string& text) {
  std::string path = "/tmp/tmem-xendomains-XXXXXX";
  const int fd = mkstemp(path.data());
  REQUIRE(fd >= 0);
  (void)close(fd);
  std::ofstream(path) << text;
  const std::string warning = xendomains_warning(path);
  (void)unlink(path.c_str());
  return warning;
}

}  // namespace

TEST_CASE("xendomains that saves guests is warned of") {
  for (const char* const text :
       {"XENDOMAINS_SAVE=/var/lib/xen/save", "# saved\n\nXENDOMAINS_SAVE=\"/save\" # there\n",
        "XENDOMAINS_SAVE=\"\"\nXENDOMAINS_SAVE='/save'\n"}) {
    INFO(text);
    CHECK(warning_of(text).find("XENDOMAINS_SAVE=\"\"") != std::string::npos);
  }
}

TEST_CASE("xendomains that shuts guests down is not") {
  for (const char* const text :
       {"", "XENDOMAINS_RESTORE=true\n", "#XENDOMAINS_SAVE=/save\n", "XENDOMAINS_SAVE=\n",
        "XENDOMAINS_SAVE=\"\"\n", "XENDOMAINS_SAVE='' # shut down\n",
        "XENDOMAINS_SAVE=/save\nXENDOMAINS_SAVE=\"\"\n"}) {
    INFO(text);
    CHECK(warning_of(text).empty());
  }
  CHECK(xendomains_warning("/nowhere/xendomains").empty());
}

}  // namespace tmem
