/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * aiaccel - one arbiter of accelerators, their memory and their turns
 *
 * This file is the whole contract of /dev/aiaccel. The broker and the embedded
 * transport of libaiaccel honour the same structs, numbers and errors; what
 * they cannot promise they leave out of &aiaccel_query.capabilities.
 *
 * Words
 * -----
 * engine    What work runs on: a GPU, an FPGA unit, the CPUs of a NUMA node. It
 *	     has slots. A turn takes some of them for a while.
 * context   One open of the device. Ids of buffers and queues belong to it and
 *	     mean nothing elsewhere. It serves the address space that opened it:
 *	     a forked child, a program started by exec and a receiver of the file
 *	     descriptor get %EPERM from every ioctl and mmap; they open their own.
 * tenant    Who pays: a node of the share tree. By default the cgroup (v2) of
 *	     the process that opened the context; for a process in the root
 *	     cgroup, the owner of its outermost user namespace, else its uid.
 * queue     A context's line to one engine, with a class, a weight, a label.
 * job       A request for a turn. Users name it by a cookie of their choice.
 * grant     The turn: slots held from granted to completed. It bears a
 *	     generation, so that a late holder is told from the present one.
 * buffer    Pages that engines reach: allocated here, pinned from the caller, or
 *	     another driver's, imported. Ids of several contexts may name the same one.
 * reservation  Bytes of an engine's own memory, leased to a context.
 * policy    What the administrator lets tenants have; see POLICY.
 *
 * Lifetimes
 * ---------
 * Grants and waiting jobs end when the address space that opened the context
 * begins to go away, before its memory is torn down, and at the latest when the
 * file is closed. A process that dumps core keeps its turns until the dump is
 * written. Queues, reservations and the ids of buffers go with the file. A buffer lives on,
 * and stays charged to who made it, while it is mapped, exported, imported by another context,
 * or in use by a device. Closing needs no preparation and cannot
 * fail. Opening fails with %EDQUOT at the tenant's or the module's ceiling of
 * contexts, with %ENOMEM, and with %EPERM for what has no address space.
 *
 * Calling convention
 * ------------------
 * Every ioctl takes a pointer to a struct that starts with __u32 size, which the
 * caller sets to sizeof the struct that it was compiled with (a page at most,
 * else %E2BIG). A shorter struct
 * than the kernel's has its tail read as zeros. A longer one is accepted when the
 * bytes that the kernel does not know are zero. Outputs are written back as far
 * as the caller's size goes. Fields marked "out" are ignored on input unless
 * said otherwise. On an error nothing has changed, and nothing is written back
 * but the field refused_by where a struct has one and its size was accepted, and,
 * where an array turns out not to be writable, what of it was written before.
 *
 * Each check below comes before those under it:
 *
 *  %ENOTTY	  the ioctl number is unknown
 *  %EPERM	  the caller's address space is not the one that opened the context
 *  %EINVAL	  size is below that of the struct's first version
 *  %E2BIG	  size is larger than known, and the unknown tail is not zero
 *  %EFAULT	  the struct cannot be read. Arrays that it points to are read
 *		  after its own checks. What cannot be written is found out
 *		  after all checks; by ENTER before it takes an entry
 *  %EOPNOTSUPP	  a flag, an enumerator, or a non-zero field that this
 *		  implementation knows but does not carry out, or a bit it does
 *		  not know
 *  %EINVAL	  a reserved field is not zero, or a value is out of its range
 *  %EOVERFLOW	  an address plus a length, or a sum of lengths, wraps
 *  %ENOENT	  an id or a cookie names nothing (of the kind that is wanted)
 *  %EPERM	  the caller lacks the capability that the call names
 *  %EDQUOT	  a ceiling of the tenant or of the module; refused_by says which
 *  %ENOMEM	  memory, or the right to lock memory; refused_by says which
 *
 * Further errors are listed with each call. A call that was refused may be made
 * again at any time.
 *
 * Time is nanoseconds of CLOCK_MONOTONIC as the caller's time namespace sees it.
 * Timeouts and deadlines are absolute.
 *
 * All structs have the same layout for 32-bit and 64-bit callers and contain no
 * padding.
 */
#ifndef _UAPI_AIACCEL_H
#define _UAPI_AIACCEL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The version of this contract; see &aiaccel_query.abi. It only ever grows. */
#define AIACCEL_ABI		1

#define AIACCEL_NAME_LEN	64	/* engine and provider names, with their NUL */
#define AIACCEL_LABEL_LEN	64	/* queue labels, with their NUL */
#define AIACCEL_PATH_LEN	128	/* tenant names, with their NUL */

#define AIACCEL_IOC_TYPE	0xE1

#define AIACCEL_IOC_QUERY	  _IO(AIACCEL_IOC_TYPE, 0x00)
#define AIACCEL_IOC_ENGINE_LIST	  _IO(AIACCEL_IOC_TYPE, 0x01)
#define AIACCEL_IOC_ENGINE_INFO	  _IO(AIACCEL_IOC_TYPE, 0x02)
#define AIACCEL_IOC_STATS	  _IO(AIACCEL_IOC_TYPE, 0x03)
#define AIACCEL_IOC_ENGINE_REGISTER   _IO(AIACCEL_IOC_TYPE, 0x04)
#define AIACCEL_IOC_ENGINE_UNREGISTER _IO(AIACCEL_IOC_TYPE, 0x05)
#define AIACCEL_IOC_POLICY	  _IO(AIACCEL_IOC_TYPE, 0x06)
#define AIACCEL_IOC_CONTROL	  _IO(AIACCEL_IOC_TYPE, 0x07)
#define AIACCEL_IOC_DESTROY	  _IO(AIACCEL_IOC_TYPE, 0x08)
#define AIACCEL_IOC_REVOKE	  _IO(AIACCEL_IOC_TYPE, 0x09)
#define AIACCEL_IOC_ALLOC	  _IO(AIACCEL_IOC_TYPE, 0x10)
#define AIACCEL_IOC_PIN		  _IO(AIACCEL_IOC_TYPE, 0x11)
#define AIACCEL_IOC_BUFFER_INFO	  _IO(AIACCEL_IOC_TYPE, 0x12)
#define AIACCEL_IOC_RESERVE	  _IO(AIACCEL_IOC_TYPE, 0x13)
#define AIACCEL_IOC_IMPORT	  _IO(AIACCEL_IOC_TYPE, 0x14)
#define AIACCEL_IOC_QUOTA	  _IO(AIACCEL_IOC_TYPE, 0x15)
#define AIACCEL_IOC_EXPORT	  _IO(AIACCEL_IOC_TYPE, 0x16)
#define AIACCEL_IOC_BUFFER_REVOKE _IO(AIACCEL_IOC_TYPE, 0x17)
#define AIACCEL_IOC_QUEUE_CREATE  _IO(AIACCEL_IOC_TYPE, 0x20)
#define AIACCEL_IOC_ENTER	  _IO(AIACCEL_IOC_TYPE, 0x21)

/**
 * enum aiaccel_refusal - Which limit refused a call (refused_by)
 * @AIACCEL_REFUSED_NOT:	No limit did.
 * @AIACCEL_REFUSED_RLIMIT:	RLIMIT_MEMLOCK, counted by user (%ENOMEM).
 * @AIACCEL_REFUSED_TENANT:	A ceiling of the tenant or of one above it (%EDQUOT).
 * @AIACCEL_REFUSED_MODULE:	A ceiling of the whole module (%EDQUOT).
 * @AIACCEL_REFUSED_MEMCG:	The memory cgroup (%ENOMEM).
 * @AIACCEL_REFUSED_MEMORY:	The host, or the nodes asked for, have not so much
 *				free (%ENOMEM).
 * @AIACCEL_REFUSED_CONTEXT:	A limit of each context, see QUERY (%EDQUOT).
 * @AIACCEL_REFUSED_CLASS:	The class is above the tenant's ceiling (%EPERM).
 * @AIACCEL_REFUSED_ENGINE:	The engine has not so many bytes free (%EDQUOT).
 * @AIACCEL_REFUSED_DEADLINES:	What REALTIME queues were promised, or this one would be,
 *				could not be kept (%EDQUOT).
 */
enum aiaccel_refusal {
	AIACCEL_REFUSED_NOT	= 0,
	AIACCEL_REFUSED_RLIMIT	= 1,
	AIACCEL_REFUSED_TENANT	= 2,
	AIACCEL_REFUSED_MODULE	= 3,
	AIACCEL_REFUSED_MEMCG	= 4,
	AIACCEL_REFUSED_MEMORY	= 5,
	AIACCEL_REFUSED_CONTEXT	= 6,
	AIACCEL_REFUSED_CLASS	= 7,
	AIACCEL_REFUSED_ENGINE	= 8,
	AIACCEL_REFUSED_DEADLINES = 9,
};

/*
 * ---------------------------------------------------------------------------
 * What is here
 * ---------------------------------------------------------------------------
 */

/**
 * enum aiaccel_capability - Bits of &aiaccel_query.capabilities
 * @AIACCEL_CAP_HOST:	   All processes of the host meet in this arbiter. Without
 *			   it: only the clients of one broker, or one process.
 * @AIACCEL_CAP_CRASH:	   What a process holds comes back however it ends.
 * @AIACCEL_CAP_ENFORCED:  Limits and order hold against a client that does not
 *			   use libaiaccel.
 * @AIACCEL_CAP_STRICT:    %AIACCEL_PLACE_STRICT is carried out.
 * @AIACCEL_CAP_FOLIOS:	   &aiaccel_buffer_info.nr_runs, .largest_run_bytes, .folio_bytes and
 *			   .node_bytes are known.
 * @AIACCEL_CAP_IMPORT:	   IMPORT takes the dma-bufs of other drivers, and EXPORT makes dma-bufs,
 *			   which these take. Without it, what EXPORT gives is a file of memory that
 *			   only IMPORT takes.
 * @AIACCEL_CAP_REGISTER:  ENGINE_REGISTER and ENGINE_UNREGISTER are carried out.
 */
enum aiaccel_capability {
	AIACCEL_CAP_HOST	= 1 << 0,
	AIACCEL_CAP_CRASH	= 1 << 1,
	AIACCEL_CAP_ENFORCED	= 1 << 2,
	AIACCEL_CAP_STRICT	= 1 << 3,
	AIACCEL_CAP_FOLIOS	= 1 << 4,
	AIACCEL_CAP_IMPORT	= 1 << 5,
	AIACCEL_CAP_REGISTER	= 1 << 6,
};

