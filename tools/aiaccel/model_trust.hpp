// SPDX-License-Identifier: MIT
//
// The files of a version for those who go on to use them.
#pragma once

#include <aiaccel/registry.hpp>

#include <filesystem>

namespace tools {

// A folder with them, held against the registry's policy on signatures: what it warns of is
// printed, what it refuses is a Failure.
std::filesystem::path trusted_checkout(const aiaccel::Registry& registry,
                                       const aiaccel::ModelVersion& version);

// One line on stderr where the policy has something against a version (of which name, version and
// commit are enough): what was promoted or signed is not what will be loaded.
void warn_of_signature(const aiaccel::Registry& registry, const aiaccel::ModelVersion& version);

}  // namespace tools
