// SPDX-License-Identifier: LGPL-2.1-or-later
// Result<T>: a value or an Error, for set-up and control paths. The data path answers with a
// one-byte store::Status instead (tmemd/store/types.h) and never builds a message.
#pragma once
#include <cerrno>
#include <cstring>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace tmem {

// Who must act on an error. A closed list: callers switch over it.
enum class Errc {
  kMalformed,  // The peer or the file broke a format. Answer, count, perhaps disconnect.
  kDenied,     // The peer may not do this.
  kNoSpace,    // A limit, quota or the memory is used up.
  kNotFound,   // The named thing does not exist.
  kConflict,   // It exists already, or its state forbids the request.
  kOs,         // A system call failed; the message ends with strerror.
};

// `message` is a full sentence for a person and says what to do where that is known.
struct Error {
  Errc code;
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Errc code, std::string message) {
  return tl::make_unexpected(Error{code, std::move(message)});
}

// An Errc::kOs error: "what: strerror(os_errno)".
inline tl::unexpected<Error> fail_os(const std::string& what, int os_errno = errno) {
  return fail(Errc::kOs, what + ": " + std::strerror(os_errno));
}

}  // namespace tmem

#define TMEM_CONCAT2(a, b) a##b
#define TMEM_CONCAT(a, b) TMEM_CONCAT2(a, b)
// TMEM_TRY(auto mapping, map_ring(ref));  -- declares `mapping` or returns the error.
// Two statements on purpose (it declares a variable): never the body of an unbraced `if`.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define TMEM_TRY(decl, expr)                                                    \
  auto TMEM_CONCAT(try_, __LINE__) = (expr);                                    \
  if (!TMEM_CONCAT(try_, __LINE__))                                             \
    return tl::make_unexpected(std::move(TMEM_CONCAT(try_, __LINE__)).error()); \
  decl = *std::move(TMEM_CONCAT(try_, __LINE__))
// TMEM_CHECK(connect(fd));  -- the same for Result<void>.
#define TMEM_CHECK(expr)                                                            \
  do {                                                                              \
    auto check_result = (expr);                                                     \
    if (!check_result) return tl::make_unexpected(std::move(check_result).error()); \
  } while (false)
// NOLINTEND(bugprone-macro-parentheses)
