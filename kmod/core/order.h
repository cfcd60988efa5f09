/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * In which order an engine's queues stand in line (enum aiaccel_order), and how that changes while
 * jobs wait.
 *
 *   FAIR, STRICT   by shares (share.h)
 *   EDF            in each class by the deadline of the queue's first job, then by its age; no
 *                  deadline is the latest of all
 *   FIFO           over all classes by the age of the queue's first job
 *
 * Class REALTIME goes by deadline under all but FIFO; realtime.h sets those of promised queues.
 * Inside a queue jobs always go by deadline, then by age: FIFO compares those that are first in
 * their queues.
 *
 * Switching. A tree cannot be in two orders, and users choose how many queues stand in it. So one
 * step moves AIA_ORDER_STEP queues at most: first all that stand in line are parked, one after the
 * other, and when the trees are empty they line up again as the new order has them. Meanwhile turns
 * are granted to those in line; a queue that gets a job while others are being parked is parked
 * with them. Each step sets the engine's timer for the next one. A switch takes two moves for each
 * queue that is in line when it begins, and waits for no turn. Between its first step and its last
 * nothing is promised about who is next.
 *
 * Invariants
 *  - A queue is on the list in_line or parked exactly while it has an eligible job that was
 *    released (realtime.h); its share is in its tree exactly while it is on in_line.
 *  - Nothing is parked, and the timer is not set, unless a switch is under way.
 * The caller serialises.
 */
#ifndef AIA_CORE_ORDER_H
#define AIA_CORE_ORDER_H

#include "sched.h"

#define AIA_ORDER_STEP 64

void aia_order_init(struct aia_sched_engine *engine);

/* Into line; it has a job. Nothing happens where it is there already. */
void aia_order_line_up(struct aia_sched_queue *queue);

/* Out of line. Nothing happens where it is not there. */
void aia_order_drop_out(struct aia_sched_queue *queue);

/* Another one of its jobs is the first. */
void aia_order_follow_first(struct aia_sched_queue *queue);

/* The class whose turn it is under FIFO. AIACCEL_NR_CLASSES: nobody is in line. */
__u32 aia_order_oldest_class(const struct aia_sched_engine *engine);

#endif
