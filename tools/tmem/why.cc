// SPDX-License-Identifier: GPL-2.0-or-later
// tmem why: why a guest has the memory that it has, in words.
#include <fmt/format.h>

#include "libtmem/base/units.h"
#include "tools/tmem/verbs.h"
#include "tools/tmem/view.h"

namespace tmem::cli {
namespace {

// The words of the strategies and of the guard.
std::string reason_text(const std::string& reason) {
  if (reason == "calm") return "calm: nothing hurt, so a little less";
  if (reason == "free") return "free: it has memory free, and less will do";
  if (reason == "yield") return "yield: calm, and other guests need more than the host has";
  if (reason == "hold") return "hold: neither calm nor pressed";
  if (reason == "use") return "use: what it uses grows";
  if (reason == "returns") return "returns: pages came back that had been pushed out";
  if (reason == "pressure") return "pressure: its processes waited for memory (PSI)";
  return reason.empty() ? "no wish" : plain(reason);
}

std::string bound_text(const std::string& bound) {
  if (bound == "none") return "as wished";
  if (bound == "minimum") return "the guest's minimum";
  if (bound == "maximum") return "the guest's maximum";
  if (bound == "host") return "the host has no more";
  if (bound == "stale")
    return "no report that could be trusted: the last target is held, up to its share";
  if (bound == "no-balloon") return "its balloon is not to be moved: it keeps what it has";
  if (bound == "unchanged") return "too small a change";
  return plain(bound);
}

std::string writer_text(const json& guest, const json& policy) {
  const std::string writer = text_at(guest, "/writer");
  if (writer == "guest")
    return guest.value("acknowledged", false) ? "its own agent"
                                              : "its own agent, which has not acknowledged yet";
  if (writer == "returning") return "nobody, until its agent has let go (at most 30 s of silence)";
  if (text_at(policy, "/effective_mode") != "host") return "not tmemd: the policy only advises";
  return text_at(guest, "/mode") == "host" ? "tmemd"
                                           : "nobody (mode " + plain(text_at(guest, "/mode")) + ")";
}

std::string age_text(const json& object, const char* key) {
  const json age = object.value(key, json());
  if (!age.is_number()) return "never";
  const auto ms = age.get<uint64_t>();
  return ms < 60'000 ? fmt::format("{:.1f} s ago", static_cast<double>(ms) / 1000)
                     : duration(ms / 1000) + " ago";
}

double rate(const json& guest, const char* key) {
  return guest.value("rates", json::object()).value(key, 0.0);
}

std::string report_text(const json& guest) {
  const json report = guest.value("report", json::object());
  const json sample = report.value("sample", json());
  std::string text = fmt::format("{}, the last good one {}", plain(text_at(report, "/state")),
                                 age_text(report, "age_ms"));
  if (const std::string complaint = text_at(report, "/complaint"); !complaint.empty())
    text += fmt::format("\n                {}", plain(complaint));
  text += fmt::format(
      "\n                {} accepted, {} malformed, {} absurd, {} times stale, {} swings, "
      "{} events, watch "
      "dropped {} times",
      number_at(report, "/accepted"), number_at(report, "/malformed"), number_at(report, "/absurd"),
      number_at(report, "/stale"), number_at(report, "/swings"), number_at(report, "/events"),
      number_at(report, "/watch_dropped"));
  if (sample.is_object())
    text += fmt::format(
        "\n                total {} MiB, available {}, committed {}, swap {}{}",
        mib(number_at(sample, "/total_bytes")), mib(number_at(sample, "/available_bytes")),
        mib(number_at(sample, "/committed_bytes")), mib(number_at(sample, "/swap_used_bytes")),
        sample.value("has_pressure", false) ? "" : "; no PSI");
  return text;
}

std::string target_text(const json& guest) {
  std::string text = fmt::format("{} MiB", mib(number_at(guest, "/target_bytes")));
  if (number_at(guest, "/targets_written") != 0)
    text += fmt::format(", written {} ({} times)", age_text(guest, "target_written_age_ms"),
                        number_at(guest, "/targets_written"));
  if (const uint64_t errors = number_at(guest, "/write_errors"); errors != 0)
    text += fmt::format(", {} writes failed", errors);
  if (const uint64_t over = number_at(guest, "/over_bytes"); over != 0)
    text += fmt::format(", and it holds {} MiB that it was never given", mib(over));
  else if (guest.value("uncooperative", false))
    text += ", and it does not move: uncooperative";
  return text;
}

std::string guest_text(const json& guest, const json& policy) {
  const auto line = [](std::string_view key, const std::string& value) {
    return fmt::format("  {:<12}: {}\n", key, value);
  };
  std::string text =
      fmt::format("{} (domain {}): {} MiB\n", plain(text_at(guest, "/name")),
                  number_at(guest, "/domid"), mib(number_at(guest, "/actual_bytes")));
  text += line("target", target_text(guest));
  text += line("set by", writer_text(guest, policy));
  if (guest.contains("planned_bytes")) {
    const json wish = guest.value("wish_bytes", json());
    text += line("plan", fmt::format("{} MiB: {}", mib(number_at(guest, "/planned_bytes")),
                                     bound_text(text_at(guest, "/bound"))));
    text += line("wish", wish.is_number() ? fmt::format("{} MiB, {}", mib(wish.get<uint64_t>()),
                                                        reason_text(text_at(guest, "/reason")))
                                          : "none");
    text += line("since", age_text(guest, "since_ms"));
    text += line("report", report_text(guest));
    text +=
        line("rates",
             fmt::format("PSI some {:.1f} %, full {:.1f} %; refaults {:.0f}/s, "
                         "swap-ins {:.0f}/s",
                         100 * rate(guest, "some_ratio"), 100 * rate(guest, "full_ratio"),
                         rate(guest, "refault_pages_per_s"), rate(guest, "swap_in_pages_per_s")));
    text +=
        line("pool",
             fmt::format("{} MiB charged; swap pages {} (put {:.0f}/s, got {:.0f}/s), "
                         "cache pages {} (put {:.0f}/s, hit {:.0f}/s)",
                         mib(number_at(guest, "/pool/charged_bytes")),
                         number_at(guest, "/pool/persistent_pages"),
                         rate(guest, "persistent_puts_per_s"), rate(guest, "persistent_gets_per_s"),
                         number_at(guest, "/pool/ephemeral_pages"),
                         rate(guest, "ephemeral_puts_per_s"), rate(guest, "ephemeral_hits_per_s")));
  }
  text += line("bounds", fmt::format("{} to {} MiB, weight {}, priority {}",
                                     mib(number_at(guest, "/settings/min_bytes")),
                                     mib(number_at(guest, "/settings/max_bytes")),
                                     number_at(guest, "/settings/weight"),
                                     number_at(guest, "/settings/priority")));
  if (guest.contains("told_agent"))
    text += line("agent told",
                 fmt::format("{} to {} MiB", mib(number_at(guest, "/told_agent/min_bytes")),
                             mib(number_at(guest, "/told_agent/max_bytes"))));
  if (const uint64_t times = number_at(guest, "/times_uncooperative"); times != 0)
    text += line("balloon", fmt::format("did not follow {} times", times));
  return text;
}

int run_why(const Globals& globals, const std::string& guest) {
  Daemon daemon(globals);
  const auto answer = daemon.ask("why", guest.empty() ? json::object() : json{{"guest", guest}});
  if (!answer) return daemon.exit_code();
  if (globals.as_json) return print_json(*answer);
  std::string text;
  for (const json& one : answer->value("guests", json::array()))
    text += (text.empty() ? "" : "\n") + guest_text(one, *answer);
  if (text.empty())
    text = text_at(*answer, "/effective_mode") == "off" ? "the policy is off\n"
                                                        : "no guest runs here\n";
  return print(text);
}

}  // namespace

void add_why(CLI::App& app, const Globals& globals, Chosen& chosen) {
  CLI::App* const verb =
      app.add_subcommand("why", "Why a guest, or each, has the memory that it has");
  auto guest = std::make_shared<std::string>();
  verb->add_option("guest", *guest, "number, name or uuid")->type_name("GUEST");
  verb->callback([&globals, &chosen, guest] {
    chosen.run = [&globals, guest] { return run_why(globals, *guest); };
  });
}

}  // namespace tmem::cli
