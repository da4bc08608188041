// SPDX-License-Identifier: GPL-2.0-or-later
// Where the daemon's parts say what happens.
#pragma once
#include <functional>
#include <string>

namespace tmem {

enum class LogKind { kInfo, kWarning };
using LogSink = std::function<void(LogKind, const std::string&)>;

}  // namespace tmem
