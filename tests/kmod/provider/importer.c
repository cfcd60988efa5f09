// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver that takes dma-bufs, for the tests (importer.h): it attaches to one, maps it for a
 * device that is none, reads and writes where the device would, and counts how often it was told
 * that the buffer was taken back, as one does that listens.
 *
 * Locking: a mutex for each open file, inside which nothing of the user's is touched; the
 * reservation lock of the dma-buf inside it. What mmap needs is set before `attached` is.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/iosys-map.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "importer.h"

AIA_IMPORT_NS(DMA_BUF);

static struct platform_device *nowhere;

struct importer {
	struct mutex lock;			/* of all but mmap */
	struct dma_buf *dma_buf;		/* referenced */
	bool attached;				/* once and for all */
	struct dma_buf_attachment *attachment;	/* lock; NULL: none, or let go */
	struct sg_table *table;			/* lock; NULL: not mapped */
	enum dma_data_direction direction;	/* lock; of it */
	struct iosys_map kernel;		/* lock; null: not mapped */
	atomic_t told;
};

/* ---- attaching ---- */

static void count_told(struct dma_buf_attachment *attachment)
{
	struct importer *importer = attachment->importer_priv;

	dma_resv_assert_held(attachment->dmabuf->resv);
	atomic_inc(&importer->told);
}

static const struct dma_buf_attach_ops listening = {
#ifdef AIA_HAVE_DMA_BUF_INVALIDATE
	.invalidate_mappings = count_told,
#else
	.move_notify = count_told,
#endif
};

static int attach(struct importer *importer, const struct importer_attach *arg)
{
	struct dma_buf_attachment *attachment;
	struct dma_buf *dma_buf;

	if (importer->dma_buf)
		return -EBUSY;
	dma_buf = dma_buf_get(arg->fd);
	if (IS_ERR(dma_buf))
		return PTR_ERR(dma_buf);
	attachment = dma_buf_dynamic_attach(dma_buf, &nowhere->dev,
					    arg->listens ? &listening : NULL, importer);
	if (IS_ERR(attachment)) {
		dma_buf_put(dma_buf);
		return PTR_ERR(attachment);
	}
	importer->attachment = attachment;
	importer->dma_buf = dma_buf;
	/* Pairs with importer_mmap(). */
	smp_store_release(&importer->attached, true);
	return 0;
}

static int unmap(struct importer *importer)
{
	if (!importer->table)
		return -ENXIO;
	dma_resv_lock(importer->dma_buf->resv, NULL);
	dma_buf_unmap_attachment(importer->attachment, importer->table, importer->direction);
	dma_resv_unlock(importer->dma_buf->resv);
	importer->table = NULL;
	return 0;
}

static int detach(struct importer *importer)
{
	if (!importer->attachment)
		return -ENXIO;
	unmap(importer);
	dma_buf_detach(importer->dma_buf, importer->attachment);
	importer->attachment = NULL;
	return 0;
}

/* ---- mapping ---- */

static const enum dma_data_direction directions[] = {
	[IMPORTER_BIDIRECTIONAL] = DMA_BIDIRECTIONAL,
	[IMPORTER_TO_DEVICE] = DMA_TO_DEVICE,
	[IMPORTER_FROM_DEVICE] = DMA_FROM_DEVICE,
};

static void describe(const struct sg_table *table, struct importer_map *out)
{
	struct scatterlist *segment;
	int i;

	out->segments = table->nents;
	out->longest = 0;
	out->bytes = 0;
	for_each_sgtable_dma_sg(table, segment, i) {
		out->longest = max(out->longest, sg_dma_len(segment));
		out->bytes += sg_dma_len(segment);
	}
}

static int map(struct importer *importer, struct importer_map *arg)
{
	struct sg_table *table;

	if (!importer->attachment || arg->direction >= ARRAY_SIZE(directions))
		return -ENXIO;
	if (importer->table)
		return -EBUSY;
	dma_set_max_seg_size(&nowhere->dev, arg->max_segment);
	importer->direction = directions[arg->direction];
	dma_resv_lock(importer->dma_buf->resv, NULL);
	table = dma_buf_map_attachment(importer->attachment, importer->direction);
	dma_resv_unlock(importer->dma_buf->resv);
	if (IS_ERR(table))
		return PTR_ERR(table);
	importer->table = table;
	describe(table, arg);
	return 0;
}

static int map_in_kernel(struct importer *importer)
{
	int err;

	if (!importer->dma_buf)
		return -ENXIO;
	if (!iosys_map_is_null(&importer->kernel))
		return -EBUSY;
	dma_resv_lock(importer->dma_buf->resv, NULL);
	err = dma_buf_vmap(importer->dma_buf, &importer->kernel);
	dma_resv_unlock(importer->dma_buf->resv);
	return err;
}

