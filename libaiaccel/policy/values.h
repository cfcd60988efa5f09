// SPDX-License-Identifier: MIT
//
// How words, numbers and bytes are written, in the files of the policy, in options and in the
// environment. No formatting library: the CUDA shim brings this into other people's programs.
//
// Threads: any.
#ifndef AIACCEL_POLICY_VALUES_H
#define AIACCEL_POLICY_VALUES_H

#include <uapi/aiaccel.h>

#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>

namespace aiaccel::policy {

// The word's place is the value.
inline constexpr std::string_view kClasses[] = {"idle", "low", "normal", "high"};
static_assert(AIACCEL_CLASS_IDLE == 0 && AIACCEL_CLASS_HIGH + 1 == std::size(kClasses));
// What max_class may say.
inline constexpr std::string_view kCeilings[] = {"idle", "low", "normal", "high", "realtime"};
static_assert(AIACCEL_CLASS_REALTIME + 1 == std::size(kCeilings));
inline constexpr std::string_view kOnMissing[] = {"open", "closed"};
static_assert(AIACCEL_ON_MISSING_OPEN == 0 && AIACCEL_ON_MISSING_CLOSED == 1);
inline constexpr std::string_view kUnlimited = "unlimited";
// Powers of 1024, as systemd has them.
inline constexpr std::string_view kUnits = "KMGTP";

std::optional<std::uint64_t> read_word(std::string_view text,
                                       std::span<const std::string_view> words);
std::optional<std::uint64_t> read_number(std::string_view text, std::uint64_t least,
                                         std::uint64_t most);
// A number, perhaps with a unit, or `unlimited`, to which the largest number is left.
std::optional<std::uint64_t> read_bytes(std::string_view text);

}  // namespace aiaccel::policy

#endif  // AIACCEL_POLICY_VALUES_H
