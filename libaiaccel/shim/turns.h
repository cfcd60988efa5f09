// SPDX-License-Identifier: MIT
//
// The Arbiter of a lease: one context of the kernel module or the broker, with one queue to one
// engine.
//
// Threads: one, but for reserve() (any thread), which takes the lock under which the device is
// opened and closed.
#ifndef AIACCEL_SHIM_TURNS_H
#define AIACCEL_SHIM_TURNS_H

#include <memory>
#include <string>
#include <vector>

#include "device.h"
#include "shim/lease.h"
#include "shim/settings.h"

namespace aiaccel::shim {

// A context of the arbiter there is: 0 or -errno. This process alone counts as none, unless it is
// asked for. No call to it takes much longer than a second.
int open_device(const Settings& settings, std::unique_ptr<aiaccel_device>* device,
                aiaccel_query* query);

// The first of these that is there.
int find_engine(aiaccel_device& device, const std::vector<std::string>& names,
                aiaccel_engine_info* engine);

// 0, or why nothing of ours should stay open there: the arbiter ended, or is leaving (-ENODEV).
int look_at_arbiter(aiaccel_device& device, uint32_t engine);

class Turns final : public Arbiter {
 public:
  // `engines`: names of the engine; the first that is there is taken.
  Turns(const Settings& settings, std::vector<std::string> engines)
      : settings_(settings), engines_(std::move(engines)) {}

  int open() override;
  void close() override;
  int ask() override;
  int read(News* news) override;
  int complete(bool ask_again) override;
  int renew() override;
  int look() override;
  bool fail_open() override;

  // Polls readable when there is something to read(); -1 while the device is closed.
  int fd() const { return fd_; }
  const std::string& engine() const { return engines_.front(); }

 private:
  int open_queue(aiaccel_device& device, uint32_t engine);
  int enter(aiaccel_enter& arg);

  const Settings settings_;
  const std::vector<std::string> engines_;
  bool arbiter_fails_open_ = true;  // as it last said

  std::unique_ptr<aiaccel_device> device_;
  int fd_ = -1;
  uint32_t engine_id_ = 0;
  uint32_t queue_ = 0;
  uint64_t cookie_ = 0;
  uint32_t generation_ = 0;
};

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_TURNS_H