static int unmap_in_kernel(struct importer *importer)
{
	if (iosys_map_is_null(&importer->kernel))
		return -ENXIO;
	dma_resv_lock(importer->dma_buf->resv, NULL);
	dma_buf_vunmap(importer->dma_buf, &importer->kernel);
	dma_resv_unlock(importer->dma_buf->resv);
	iosys_map_clear(&importer->kernel);
	return 0;
}

static u8 *find_byte(struct importer *importer, const struct importer_copy *arg)
{
	struct scatterlist *segment;
	u64 offset = arg->offset;
	int i;

	if (arg->by_vmap)
		return iosys_map_is_null(&importer->kernel) || offset >= importer->dma_buf->size ?
			       NULL :
			       importer->kernel.vaddr + offset;
	if (!importer->table)
		return NULL;
	for_each_sgtable_dma_sg(importer->table, segment, i) {
		if (offset < sg_dma_len(segment))
			return phys_to_virt(sg_dma_address(segment) + offset);
		offset -= sg_dma_len(segment);
	}
	return NULL;
}

static int copy(struct importer *importer, struct importer_copy *arg)
{
	u8 *byte = find_byte(importer, arg);

	if (!byte)
		return -ENXIO;
	if (arg->write)
		WRITE_ONCE(*byte, arg->byte);
	else
		arg->byte = READ_ONCE(*byte);
	return 0;
}

/* ---- the file ---- */

union any {
	struct importer_attach attach;
	struct importer_map map;
	struct importer_copy copy;
	u32 told;
};

static int run(struct importer *importer, unsigned int cmd, union any *arg)
{
	switch (cmd) {
	case IMPORTER_ATTACH:
		return attach(importer, &arg->attach);
	case IMPORTER_DETACH:
		return detach(importer);
	case IMPORTER_MAP:
		return map(importer, &arg->map);
	case IMPORTER_UNMAP:
		return unmap(importer);
	case IMPORTER_COPY:
		return copy(importer, &arg->copy);
	case IMPORTER_VMAP:
		return map_in_kernel(importer);
	case IMPORTER_VUNMAP:
		return unmap_in_kernel(importer);
	case IMPORTER_TOLD:
		arg->told = atomic_read(&importer->told);
		return 0;
	default:
		return -ENOTTY;
	}
}

static long importer_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	struct importer *importer = file->private_data;
	size_t size = _IOC_SIZE(cmd);
	union any arg = {};
	int err;

	if (size > sizeof(arg))
		return -ENOTTY;
	if ((_IOC_DIR(cmd) & _IOC_WRITE) && copy_from_user(&arg, (void __user *)user, size))
		return -EFAULT;
	mutex_lock(&importer->lock);
	err = run(importer, cmd, &arg);
	mutex_unlock(&importer->lock);
	if (!err && (_IOC_DIR(cmd) & _IOC_READ) && copy_to_user((void __user *)user, &arg, size))
		return -EFAULT;
	return err;
}

static int importer_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct importer *importer = file->private_data;

	/* Pairs with attach(). */
	if (!smp_load_acquire(&importer->attached))
		return -ENXIO;
	return dma_buf_mmap(importer->dma_buf, vma, vma->vm_pgoff);
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct importer *importer = kzalloc(sizeof(*importer), GFP_KERNEL);

	if (!importer)
		return -ENOMEM;
	mutex_init(&importer->lock);
	file->private_data = importer;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	struct importer *importer = file->private_data;

	unmap_in_kernel(importer);
	detach(importer);
	if (importer->dma_buf)
		dma_buf_put(importer->dma_buf);
	kfree(importer);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.unlocked_ioctl = importer_ioctl,
	.mmap = importer_mmap,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "aiaccel-importer",
	.mode = 0600,
	.fops = &importer_fops,
};

static int __init importer_init(void)
{
	int err;

	nowhere = platform_device_register_simple("aiaccel-importer", -1, NULL, 0);
	if (IS_ERR(nowhere))
		return PTR_ERR(nowhere);
	err = dma_coerce_mask_and_coherent(&nowhere->dev, DMA_BIT_MASK(64));
	if (!err)
		err = misc_register(&device);
	if (err)
		platform_device_unregister(nowhere);
	return err;
}

static void __exit importer_exit(void)
{
	misc_deregister(&device);
	platform_device_unregister(nowhere);
}

module_init(importer_init);
module_exit(importer_exit);
MODULE_DESCRIPTION("A driver that takes dma-bufs, for tests");
MODULE_LICENSE("GPL");
