// SPDX-License-Identifier: GPL-2.0-or-later
// tmem-guestd against a xenstored that sends whatever it likes.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <random>
#include <string>

#include "tools/tmem-guestd/session.h"

namespace tmem {
namespace {

// A wire whose other end the test holds.
class Ends {
 public:
  Ends() {
    int files[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, files) == 0);
    wire_init(&wire);
    wire.file = files[0];
    other_ = files[1];
  }
  ~Ends() {
    wire_close(&wire);
    close_other();
  }
  void close_other() {
    if (other_ >= 0) close(other_);
    other_ = -1;
  }
  bool send(const std::string& bytes) {
    return write(other_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  }
  std::string received() {
    char buffer[4096];
    const ssize_t length = read(other_, buffer, sizeof(buffer));
    return length > 0 ? std::string(buffer, static_cast<size_t>(length)) : "";
  }
  Wire wire;

 private:
  int other_ = -1;
};

std::string message(uint32_t type, uint32_t request, const std::string& text, int length = -1) {
  const uint32_t words[] = {
      type, request, 0,
      length < 0 ? static_cast<uint32_t>(text.size()) : static_cast<uint32_t>(length)};
  std::string bytes(sizeof(words), '\0');
  std::memcpy(bytes.data(), words, sizeof(words));
  return bytes + text;
}

}  // namespace

TEST_CASE("guestd wire: requests are laid out as xenstored reads them") {
  Ends ends;
  REQUIRE(wire_send(&ends.wire, kWireWrite, 9, "data/tmem/report", "1 seq=1") == 0);
  CHECK(ends.received() == message(11, 9, std::string("data/tmem/report\0", 17) + "1 seq=1"));
  REQUIRE(wire_send(&ends.wire, kWireRead, 10, "tmem/mode", nullptr) == 0);
  CHECK(ends.received() == message(2, 10, std::string("tmem/mode\0", 10)));
  REQUIRE(wire_send(&ends.wire, kWireWatch, 11, "tmem", "t") == 0);
  CHECK(ends.received() == message(4, 11, std::string("tmem\0t\0", 7)));
  CHECK(wire_send(&ends.wire, kWireWrite, 12, "p", std::string(5000, 'x').c_str()) == -E2BIG);
}

TEST_CASE("guestd wire: messages in pieces, and several at once") {
  Ends ends;
  const std::string both = message(16, 1, std::string("EACCES\0", 7)) + message(15, 2, "");
  WireMessage got;
  for (const char byte : both.substr(0, 22)) {
    REQUIRE(ends.send({byte}));
    REQUIRE(wire_receive(&ends.wire, &got) == 0);
  }
  REQUIRE(ends.send(both.substr(22)));
  REQUIRE(wire_receive(&ends.wire, &got) == 1);
  CHECK(got.type == 16);
  CHECK(got.request == 1);
  CHECK(std::string(got.text) == "EACCES");
  REQUIRE(wire_receive(&ends.wire, &got) == 1);
  CHECK(got.type == 15);
  CHECK(got.length == 0);
  CHECK(wire_receive(&ends.wire, &got) == 0);
  ends.close_other();
  CHECK(wire_receive(&ends.wire, &got) == -EPIPE);
}

TEST_CASE("guestd wire: the longest message, and one that is too long") {
  Ends ends;
  WireMessage got;
  REQUIRE(ends.send(message(2, 1, std::string(4096, 'x'))));
  REQUIRE(wire_receive(&ends.wire, &got) == 1);
  CHECK(std::strlen(got.text) == 4096);
  REQUIRE(ends.send(message(2, 1, "", 4097)));
  CHECK(wire_receive(&ends.wire, &got) == -EPROTO);
}

TEST_CASE("guestd session: a xenstored that answers nonsense") {
  const uint32_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const uint32_t types[] = {2, 4, 11, 15, 16, 0, 99};
  size_t changed = 0;
  for (int run = 0; run < 300; ++run) {
    Ends ends;
    Session session{};
    session.wire = ends.wire;
    ends.wire.file = -1;
    session.path = "/nonexistent/xenbus";
    session.reopen_wait_ms = session.report_wait_ms = 1000;
    session.serial = 1;
    session.request = 8;  // the first of the settings
    session.settings_left = 4;
    for (int i = 0; i < 60 && session.wire.file >= 0; ++i) {
      std::string text(random() % 40, '\0');
      for (char& c : text)
        c = static_cast<char>(random() % 3 == 0 ? random() : '0' + random() % 10);
      const bool lie = random() % 50 == 0;
      // Half of it looks like the answer that is awaited.
      const bool fits = random() % 2 == 0;
      const uint32_t request = fits ? session.request : random() % 64;
      if (!ends.send(message(fits ? 2 : types[random() % 7], request, text,
                             lie ? static_cast<int>(random() % 6000) : -1)))
        break;
      changed += session_receive(&session, 1000);
      session_tick(&session, 1000);
      if (session_can_report(&session, 1000)) session_report(&session, "1 seq=1", 1000);
      while (!ends.received().empty()) {
      }
    }
    CHECK(session.settings_left <= 4);
    wire_close(&session.wire);
  }
  CHECK(changed > 0);  // some of the nonsense was answers to what was asked
}

}  // namespace tmem
