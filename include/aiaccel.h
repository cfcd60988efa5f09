/* SPDX-License-Identifier: MIT */
/*
 * libaiaccel: the C interface
 *
 * A device is one context of one transport: the kernel module, the broker (aiacceld) or
 * this process alone. All three take the calls of <uapi/aiaccel.h> and answer them
 * alike; that header says what each call does and which errors it has.
 *
 * Errors are returned as negative errno values; no function sets errno.
 *
 * Threads: several threads may use one device for aiaccel_call(), aiaccel_map() and
 * aiaccel_fd() at once. aiaccel_read_events() and the functions below it that take
 * jobs and turns belong to one thread at a time, since a ring has one reader. A context holds
 * one turn on an engine at a time, so a program with several workers opens one device for each:
 * that is cheap and needs no lock.
 *
 * A broker that ends takes its contexts with it. From then on every call on a device of it
 * returns -ECONNRESET, a wait in aiaccel_acquire() or ENTER within a quarter of a second, and
 * aiaccel_fd() polls readable. Queues, jobs and turns are gone: what was granted is held no
 * more, though nothing stops the work. Memory keeps its bytes, stays mapped and can be
 * mapped again until the device is closed; the next broker does not count it. To go on, open
 * another device, take over what is needed, then close the old one.
 *
 * Processes: a device serves the process that opened it. After fork(), the child gets
 * -EPERM, or no events, and may only close it.
 */
#ifndef AIACCEL_H
#define AIACCEL_H

#include <stddef.h>
#include <stdint.h>

#include <uapi/aiaccel.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aiaccel_device;

/* The version of the library, such as "0.1.0". */
const char *aiaccel_version(void);

/**
 * aiaccel_open - Open a context
 * @transport: "kernel", "broker" or "embedded"; "auto" takes the first of them, in this
 *	       order, that is there, and its error where it refuses. NULL is
 *	       $AIACCEL_TRANSPORT, or "auto" where that is not set or empty. The broker is
 *	       started for the user where none answers.
 * @device:    the result
 *
 * -EINVAL: no such transport. -ENOENT or -ENODEV: not here. -EACCES: not for this user.
 * -EDQUOT: the tenant has too many contexts. Others as open(2) and connect(2) have them.
 */
int aiaccel_open(const char *transport, struct aiaccel_device **device);

/* Closes the context: its turns, queues and buffers end. NULL is allowed. */
void aiaccel_close(struct aiaccel_device *device);

/* "kernel", "broker" or "embedded". */
const char *aiaccel_transport(const struct aiaccel_device *device);

/**
 * aiaccel_call - Make any call of <uapi/aiaccel.h>
 * @request: AIACCEL_IOC_…
 * @arg:     its struct, with size set
 *
 * As ioctl(), but returns 0 or a negative errno. The broker adds -ECONNRESET: it is gone,
 * as told above, or answered what no broker answers.
 */
int aiaccel_call(struct aiaccel_device *device, unsigned long request, void *arg);

/**
 * aiaccel_map - Map a buffer or the ring
 * @offset:  mmap_offset of ALLOC plus whole pages, AIACCEL_RING_OFFSET or
 *	     AIACCEL_CONSUMED_OFFSET
 * @length:  bytes
 * @prot:    PROT_READ, PROT_WRITE
 * @address: the result; give it back with munmap()
 */
int aiaccel_map(struct aiaccel_device *device, uint64_t offset, size_t length, int prot,
		void **address);

/*
 * A descriptor that polls readable while events are unread. It belongs to the device. It
 * knows nothing of the events that aiaccel_acquire() and aiaccel_wait() have kept: read events
 * before you poll.
 */
int aiaccel_fd(const struct aiaccel_device *device);

/* Takes up to @max events out of the ring, without waiting; returns how many. */
unsigned int aiaccel_read_events(struct aiaccel_device *device, struct aiaccel_event *events,
				 unsigned int max);

/**
 * aiaccel_find_engine - Look an engine up by name
 * @name: its name or its alias (a PCI address, a UUID), or its kind and its place among the
 *	  engines of that kind: "cpu0", "gpu1", "fpga0", "other0"
 * @info: the result; size need not be set
 *
 * -ENOENT: there is none.
 */
