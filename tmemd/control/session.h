// SPDX-License-Identifier: GPL-2.0-or-later
// One connection of the control socket without its socket: bytes in, framed into lines, answers
// out. A new line is taken only when the last answer has been handed over, so a peer that does
// not read makes us hold one answer and one line, not more.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "tmemd/control/dispatcher.h"
#include "tmemd/control/server.h"

namespace tmem::control {

// Not thread-safe.
class Session {
 public:
  // Both references must outlive the session.
  Session(Dispatcher& dispatcher, ServerCounters& counters, const Peer& peer, size_t line_bytes_max)
      : dispatcher_(dispatcher),
        counters_(counters),
        peer_(peer),
        line_bytes_max_(line_bytes_max) {}

  // How many more bytes receive() takes now; 0 while a complete line waits or the end is near.
  size_t room_bytes() const;
  // At most room_bytes() bytes.
  void receive(std::string_view bytes);
  // The peer will send no more.
  void receive_end();

  // Answers lines until there is output or no complete line. True if it answered one.
  bool advance();

  std::string_view output() const { return std::string_view(output_).substr(output_sent_bytes_); }
  void output_sent(size_t bytes);

  // The peer owes us the rest of a line, or the reading of an answer.
  bool mid_request() const { return !input_.empty() || !output().empty(); }
  // Nothing is left to do: close the connection.
  bool finished() const { return ended_ && !line_waits_ && output().empty(); }

 private:
  void find_line(size_t from);

  Dispatcher& dispatcher_;
  ServerCounters& counters_;
  const Peer peer_;
  const size_t line_bytes_max_;
  std::string input_;    // at most line_bytes_max_ + 1 bytes
  size_t line_end_ = 0;  // of the complete line at the front of input_, where line_waits_
  bool line_waits_ = false;
  bool ended_ = false;  // no more input is taken
  std::string output_;
  size_t output_sent_bytes_ = 0;
};

}  // namespace tmem::control
