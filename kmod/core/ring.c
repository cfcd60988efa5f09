// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The writer of a context's event ring; see ring.h. The reader runs at the same time and
 * may be hostile: what it can reach is never read back, except its own counter, and
 * that only tells how much room there is.
 *
 * The caller serialises the writers. Between writer and reader, `produced` is stored with
 * release after the entries, the reader's word is loaded with acquire before they are
 * written over.
 */
#include "ring.h"
#include "list.h"

#define note_of(link) aia_container_of(link, struct aia_ring_note, of_ring)

static __u32 events_offset(void)
{
	return sizeof(struct aiaccel_ring);
}

static __u32 yield_offset(__u32 entries)
{
	return events_offset() + entries * (__u32)sizeof(struct aiaccel_event);
}

size_t aia_ring_bytes(__u32 entries)
{
	return yield_offset(entries) + entries * sizeof(__u32);
}

void aia_ring_init(struct aia_ring *ring, void *memory, const __u32 *consumed, __u32 entries)
{
	ring->shared = memory;
	ring->events = (struct aiaccel_event *)((char *)memory + events_offset());
	ring->yield = (__u32 *)((char *)memory + yield_offset(entries));
	ring->consumed = consumed;
	ring->entries = entries;
	ring->produced = 0;
	ring->time_offset_ns = 0;
	aia_list_init(&ring->waiting);

	ring->shared->entries = entries;
	ring->shared->events_offset = events_offset();
	ring->shared->yield_offset = yield_offset(entries);
}

void aia_ring_note(struct aia_ring *ring, struct aia_ring_note *note, __u32 events, __u64 now_ns)
{
	if (!note->events)
		aia_list_add_last(&ring->waiting, &note->of_ring);
	note->events |= events;
	note->time_ns = now_ns;
}

void aia_ring_forget(struct aia_ring *ring, struct aia_ring_note *note)
{
	(void)ring;
	if (!note->events)
		return;
	aia_list_remove(&note->of_ring);
	note->events = 0;
}

__u32 aia_ring_unread(const struct aia_ring *ring)
{
	__u32 unread = ring->produced - __atomic_load_n(ring->consumed, __ATOMIC_ACQUIRE);

	return unread < ring->entries ? unread : ring->entries;
}

bool aia_ring_read_granted(const struct aia_ring *ring, const struct aia_ring_note *note)
{
	return note->granted_told && aia_ring_unread(ring) <= ring->produced - note->granted_at;
}

static void write_event(struct aia_ring *ring, struct aia_ring_note *note)
{
	ring->events[ring->produced & (ring->entries - 1)] = (struct aiaccel_event){
		.cookie = note->cookie,
		.events = note->events,
		.generation = note->generation,
		.slot = note->slot,
		.queue = note->queue,
		.time_ns = note->time_ns + ring->time_offset_ns,
	};
	__atomic_store_n(&ring->shared->produced, ++ring->produced, __ATOMIC_RELEASE);
	if (note->events & AIACCEL_EVENT_GRANTED) {
		note->granted_at = ring->produced;
		note->granted_told = true;
	}
}

struct aia_ring_note *aia_ring_flush(struct aia_ring *ring)
{
	struct aia_ring_note *done = NULL;
	__u32 room;

	if (aia_list_empty(&ring->waiting))
		return NULL;
	for (room = ring->entries - aia_ring_unread(ring); room; room--) {
		struct aia_ring_note *note = note_of(ring->waiting.next);

		write_event(ring, note);
		aia_ring_forget(ring, note);
		if (note->last) {
			note->next_done = done;
			done = note;
		}
		if (aia_list_empty(&ring->waiting))
			break;
	}
	return done;
}

void aia_ring_ask_yield(struct aia_ring *ring, __u32 slot, __u32 generation)
{
	__atomic_store_n(&ring->yield[slot], generation, __ATOMIC_RELEASE);
}