/**
 * struct aiaccel_query - ioctl(AIACCEL_IOC_QUERY): version, capabilities, limits
 * @size:	       sizeof(struct aiaccel_query)
 * @abi:	       out: %AIACCEL_ABI of the implementation
 * @capabilities:      out: &enum aiaccel_capability
 * @tenant:	       out: id of the caller's tenant, as in STATS
 * @nr_engines:	       out: engines at present
 * @highest_class:     out: the highest class that the tenant may use without
 *		       CAP_SYS_NICE, &enum aiaccel_class
 * @max_queues:	       out: queues a context can hold
 * @max_buffers:       out: buffers a context can hold
 * @max_jobs:	       out: jobs a context can have waiting or granted; also the
 *		       number of entries of its event ring
 * @ring_bytes:	       out: length of the mapping at %AIACCEL_RING_OFFSET
 * @max_pinned_bytes:  out: the tenant's ceiling for pinned and allocated memory,
 *		       %AIACCEL_UNLIMITED where there is none
 * @pinned_bytes:      out: what of it the tenant uses now
 * @max_device_bytes:  out: the tenant's ceiling for reservations on each engine,
 *		       %AIACCEL_UNLIMITED where there is none
 * @on_missing:	       out: &enum aiaccel_on_missing, what the tenant's programs
 *		       should do while no arbiter answers
 * @__reserved:	       zero
 *
 * Errors: those of the ladder only.
 */
struct aiaccel_query {
	__u32 size;
	__u32 abi;
	__aligned_u64 capabilities;
	__aligned_u64 tenant;
	__u32 nr_engines;
	__u32 highest_class;
	__u32 max_queues;
	__u32 max_buffers;
	__u32 max_jobs;
	__u32 ring_bytes;
	__aligned_u64 max_pinned_bytes;
	__aligned_u64 pinned_bytes;
	__aligned_u64 max_device_bytes;
	__u32 on_missing;
	__u32 __reserved;
};

#define AIACCEL_UNLIMITED	(~0ULL)

/**
 * struct aiaccel_engine_list - ioctl(AIACCEL_IOC_ENGINE_LIST)
 * @size:   sizeof(struct aiaccel_engine_list)
 * @count:  in: how many ids fit at @ids; out: how many engines there are
 * @ids:    user pointer to __u32[count]; as many ids as fit are written, ascending
 *
 * Engine ids are the same in all contexts and are not used again while the
 * implementation runs.
 */
struct aiaccel_engine_list {
	__u32 size;
	__u32 count;
	__aligned_u64 ids;
};

enum aiaccel_engine_kind {
	AIACCEL_ENGINE_CPU	= 1,
	AIACCEL_ENGINE_GPU	= 2,
	AIACCEL_ENGINE_FPGA	= 3,
	AIACCEL_ENGINE_OTHER	= 4,
};

/**
 * enum aiaccel_enforcement - What a turn on this engine means
 * @AIACCEL_ADVISORY:	  Bookkeeping: nothing stops work without a turn.
 * @AIACCEL_GATED:	  The runtime's launches pass the gate.
 * @AIACCEL_PREEMPTIBLE:  The provider can stop work.
 */
enum aiaccel_enforcement {
	AIACCEL_ADVISORY	= 1,
	AIACCEL_GATED		= 2,
	AIACCEL_PREEMPTIBLE	= 3,
};

/**
 * enum aiaccel_engine_state
 * @AIACCEL_ENGINE_ACTIVE:    Jobs are taken and granted.
 * @AIACCEL_ENGINE_DRAINING:  New jobs and queues are refused (%ESHUTDOWN). What
 *			      waits is still granted. Come back later.
 * @AIACCEL_ENGINE_FAULTED:   Broken, as its driver says, or as it did not stop a turn in
 *			      time. New jobs and queues are refused (%ESHUTDOWN), nothing is
 *			      granted, turns are revoked, jobs wait until it works again.
 * @AIACCEL_ENGINE_LEAVING:   The implementation is about to be replaced or removed.
 *			      New jobs and queues are refused (%ENODEV), waiting
 *			      jobs have FAILED, turns go on to their end. Close the
 *			      device, and open it again when it is there.
 */
enum aiaccel_engine_state {
	AIACCEL_ENGINE_ACTIVE	= 1,
	AIACCEL_ENGINE_DRAINING	= 2,
	AIACCEL_ENGINE_FAULTED	= 3,
	AIACCEL_ENGINE_LEAVING	= 4,
};

/**
 * enum aiaccel_order - Who is next at an engine
 * @AIACCEL_ORDER_FAIR:	  Class, with a guaranteed part for each lower one; in the class
 *			  shares of tenants. What an engine begins with.
 * @AIACCEL_ORDER_STRICT: Likewise without guarantees: lower classes may starve.
 * @AIACCEL_ORDER_EDF:	  Class, with the guarantees; in the class the earliest deadline
 *			  of all tenants, then the oldest job.
 * @AIACCEL_ORDER_FIFO:	  The oldest job, whatever its class and tenant, of those that are
 *			  first in their queues.
 *
 * While the order changes, those who wait line up anew, a few at a time, and turns are granted
 * meanwhile; until that is done, which is soon, it is not said who of them is next.
 *
 * Ceilings of tenants hold under each, and what REALTIME was promised holds under FAIR,
 * STRICT and EDF. Shares are counted under each, so that who had much under another order has
 * less to expect when FAIR comes back.
 */
enum aiaccel_order {
	AIACCEL_ORDER_FAIR	= 1,
	AIACCEL_ORDER_STRICT	= 2,
	AIACCEL_ORDER_EDF	= 3,
	AIACCEL_ORDER_FIFO	= 4,
};

/**
 * struct aiaccel_engine_info - ioctl(AIACCEL_IOC_ENGINE_INFO)
 * @size:	   sizeof(struct aiaccel_engine_info)
 * @id:		   in: the engine
 * @kind:	   out: &enum aiaccel_engine_kind
 * @enforcement:   out: &enum aiaccel_enforcement
 * @state:	   out: &enum aiaccel_engine_state
 * @slots:	   out: how much a turn can take in all; for a CPU engine its CPUs
 * @numa_node:	   out: the node it is nearest to, -1 where unknown
 * @order:	   out: &enum aiaccel_order
 * @device_bytes:  out: memory of its own, 0 where it has none
 * @reserved_bytes: out: what of it is reserved, by all
 * @name:	   out: a name that survives reboots: a PCI address, a UUID, or
 *		   cpu-node<N>
 * @alias:	   out: another such name, or empty
 * @provider:	   out: who registered it
 * @grace_ns:	   out: how long a holder that was asked to yield has, where it must
 * @contended:	   out: slots whose turn was revoked and whose holder has not said
 *		   that it stopped: work may run there beside that of the present
 *		   holder. Always 0 on a preemptible engine
 * @__reserved:	   zero
 *
 * Errors: %ENOENT.
 */
struct aiaccel_engine_info {
	__u32 size;
	__u32 id;
	__u32 kind;
	__u32 enforcement;
	__u32 state;
	__u32 slots;
	__s32 numa_node;
	__u32 order;
	__aligned_u64 device_bytes;
	__aligned_u64 reserved_bytes;
	char name[AIACCEL_NAME_LEN];
	char alias[AIACCEL_NAME_LEN];
	char provider[AIACCEL_NAME_LEN];
	__aligned_u64 grace_ns;
	__u32 contended;
	__u32 __reserved;
};

/*
 * The engine goes, as by ENGINE_UNREGISTER, when its maker does: with the address space, or the
 * file.
 */
#define AIACCEL_REGISTER_BOUND	(1U << 0)

/**
 * struct aiaccel_engine_register - ioctl(AIACCEL_IOC_ENGINE_REGISTER)
 * @size:	   sizeof(struct aiaccel_engine_register)
 * @flags:	   in: %AIACCEL_REGISTER_BOUND
 * @kind:	   in: &enum aiaccel_engine_kind, not CPU
 * @enforcement:   in: %AIACCEL_ADVISORY or %AIACCEL_GATED; %EOPNOTSUPP for
 *		   PREEMPTIBLE, which only a driver can be
 * @slots:	   in: 1 to 1024
 * @numa_node:	   in: the nearest node, -1 where unknown
 * @device_bytes:  in: memory of its own
 * @name:	   in: as in ENGINE_INFO: printable ASCII without spaces, not empty, not . or
 *		   .., ended by a NUL and zeros
 * @alias:	   in: likewise, or all zeros
 * @provider:	   in: as @name
 * @id:		   out: the engine
 * @__reserved:	   zero
 *
 * Makes an engine that no kernel driver registers: a GPU of a closed driver, say.
 * It stays when the caller is gone, until ENGINE_UNREGISTER or the end of the
 * implementation, so a short-lived helper at boot is enough; unless it is bound to its maker.
 *
 * Errors: %EPERM without CAP_SYS_ADMIN; %EEXIST when an engine has the name or
 * the alias as its name or its alias (in which / counts as !, as in sysfs); %ENOSPC
 * when there are 1024 engines so made; %ENOMEM; %EINTR when a fatal signal came.
 */
struct aiaccel_engine_register {
	__u32 size;
	__u32 flags;
	__u32 kind;
	__u32 enforcement;
	__u32 slots;
	__s32 numa_node;
	__aligned_u64 device_bytes;
	char name[AIACCEL_NAME_LEN];
	char alias[AIACCEL_NAME_LEN];
	char provider[AIACCEL_NAME_LEN];
	__u32 id;
	__u32 __reserved;
};

/**
 * struct aiaccel_engine_unregister - ioctl(AIACCEL_IOC_ENGINE_UNREGISTER)
 * @size:  sizeof(struct aiaccel_engine_unregister)
 * @id:	   in: an engine that ENGINE_REGISTER made
 *
 * Its turns are revoked, its jobs fail, its reservations keep what they are and
 * can only be let go of.
 *
 * Errors: %ENOENT, also for an engine made otherwise; %EPERM without CAP_SYS_ADMIN.
 */
struct aiaccel_engine_unregister {
	__u32 size;
	__u32 id;
};

/**
 * struct aiaccel_destroy - ioctl(AIACCEL_IOC_DESTROY): let go of an object
 * @size:  sizeof(struct aiaccel_destroy)
 * @id:	   in: the buffer, queue or reservation
 *
 * A queue's waiting jobs are cancelled and its grants completed, without events;
 * an ENTER that waits for them in another thread goes on waiting.
 * A buffer's pages stay, and stay charged, while others have it: see Lifetimes.
 *
 * Errors: %ENOENT.
 */
struct aiaccel_destroy {
	__u32 size;
	__u32 id;
};

/*
 * ---------------------------------------------------------------------------
 * Memory
 * ---------------------------------------------------------------------------
 */

