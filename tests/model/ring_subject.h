// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include "tests/model/subject.h"

namespace tmem::model {

// Through the ring's executor, in private memory, on the caller's thread.
std::unique_ptr<Subject> make_ring_subject(store::Store& store, const Contents& contents,
                                           const Shape& shape);

}  // namespace tmem::model
