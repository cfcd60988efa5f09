// SPDX-License-Identifier: MIT
//
// What the stand-in's device is called, the same in libcuda and in NVML.
#pragma once

namespace standin {

constexpr int kDriverVersion = 13000;
constexpr char kName[] = "aiaccel stand-in";
constexpr int kPciDomain = 0;
constexpr int kPciBus = 0x65;
constexpr int kPciDevice = 0;
constexpr char kPciAddress[] = "0000:65:00.0";
constexpr unsigned char kUuid[16] = {0xa1, 0xac, 0xce, 0x10, 0, 0, 0x40, 0,
                                     0x80, 0,    0,    0,    0, 0, 0,    1};
constexpr char kUuidText[] = "GPU-a1acce10-0000-4000-8000-000000000001";

}  // namespace standin