/**
 * enum aiaccel_placement - Where ALLOC takes pages from
 * @AIACCEL_PLACE_LOCAL:       The node that the caller runs on, then others.
 * @AIACCEL_PLACE_PREFER:      @node, then others.
 * @AIACCEL_PLACE_STRICT:      @node and no other.
 * @AIACCEL_PLACE_INTERLEAVE:  All nodes that the caller may use, in turn.
 * @AIACCEL_PLACE_NEAR:	       The node of @engine, then others.
 *
 * No placement leaves the nodes that the caller's cpuset allows.
 */
enum aiaccel_placement {
	AIACCEL_PLACE_LOCAL	 = 0,
	AIACCEL_PLACE_PREFER	 = 1,
	AIACCEL_PLACE_STRICT	 = 2,
	AIACCEL_PLACE_INTERLEAVE = 3,
	AIACCEL_PLACE_NEAR	 = 4,
};

/**
 * struct aiaccel_alloc - ioctl(AIACCEL_IOC_ALLOC): zeroed pages that engines reach
 * @size:	  sizeof(struct aiaccel_alloc)
 * @flags:	  in: none is defined
 * @length:	  in: bytes, more than zero; rounded up to whole pages
 * @placement:	  in: &enum aiaccel_placement
 * @node:	  in: for PREFER and STRICT a node that has memory and that the
 *		  caller may use; else zero
 * @engine:	  in: for NEAR an engine; else zero
 * @id:		  out: the buffer
 * @mmap_offset:  out: the offset at which mmap(MAP_SHARED) finds it
 * @refused_by:	  out, on errors too: &enum aiaccel_refusal
 * @__reserved:	  zero
 *
 * The pages are charged to the memory cgroup, to the tenant and to the module, and
 * not to RLIMIT_MEMLOCK. They are never swapped, and getting them may swap out those
 * of others. A request larger than what is available fails, and none by itself makes
 * the kernel kill a process. A part of a buffer may be mapped, at mmap_offset plus a
 * multiple of the page size.
 *
 * Errors: %EINVAL for a node that does not exist or that the caller may not use
 * (after %EOVERFLOW), %ENOENT for an engine, %EDQUOT, %ENOMEM, %EINTR when a fatal signal came.
 */
struct aiaccel_alloc {
	__u32 size;
	__u32 flags;
	__aligned_u64 length;
	__u32 placement;
	__s32 node;
	__u32 engine;
	__u32 id;
	__aligned_u64 mmap_offset;
	__u32 refused_by;
	__u32 __reserved;
};

/* Engines may write to the pages. Without it the caller's mapping may be read-only. */
#define AIACCEL_PIN_WRITE	(1U << 0)
/*
 * For a range that is pinned again and again: DESTROY keeps the pin, and the next PIN of the same
 * context, range and flags finds it, unless the mapping has changed since, by munmap(), say, or
 * fork(), or somebody began to watch what is written to it (userfaultfd's write protection, the
 * kernel's soft-dirty bits). What is kept stays charged. The oldest go when there are more than
 * %AIACCEL_CACHED_MAX in a context, and all of them before a ceiling refuses the context anything,
 * or ALLOC finds no memory; another context is refused though this one keeps some. While it is
 * kept, memory of a memfd cannot be sealed against writing; against writing in future it can, and
 * what was kept to be written is found as before, as mappings from before stay writable. An
 * implementation may keep none.
 */
#define AIACCEL_PIN_CACHED	(1U << 1)
#define AIACCEL_CACHED_MAX	256

/**
 * struct aiaccel_pin - ioctl(AIACCEL_IOC_PIN): hold the caller's own pages in place
 * @size:	 sizeof(struct aiaccel_pin)
 * @flags:	 in: %AIACCEL_PIN_WRITE, %AIACCEL_PIN_CACHED
 * @addr:	 in: where the range starts; every page that it touches is pinned
 * @length:	 in: bytes, more than zero
 * @id:		 out: the buffer
 * @refused_by:	 out, on errors too: &enum aiaccel_refusal
 *
 * Anonymous memory, and shared mappings of shmem (memfd, tmpfs) and hugetlbfs, can
 * be pinned. Private huge pages of no mounted file system (MAP_ANONYMOUS, or those of
 * a memfd) count as anonymous and must be writable. Whole pages are charged to
 * RLIMIT_MEMLOCK of the user (unless CAP_IPC_LOCK), to the tenant and to the module.
 * All is pinned or nothing.
 *
 * Errors: %EFAULT where the range is not mapped, or not writable and
 * AIACCEL_PIN_WRITE is given; %EOPNOTSUPP for a mapping of any other file or
 * device, for private mappings of files and for private huge pages that are not
 * writable; %EPERM with AIACCEL_PIN_WRITE for a memfd that is sealed against writing;
 * %EOVERFLOW, %EDQUOT, %ENOMEM, %EINTR when a fatal signal came.
 */
struct aiaccel_pin {
	__u32 size;
	__u32 flags;
	__aligned_u64 addr;
	__aligned_u64 length;
	__u32 id;
	__u32 refused_by;
};

enum aiaccel_buffer_kind {
	AIACCEL_BUFFER_ALLOCATED = 1,
	AIACCEL_BUFFER_PINNED	 = 2,
	AIACCEL_BUFFER_IMPORTED	 = 3,
};

/**
 * enum aiaccel_buffer_state - Bits of &aiaccel_buffer_info.state
 * @AIACCEL_BUFFER_FOREIGN: This id came by IMPORT.
 * @AIACCEL_BUFFER_REVOKED: BUFFER_REVOKE took it back.
 * @AIACCEL_BUFFER_STALE:   Pinned, CACHED, and the mapping has changed since: the caller's
 *			    addresses may lead to other pages by now.
 */
enum aiaccel_buffer_state {
	AIACCEL_BUFFER_FOREIGN	= 1 << 0,
	AIACCEL_BUFFER_REVOKED	= 1 << 1,
	AIACCEL_BUFFER_STALE	= 1 << 2,
};

#define AIACCEL_FOLIO_ORDERS	20
#define AIACCEL_UID_NONE	(~0U)

/**
 * struct aiaccel_buffer_info - ioctl(AIACCEL_IOC_BUFFER_INFO)
 * @size:		sizeof(struct aiaccel_buffer_info)
 * @id:			in: the buffer
 * @kind:		out: &enum aiaccel_buffer_kind
 * @flags:		out: as given to PIN
 * @length:		out: bytes as asked for
 * @charged_bytes:	out: bytes that the tenant pays: whole pages; 0 of another driver's
 * @mmap_offset:	out: as given by ALLOC, or where IMPORT found an allocated one; else 0
 * @numa_node:		out: the node of all its pages; -1 where they are on several
 *			or it is not known
 * @nr_runs:		out: physically contiguous runs, by which a device with long segments
 *			reaches it; 0 where not known
 * @largest_run_bytes:	out: the longest of them; 0 where not known
 * @tenant:		out: who pays, as in STATS; 0 of another driver's
 * @uid:		out: whose RLIMIT_MEMLOCK pays too, as the caller's user namespace numbers
 *			it; %AIACCEL_UID_NONE: nobody's
 * @state:		out: &enum aiaccel_buffer_state
 * @handles:		out: ids that name it, in all contexts
 * @exports:		out: what EXPORT made of it and is not closed everywhere
 * @importers:		out: devices that other drivers have attached to these, and DMA mappings
 *			by drivers of engines; 0 where not known
 * @mappings:		out: times that it is mapped by mmap()
 * @node_bytes:		user pointer to __u64[nr_nodes]: bytes on each node, as many as fit; 0
 *			where they are not wanted
 * @nr_nodes:		in: how many fit at @node_bytes; out: one more than the highest node that
 *			the host may have; 0 where not known
 * @__reserved:		zero
 * @folio_bytes:	out: bytes in folios of page size << index; of a folio what is in the
 *			buffer. ALLOC gives single pages, in long runs
 *
 * charged_bytes / page size / nr_runs tells how many pages lie side by side on average. On the
 * broker and embedded transports, which have no %AIACCEL_CAP_IMPORT, exports, importers and
 * mappings are not known, and 0.
 *
 * Who wants neither node_bytes nor folio_bytes does not wait until all pages were looked at.
 *
 * Errors: %ENOENT; %ENOMEM; %EINTR when a fatal signal came.
 */
struct aiaccel_buffer_info {
	__u32 size;
	__u32 id;
	__u32 kind;
	__u32 flags;
	__aligned_u64 length;
	__aligned_u64 charged_bytes;
	__aligned_u64 mmap_offset;
	__s32 numa_node;
	__u32 nr_runs;
	__aligned_u64 largest_run_bytes;
	__aligned_u64 tenant;
	__u32 uid;
	__u32 state;
	__u32 handles;
	__u32 exports;
	__u32 importers;
	__u32 mappings;
	__aligned_u64 node_bytes;
	__u32 nr_nodes;
	__u32 __reserved;
	__aligned_u64 folio_bytes[AIACCEL_FOLIO_ORDERS];
};

/**
 * struct aiaccel_quota - ioctl(AIACCEL_IOC_QUOTA): would ALLOC or PIN be refused now, and by what?
 * @size:	  sizeof(struct aiaccel_quota)
 * @kind:	  in: %AIACCEL_BUFFER_ALLOCATED or %AIACCEL_BUFFER_PINNED
 * @length:	  in: bytes, rounded up to whole pages; 0 to ask for what is left only
 * @placement:	  in: for ALLOCATED as in ALLOC, else zero
 * @node:	  in: likewise
 * @engine:	  in: likewise
 * @refused_by:	  out: the first of the limits below, in their order, that has less left than
 *		  @length; &enum aiaccel_refusal
 * @tenant_bytes: out: what its ceilings, and those of tenants above, leave (TENANT)
 * @module_bytes: out: what the module's leaves (MODULE)
 * @rlimit_bytes: out: what RLIMIT_MEMLOCK leaves the user, for PINNED (RLIMIT)
 * @memory_bytes: out: what can be had, where @placement says, without swapping: free pages, and
 *		  those of files, which can be dropped (MEMORY)
 * @memcg_bytes:  out: what the memory cgroup, and those above it, also above the root of the
 *		  caller's cgroup namespace, leave without giving anything back to make room
 *		  (MEMCG)
 *
 * %AIACCEL_UNLIMITED where there is no such limit. Before all others, and for any @length, comes
 * CONTEXT: it has max_buffers; likewise TENANT, where an implementation counts a tenant's buffers.
 * Nothing is taken, and nothing is promised: others take as well. MEMORY and MEMCG are for pages
 * that are not there yet; pages that PIN finds need neither. What a cache holds of them (see
 * %AIACCEL_PIN_CACHED) is counted as used, though it is given back when asked for.
 *
 * Errors: as ALLOC has them for @placement, @node and @engine; %EOPNOTSUPP for another @kind;
 * %ENOMEM, which is no limit's.
 */
