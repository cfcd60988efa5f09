// SPDX-License-Identifier: MIT
//
// dma-bufs to import, of two exporters: vgem, which is a driver of a GPU that has only memory
// (tests/vm/run loads it), and udmabuf, which makes one of a memfd. Kernels have one of them or
// both.
#pragma once

#include <cstddef>

namespace raw {

// A descriptor; -1 where the kernel has no such exporter. Nothing of Boost.Test: fuzz has none.
int vgem_buffer(size_t bytes);
int udmabuf(size_t bytes);
// Of either.
int dma_buf(size_t bytes);

// Whether there is one of this length, as the kernel's list of all (in debugfs) has it.
bool dma_buf_lives(size_t bytes);

}  // namespace raw
