// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/bench/zram.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>

#include "libtmem/base/units.h"

namespace tmem::bench {
namespace {

constexpr const char* kControl = "/sys/class/zram-control/";
constexpr uint64_t kTableEntryBytes = 16;  // per page of the device, with and without content
constexpr size_t kRequestBytes = 128 * kKiB;

Result<void> write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) return fail(Errc::kOs, "cannot write '" + text + "' to " + path);
  return {};
}

}  // namespace

std::string Zram::attribute(const char* name) const {
  return "/sys/block/zram" + std::to_string(number_) + "/" + name;
}

Result<std::unique_ptr<Zram>> Zram::create(uint64_t bytes) {
  if (geteuid() != 0) return fail(Errc::kDenied, "zram needs root");
  std::ifstream file(std::string(kControl) + "hot_add");  // reading it makes a device
  int number = -1;
  if (!(file >> number))
    return fail(Errc::kNotFound, "this kernel has no zram (modprobe zram loads it)");
  std::unique_ptr<Zram> device(new Zram(number, bytes));
  if (!write_text(device->attribute("comp_algorithm"), "lz4"))
    return fail(Errc::kNotFound, "this kernel's zram knows no lz4");
  TMEM_CHECK(write_text(device->attribute("disksize"), std::to_string(bytes)));
  return device;
}

Zram::~Zram() {
  (void)write_text(attribute("reset"), "1");
  (void)write_text(std::string(kControl) + "hot_remove", std::to_string(number_));
}

Result<void> Zram::write(std::span<const std::byte> bytes) {
  const std::string path = "/dev/zram" + std::to_string(number_);
  const int fd = open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC);
  if (fd < 0) return fail_os("cannot open " + path);
  int error = 0;
  for (size_t at = 0; at < bytes.size() && error == 0; at += kRequestBytes) {
    const size_t n = std::min(kRequestBytes, bytes.size() - at);
    if (pwrite(fd, bytes.data() + at, n, static_cast<off_t>(at)) != static_cast<ssize_t>(n))
      error = errno == 0 ? EIO : errno;
  }
  (void)close(fd);
  if (error != 0) return fail_os("cannot write to " + path, error);
  return {};
}

Result<uint64_t> Zram::used_bytes() const {
  std::ifstream file(attribute("mm_stat"));
  uint64_t original = 0;
  uint64_t compressed = 0;
  uint64_t used = 0;
  if (!(file >> original >> compressed >> used))
    return fail(Errc::kOs, "cannot read " + attribute("mm_stat"));
  return used + bytes_ / kPageBytes * kTableEntryBytes;
}

}  // namespace tmem::bench