struct aiaccel_quota {
	__u32 size;
	__u32 kind;
	__aligned_u64 length;
	__u32 placement;
	__s32 node;
	__u32 engine;
	__u32 refused_by;
	__aligned_u64 tenant_bytes;
	__aligned_u64 module_bytes;
	__aligned_u64 rlimit_bytes;
	__aligned_u64 memory_bytes;
	__aligned_u64 memcg_bytes;
};

/**
 * struct aiaccel_export - ioctl(AIACCEL_IOC_EXPORT): a descriptor of a buffer, to pass on
 * @size:	 sizeof(struct aiaccel_export)
 * @flags:	 in: none is defined
 * @id:		 in: the buffer
 * @fd:		 out: a dma-buf (see %AIACCEL_CAP_IMPORT), closed on exec
 *
 * Whoever has the descriptor can use the memory: IMPORT it, give it to another driver, map it
 * if it was allocated. Of a buffer pinned without AIACCEL_PIN_WRITE devices can only read. It keeps
 * the buffer, which its maker pays for, until it is closed everywhere. Of pinned memory it has
 * whole pages, also what lies beside the buffer in the first and the last one. Of another driver's
 * dma-buf it is that dma-buf.
 *
 * Errors: %ENOENT; %ENODEV where it was revoked; %EMFILE, %ENFILE, %ENOMEM; %EOPNOTSUPP where
 * it cannot be carried out for this kind of buffer.
 */
struct aiaccel_export {
	__u32 size;
	__u32 flags;
	__u32 id;
	__s32 fd;
};

/**
 * struct aiaccel_buffer_revoke - ioctl(AIACCEL_IOC_BUFFER_REVOKE): take a buffer back from all
 * @size:	 sizeof(struct aiaccel_buffer_revoke)
 * @id:		 in: the buffer, which this context made by ALLOC or PIN
 * @importers:	 out: devices that still have it, as BUFFER_INFO counts them
 * @__reserved:	 zero
 *
 * From then on mappings of it, in all processes, the caller's too, raise SIGBUS, and nobody can
 * map, export, import or attach to it any more (%ENODEV); PIN was of the caller's own memory,
 * which stays as it is. Other drivers that listen are told. What a device has mapped it keeps
 * until its driver lets go: the pages stay, and stay charged, until all have; BUFFER_INFO tells
 * who is left. Without %AIACCEL_CAP_IMPORT the memory of an allocated one goes at once. Once more
 * does nothing.
 *
 * Errors: %ENOENT; %EPERM where the id came by IMPORT.
 */
struct aiaccel_buffer_revoke {
	__u32 size;
	__u32 id;
	__u32 importers;
	__u32 __reserved;
};

/**
 * struct aiaccel_import - ioctl(AIACCEL_IOC_IMPORT): hold what a descriptor stands for
 * @size:	 sizeof(struct aiaccel_import)
 * @flags:	 in: none is defined
 * @fd:		 in: what EXPORT gave, or a dma-buf of another driver: GPU memory, say
 * @id:		 out: the buffer
 * @length:	 out: its bytes
 * @refused_by:	 out, on errors too: &enum aiaccel_refusal
 * @__reserved:	 zero
 *
 * What EXPORT gave is the same buffer under another id, of this context: BUFFER_INFO says of it
 * what it says of the first, and an allocated one can be mapped here too. Another driver's
 * dma-buf is referred to until the id is destroyed, and its exporter pays for its memory; to map
 * it, map the dma-buf. The descriptor may be closed. Either counts as one of the context's
 * buffers, and as a queue towards the ceilings of the tenant.
 *
 * Errors: %EBADF for no descriptor, %EINVAL for one of neither kind, %ENODEV where the buffer was
 * revoked, %EOPNOTSUPP for another driver's without %AIACCEL_CAP_IMPORT, %EDQUOT, %ENOMEM.
 */
struct aiaccel_import {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 id;
	__aligned_u64 length;
	__u32 refused_by;
	__u32 __reserved;
};

/**
 * struct aiaccel_reserve - ioctl(AIACCEL_IOC_RESERVE): lease an engine's own memory
 * @size:	 sizeof(struct aiaccel_reserve)
 * @flags:	 in: none is defined
 * @engine:	 in: the engine, whose device_bytes are shared out; 0 with an @id
 * @id:		 in: a reservation to make larger or smaller, or 0 for a new one;
 *		 out: the reservation
 * @bytes:	 in: how many it shall hold; 0 is allowed, to grow from
 * @max_bytes:	 out: the least ceiling that holds for the caller: the engine's bytes
 *		 or that of the tenant or of one above it
 * @free_bytes:	 out: by how much it could grow now
 * @refused_by:	 out, on errors too: &enum aiaccel_refusal
 * @__reserved:	 zero
 *
 * A reservation is a promise that all who reserve are not given more than there is;
 * whether memory can be had without one is up to the engine (see &enum
 * aiaccel_enforcement). It goes with DESTROY or the file, and holds nothing any more
 * once the process has ended, whoever inherited the file. The sum of an engine's
 * reservations is at most its device_bytes; those of a tenant and of the tenants
 * below it are on each engine at most what its policy says. A smaller size always
 * succeeds, also above a ceiling that was lowered since. Reservations count as
 * queues do towards the ceilings of the context (max_queues, together) and of the tenant.
 *
 * Errors: %EINVAL for an @engine together with an @id, %ENOENT for either, %ENODEV
 * when the engine of @id is gone (unless @bytes is less than it holds), %EDQUOT,
 * %ENOMEM, %EINTR when a fatal signal came. With an @id, what cannot be written
 * is found out after %ENOENT, before the rest; %EFAULT although the size was changed, when
 * the struct could be written as the call began and no longer when it ended.
 */
struct aiaccel_reserve {
	__u32 size;
	__u32 flags;
	__u32 engine;
	__u32 id;
	__aligned_u64 bytes;
	__aligned_u64 max_bytes;
	__aligned_u64 free_bytes;
	__u32 refused_by;
	__u32 __reserved;
};

/*
 * ---------------------------------------------------------------------------
 * Turns
 * ---------------------------------------------------------------------------
 *
 * Free slots of an engine go to the highest class that has a job waiting; inside
 * a class to the tenant that has had least for its weight, along the tree of
 * tenants; inside a tenant to the queue that has had least for its weight; inside a
 * queue to the earliest deadline, then to the oldest job. What a turn costs is
 * measured by the kernel.
 *
 * LOW, NORMAL and HIGH are each owed a twentieth of the engine's slots times time. Where higher
 * classes leave them less than that for a second, the next slots that come free go to them until
 * they have had it; a turn given so is not asked to yield. Who is above and leaves that much free
 * in each second never waits for them longer than without.
 *
 * A job that is next but wider than the free slots waits for more of them, and nobody passes it but
 * a higher class: for 100 ms at first, in which slots are kept free for it. If that was not enough,
 * others pass for as long, and then it is next for twice the time, up to 12.8 s. Where turns last T
 * it waits 5 T at most; where one never ends, half of the time is left to others. What is kept in
 * vain while others are in line, for one that is cancelled or goes on waiting, is paid for by its
 * tenant as for turns.
 *
 * On a CPU engine turns of IDLE and LOW are in nobody's way but that of their like: the
 * kernel's own scheduler stops such work as soon as other work comes (the holder sets
 * SCHED_IDLE for its threads, as libaiaccel does), so that jobs of the other classes
 * are granted beside them.
 *
 * A context holds at most one turn on an engine at a time. Its other jobs there
 * wait until it completes that turn. A program with several workers opens one
 * context for each.
 *
 * The end of a turn
 *
 * A turn lasts until it is completed, or longer than others can bear. When its budget (see
 * &aiaccel_queue_create.budget_ns) is over and a job is next that finds no room, the holder is
 * asked to yield (%AIACCEL_EVENT_YIELD). It then completes the turn, or renews it
 * (%AIACCEL_COMPLETE_RENEW), which succeeds if its job would be next again. After the engine's
 * grace the turn is REVOKED: its tenant pays for what it really took, completing it answers
 * %ESTALE, and the slots go on. While nobody waits for its slots nothing of this happens.
 *
 * On a preemptible engine its driver stops the work, and the slots go on once it has. Until then
 * the tenant pays, and the context has no other turn there (%EDEADLK). So it is with the work
 * of a holder that ended or closed the device. A driver that takes longer than a second makes
 * the engine FAULTED.
 *
 * On an engine that is not preemptible the work may run on after that. The slots then count
 * as contended (&aiaccel_engine_info.contended) until the holder completes the turn
 * (%ESTALE) or ends. Its tenant pays for that time as well, and its context has no other turn on
 * the engine: submitting answers %EDEADLK, and what waits goes on waiting.
 *
 * A holder that has not read the %AIACCEL_EVENT_GRANTED of its turn, nor renewed it, one second
 * after it began, while others wait, is taken for stopped: the turn is revoked, and nothing is
 * contended. A context whose turns others wait for must therefore read its ring soon.
 */

/*
 * Groups and sets
 *
 * A group is of jobs that have their turns together or not at all, such as the ranks of a
 * collective. They name it by a number (&aiaccel_job.group), which programs of one tenant agree on
 * and no other tenant meets, and say how many they are, %AIACCEL_GROUP_MAX at most. They may be of
 * several contexts and engines, all of one class, but no two of one context on one engine, and wait
 * until all of them are there. Then all are granted in one step, when at each of their engines they
 * are next and there is room. From when they are next at one, slots are kept free for them at all
 * of their engines as for a wide job, for no more than half of the time; what is kept in vain is
 * paid for by their tenant as for turns. Where turns last 100 ms at most, a group waits no longer
 * than that once they are kept at all of its engines; beyond that nothing is promised. Once it was
 * granted each of its turns ends by itself, also by being revoked.
 *
 * A set is of queues of one context at different engines (&aiaccel_queue_create.any_of),
 * %AIACCEL_ANY_MAX at most, whatever their classes and weights. A job of it (%AIACCEL_JOB_ANY)
 * waits in all of them, counts as one job, and has one turn, at the first engine that has room for
 * it. It waits at none of them longer than a job of that queue alone would in its place.
 */

