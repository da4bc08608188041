// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include "tests/model/subject.h"

namespace tmem::model {

// Through libtmem's batches, a socket and worker threads, as a real client. Judges in the order
// given, while different keys run in any order (RunOptions::in_order = false).
std::unique_ptr<Subject> make_client_subject(store::Store& store, const Contents& contents,
                                             const Shape& shape);

}  // namespace tmem::model
