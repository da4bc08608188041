// SPDX-License-Identifier: GPL-2.0-or-later
// A zeroed array of fixed size whose memory the operating system commits at first touch, so that
// it can be sized for the largest pool and cost nothing for a small one. Elements never move.
#pragma once
#include <cstdlib>
#include <memory>
#include <new>

namespace tmem::store {

// T's all-zero bytes must be a valid, trivially destructible value.
template <class T>
class LazyArray {
 public:
  explicit LazyArray(size_t count) : data_(static_cast<T*>(std::calloc(count, sizeof(T)))) {
    if (!data_) throw std::bad_alloc();
  }
  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* data) const { std::free(data); }  // NOLINT(cppcoreguidelines-no-malloc)
  };
  std::unique_ptr<T, Free> data_;
};

}  // namespace tmem::store