/*
 * Promises of time
 *
 * A queue of class REALTIME says how long its turns last (its budget), how often it has one (its
 * period), and how wide they are. It is made only where what it is promised can be kept together
 * with all that others were promised; else %EDQUOT, with refused_by DEADLINES. A queue of any other
 * class is refused so, too, where turns as long as its budget (and the grace) could delay a
 * promised one: at such an engine, ask for a budget. There is none of this on an advisory engine,
 * where turns need not end.
 *
 * Of such a queue one job is taken in each period: the first when it comes, the next one a period
 * after that, or when it comes, where that is later. A period after it was taken its turn is over,
 * if it lasts no longer than its budget and the grace. What stopping other turns takes was counted
 * when the queue was made; what timers take comes on top. So a queue that is late has lost nothing,
 * and one that is early has gained nothing. It is so while the queue's context has no turn of
 * another queue there, and the order is not FIFO. Ceilings of turns and of engine time do not hold
 * such a queue back. A turn of it cannot be renewed (%EAGAIN), and a job of it is in no group
 * (%EINVAL). On an engine that is not preemptible, work of a holder that did not stop may run on
 * beside.
 *
 * A promise ends with its queue; but where a job was taken, that job's period is not given again:
 * of queues made after, the first job is taken when it is over.
 *
 * It is a test that can be passed, not more: sets that would do may be refused.
 * kmod/core/realtime.h has it.
 */

/**
 * enum aiaccel_class - Who goes first, from the last to the first
 * @AIACCEL_CLASS_IDLE:      When nobody else wants the engine.
 * @AIACCEL_CLASS_LOW:       Batch work.
 * @AIACCEL_CLASS_NORMAL:    Everything else.
 * @AIACCEL_CLASS_HIGH:      People wait for it.
 * @AIACCEL_CLASS_REALTIME:  Deadlines with admission; see "Promises of time".
 */
enum aiaccel_class {
	AIACCEL_CLASS_IDLE	= 0,
	AIACCEL_CLASS_LOW	= 1,
	AIACCEL_CLASS_NORMAL	= 2,
	AIACCEL_CLASS_HIGH	= 3,
	AIACCEL_CLASS_REALTIME	= 4,
};

#define AIACCEL_NR_CLASSES	5

#define AIACCEL_WEIGHT_MIN	1
#define AIACCEL_WEIGHT_DEFAULT	100
#define AIACCEL_WEIGHT_MAX	10000

/*
 * The queue's turns take what would be idle: when a job of a higher class waits for
 * its slots, the holder is asked to yield, and the turn is revoked after the engine's grace,
 * whatever is left of its budget. For LOW and IDLE (%EINVAL).
 */
#define AIACCEL_QUEUE_FILL	(1U << 0)

/* The range of budgets, and what a turn on a gated or preemptible engine has without one. */
#define AIACCEL_BUDGET_MIN_NS		100000ULL
#define AIACCEL_BUDGET_MAX_NS		10000000000ULL
#define AIACCEL_BUDGET_DEFAULT_NS	1000000000ULL

#define AIACCEL_PERIOD_MAX_NS		60000000000ULL	/* of a REALTIME queue */

/**
 * struct aiaccel_queue_create - ioctl(AIACCEL_IOC_QUEUE_CREATE)
 * @size:	 sizeof(struct aiaccel_queue_create)
 * @flags:	 in: %AIACCEL_QUEUE_FILL
 * @engine:	 in: the engine
 * @class_:	 in: &enum aiaccel_class
 * @weight:	 in: %AIACCEL_WEIGHT_MIN to %AIACCEL_WEIGHT_MAX, against the other
 *		 queues of the tenant; 0 is %AIACCEL_WEIGHT_DEFAULT
 * @id:		 out: the queue
 * @budget_ns:	 in: how long a turn may last while others want its slots, from
 *		 %AIACCEL_BUDGET_MIN_NS to %AIACCEL_BUDGET_MAX_NS; 0 is
 *		 %AIACCEL_BUDGET_DEFAULT_NS on a gated or preemptible engine, and no
 *		 end on an advisory one; see "The end of a turn"
 * @refused_by:	 out, on errors too: &enum aiaccel_refusal
 * @any_of:	 in: another queue of the context, whose set this one joins (see
 *		 %AIACCEL_JOB_ANY), or 0. %EINVAL: the set has %AIACCEL_ANY_MAX queues, or
 *		 one of this engine, or either is for REALTIME, whose jobs have one engine
 * @label:	 in: what the queue is for, such as silero-vad@v5.0.0: printable
 *		 ASCII, ended by a NUL and zeros
 * @period_ns:	 in: for REALTIME, the least time between two jobs, and when each is
 *		 done at the latest, at least @budget_ns and at most
 *		 %AIACCEL_PERIOD_MAX_NS; see "Promises of time"; else zero
 * @width:	 in: for REALTIME, the width of its jobs; else zero
 * @__reserved:	 zero
 *
 * When the tenant's ceiling is lowered (see POLICY), the queue's jobs count as of the
 * highest class still allowed, and as of @class_ again when it is raised; not so for
 * a queue created with CAP_SYS_NICE.
 *
 * Errors: %EINVAL for a REALTIME queue without a budget, a period or a width, or wider than the
 * engine; %ENOENT for the engine or for @any_of, %EOPNOTSUPP for REALTIME at an advisory one,
 * %ESHUTDOWN when it takes no new work, %ENODEV when it is leaving, %EPERM for a class above the
 * tenant's ceiling without CAP_SYS_NICE, %EDQUOT, %ENOMEM, %EINTR when a fatal signal came.
 */
struct aiaccel_queue_create {
	__u32 size;
	__u32 flags;
	__u32 engine;
	__u32 class_;
	__u32 weight;
	__u32 id;
	__aligned_u64 budget_ns;
	__u32 refused_by;
	__u32 any_of;
	char label[AIACCEL_LABEL_LEN];
	__aligned_u64 period_ns;
	__u32 width;
	__u32 __reserved;
};

/* It waits until the job named by @after is completed. */
#define AIACCEL_JOB_AFTER	(1U << 0)

/*
 * It may have its turn on any engine of the queue's set, whichever has room first; where several
 * have room, on one of the node of @buffer, where all of its pages are on one and that is known,
 * then on the one with the lowest id. The event tells which. Engines of the set that are narrower
 * than the job, or take no new work, are left out. When a queue of the set goes, or its engine
 * does, the job waits for the others; with the last it ends, or has FAILED, as a job of one queue.
 * Not of a REALTIME queue (%EINVAL).
 */
#define AIACCEL_JOB_ANY		(1U << 1)

#define AIACCEL_GROUP_MAX	64	/* jobs of a group */
#define AIACCEL_ANY_MAX		8	/* queues of a set */

/**
 * struct aiaccel_job - One request for a turn, submitted by ENTER
 * @cookie:	   The job's name: any number that no other job of the context has
 *		   now (%EEXIST). It is free again once the job is completed or
 *		   cancelled.
 * @queue:	   The queue it waits in (%ENOENT).
 * @flags:	   %AIACCEL_JOB_AFTER, %AIACCEL_JOB_ANY
 * @width:	   Slots, 1 to the engine's number (%EINVAL), or with %AIACCEL_JOB_ANY to that
 *		   of the widest of its set. Of a REALTIME queue what that was created with.
 * @group_size:	   With a @group, how many jobs it has, 1 to %AIACCEL_GROUP_MAX; else
 *		   zero.
 * @cost_ns:	   How long the turn is expected to take; 0 where unknown. It is a
 *		   hint: a turn is charged by what was measured.
 * @deadline_ns:   When the turn should begin at the latest; 0 for none. Jobs of one
 *		   queue are taken in this order. A job that misses it stays. Of a
 *		   REALTIME queue zero: its period tells.
 * @group:	   A number that the tenant's programs agreed on, or 0; and 0 with
 *		   %AIACCEL_JOB_ANY (%EINVAL). See "Groups and sets". Until the group is granted
 *		   one that is withdrawn leaves it, and the others wait for another one; after
 *		   that the number is free. %EINVAL where their sizes or classes differ,
 *		   or they are wider together than an engine, and for a REALTIME queue: what the
 *		   others wait for could delay it; %EBUSY while all of them
 *		   are there and wait; %EDEADLK for two of one context on one engine, and
 *		   for one that is after one of its group, or after one that is after one.
 * @after:	   With %AIACCEL_JOB_AFTER the cookie of a job of the context that was
 *		   submitted before and has not ended (%ENOENT), in whichever queue; else
 *		   zero. Once that one is completed, this one is put in line, and its wait
 *		   begins. When that one is cancelled before its turn, revoked or failed,
 *		   this one has FAILED.
 * @buffer:	   With %AIACCEL_JOB_ANY a buffer of the context (%ENOENT) or 0; else zero.
 * @__reserved:	   Zero.
 *
 * Errors besides: %EAGAIN when the context has max_jobs jobs, %EDEADLK when it holds a turn on this
 * engine, or on all of the set that take the job (complete that first, in the same ENTER if you
 * like) and the job is not after another, %ESHUTDOWN when the engine takes no new work, %ENODEV
 * when it is leaving, %EDQUOT for the tenant's ceiling of jobs, %ENOMEM.
 */
struct aiaccel_job {
	__aligned_u64 cookie;
	__u32 queue;
	__u32 flags;
	__u32 width;
	__u32 group_size;
	__aligned_u64 cost_ns;
	__aligned_u64 deadline_ns;
	__aligned_u64 group;
	__aligned_u64 after;
	__u32 buffer;
	__u32 __reserved;
};

/* The job has no turn yet: withdraw it. If it has one by now, complete that. */
#define AIACCEL_COMPLETE_CANCEL	(1U << 0)

/* The turn goes on, with a budget that begins now, if nobody else is next (%EAGAIN). */
#define AIACCEL_COMPLETE_RENEW	(1U << 1)

/**
 * struct aiaccel_completion - The end of one turn, told by ENTER
 * @cookie:	 The job (%ENOENT).
 * @generation:	 As in its %AIACCEL_EVENT_GRANTED; ignored with
 *		 %AIACCEL_COMPLETE_CANCEL.
 * @flags:	 %AIACCEL_COMPLETE_CANCEL or %AIACCEL_COMPLETE_RENEW (%EINVAL for both)
 *
 * Errors besides: %EBUSY when the job has no turn yet (and is not cancelled);
 * %ESTALE when its turn was revoked, or bears another generation. A revoked job is
 * forgotten once its completion was answered so; a renewal that was leaves it to be completed when
 * the work has ended. %EAGAIN when a turn is not renewed: another job is
 * next, a ceiling of the tenant is reached, or the engine takes no new work; the turn is as it was.
 */
struct aiaccel_completion {
	__aligned_u64 cookie;
	__u32 generation;
	__u32 flags;
};

/* Longer arrays are refused (%EINVAL). */
#define AIACCEL_ENTER_MAX	256

#define AIACCEL_NEVER		(~0ULL)

