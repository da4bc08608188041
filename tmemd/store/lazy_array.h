// SPDX-License-Identifier: GPL-2.0-or-later
// A zeroed array of fixed size whose memory is committed at first touch, so that it can be sized
// for the largest pool and cost nothing for a small one. Elements never move. (calloc would do,
// but an allocator may hand out recycled memory and clear, that is touch, all of it.)
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace tmem::store {

// T's all-zero bytes must be a valid, trivially destructible value.
template <class T>
class LazyArray {
 public:
  explicit LazyArray(size_t count) : bytes_(std::max<size_t>(count, 1) * sizeof(T)) {
    void* data = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<T*>(data);
  }
  LazyArray(const LazyArray&) = delete;
  LazyArray& operator=(const LazyArray&) = delete;
  ~LazyArray() { (void)munmap(data_, bytes_); }

  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  const size_t bytes_;
  T* data_;
};

}  // namespace tmem::store
