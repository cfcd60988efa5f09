// SPDX-License-Identifier: MIT
//
// The demo's fourth part: versions of a model that are switched while it answers.
#pragma once

#include <aiaccel/deployment.hpp>

#include <vector>

#include "common/json.hpp"

namespace tools {

// Streams and single requests run for `seconds`; after a third of it the deployment is updated to
// `next`, after two thirds it is rolled back. Every answer is compared, bit by bit, with what its
// version answers alone to the same chunks. `chunks` is the length of a stream.
// Gives requests, lost, wrong, streams, streams_across_a_switch, answers{VERSION: N}, update_ms,
// rollback_ms.
Json switch_versions(aiaccel::Deployment& deployment, const aiaccel::Model& first,
                     const aiaccel::Model& next, const std::vector<float>& speech,
                     std::size_t chunks, double seconds);

}  // namespace tools