/**
 * struct aiaccel_enter - ioctl(AIACCEL_IOC_ENTER): complete, submit, wait
 * @size:	     sizeof(struct aiaccel_enter)
 * @flags:	     in: none is defined
 * @completions:     in: user pointer to struct aiaccel_completion[nr_completions]
 * @jobs:	     in: user pointer to struct aiaccel_job[nr_jobs]
 * @nr_completions:  in: how many; out: how many were taken
 * @nr_jobs:	     in: how many; out: how many were taken
 * @min_events:	     in: wait until the ring holds this many unread events
 * @nr_events:	     out: unread events in the ring
 * @timeout_ns:	     in: when to stop waiting; a time gone by does not wait,
 *		     %AIACCEL_NEVER waits for ever
 *
 * First turns are completed, in order; then jobs are submitted, in order; then
 * turns are granted, and the call waits. It stops at the first entry that is
 * refused and neither goes on nor waits. It succeeds when any entry was taken, and
 * the counts tell how many; asking again from there gives the refused entry's
 * error. When none was taken, it fails with that error.
 *
 * A signal or the timeout ends the wait. The call then succeeds when any entry was
 * taken or when enough events are there, else it fails.
 *
 * Errors besides those of the entries: %EINVAL when min_events is above
 * max_jobs, %ETIMEDOUT, %EINTR. %EFAULT although entries were taken, when the struct
 * could be written as the call began and no longer when it ended.
 */
struct aiaccel_enter {
	__u32 size;
	__u32 flags;
	__aligned_u64 completions;
	__aligned_u64 jobs;
	__u32 nr_completions;
	__u32 nr_jobs;
	__u32 min_events;
	__u32 nr_events;
	__aligned_u64 timeout_ns;
};

/*
 * The event ring
 *
 * Two mappings, both MAP_SHARED, neither inherited by fork. The one at
 * AIACCEL_RING_OFFSET is read-only, ring_bytes long (see QUERY), and starts with
 * struct aiaccel_ring. The one at AIACCEL_CONSUMED_OFFSET is a page whose first
 * __u32 is the only word that the caller writes.
 *
 *	while (consumed != load_acquire(&ring->produced)) {
 *		event = events[consumed % ring->entries];
 *		consumed++;
 *		store_release(consumed_word, consumed);
 *	}
 *
 * Both counters run freely and wrap. The file polls readable (POLLIN) while
 * the ring holds unread events. Nothing is lost when the ring is full: what happens
 * to a job meanwhile is collected in the job, and follows as one event when there
 * is room (ENTER and poll look for room). An event of a job that was completed
 * or cancelled meanwhile may still be met; its generation tells. A caller that
 * writes nonsense into its word misleads only itself.
 */
#define AIACCEL_RING_OFFSET	0x00000000ULL
#define AIACCEL_CONSUMED_OFFSET	0x01000000ULL

/**
 * struct aiaccel_ring - Head of the read-only mapping
 * @produced:	    events written so far, modulo 2^32
 * @entries:	    length of the array of events, a power of two
 * @events_offset:  bytes from here to struct aiaccel_event[entries]
 * @yield_offset:   bytes from here to __u32[entries], the yield words
 * @__reserved:	    zero
 */
struct aiaccel_ring {
	__u32 produced;
	__u32 entries;
	__u32 events_offset;
	__u32 yield_offset;
	__u32 __reserved[12];
};

/**
 * enum aiaccel_event_bits - What happened to a job since its last event
 * @AIACCEL_EVENT_GRANTED:  It has its turn: generation and slot are valid.
 * @AIACCEL_EVENT_YIELD:    Its turn is wanted by a higher class, or its budget is over and
 *			    others wait; told once. The holder is asked to complete soon, or
 *			    to renew. Its budget forces it in the end; one that fills, the grace.
 *			    The yield word of the slot holds the generation of the turn, until it
 *			    is renewed.
 * @AIACCEL_EVENT_REVOKED:  Its turn was ended; completing it answers %ESTALE.
 * @AIACCEL_EVENT_FAILED:   It will get no turn, because the engine went away, an
 *			    administrator said so (REVOKE), or the job that it was
 *			    after was not completed. The job is forgotten.
 */
enum aiaccel_event_bits {
	AIACCEL_EVENT_GRANTED	= 1 << 0,
	AIACCEL_EVENT_YIELD	= 1 << 1,
	AIACCEL_EVENT_REVOKED	= 1 << 2,
	AIACCEL_EVENT_FAILED	= 1 << 3,
};

/**
 * struct aiaccel_event - One entry of the ring
 * @cookie:	 the job
 * @events:	 &enum aiaccel_event_bits, all that happened since its last event
 * @generation:	 of its turn, never 0; 0 when it has had none
 * @slot:	 index of its yield word
 * @queue:	 the queue that it has its turn of, which for a job of a set tells the engine (see
 *		 %AIACCEL_JOB_ANY); 0 when it has had none
 * @time_ns:	 when the latest of them happened
 *
 * A holder looks at yield[slot] == generation to see, without a system call,
 * whether its turn is wanted.
 */
struct aiaccel_event {
	__aligned_u64 cookie;
	__u32 events;
	__u32 generation;
	__u32 slot;
	__u32 queue;
	__aligned_u64 time_ns;
};

/*
 * ---------------------------------------------------------------------------
 * Who uses what
 * ---------------------------------------------------------------------------
 */

/**
 * enum aiaccel_stats_kind - What STATS lists
 * @AIACCEL_STATS_ENGINES:  struct aiaccel_stats_engine, all of them, for everybody
 * @AIACCEL_STATS_TENANTS:  struct aiaccel_stats_tenant
 * @AIACCEL_STATS_QUEUES:   struct aiaccel_stats_queue
 * @AIACCEL_STATS_TURNS:    struct aiaccel_stats_turn, those that wait or run now, and of each
 *			    engine the last that ended: 4096, where there are many engines
 *			    fewer, down to 256, and none where there was no memory for them
 * @AIACCEL_STATS_RESERVATIONS: struct aiaccel_stats_reservation
 * @AIACCEL_STATS_CONTEXTS: struct aiaccel_stats_context
 * @AIACCEL_STATS_SNAPSHOT: engines, tenants, contexts, queues, and turns that wait or run, all
 *			    as they are at one moment; see &struct aiaccel_stats_head
 *
 * Of all but engines a caller sees those of its own tenant, or all of them with
 * CAP_SYS_ADMIN. Turns of its tenant are those of its number, and of a cgroup also those from
 * before it came again under another number; a uid may be another user's by then.
 */
enum aiaccel_stats_kind {
	AIACCEL_STATS_ENGINES	= 1,
	AIACCEL_STATS_TENANTS	= 2,
	AIACCEL_STATS_QUEUES	= 3,
	AIACCEL_STATS_TURNS	= 4,
	AIACCEL_STATS_RESERVATIONS = 5,
	AIACCEL_STATS_CONTEXTS	= 6,
	AIACCEL_STATS_SNAPSHOT	= 7,
};

/**
 * struct aiaccel_stats - ioctl(AIACCEL_IOC_STATS)
 * @size:	  sizeof(struct aiaccel_stats)
 * @kind:	  in: &enum aiaccel_stats_kind
 * @records:	  in: user pointer to @count records
 * @count:	  in: how many records fit; out: how many there are
 * @record_size:  in: bytes from one record to the next, a multiple of 8 from 8 to
 *		  4096; longer ones are filled with zeros, shorter ones are cut
 * @time_ns:	  out: when this was so
 *
 * All counters only grow while their object lives.
 *
 * Errors: %EMSGSIZE, see &struct aiaccel_stats_head; %EINTR, %ENOMEM.
 */
struct aiaccel_stats {
	__u32 size;
	__u32 kind;
	__aligned_u64 records;
	__u32 count;
	__u32 record_size;
	__aligned_u64 time_ns;
};

/**
 * struct aiaccel_histogram - How many waits, or turns, were how long
 * @count:  @count[0] is of those shorter than 1024 ns, @count[i] of those of at least
 *	    512 * 2^i ns and less than 1024 * 2^i ns, the last one of all from 512 * 2^31 ns
 *	    (18 minutes) on
 *
 * So a quantile is known within a factor of 2: the upper end of the bucket that it falls
 * into is above it, and at most twice it where it is 1024 ns at least.
 */
#define AIACCEL_HISTOGRAM_LEN	32

struct aiaccel_histogram {
	__aligned_u64 count[AIACCEL_HISTOGRAM_LEN];
};

/**
 * struct aiaccel_stats_head - What stands before each record of a SNAPSHOT
 * @kind:   which struct follows, as in the list of that &enum aiaccel_stats_kind
 * @bytes:  from here to the next head, a multiple of 8
 *
 * The records of a SNAPSHOT are of several kinds and lengths. So record_size is 8 (%EINVAL), and
 * count is in units of 8 bytes. Who steps by @bytes, and over kinds and tails that it does not
 * know, can read that of any implementation. When not all fit, nothing is written, and count
 * tells how many units it would have taken; there may be more at the next try.
 *
 * A context comes after its tenant, and before its queues and turns; turns that wait say what for.
 * Of one moment it is because all of it is told in one hold of a lock: other calls wait meanwhile.
 * So %EMSGSIZE when there are more than %AIACCEL_SNAPSHOT_MAX records, engines of each tenant
 * included; and callers without CAP_SYS_ADMIN may have to wait until the lock was not theirs for
 * eight times as long as the last one had it.
 */
struct aiaccel_stats_head {
	__u32 kind;
	__u32 bytes;
};

#define AIACCEL_SNAPSHOT_MAX	4096

/**
 * struct aiaccel_stats_engine
 * @id:		   the engine
 * @state:	   &enum aiaccel_engine_state
 * @slots:	   its slots
 * @slots_used:	   how many are held now; on a CPU engine up to twice its slots, where
 *		   background turns run beside others
 * @jobs_waiting:  jobs in line for a turn, those of a set at each of its engines
 * @queues:	   queues to it
 * @granted:	   turns begun
 * @busy_ns:	   slots times nanoseconds held, of ended turns
 * @device_bytes:  memory of its own
 * @reserved_bytes: what of it is reserved
 * @wait:	   from submitted to granted, of turns begun
 * @run:	   from granted to ended, of turns ended
 */
struct aiaccel_stats_engine {
	__u32 id;
	__u32 state;
	__u32 slots;
	__u32 slots_used;
	__u32 jobs_waiting;
	__u32 queues;
	__aligned_u64 granted;
	__aligned_u64 busy_ns;
	__aligned_u64 device_bytes;
	__aligned_u64 reserved_bytes;
	struct aiaccel_histogram wait;
	struct aiaccel_histogram run;
};

