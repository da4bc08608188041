// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/daemon_store.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "tmem/tmem.h"

namespace tmem::lab {
namespace {

constexpr uint32_t kTimeoutMs = 60'000;  // the machine may be busy; nobody should notice

struct Disconnect {
  void operator()(tmem_client* client) const { tmem_disconnect(client); }
};

tl::unexpected<Error> refused(const char* what, int status) {
  return fail(status < 0 ? Errc::kOs : Errc::kConflict,
              fmt::format("{}: tmemd answered \"{}\"", what, tmem_status_name(status)));
}

class GuestStore final : public PageStore {
 public:
  explicit GuestStore(tmem_client* client) : client_(client) {}

  Result<void> create_pool(uint32_t pool, bool persistent) override {
    const int status =
        tmem_pool_create(client_.get(), pool, persistent ? TMEM_POOL_PERSISTENT : 0, nullptr);
    if (status != TMEM_OK) return refused("cannot create a pool", status);
    return {};
  }

  Result<void> run(std::span<PageOp> ops) override {
    batch_.clear();
    for (const PageOp& op : ops) {
      static constexpr std::array<uint8_t, 4> kCodes = {TMEM_OP_PUT, TMEM_OP_GET,
                                                        TMEM_OP_FLUSH_PAGE, TMEM_OP_FLUSH_OBJECT};
      batch_.push_back({kCodes.at(static_cast<size_t>(op.op)),
                        {op.pool, op.index, {op.object, 0, 0}},
                        op.page,
                        0});
    }
    const int worst = tmem_batch(client_.get(), batch_.data(), batch_.size());
    if (worst < 0) return refused("the connection is gone", worst);
    for (size_t i = 0; i < ops.size(); ++i) {
      const int status = batch_[i].status;
      if (status > TMEM_NO_SPACE) return refused("a page operation failed", status);
      ops[i].ok = status == TMEM_OK;
    }
    return {};
  }

 private:
  std::unique_ptr<tmem_client, Disconnect> client_;
  std::vector<tmem_batch_op> batch_;
};

}  // namespace

Result<std::unique_ptr<PageStore>> connect_guest(const std::string& socket, uint32_t number) {
  const std::string name = fmt::format("guest-{}", number);
  tmem_connect_options options{};
  options.socket_path = socket.c_str();
  options.name = name.c_str();
  options.uuid[0] = 0x1a;  // "lab"
  options.uuid[1] = 0xb0;
  options.uuid[15] = static_cast<uint8_t>(number + 1);
  options.queues = 1;  // one order of operations
  options.timeout_ms = kTimeoutMs;
  tmem_client* client = nullptr;
  std::array<char, 256> reason{};
  const int error = tmem_connect(&options, &client, reason.data(), reason.size());
  if (error != 0) {
    return fail(Errc::kOs, fmt::format("cannot connect to tmemd: {} ({})", reason.data(),
                                       tmem_status_name(error)));
  }
  return std::make_unique<GuestStore>(client);
}

Result<std::unique_ptr<DaemonPool>> DaemonPool::connect(const std::string& socket) {
  TMEM_TRY(control::Client client, control::Client::connect({socket, kTimeoutMs}));
  return std::unique_ptr<DaemonPool>(new DaemonPool(std::move(client)));
}

Result<void> DaemonPool::set_budget(uint64_t budget_bytes) {
  TMEM_CHECK(client_.call("set-memory", {{"bytes", budget_bytes}}));
  return {};
}

Result<void> DaemonPool::advance(uint64_t step_ms) {
  TMEM_TRY(const nlohmann::json answer, client_.call("step", {{"ms", step_ms}}));
  try {
    stats_.budget_bytes = answer.at("budget_bytes");
    stats_.held_bytes = answer.at("held_bytes");
    stats_.pages = answer.at("pages").at("ephemeral").get<uint64_t>() +
                   answer.at("pages").at("persistent").get<uint64_t>();
    stats_.lz4_pages = answer.at("compressed_pages");
    stats_.zstd_pages = answer.at("recompressed_pages");
    stats_.compressed_pages = answer.at("tier_pages").at("lz4").get<uint64_t>() +
                              answer.at("tier_pages").at("zstd").get<uint64_t>();
    stats_.contents = answer.at("contents");
    stats_.evicted_pages = answer.at("evicted_pages");
  } catch (const nlohmann::json::exception& error) {
    return fail(Errc::kMalformed, std::string("tmemd's statistics: ") + error.what());
  }
  return {};
}

}  // namespace tmem::lab
