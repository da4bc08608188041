// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include "policy/write_back.h"

namespace tmem::policy {

TEST_CASE("policy write-back: from above 14 sixteenths of the limit, down to 13") {
  WriteBack law;
  CHECK_FALSE(law.update(0, 1600));
  CHECK_FALSE(law.update(1400, 1600));
  CHECK(law.update(1401, 1600));
  CHECK(law.update(1400, 1600));
  CHECK(law.update(1301, 1600));
  CHECK_FALSE(law.update(1300, 1600));
  CHECK_FALSE(law.update(1301, 1600));
  CHECK_FALSE(law.update(1400, 1600));
  CHECK(law.update(1401, 1600));
}

TEST_CASE("policy write-back: the limit moves") {
  WriteBack law;
  CHECK_FALSE(law.update(500, 1600));
  CHECK(law.update(500, 560));
  CHECK_FALSE(law.update(500, 1600));
}

TEST_CASE("policy write-back: a pool that may hold nothing keeps nothing, and an empty one rests") {
  WriteBack law;
  CHECK_FALSE(law.update(0, 0));
  CHECK(law.update(1, 0));
  CHECK_FALSE(law.update(0, 0));
}

}  // namespace tmem::policy