/**
 * enum aiaccel_tenant_kind - What a tenant stands for
 * @AIACCEL_TENANT_ROOT:    all of them
 * @AIACCEL_TENANT_CGROUP:  a cgroup of the version 2 hierarchy; id is its number
 * @AIACCEL_TENANT_USERNS:  the owner of an outermost user namespace; id is the uid
 * @AIACCEL_TENANT_USER:    a user; id is the uid
 *
 * The tenant of the user namespaces that a user owns lies below that of the user: what runs there
 * counts against the user's ceilings and share, and against its own.
 */
enum aiaccel_tenant_kind {
	AIACCEL_TENANT_ROOT	= 0,
	AIACCEL_TENANT_CGROUP	= 1,
	AIACCEL_TENANT_USERNS	= 2,
	AIACCEL_TENANT_USER	= 3,
};

/**
 * struct aiaccel_stats_tenant
 * @tenant:		its id while the implementation runs
 * @parent:		the id of the tenant above it, 0 for the root
 * @source_id:		the cgroup's number or the uid
 * @kind:		&enum aiaccel_tenant_kind
 * @weight:		against its siblings
 * @contexts:		open contexts, its children's excluded
 * @queues:		queues, likewise
 * @allocated_bytes:	charged by ALLOC, its children's included
 * @pinned_bytes:	charged by PIN, its children's included
 * @granted:		turns begun, its children's excluded
 * @busy_ns:		slots times nanoseconds held, of ended turns, likewise
 * @name:		the cgroup's path, its end where it is too long; or uid:<N>
 * @reserved_bytes:	held by RESERVE on all engines, its children's included
 * @max_bytes:		its ceiling for allocated and pinned memory together
 * @max_device_bytes:	its ceiling for reservations on each engine, or %AIACCEL_UNLIMITED
 * @max_class:		the highest class that it may use, &enum aiaccel_class
 * @on_missing:		&enum aiaccel_on_missing
 * @engine_time:	its ceiling of time on each engine, in 1/10000 of the engine;
 *			%AIACCEL_ENGINE_TIME_ALL where there is none
 * @grants:		its ceiling of turns held at once on each engine; 0 where there
 *			is none
 * @wait:		from submitted to granted, of turns begun, its children's excluded
 * @run:		from granted to ended, of turns ended, likewise
 */
struct aiaccel_stats_tenant {
	__aligned_u64 tenant;
	__aligned_u64 parent;
	__aligned_u64 source_id;
	__u32 kind;
	__u32 weight;
	__u32 contexts;
	__u32 queues;
	__aligned_u64 allocated_bytes;
	__aligned_u64 pinned_bytes;
	__aligned_u64 granted;
	__aligned_u64 busy_ns;
	char name[AIACCEL_PATH_LEN];
	__aligned_u64 reserved_bytes;
	__aligned_u64 max_bytes;
	__aligned_u64 max_device_bytes;
	__u32 max_class;
	__u32 on_missing;
	__u32 engine_time;
	__u32 grants;
	struct aiaccel_histogram wait;
	struct aiaccel_histogram run;
};

/**
 * struct aiaccel_stats_queue
 * @context:	   a number of its context while the implementation runs
 * @tenant:	   its tenant
 * @engine:	   its engine
 * @id:		   its id in its context
 * @class_:	   &enum aiaccel_class
 * @weight:	   as created
 * @waiting:	   jobs in line for a turn, those of a set at each of its queues
 * @slots_held:	   slots that it holds
 * @pid:	   the process that opened the context, as the caller's pid
 *		   namespace numbers it; 0 where it is not in there
 * @__reserved:	   zero
 * @submitted:	   jobs taken; one of a set may begin at another of its queues
 * @granted:	   turns begun
 * @completed:	   turns ended
 * @wait_ns:	   from submitted to granted, sum over the turns begun
 * @run_ns:	   from granted to ended, sum over the turns ended
 * @max_wait_ns:   the longest wait of the turns begun
 * @comm:	   the command that opened the context
 * @label:	   as created
 * @wait:	   from submitted to granted, of turns begun
 * @run:	   from granted to ended, of turns ended
 */
struct aiaccel_stats_queue {
	__aligned_u64 context;
	__aligned_u64 tenant;
	__u32 engine;
	__u32 id;
	__u32 class_;
	__u32 weight;
	__u32 waiting;
	__u32 slots_held;
	__s32 pid;
	__u32 __reserved;
	__aligned_u64 submitted;
	__aligned_u64 granted;
	__aligned_u64 completed;
	__aligned_u64 wait_ns;
	__aligned_u64 run_ns;
	__aligned_u64 max_wait_ns;
	char comm[16];
	char label[AIACCEL_LABEL_LEN];
	struct aiaccel_histogram wait;
	struct aiaccel_histogram run;
};

/**
 * enum aiaccel_turn_state - What became of a job
 * @AIACCEL_TURN_WAITING:    It waits.
 * @AIACCEL_TURN_RUNNING:    It has its turn.
 * @AIACCEL_TURN_COMPLETED:  Its holder completed it, or ended.
 * @AIACCEL_TURN_WITHDRAWN:  It was cancelled, or its owner ended, before its turn.
 * @AIACCEL_TURN_REVOKED:    Its turn was ended by others.
 * @AIACCEL_TURN_FAILED:     It could have no turn: the engine went, an administrator
 *			     ended it, or the job that it was after was not completed.
 * @AIACCEL_TURN_REFUSED:    It was not taken (%ESHUTDOWN, %ENODEV): the engine was draining,
 *			     faulted or leaving. submitted_ns tells when; granted_ns is 0.
 *			     So are calls for a queue that was not made for this reason:
 *			     of these queue and width are 0.
 */
enum aiaccel_turn_state {
	AIACCEL_TURN_WAITING	= 1,
	AIACCEL_TURN_RUNNING	= 2,
	AIACCEL_TURN_COMPLETED	= 3,
	AIACCEL_TURN_WITHDRAWN	= 4,
	AIACCEL_TURN_REVOKED	= 5,
	AIACCEL_TURN_FAILED	= 6,
	AIACCEL_TURN_REFUSED	= 7,
};

/**
 * enum aiaccel_wait - What is in a waiting job's way
 * @AIACCEL_WAIT_NOT:	   Nothing: it has its turn, or had.
 * @AIACCEL_WAIT_SLOTS:    It is next, and the slots that it needs are held, among others by
 *			   waits_for: who was asked to yield, if anybody was.
 * @AIACCEL_WAIT_ORDER:    Others come first; waits_for is next.
 * @AIACCEL_WAIT_OWN:	   Its context has another turn there.
 * @AIACCEL_WAIT_CEILING:  Its tenant, or one above it, has all the turns or the engine time
 *			   that it may have.
 * @AIACCEL_WAIT_ENGINE:   The engine is faulted.
 * @AIACCEL_WAIT_KEPT:     Slots are kept free for waits_for, which needs more than there are.
 * @AIACCEL_WAIT_PASSED:   It is wider than what is free, and narrower ones pass until slots
 *			   are kept for it again. waits_for holds some.
 * @AIACCEL_WAIT_GROUP:    Its group is not complete, as AFTER.
 * @AIACCEL_WAIT_AFTER:    The job after which it comes is not completed. It is not in line, nor
 *			   counted among those that wait, until then.
 * @AIACCEL_WAIT_CONTENDED: Its context had a turn there that was revoked, and has not said that
 *			   it stopped.
 */
enum aiaccel_wait {
	AIACCEL_WAIT_NOT	= 0,
	AIACCEL_WAIT_SLOTS	= 1,
	AIACCEL_WAIT_ORDER	= 2,
	AIACCEL_WAIT_OWN	= 3,
	AIACCEL_WAIT_CEILING	= 4,
	AIACCEL_WAIT_ENGINE	= 5,
	AIACCEL_WAIT_AFTER	= 6,
	AIACCEL_WAIT_KEPT	= 7,
	AIACCEL_WAIT_PASSED	= 8,
	AIACCEL_WAIT_GROUP	= 9,
	AIACCEL_WAIT_CONTENDED	= 10,
};

/**
 * struct aiaccel_stats_turn - One job, from which it follows who waited for whom
 * @context:	    its context, as in &struct aiaccel_stats_queue
 * @tenant:	    its tenant
 * @engine:	    its engine
 * @queue:	    its queue's id in the context
 * @pid:	    as in &struct aiaccel_stats_queue; of turns that ended 0 for callers that
 *		    are not in the initial pid namespace (where its process may be gone, and
 *		    the number another one's)
 * @state:	    &enum aiaccel_turn_state
 * @class_:	    the class that it counted as last
 * @width:	    its slots
 * @submitted_ns:   when it came; times are those of the caller's time namespace
 * @granted_ns:	    when its turn began, 0 if it did not
 * @ended_ns:	    when it ended, 0 if it did not
 * @capped_ns:	    of wait_ns, how long the tenant's ceilings of engine time or of
 *		    turns, or those of a tenant above it, held it back
 * @comm:	    the command that opened the context
 * @label:	    the queue's
 * @count:	    how many jobs this stands for
 * @tenant_kind:    its tenant's kind, as in &struct aiaccel_stats_tenant; a tenant that comes
 *		    again has a new number, but kind and source_id are what they were
 * @source_id:	    its tenant's, likewise
 * @wait_ns:	    how long it waited so far; of several jobs the sum
 * @max_wait_ns:    the longest of these waits
 * @waits_for:	    in a SNAPSHOT, the context in a waiting job's way; 0 where there is none,
 *		    or the caller may not see it
 * @why:	    in a SNAPSHOT, &enum aiaccel_wait
 * @__reserved:	    zero
 *
 * Turns that ended are kept until newer ones of the engine push them out; how far
 * back an engine's go is told by its oldest one. A turn that ended after the list's
 * time_ns may be in it twice: as it was, and as it ended.
 *
 * REFUSED jobs, or queues, of one context, label, class and width that follow each other, and
 * WITHDRAWN ones of which each came within 10 ms of the end of the last, are one record, unless
 * much else was recorded in between: with the first one's queue, the earliest submitted_ns, the
 * last one's ended_ns and their number in count. One of WITHDRAWN jobs lasts at most 1 s longer
 * than max_wait_ns; in between they waited, for wait_ns together, or not. All others stand for one.
 */
struct aiaccel_stats_turn {
	__aligned_u64 context;
	__aligned_u64 tenant;
	__u32 engine;
	__u32 queue;
	__s32 pid;
	__u32 state;
	__u32 class_;
	__u32 width;
	__aligned_u64 submitted_ns;
	__aligned_u64 granted_ns;
	__aligned_u64 ended_ns;
	__aligned_u64 capped_ns;
	char comm[16];
	char label[AIACCEL_LABEL_LEN];
	__u32 count;
	__u32 tenant_kind;
	__aligned_u64 source_id;
	__aligned_u64 wait_ns;
	__aligned_u64 max_wait_ns;
	__aligned_u64 waits_for;
	__u32 why;
	__u32 __reserved;
};

