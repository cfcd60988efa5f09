// SPDX-License-Identifier: MIT
//
// NAME/aiaccel.json: what is kept of a version beside its files. Its metadata comes last, so that
// who lists versions stops reading before it.
//
// A commit may come from anybody: what is read is checked, and what is unknown passed over. Pure
// functions: safe from everywhere.
#pragma once

#include <aiaccel/registry.hpp>
#include <string>
#include <string_view>

namespace aiaccel::registry {

constexpr std::string_view kRecord = "aiaccel.json";
constexpr std::size_t kLongestRecord = 64 << 20;

// Of `name`, `version`, `licence`, `labels`, `parent`, `parent_commit`, `training_run`,
// `main_file`, `files`, `metadata`.
std::string write_record(const ModelVersion& version);

// Fills those in; throws Error(EBADMSG).
void read_record(std::string_view text, bool metadata, ModelVersion& version);

}  // namespace aiaccel::registry
