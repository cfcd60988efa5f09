/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The event ring of a context (see the UAPI header): written here, read by a process
 * that is not trusted.
 *
 * Nothing is lost by construction. What happens to a job is collected in its note,
 * which is part of the job; notes wait in order for room in the ring, and nothing is
 * ever allocated. The reader's word is read once for each decision; when it
 * is nonsense (more unread events than entries) the ring counts as full.
 * Invariant: a note is on the ring's waiting list exactly while its `events` is not 0.
 */
#ifndef AIA_CORE_RING_H
#define AIA_CORE_RING_H

#include <uapi/aiaccel.h>
#include "types.h"

struct aia_ring_note {
	struct aia_link of_ring;
	struct aia_ring_note *next_done;	/* chain returned by aia_ring_flush */
	__u64 cookie;
	__u64 time_ns;
	__u32 events;				/* 0: nothing to tell */
	__u32 generation;
	__u32 slot;
	__u32 queue;				/* whose turn it is, once granted */
	__u32 granted_at;			/* what produced was once GRANTED was written */
	bool granted_told;			/* it was */
	bool last;				/* the owner goes once this is told */
};

struct aia_ring {
	struct aiaccel_ring *shared;		/* the read-only mapping; only written here */
	struct aiaccel_event *events;
	__u32 *yield;
	const __u32 *consumed;			/* the reader's word */
	__u32 entries;
	__u32 produced;				/* ours; shared->produced is a copy */
	__u64 time_offset_ns;			/* added to times shown to the reader */
	struct aia_link waiting;		/* notes, oldest first */
};

/* Bytes of the read-only mapping for @entries (a power of two) events. */
size_t aia_ring_bytes(__u32 entries);

/* @memory: zeroed, aia_ring_bytes() long, 64-byte aligned. */
void aia_ring_init(struct aia_ring *ring, void *memory, const __u32 *consumed, __u32 entries);

/* Adds @events to what the note tells; follow with aia_ring_flush(). */
void aia_ring_note(struct aia_ring *ring, struct aia_ring_note *note, __u32 events, __u64 now_ns);

/* The note's owner goes, with nothing more to tell. */
void aia_ring_forget(struct aia_ring *ring, struct aia_ring_note *note);

/* Writes waiting notes while there is room. Returns the chain of those marked `last`. */
struct aia_ring_note *aia_ring_flush(struct aia_ring *ring);

/* Whether the reader has taken the note's GRANTED. */
bool aia_ring_read_granted(const struct aia_ring *ring, const struct aia_ring_note *note);

__u32 aia_ring_unread(const struct aia_ring *ring);

void aia_ring_ask_yield(struct aia_ring *ring, __u32 slot, __u32 generation);

#endif
