// SPDX-License-Identifier: MIT
//
// The kernel of the programs, as PTX, which a driver compiles for whatever GPU it has and which the
// stand-in knows by name: work(ns, tag, where) keeps its context for `ns` of the GPU's clock, then
// writes *where = *where * 31 + tag, which tells the order of kernels. For one thread.
#pragma once

inline constexpr char kKernel[] = R"(
.version 6.0
.target sm_52
.address_size 64

.visible .entry work(.param .u64 ns, .param .u64 tag, .param .u64 where)
{
  .reg .u64 %start, %now, %ns, %tag, %where, %cell;
  .reg .pred %p;

  ld.param.u64 %ns, [ns];
  mov.u64 %start, %globaltimer;
again:
  mov.u64 %now, %globaltimer;
  sub.u64 %now, %now, %start;
  setp.lt.u64 %p, %now, %ns;
  @%p bra again;

  ld.param.u64 %where, [where];
  setp.eq.u64 %p, %where, 0;
  @%p bra done;
  ld.param.u64 %tag, [tag];
  cvta.to.global.u64 %where, %where;
  ld.global.u64 %cell, [%where];
  mad.lo.u64 %cell, %cell, 31, %tag;
  st.global.u64 [%where], %cell;
done:
  ret;
}
)";
