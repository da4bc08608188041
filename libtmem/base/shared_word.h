// SPDX-License-Identifier: LGPL-2.1-or-later
// Words in memory that another process writes at the same time. Every access to a ring that is
// not a bulk copy of page bytes goes through these functions, at both ends.
//
// The sleep handshake of abi.h needs a full barrier between a store and a later load. It is made
// of a seq_cst store and a seq_cst load (on x86 the store is a locked instruction) instead of a
// fence, because ThreadSanitizer does not understand fences.
#pragma once
#include <atomic>

namespace tmem {

template <class T>
T load_relaxed(const T& word) {
  return std::atomic_ref<T>(const_cast<T&>(word)).load(std::memory_order_relaxed);
}

template <class T>
T load_acquire(const T& word) {
  return std::atomic_ref<T>(const_cast<T&>(word)).load(std::memory_order_acquire);
}

// Not moved before an earlier store_full.
template <class T>
T load_full(const T& word) {
  return std::atomic_ref<T>(const_cast<T&>(word)).load(std::memory_order_seq_cst);
}

template <class T>
void store_relaxed(T& word, T value) {
  std::atomic_ref<T>(word).store(value, std::memory_order_relaxed);
}

template <class T>
void store_release(T& word, T value) {
  std::atomic_ref<T>(word).store(value, std::memory_order_release);
}

// Release, and ordered before every later load_full.
template <class T>
void store_full(T& word, T value) {
  std::atomic_ref<T>(word).store(value, std::memory_order_seq_cst);
}

}  // namespace tmem
