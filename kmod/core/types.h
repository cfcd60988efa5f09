/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the core takes from outside: the fixed-size types and error numbers that the
 * kernel exports to user space, and a handful of macros. Nothing else. The core
 * is freestanding C: integers only, memory owned by the caller, no locks, no
 * allocation, no clock and no globals, so that the module, the broker, the embedded
 * transport, the simulator and the fuzzers compile the very same sources.
 *
 * Locking rule of everything in this folder: the caller serialises. One lock
 * around all calls that can reach the same engine is enough and is what the
 * adapters use.
 */
#ifndef AIA_CORE_TYPES_H
#define AIA_CORE_TYPES_H

#include <linux/errno.h>
#include <linux/types.h>

#ifdef __KERNEL__
#include <linux/math64.h>
#include <linux/stddef.h>
#define aia_div(a, b) div_u64(a, b)
#else
#include <stdbool.h>
#include <stddef.h>
#define aia_div(a, b) ((__u64)(a) / (__u32)(b))	/* which a 32-bit kernel lacks */
#endif

#define aia_container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/* A list that knows its ends; an element not on any list has both links NULL. */
struct aia_link {
	struct aia_link *prev, *next;
};

/* 0 where it was not before. */
static inline __u64 aia_since_ns(__u64 then_ns, __u64 now_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

#endif
