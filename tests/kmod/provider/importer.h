/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the tests ask of aiaccel_importer.ko, by ioctls on /dev/aiaccel-importer: to do with a
 * dma-buf what a device's driver would. An open file is one importer: it attaches once, and lets go
 * of what it has when it is closed. mmap() maps the dma-buf through it.
 */
#ifndef AIACCEL_IMPORTER_H
#define AIACCEL_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct importer_attach {
	__s32 fd;
	__u32 listens; /* wants to be told when the buffer is taken back */
};

enum importer_direction {
	IMPORTER_BIDIRECTIONAL,
	IMPORTER_TO_DEVICE,
	IMPORTER_FROM_DEVICE,
};

struct importer_map {
	__u32 direction;
	__u32 max_segment; /* in: what the device takes, in bytes */
	__u32 segments;	   /* out */
	__u32 longest;	   /* out: in bytes */
	__u64 bytes;	   /* out: of all */
};

/* One byte of the buffer, as the device or the driver has it mapped. */
struct importer_copy {
	__u64 offset;
	__u32 by_vmap; /* else at the device's addresses, where there is no IOMMU */
	__u8 write;
	__u8 byte; /* in or out */
	__u16 __reserved;
};

#define IMPORTER_ATTACH _IOW('i', 0, struct importer_attach)
#define IMPORTER_DETACH _IO('i', 1)
#define IMPORTER_MAP	_IOWR('i', 2, struct importer_map)
#define IMPORTER_UNMAP	_IO('i', 3)
#define IMPORTER_COPY	_IOWR('i', 4, struct importer_copy)
#define IMPORTER_VMAP	_IO('i', 5)
#define IMPORTER_VUNMAP _IO('i', 6)
#define IMPORTER_TOLD	_IOR('i', 7, __u32)

#endif
