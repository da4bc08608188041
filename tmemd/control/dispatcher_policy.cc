// SPDX-License-Identifier: GPL-2.0-or-later
// The verbs of memory scheduling: how it stands, what to change, and why.
#include "tmemd/arbiter/settings.h"
#include "tmemd/control/dispatcher.h"
#include "tmemd/control/settings.h"

namespace tmem::control {
namespace {

using nlohmann::json;

tl::unexpected<Error> no_guests() {
  return fail(Errc::kConflict,
              "this tmemd serves no guests of Xen, whose memory it could schedule");
}

template <class T, size_t kCount>
std::optional<T> word(Args& args, const char* key,
                      const std::pair<std::string_view, T> (&words)[kCount]) {
  const auto text = args.text(key);
  if (!text) return std::nullopt;
  const auto meaning = arbiter::meaning_of(words, *text);
  if (meaning) return meaning;
  std::string list;
  for (const auto& [known, unused] : words) list += (list.empty() ? "" : ", ") + std::string(known);
  args.refuse(key, "write one of " + list);
  return std::nullopt;
}

// A guest's number, uuid or name.
std::optional<std::string> guest_name(Args& args) {
  const json* const value = args.raw("guest");
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned()) return std::to_string(value->get<uint64_t>());
  if (value->is_string() && !value->get_ref<const std::string&>().empty())
    return value->get_ref<const std::string&>().substr(0, 256);
  args.refuse("guest", "write a guest's number, uuid or name");
  return std::nullopt;
}

std::optional<uint32_t> narrow(std::optional<uint64_t> number) {
  return number ? std::optional(static_cast<uint32_t>(*number)) : std::nullopt;
}

void read_guest_rule(Args& args, arbiter::Change& change) {
  arbiter::GuestRule& rule = change.rule;
  rule.mode = word(args, "mode", arbiter::kGuestModeWords);
  rule.min_bytes = args.number("min_bytes", kMemoryMinBytes, kMemoryMaxBytes);
  rule.max_bytes = args.number("max_bytes", kMemoryMinBytes, kMemoryMaxBytes);
  rule.weight = narrow(args.number("weight", 0, kWeightMax));
  rule.priority = narrow(args.number("priority", 0, arbiter::kPriorityMax));
  change.reset = args.flag("reset");
  if (rule.empty() && !change.reset)
    args.refuse("mode",
                "write at least one of mode, min_bytes, max_bytes, weight, priority, reset");
}

void read_policy(Args& args, arbiter::Change& change) {
  change.mode = word(args, "mode", arbiter::kModeWords);
  change.strategy = args.text("strategy");
  change.knob = args.real("knob", 0, arbiter::kKnobMax);
  if (!change.mode && !change.strategy && !change.knob)
    args.refuse("mode", "write at least one of mode, strategy, knob");
}

}  // namespace

Result<json> Dispatcher::policy(Args& args) {
  TMEM_CHECK(args.finish());
  if (!hooks_.policy) return no_guests();
  return hooks_.policy();
}

Result<json> Dispatcher::why(Args& args) {
  const auto guest = guest_name(args);
  TMEM_CHECK(args.finish());
  if (!hooks_.why) return no_guests();
  return hooks_.why(guest);
}

Result<json> Dispatcher::policy_set(Args& args) {
  arbiter::Change change;
  const auto guest = guest_name(args);
  if (guest) {
    change.guest = *guest;
    read_guest_rule(args, change);
  } else {
    read_policy(args, change);
  }
  TMEM_CHECK(args.finish());
  if (!hooks_.change_policy) return no_guests();
  return hooks_.change_policy(change);
}

}  // namespace tmem::control
