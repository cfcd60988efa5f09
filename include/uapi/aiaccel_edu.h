/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * aiaccel_edu - copying between buffers of /dev/aiaccel and QEMU's edu device
 *
 * /dev/aiaccel-edu is one such device (/dev/aiaccel-edu1 a second one), which is also an engine of
 * aiaccel, of the same PCI address. It has AIACCEL_EDU_BYTES of memory, which all who have turns
 * there share and which is what the last of them left. Calls follow the convention of
 * aiaccel.h.
 */
#ifndef _UAPI_AIACCEL_EDU_H
#define _UAPI_AIACCEL_EDU_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include "aiaccel.h"

#define AIACCEL_EDU_IOC_COPY	_IO(AIACCEL_IOC_TYPE, 0x80)

/*
 * Of its 4096 bytes the last eight are left alone: QEMU before 8.1 ends the machine when a transfer
 * reaches the last one.
 */
#define AIACCEL_EDU_BYTES	4088

/* Into the buffer; otherwise out of it, into the device. */
#define AIACCEL_EDU_FROM_DEVICE	(1U << 0)

/**
 * struct aiaccel_edu_copy - ioctl(AIACCEL_EDU_IOC_COPY): copy by DMA, under a turn
 * @size:	   sizeof(struct aiaccel_edu_copy)
 * @flags:	   in: %AIACCEL_EDU_FROM_DEVICE
 * @device:	   in: a descriptor of /dev/aiaccel, of the calling process
 * @generation:	   in: of the turn that it has on this engine
 * @buffer:	   in: an id of its context
 * @device_offset: in: where in the device's memory
 * @offset:	   in: where in the buffer; in what was pinned, from the address given to PIN
 * @length:	   in: bytes, more than zero
 *
 * Returns when all is copied. A transfer takes the device 100 ms; each piece of memory that lies
 * side by side (for the device) is one. Calls are served one after the other. After an error, a
 * part may have been copied.
 *
 * Errors, after those of the struct itself, each before those below it:
 *  %EINVAL	it does not fit in the device
 *  %EOVERFLOW	@offset plus @length wraps
 *  %ENODEV	the device was unbound from its driver, or pulled out; this file is of no use any
 *		more
 *  %EBADF	@device is no descriptor
 *  %EIO	the device did not answer once, and its engine is faulted until it is bound anew
 *  %EINVAL	@device is no open /dev/aiaccel
 *  %EPERM	it was opened by another address space than the caller's
 *  %ENOENT	@buffer names none
 *  %EINVAL	the range is not in the buffer
 *  %EACCES	%AIACCEL_EDU_FROM_DEVICE, and the buffer was pinned, or exported, for reading
 *  %ESTALE	the context has no turn of that generation on this engine; it may have ended
 *		meanwhile
 *  %ENODEV	the buffer was revoked, or the device unbound or pulled out meanwhile
 *  %EBUSY	the buffer is another driver's, whose work on it is not over
 *  %ENOMEM, %EIO  it cannot be mapped for the device, or the device did not answer
 *  %EINTR	a fatal signal came
 */
struct aiaccel_edu_copy {
	__u32 size;
	__u32 flags;
	__s32 device;
	__u32 generation;
	__u32 buffer;
	__u32 device_offset;
	__aligned_u64 offset;
	__aligned_u64 length;
};

#endif
