// SPDX-License-Identifier: GPL-2.0-or-later
// Copying a page to where nobody will read it soon: past the caches, so that its lines are not
// fetched first only to be overwritten, and the guests' own lines stay. A put's page lies raw for
// seconds.
#pragma once
#include <cstddef>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "libtmem/base/units.h"

namespace tmem::store {

// `to` is aligned to 64 bytes. Other threads see the copy after stream_fence() only.
inline void stream_page(std::byte* to, const std::byte* from) {
#ifdef __SSE2__
  constexpr size_t kLineVectors = 64 / sizeof(__m128i);
  auto* out = reinterpret_cast<__m128i*>(to);
  const auto* in = reinterpret_cast<const __m128i*>(from);
  for (size_t line = 0; line < kPageBytes / 64; ++line, in += kLineVectors, out += kLineVectors) {
    const __m128i a = _mm_loadu_si128(in);
    const __m128i b = _mm_loadu_si128(in + 1);
    const __m128i c = _mm_loadu_si128(in + 2);
    const __m128i d = _mm_loadu_si128(in + 3);
    _mm_stream_si128(out, a);
    _mm_stream_si128(out + 1, b);
    _mm_stream_si128(out + 2, c);
    _mm_stream_si128(out + 3, d);
  }
#else
  std::memcpy(to, from, kPageBytes);
#endif
}

// Orders this thread's copies before its later stores, the release of a lock among them.
inline void stream_fence() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

}  // namespace tmem::store
