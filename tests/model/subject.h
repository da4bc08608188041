// SPDX-License-Identifier: GPL-2.0-or-later
// What carries the clients' operations of a run to the store under test: direct calls, or a ring.
#pragma once
#include <functional>
#include <memory>
#include <span>

#include "libtmem/base/result.h"
#include "tests/model/contents.h"
#include "tests/model/operation.h"
#include "tests/model/stream.h"
#include "tmemd/store/store.h"

namespace tmem::model {

// Told of each answer, in an order in which the operations may have been run. `page` is what a
// get wrote. Returns false to stop.
using Judge = std::function<bool(const Operation& op, store::Status status, store::PageBytes page)>;

class Subject {
 public:
  virtual ~Subject() = default;
  // Makes `client` (0 .. kClientsMax-1) a client of the store.
  virtual Result<store::ClientRef> connect(uint32_t client, const store::ClientIdentity& identity,
                                           const store::ClientSettings& settings) = 0;
  // Ends the client. Operations that are run for it later are to be answered kNoSuchPool.
  virtual void disconnect(uint32_t client) = 0;
  // Runs the operations, all of them answered on return; those of one key in the order given.
  virtual void run(std::span<const Operation> ops, const Judge& judge) = 0;
  // Whether a client's pages may be handed to the store's maintain() only after disconnect()
  // returned.
  virtual bool removes_later() const { return false; }
};

// Null if it cannot be set up.
using SubjectFactory = std::function<std::unique_ptr<Subject>(
    store::Store& store, const Contents& contents, const Shape& shape)>;

// Direct calls, on the caller's thread.
std::unique_ptr<Subject> make_store_subject(store::Store& store, const Contents& contents,
                                            const Shape& shape);

}  // namespace tmem::model
