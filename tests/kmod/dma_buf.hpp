// SPDX-License-Identifier: MIT
//
// dma-bufs to import, of two exporters: vgem, which is a driver of a GPU that has only memory
// (tests/vm/run loads it), and udmabuf, which makes one of a memfd. Kernels have one of them or
// both.
#pragma once

#include "raw.hpp"

namespace raw {

// A descriptor; -1 where the kernel has no such exporter.
Fd vgem_buffer(size_t bytes);
Fd udmabuf(size_t bytes);
// Of either.
Fd dma_buf(size_t bytes);

// Whether there is one of this length, as the kernel's list of all (in debugfs) has it.
bool dma_buf_lives(size_t bytes);

}  // namespace raw
