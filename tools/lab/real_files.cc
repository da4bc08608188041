// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "libtmem/base/unique_fd.h"
#include "tools/lab/file_source.h"

namespace tmem::lab {
namespace {

class RealFiles final : public FileSource {
 public:
  explicit RealFiles(std::vector<FileInfo> files) : files_(std::move(files)) {}

  const std::vector<FileInfo>& files() const override { return files_; }

  Result<void> read(uint32_t file, uint64_t offset, Bytes out) override {
    const FileInfo& info = files_[file];
    TMEM_CHECK(open(file));
    size_t done = 0;
    const uint64_t available = offset < info.bytes ? info.bytes - offset : 0;
    const size_t wanted = std::min<uint64_t>(out.size(), available);
    while (done < wanted) {
      const ssize_t got =
          ::pread(open_.get(), out.data() + done, wanted - done, static_cast<off_t>(offset + done));
      if (got < 0) return fail_os("cannot read " + info.path);
      if (got == 0) {
        return fail(Errc::kConflict, info.path + " became shorter while the experiment ran");
      }
      done += static_cast<size_t>(got);
    }
    std::memset(out.data() + done, 0, out.size() - done);
    return {};
  }

 private:
  // One file stays open: pages are read in runs.
  Result<void> open(uint32_t file) {
    if (open_file_ == file && open_) return {};
    UniqueFd opened(::open(files_[file].path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!opened) return fail_os("cannot open " + files_[file].path);
    open_ = std::move(opened);
    open_file_ = file;
    return {};
  }

  const std::vector<FileInfo> files_;
  UniqueFd open_;
  uint32_t open_file_ = 0;
};

}  // namespace

std::unique_ptr<FileSource> create_real_files(std::vector<FileInfo> files) {
  return std::make_unique<RealFiles>(std::move(files));
}

}  // namespace tmem::lab
