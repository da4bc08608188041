// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/control/session.h"

#include "libtmem/base/assert.h"

namespace tmem::control {

size_t Session::room_bytes() const {
  if (ended_ || line_waits_) return 0;
  return line_bytes_max_ + 1 - input_.size();
}

void Session::find_line(size_t from) {
  const size_t end = input_.find('\n', from);
  line_waits_ = end != std::string::npos;
  line_end_ = line_waits_ ? end : 0;
}

void Session::receive(std::string_view bytes) {
  TMEM_ASSERT(bytes.size() <= room_bytes());
  const size_t searched = input_.size();
  input_.append(bytes);
  find_line(searched);
}

void Session::receive_end() {
  if (ended_) return;
  ended_ = true;
  if (!line_waits_ && !input_.empty()) {
    ++counters_.requests_malformed;  // the peer left within a line
    input_.clear();
  }
}

bool Session::advance() {
  if (!output().empty()) return false;
  if (line_waits_) {
    output_ = dispatcher_.answer(std::string_view(input_).substr(0, line_end_), peer_);
    output_sent_bytes_ = 0;
    input_.erase(0, line_end_ + 1);
    find_line(0);
    // After the peer's end an unfinished rest can never become a line.
    if (ended_ && !line_waits_ && !input_.empty()) {
      ++counters_.requests_malformed;
      input_.clear();
    }
    return true;
  }
  if (input_.size() <= line_bytes_max_) return false;
  ++counters_.requests_oversized;
  output_ = Dispatcher::refusal(
      "malformed", "a request has at most " + std::to_string(line_bytes_max_) + " bytes");
  output_sent_bytes_ = 0;
  input_.clear();
  ended_ = true;
  return true;
}

void Session::output_sent(size_t bytes) {
  TMEM_ASSERT(bytes <= output().size());
  output_sent_bytes_ += bytes;
  if (output_sent_bytes_ < output_.size()) return;
  output_ = std::string();  // a large answer does not stay allocated
  output_sent_bytes_ = 0;
}

}  // namespace tmem::control