/**
 * struct aiaccel_stats_reservation
 * @context:	 its context, as in &struct aiaccel_stats_queue
 * @tenant:	 its tenant
 * @engine:	 its engine
 * @id:		 its id in its context
 * @bytes:	 what it holds
 * @pid:	 as in &struct aiaccel_stats_queue
 * @__reserved:	 zero
 * @comm:	 the command that opened the context
 */
struct aiaccel_stats_reservation {
	__aligned_u64 context;
	__aligned_u64 tenant;
	__u32 engine;
	__u32 id;
	__aligned_u64 bytes;
	__s32 pid;
	__u32 __reserved;
	char comm[16];
};

/**
 * struct aiaccel_stats_context - One open of the device
 * @context:	      its number, as in &struct aiaccel_stats_queue
 * @tenant:	      its tenant
 * @pid:	      as in &struct aiaccel_stats_queue
 * @queues:	      its queues
 * @waiting:	      its jobs without a turn
 * @turns:	      the turns that it holds
 * @slots_held:      their slots, on all engines together
 * @events_unread:   events in its ring that it has not read
 * @granted:	      turns begun, also of queues that are gone
 * @busy_ns:	      slots times nanoseconds held, of ended turns, likewise
 * @allocated_bytes: by ALLOC, of buffers that it has not destroyed
 * @pinned_bytes:    by PIN, likewise
 * @imported_bytes:  by IMPORT, likewise
 * @reserved_bytes:  by RESERVE, on all engines together
 * @comm:	      the command that opened it
 */
struct aiaccel_stats_context {
	__aligned_u64 context;
	__aligned_u64 tenant;
	__s32 pid;
	__u32 queues;
	__u32 waiting;
	__u32 turns;
	__u32 slots_held;
	__u32 events_unread;
	__aligned_u64 granted;
	__aligned_u64 busy_ns;
	__aligned_u64 allocated_bytes;
	__aligned_u64 pinned_bytes;
	__aligned_u64 imported_bytes;
	__aligned_u64 reserved_bytes;
	char comm[16];
};

/*
 * ---------------------------------------------------------------------------
 * What the administrator says
 * ---------------------------------------------------------------------------
 *
 * The calls below need CAP_SYS_ADMIN, of the initial user namespace; the broker's
 * need its own user or root.
 */

/**
 * enum aiaccel_policy_match - What a rule is for
 * @AIACCEL_MATCH_PATH:  cgroups whose whole path, which begins with a slash, matches
 * @AIACCEL_MATCH_NAME:  cgroups whose path's last part matches: a unit, or a pod
 * @AIACCEL_MATCH_USER:  the tenant of the user, and that of the user namespaces that the user
 *			 owns, where users are tenants: see &enum aiaccel_tenant_kind
 *
 * Whoever may make cgroups in a subtree chooses their names, and NAME matches there too, as does a
 * PATH with wildcards that reaches there: what gives more than others have is for a whole path or
 * USER.
 *
 * Patterns: * stands for any characters but a slash, ** for slashes too, ? for one
 * character but a slash, [a-z] and [!a-z] for one of a set, in which no slash
 * is; \ takes the next one as it is. A [ without its ] and a \ at the end are refused.
 */
enum aiaccel_policy_match {
	AIACCEL_MATCH_PATH	= 1,
	AIACCEL_MATCH_NAME	= 2,
	AIACCEL_MATCH_USER	= 3,
};

/**
 * enum aiaccel_policy_bits - What a rule sets
 * @AIACCEL_SETS_MAX_CLASS:     &aiaccel_policy_rule.max_class, and so on
 */
enum aiaccel_policy_bits {
	AIACCEL_SETS_MAX_CLASS	  = 1 << 0,
	AIACCEL_SETS_WEIGHT	  = 1 << 1,
	AIACCEL_SETS_PINNED_BYTES = 1 << 2,
	AIACCEL_SETS_DEVICE_BYTES = 1 << 3,
	AIACCEL_SETS_ENGINE_TIME  = 1 << 4,
	AIACCEL_SETS_GRANTS	  = 1 << 5,
	AIACCEL_SETS_ON_MISSING	  = 1 << 6,
};

/**
 * enum aiaccel_on_missing - What a program does while no arbiter answers
 * @AIACCEL_ON_MISSING_OPEN:    It works on, without turns.
 * @AIACCEL_ON_MISSING_CLOSED:  It waits.
 *
 * Advice to libraries (the CUDA shim follows it): what is missing can hold nobody.
 */
enum aiaccel_on_missing {
	AIACCEL_ON_MISSING_OPEN	  = 0,
	AIACCEL_ON_MISSING_CLOSED = 1,
};

#define AIACCEL_PATTERN_LEN	256	/* of a rule, with its NUL */
#define AIACCEL_POLICY_MAX	1024	/* rules */
#define AIACCEL_ENGINE_TIME_ALL	10000

/**
 * struct aiaccel_policy_rule - What some tenants get
 * @match:	   &enum aiaccel_policy_match
 * @sets:	   &enum aiaccel_policy_bits; fields whose bit is not set are zero
 * @uid:	   for USER, as the initial user namespace numbers it; else zero
 * @max_class:	   the highest class without CAP_SYS_NICE
 * @weight:	   against its siblings, %AIACCEL_WEIGHT_MIN to %AIACCEL_WEIGHT_MAX
 * @engine_time:   slots times time that its turns may take on each engine, in 1/10000
 *		   of all that the engine has, 1 to %AIACCEL_ENGINE_TIME_ALL. What a turn
 *		   took too long is waited for after it.
 * @pinned_bytes:  allocated and pinned memory
 * @device_bytes:  reservations on each engine
 * @grants:	   turns held at once on each engine, at least 1
 * @on_missing:	   &enum aiaccel_on_missing
 * @pattern:	   for PATH and NAME: printable ASCII, not empty, ended by a NUL and
 *		   zeros; else all zeros
 */
struct aiaccel_policy_rule {
	__u32 match;
	__u32 sets;
	__u32 uid;
	__u32 max_class;
	__u32 weight;
	__u32 engine_time;
	__aligned_u64 pinned_bytes;
	__aligned_u64 device_bytes;
	__u32 grants;
	__u32 on_missing;
	char pattern[AIACCEL_PATTERN_LEN];
};

/* Replace the rules; without it they are read. */
#define AIACCEL_POLICY_REPLACE	(1U << 0)

/**
 * struct aiaccel_policy - ioctl(AIACCEL_IOC_POLICY): the rules for all tenants
 * @size:	sizeof(struct aiaccel_policy)
 * @flags:	in: %AIACCEL_POLICY_REPLACE
 * @rules:	user pointer to struct aiaccel_policy_rule[count]
 * @count:	in: how many rules there are (REPLACE) or fit; out: how many there are
 * @rule_size:	in: bytes from one rule to the next: sizeof(struct aiaccel_policy_rule)
 *
 * All rules that match a tenant hold for it, in their order; where several set the
 * same, the last one does. What none sets, or the root tenant, has the
 * implementation's defaults. A tenant is bound by those above it too: bytes, turns and
 * engine time count against each of them, its class is at most theirs where a rule
 * sets it, and on_missing is that of the nearest one for which a rule sets it.
 *
 * REPLACE takes all rules or none, and they hold at once for the tenants that are
 * there: queues count as of the class still allowed, shares and ceilings change; what
 * is held above a new ceiling stays held, and nothing is added to it.
 *
 * Errors: %EPERM without CAP_SYS_ADMIN; %EINVAL for a rule that breaks what its struct
 * says, and for more than %AIACCEL_POLICY_MAX; %EOPNOTSUPP for an unknown match or
 * bit, and for another rule_size; %ENOMEM.
 */
struct aiaccel_policy {
	__u32 size;
	__u32 flags;
	__aligned_u64 rules;
	__u32 count;
	__u32 rule_size;
};

/**
 * struct aiaccel_control - ioctl(AIACCEL_IOC_CONTROL): stop and resume engines, order their jobs
 * @size:    sizeof(struct aiaccel_control)
 * @flags:   in: none is defined
 * @engine:  in: an engine, or 0 for all of them and those registered later
 * @state:   in: %AIACCEL_ENGINE_ACTIVE, %AIACCEL_ENGINE_DRAINING or
 *	     %AIACCEL_ENGINE_LEAVING (this one only for all); 0 leaves it, with an @order
 * @order:   in: &enum aiaccel_order, for jobs that wait as well; 0 leaves it
 * @__reserved: zero
 *
 * What engine 0 was told holds for engines registered later until it is told otherwise.
 *
 * An engine that is faulted takes on the state that it was told last when it works again: when
 * its driver says so, or, where that did not stop a turn in time and has by now, when it is told
 * to be ACTIVE.
 *
 * Errors: %ENOENT; %EPERM without CAP_SYS_ADMIN; %EBUSY for ACTIVE where the engine is faulted
 * and does not work yet;
 * %EOPNOTSUPP for another state or order, and for no state without an order; %EINVAL for LEAVING
 * and an engine.
 */
struct aiaccel_control {
	__u32 size;
	__u32 flags;
	__u32 engine;
	__u32 state;
	__u32 order;
	__u32 __reserved;
};

/* Waiting jobs as well: they have FAILED. */
#define AIACCEL_REVOKE_WAITING	(1U << 0)

/**
 * struct aiaccel_revoke - ioctl(AIACCEL_IOC_REVOKE): end the turns of others
 * @size:     sizeof(struct aiaccel_revoke)
 * @flags:    in: %AIACCEL_REVOKE_WAITING
 * @context:  in: one context's, by its number in STATS; or 0
 * @tenant:   in: all of one tenant's and of the tenants below it; or 0
 * @engine:   in: on this engine only, or 0
 * @count:    out: how many turns and jobs were ended
 *
 * The turns are REVOKED, and their slots go to who is next. On an engine that is not
 * preemptible the work itself runs on (see "The end of a turn"): to stop it, stop the process.
 *
 * Errors: %EINVAL unless just one of @context and @tenant is given; %EPERM without
 * CAP_SYS_ADMIN (before %ENOENT); %ENOENT for it, a context without queues included, or
 * for @engine.
 */
struct aiaccel_revoke {
	__u32 size;
	__u32 flags;
	__aligned_u64 context;
	__aligned_u64 tenant;
	__u32 engine;
	__u32 count;
};

#endif /* _UAPI_AIACCEL_H */
