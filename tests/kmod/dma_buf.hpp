// SPDX-License-Identifier: MIT
//
// dma-bufs to import, of other exporters: vgem, which is a driver of a GPU that has only memory
// (tests/vm/run loads it), udmabuf, which makes one of a memfd, and the system heap. Kernels have
// some of them.
#pragma once

#include <cstddef>

namespace raw {

int open_vgem();

// A descriptor; -1 where the kernel has no such exporter. Nothing of Boost.Test: fuzz has none.
int vgem_buffer(size_t bytes);
int udmabuf(size_t bytes);
int heap_buffer(size_t bytes);
// Of vgem or udmabuf.
int dma_buf(size_t bytes);

// Whether there is one of this length, as the kernel's list of all (in debugfs) has it.
bool dma_buf_lives(size_t bytes);

}  // namespace raw