int aiaccel_find_engine(struct aiaccel_device *device, const char *name,
			struct aiaccel_engine_info *info);

/* A turn that is held. */
struct aiaccel_grant {
	uint64_t cookie;
	uint64_t granted_ns;		/* CLOCK_MONOTONIC */
	const uint32_t *yield_word;	/* equals generation when the turn is wanted */
	uint32_t generation;
	uint32_t queue;			/* whose turn it is; of a set (AIACCEL_JOB_ANY) it tells the engine */
};

/**
 * aiaccel_acquire - Submit one job and wait for its turn
 * @job:	as for ENTER; a cookie of 0 means any, chosen with its highest bit set
 * @timeout_ns: absolute CLOCK_MONOTONIC, or AIACCEL_NEVER
 * @cancel_fd:  the wait ends when this descriptor polls readable; -1 for none
 * @grant:	the result
 *
 * Events of other jobs that come meanwhile are kept for aiaccel_read_events(), or aiaccel_wait().
 * A turn that was revoked before this thread got to it, as it was stopped, is asked for anew, once a
 * driver that stops its work has done so; where the job is of a group or after another that is -ESTALE.
 * -ETIMEDOUT, -ECANCELED, -EINTR (a signal), -ENOMEM: the job was withdrawn. -ENODEV: the
 * engine went away, an administrator said so, or the job that it was to follow was not completed.
 * -ECONNRESET: the broker went. Others as struct aiaccel_job has them.
 */
int aiaccel_acquire(struct aiaccel_device *device, const struct aiaccel_job *job,
		    uint64_t timeout_ns, int cancel_fd, struct aiaccel_grant *grant);

/**
 * aiaccel_submit - Submit one job without waiting, for aiaccel_wait()
 * @job:    as for aiaccel_acquire()
 * @cookie: the result: the job's name, also for the @after of a later one
 *
 * -ENOMEM, and errors as struct aiaccel_job has them: there is no job.
 */
int aiaccel_submit(struct aiaccel_device *device, const struct aiaccel_job *job, uint64_t *cookie);

/**
 * aiaccel_wait - Wait for the turn of a job of aiaccel_submit()
 *
 * Once for each, and soon: a turn that others want is revoked where its holder has not looked for it in a
 * second, in any of the functions that read the ring. Else like aiaccel_acquire(): on errors the job is
 * withdrawn, so a @timeout_ns that has gone by takes the turn that there is, or the job back. -ESTALE:
 * it had its turn, which was revoked before anybody looked. -ENOENT: there is none to wait for, or its
 * queue was destroyed by aiaccel_call(). A turn that began before that is told of all the same, and is
 * over: completing it answers -ENOENT. Who destroys the queue while another thread waits so leaves it
 * waiting.
 */
int aiaccel_wait(struct aiaccel_device *device, uint64_t cookie, uint64_t timeout_ns, int cancel_fd,
		 struct aiaccel_grant *grant);

/*
 * Ends the turn, and drops what was kept of its events. -ESTALE: it had been revoked, so that others
 * may have had its slots for a while; it is over all the same. -ECONNRESET: it ended with the broker.
 */
int aiaccel_complete(struct aiaccel_device *device, const struct aiaccel_grant *grant);

/**
 * aiaccel_renew - Go on with a turn whose budget is over, or soon will be
 *
 * 0: a new budget begins now, and the yield word is taken back. A YIELD that is still unread in the
 * ring is from before. -EAGAIN: others come first; the turn is as it was: complete it within the
 * grace of its engine (grace_ns of ENGINE_INFO). -ESTALE: it was revoked: end the work,
 * then complete it. -ECONNRESET: it ended with the broker.
 */
int aiaccel_renew(struct aiaccel_device *device, const struct aiaccel_grant *grant);

/* What refused_by names, in words: "RLIMIT_MEMLOCK", "the tenant's ceiling", … */
const char *aiaccel_refusal_name(uint32_t refused_by);

#ifdef __cplusplus
}
#endif

#endif /* AIACCEL_H */
