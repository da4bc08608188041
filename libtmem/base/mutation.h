// SPDX-License-Identifier: LGPL-2.1-or-later
// Seeded faults: deliberate bugs that the model test must catch. In every program that ships
// TMEM_MUTATED(x) is the constant false; only the library variant that tests/model builds with
// -DTMEM_MUTATIONS compiles them in, and one of them is active at a time.
#pragma once

namespace tmem {

enum class Mutation {
  kNone,
  // Store.
  kSkipFlushPage,           // flush_page answers ok and keeps the page
  kSkipFlushObject,         // flush_object answers ok and keeps the pages
  kSkipFlushPool,           // flush_pool answers ok and keeps the pages
  kDestroyKeepsPages,       // a pool created again under its id shows the old pages
  kNonExclusiveGet,         // a private ephemeral get leaves the page
  kSharedGetExclusive,      // a shared ephemeral get removes the page
  kPersistentGetExclusive,  // a persistent get removes the page
  kKeepOldAfterFailedPut,   // a refused overwrite leaves the old page
  kOverwriteKeepsOld,       // an overwrite answers ok and keeps the old page
  kWrongPool,               // the pool id is not part of the key
  kWrongClient,             // the client is not part of the key
  kOidIgnoresHighWord,      // the object id is compared without its last word
  kIndexTruncated,          // the page index is compared in 16 bits
  kSameFilledTruncated,     // a same-filled page keeps the low half of its value
  kDedupWithoutCompare,     // content is shared by a short tag, bytes not compared
  kDedupForgetsReference,   // a duplicate does not take a reference
  kMoveOffByOne,            // a moved page's new location is one byte off
  kCompressDropsTail,       // the last bytes of a compressed page are lost
  kCleanerDropsLive,        // the cleaner forgets the last live page of a segment
  kEvictsPersistent,        // eviction takes persistent pages too
  kCapOffByOne,             // one page more than the cap is held
  kFrozenAcceptsNew,        // a frozen client may put new pages
  // Ring and client library.
  kGetShort,            // the last 64 bytes of a page are not copied to the slot
  kWrongSlot,           // a put reads the neighbouring slot
  kResponseSwapped,     // two responses of a batch change their ids
  kRequestSkipped,      // one request in 1024 is answered ok without being run
  kRequestRunTwice,     // a batch's last request is run again after its answer
  kStaleEpochAccepted,  // requests of an old store epoch are run
  kKeyOnTwoQueues,      // the client posts an odd index on the next queue
  kCount,
};

#ifdef TMEM_MUTATIONS
// Set by the mutation test before it starts a run, from one thread.
extern Mutation active_mutation;
#define TMEM_MUTATED(name) (::tmem::active_mutation == ::tmem::Mutation::name)
#else
#define TMEM_MUTATED(name) false
#endif

}  // namespace tmem
