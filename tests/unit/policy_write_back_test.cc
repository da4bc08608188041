// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include "policy/write_back.h"

namespace tmem::policy {

TEST_CASE("policy write-back: from above a half of the limit, down to seven sixteenths") {
  WriteBack law;
  CHECK_FALSE(law.update(0, 1600));
  CHECK_FALSE(law.update(800, 1600));
  CHECK(law.update(801, 1600));
  CHECK(law.update(800, 1600));
  CHECK(law.update(701, 1600));
  CHECK_FALSE(law.update(700, 1600));
  CHECK_FALSE(law.update(701, 1600));
  CHECK_FALSE(law.update(800, 1600));
  CHECK(law.update(801, 1600));
}

TEST_CASE("policy write-back: the limit moves") {
  WriteBack law;
  CHECK_FALSE(law.update(500, 1600));
  CHECK(law.update(500, 900));
  CHECK_FALSE(law.update(500, 1600));
}

TEST_CASE("policy write-back: a pool that may hold nothing keeps nothing, and an empty one rests") {
  WriteBack law;
  CHECK_FALSE(law.update(0, 0));
  CHECK(law.update(1, 0));
  CHECK_FALSE(law.update(0, 0));
}

}  // namespace tmem::policy
