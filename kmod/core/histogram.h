/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Durations counted by their length; struct aiaccel_histogram says what its buckets are, and how
 * well a quantile is known by them.
 *
 * Adding takes a few instructions whatever the length, and one cache line. A sum of histograms is
 * the histogram of all. The caller serialises.
 */
#ifndef AIA_CORE_HISTOGRAM_H
#define AIA_CORE_HISTOGRAM_H

#include <uapi/aiaccel.h>
#include "types.h"

/* Below this the first bucket. */
#define AIA_HISTOGRAM_FIRST_LOG2 10

static inline __u32 aia_histogram_bucket(__u64 ns)
{
	__u32 bucket = 64 - AIA_HISTOGRAM_FIRST_LOG2 -
		       (__u32)__builtin_clzll(ns | ((1ULL << AIA_HISTOGRAM_FIRST_LOG2) - 1));

	return bucket < AIACCEL_HISTOGRAM_LEN ? bucket : AIACCEL_HISTOGRAM_LEN - 1;
}

static inline void aia_histogram_add(struct aiaccel_histogram *histogram, __u64 ns)
{
	histogram->count[aia_histogram_bucket(ns)]++;
}

static inline void aia_histogram_sum(struct aiaccel_histogram *sum,
				     const struct aiaccel_histogram *more)
{
	__u32 i;

	for (i = 0; i < AIACCEL_HISTOGRAM_LEN; i++)
		sum->count[i] += more->count[i];
}

#endif
