// SPDX-License-Identifier: MIT
//
// libaiaccel for C++20: everything. The device classes are header-only over the C interface
// in <aiaccel.h>; Model, Deployment and what prepares memory live in the library.
#ifndef AIACCEL_HPP
#define AIACCEL_HPP

#include <aiaccel/buffer.hpp>
#include <aiaccel/deployment.hpp>
#include <aiaccel/descriptor.hpp>
#include <aiaccel/device.hpp>
#include <aiaccel/drm.hpp>
#include <aiaccel/engine.hpp>
#include <aiaccel/error.hpp>
#include <aiaccel/memory.hpp>
#include <aiaccel/metadata.hpp>
#include <aiaccel/model.hpp>
#include <aiaccel/numa.hpp>
#include <aiaccel/pinning.hpp>
#include <aiaccel/pool.hpp>
#include <aiaccel/queue.hpp>
#include <aiaccel/queueing.hpp>
#include <aiaccel/reservation.hpp>
#include <aiaccel/units.hpp>

#endif  // AIACCEL_HPP
