// SPDX-License-Identifier: MIT
//
// Of check_signature(), what a registry needs beside: a signature may hold for the files, and still
// be one of something else.
//
// No state: safe from everywhere.
#pragma once

#include <aiaccel/signing.hpp>

#include <functional>
#include <optional>
#include <span>
#include <string>

namespace aiaccel::registry {

// As check_signature(), of what `next` gives till it gives nothing; `fits` throws an Error where a
// signature that holds does not count. `name` is what people are told that is checked.
SignatureCheck check_each(const SignaturePolicy& policy, const std::string& name,
                          std::span<const SignedFile> files,
                          const std::function<std::optional<std::string>()>& next,
                          const std::function<void(const Verified&)>& fits);

}  // namespace aiaccel::registry
