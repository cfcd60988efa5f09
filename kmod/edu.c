// SPDX-License-Identifier: GPL-2.0-only
/*
 * aiaccel_edu.ko: a driver for QEMU's edu device (docs/specs/edu in QEMU's sources), as an example
 * of a provider: a preemptible engine whose device copies to and from users' buffers by DMA and
 * says by an interrupt that it has.
 *
 *   file ──┐
 *   file ──┼── edu ── engine, device (while it is bound)
 *   driver ┘
 *
 * A call (struct copy) by who has a turn claims the device, has its buffer mapped, which nobody
 * else is granted, makes one transfer after the other, and undoes all that. stop() takes the claim
 * away and waits until no transfer runs: it depends on the device alone, and not on when the thread
 * that called has a processor to see it.
 *
 * Invariants
 *  - A transfer begins only while its call has the claim; one runs at a time. It reaches nothing
 *    but what the call has mapped, and bytes of the device below AIACCEL_EDU_BYTES.
 *  - A call unmaps its buffer after its last transfer: over, or cut off from memory.
 *  - A device that does not answer is cut off (it is no bus master any more) and its engine
 *    faulted, until it is bound anew. Nothing is begun on one that still runs what was before.
 *  - One that was pulled out is seen to be gone by who waits for it, before the bus tells remove().
 *  - The engine, the device and its registers are used by calls that are counted in `users`, by
 *    stop() and by the interrupt; remove() waits for all of them.
 *
 * Locking: `lock`, a spinlock taken by the interrupt, for all of struct edu that changes. Nothing
 * is called under it: in particular nothing that takes aia_turn_lock, whose holders can be
 * interrupted.
 */
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/interrupt.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iopoll.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <uapi/aiaccel_edu.h>

#include "provider.h"

#define EDU_ID		0x00
#define EDU_ID_MASK	0xff
#define EDU_ID_VALUE	0xed
#define EDU_IRQ_STATUS	0x24
#define EDU_IRQ_ACK	0x64
#define EDU_IRQ_DMA	0x100
#define EDU_DMA_SRC	0x80
#define EDU_DMA_DST	0x88
#define EDU_DMA_COUNT	0x90
#define EDU_DMA_CMD	0x98
#define EDU_DMA_RUN	0x1
#define EDU_DMA_TO_RAM	0x2
#define EDU_DMA_IRQ	0x4
#define EDU_MEMORY	0x40000

#define ANSWER_MS	5000	/* a transfer takes 100 */
#define LOOK_MS		100	/* whether it is there still */
#define STOP_NS		(250 * NSEC_PER_MSEC)

static uint dma_bits = 28;
module_param(dma_bits, uint, 0444);
MODULE_PARM_DESC(dma_bits, "width of the device's addresses (QEMU: -device edu,dma_mask=)");

static uint transfer_bytes = AIACCEL_EDU_BYTES;
module_param(transfer_bytes, uint, 0444);
MODULE_PARM_DESC(transfer_bytes, "the most that the device is told to copy at once");

struct copy {
	const struct aiaccel_edu_copy *arg;
	struct file *file;		/* of /dev/aiaccel */
};

struct edu {
	struct kref ref;		/* its driver, and open files */

	/* constant */
	struct pci_dev *pdev;
	void __iomem *regs;
	struct aia_engine *engine;
	int number;
	char name[24];
	struct miscdevice misc;

	wait_queue_head_t wait;		/* for all below */
	spinlock_t lock;
	struct copy *claim;		/* whose transfers may begin; NULL: nobody's */
	bool running;			/* a transfer */
	bool dead;			/* it did not answer */
	bool gone;			/* it is being unbound, or was, or was pulled out */
	unsigned int users;		/* calls that may use it */
};

static DEFINE_IDA(numbers);

/* What is not on the bus answers nothing, which reads as all ones. */
static bool is_there(const struct edu *edu)
{
	return (readl(edu->regs + EDU_ID) & EDU_ID_MASK) == EDU_ID_VALUE;
}

/* ---- transfers ---- */

static void begin_locked(struct edu *edu, bool to_ram, dma_addr_t at, u32 device_offset, u32 nr)
{
	u64 memory = EDU_MEMORY + device_offset;

	lockdep_assert_held(&edu->lock);
	edu->running = true;
	writeq(to_ram ? memory : at, edu->regs + EDU_DMA_SRC);
	writeq(to_ram ? at : memory, edu->regs + EDU_DMA_DST);
	writeq(nr, edu->regs + EDU_DMA_COUNT);
	writeq(EDU_DMA_RUN | EDU_DMA_IRQ | (to_ram ? EDU_DMA_TO_RAM : 0), edu->regs + EDU_DMA_CMD);
}

static irqreturn_t interrupt(int irq, void *data)
{
	struct edu *edu = data;
	u32 status = readl(edu->regs + EDU_IRQ_STATUS);

	if (!status || status == ~0U) /* another's; it is not there any more */
		return IRQ_NONE;
	writel(status, edu->regs + EDU_IRQ_ACK);
	if (status & EDU_IRQ_DMA) {
		spin_lock(&edu->lock);
		edu->running = false;
		spin_unlock(&edu->lock);
		wake_up_all(&edu->wait);
	}
	return IRQ_HANDLED;
}

/* False when the device does not answer. */
static bool wait_until_idle(struct edu *edu)
{
	unsigned long end = jiffies + msecs_to_jiffies(ANSWER_MS);

	do {
		if (wait_event_timeout(edu->wait, !READ_ONCE(edu->running),
				       msecs_to_jiffies(LOOK_MS)))
			return true;
	} while (is_there(edu) && time_before(jiffies, end));
	return false;
}

/* Whatever it does, it reaches no memory any more. */
static void cut_off(struct edu *edu)
{
	bool there = is_there(edu), first;

	pci_clear_master(edu->pdev);
	spin_lock_irq(&edu->lock);
	first = !edu->dead;
	edu->dead = true;
	edu->gone |= !there;
	edu->running = false;
	edu->claim = NULL;
	spin_unlock_irq(&edu->lock);
	wake_up_all(&edu->wait);
	if (!first)
		return;
	if (there)
		dev_err(&edu->pdev->dev, "no answer within %u ms; cut off from memory\n",
			ANSWER_MS);
	else
		dev_err(&edu->pdev->dev, "it was pulled out\n");
	aia_engine_fault(edu->engine);
}

/* For the engine: of one slot, so that what runs is of this turn, or of none and is refused. */
static void stop(void *data, const struct aia_engine_turn *turn)
{
	struct edu *edu = data;

	spin_lock_irq(&edu->lock);
	edu->claim = NULL;
	spin_unlock_irq(&edu->lock);
	wake_up_all(&edu->wait);
	if (!wait_until_idle(edu))
		cut_off(edu);
}

/* ---- one call ---- */

/* What there is to say to a call that has not the claim (any more), or 0. */
static int why_not_locked(struct edu *edu)
{
	lockdep_assert_held(&edu->lock);
	if (edu->gone)
		return -ENODEV;
	return edu->dead ? -EIO : 0;
}

static int why_not(struct edu *edu)
{
	int err;

	spin_lock_irq(&edu->lock);
	err = why_not_locked(edu);
	spin_unlock_irq(&edu->lock);
	return err;
}

/*
 * True with the claim, or when there will be none: *err. Who has no turn, or has it no longer,
 * does not claim the device, and so keeps nobody from it: what is wrong is said where the buffer
 * is to be mapped, in order.
 */
static bool try_claim(struct edu *edu, struct copy *copy, int *err)
{
	bool turn = !aia_engine_check_turn(edu->engine, copy->file, copy->arg->generation);
	bool done;

	spin_lock_irq(&edu->lock);
	*err = why_not_locked(edu);
	if (turn && !*err && !edu->claim && !edu->running)
		edu->claim = copy;
	done = !turn || *err || edu->claim == copy;
	spin_unlock_irq(&edu->lock);
	return done;
}

static int claim(struct edu *edu, struct copy *copy)
{
	int err;

	if (wait_event_killable(edu->wait, try_claim(edu, copy, &err)))
		return -EINTR;
	return err;
}

static void unclaim(struct edu *edu, struct copy *copy)
{
	spin_lock_irq(&edu->lock);
	if (edu->claim == copy)
		edu->claim = NULL;
	spin_unlock_irq(&edu->lock);
	wake_up_all(&edu->wait);
}

static int begin(struct edu *edu, struct copy *copy, dma_addr_t at, u32 device_offset, u32 nr)
{
	int err = 0;

	spin_lock_irq(&edu->lock);
	if (edu->claim == copy)
		begin_locked(edu, copy->arg->flags & AIACCEL_EDU_FROM_DEVICE, at, device_offset,
			     nr);
	else
		err = why_not_locked(edu) ?: -ESTALE;
	spin_unlock_irq(&edu->lock);
	return err;
}

/*
 * The turn may have been completed by another thread of its holder, of which stop() is not told; if
 * it is revoked from here on, stop() takes the claim.
 */
static int transfer(struct edu *edu, struct copy *copy, dma_addr_t at, u32 device_offset, u32 nr)
{
	int err;

	if (fatal_signal_pending(current))
		return -EINTR;
	err = aia_engine_check_turn(edu->engine, copy->file, copy->arg->generation);
	if (!err)
		err = begin(edu, copy, at, device_offset, nr);
	if (err)
		return err;
	if (!wait_until_idle(edu))
		cut_off(edu);
	return READ_ONCE(edu->dead) ? why_not(edu) : 0;
}

static int transfer_all(struct edu *edu, struct copy *copy, const struct aia_dma *dma)
{
	u32 done, nr;
	int err;

	for (done = 0; done < copy->arg->length; done += nr) {
		dma_addr_t at;

		nr = min_t(u64, aia_dma_at(dma, done, &at), transfer_bytes);
		err = nr ? transfer(edu, copy, at, copy->arg->device_offset + done, nr) : -EIO;
		if (err)
			return err;
	}
	return 0;
}

static int run(struct edu *edu, struct copy *copy)
{
	const struct aiaccel_edu_copy *arg = copy->arg;
	bool from_device = arg->flags & AIACCEL_EDU_FROM_DEVICE;
	const struct aia_dma_desc desc = {
		.dev = &edu->pdev->dev,
		.file = copy->file,
		.generation = arg->generation,
		.buffer = arg->buffer,
		.offset = arg->offset,
		.length = arg->length,
		.direction = from_device ? DMA_FROM_DEVICE : DMA_TO_DEVICE,
	};
	struct aia_dma *dma;
	int err;

	err = claim(edu, copy);
	if (err)
		return err;
	dma = aia_dma_map(edu->engine, &desc);
	err = PTR_ERR_OR_ZERO(dma);
	if (!err) {
		err = transfer_all(edu, copy, dma);
		aia_dma_unmap(dma);
	}
	unclaim(edu, copy);
	return err;
}

/* The device stays until leave(). */
static bool enter(struct edu *edu)
{
	bool there;

	spin_lock_irq(&edu->lock);
	there = !edu->gone;
	edu->users += there;
	spin_unlock_irq(&edu->lock);
	return there;
}

static void leave(struct edu *edu)
{
	spin_lock_irq(&edu->lock);
	edu->users--;
	spin_unlock_irq(&edu->lock);
	wake_up_all(&edu->wait); /* of the file's reference */
}

static int run_there(struct edu *edu, struct copy *copy)
{
	int err;

	if (!enter(edu))
		return -ENODEV;
	copy->file = fget(copy->arg->device);
	err = copy->file ? run(edu, copy) : -EBADF;
	if (copy->file)
		fput(copy->file);
	leave(edu);
	return err;
}

/* ---- the file ---- */

static int check(const struct aiaccel_edu_copy *arg)
{
	if (arg->flags & ~AIACCEL_EDU_FROM_DEVICE)
		return -EOPNOTSUPP;
	if (!arg->length || arg->length > AIACCEL_EDU_BYTES ||
	    arg->device_offset > AIACCEL_EDU_BYTES - arg->length)
		return -EINVAL;
	return arg->offset + arg->length < arg->offset ? -EOVERFLOW : 0;
}

static long ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	struct aiaccel_edu_copy arg;
	struct copy copy = { .arg = &arg };
	u32 size;
	int err;

	if (cmd != AIACCEL_EDU_IOC_COPY)
		return -ENOTTY;
	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < sizeof(arg)) /* of its first version */
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	/* Before anything is held that remove() waits for: users choose how long it takes. */
	err = copy_struct_from_user(&arg, sizeof(arg), (void __user *)user, size);
	if (!err)
		err = check(&arg);
	return err ?: run_there(file->private_data, &copy);
}

static void edu_free(struct kref *ref)
{
	kfree(container_of(ref, struct edu, ref));
}

/* In misc_open(), which misc_deregister() waits for: the driver has its reference still. */
static int open(struct inode *inode, struct file *file)
{
	struct edu *edu = container_of(file->private_data, struct edu, misc);

	kref_get(&edu->ref);
	file->private_data = edu;
	return nonseekable_open(inode, file);
}

static int release(struct inode *inode, struct file *file)
{
	struct edu *edu = file->private_data;

	kref_put(&edu->ref, edu_free);
	return 0;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.open = open,
	.release = release,
	.unlocked_ioctl = ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/* ---- the driver ---- */

static struct edu *make(struct pci_dev *pdev)
{
	struct edu *edu = kzalloc(sizeof(*edu), GFP_KERNEL);

	if (!edu)
		return ERR_PTR(-ENOMEM);
	edu->number = ida_alloc(&numbers, GFP_KERNEL);
	if (edu->number < 0) {
		int err = edu->number;

		kfree(edu);
		return ERR_PTR(err);
	}
	if (edu->number)
		snprintf(edu->name, sizeof(edu->name), "aiaccel-edu%d", edu->number);
	else
		strscpy(edu->name, "aiaccel-edu", sizeof(edu->name));
	kref_init(&edu->ref);
	init_waitqueue_head(&edu->wait);
	spin_lock_init(&edu->lock);
	edu->pdev = pdev;
	edu->misc = (struct miscdevice){
		.minor = MISC_DYNAMIC_MINOR,
		.name = edu->name,
		.mode = 0660,
		.fops = &fops,
		.parent = &pdev->dev,
	};
	return edu;
}

/* The driver's reference and its name, which the next one may have although files are open. */
static void let_go(struct edu *edu)
{
	ida_free(&numbers, edu->number);
	kref_put(&edu->ref, edu_free);
}

/*
 * What somebody else has told the device to do is over, before it is let at memory (again), and no
 * interrupt of that is left.
 */
static int quiesce(struct edu *edu)
{
	u32 cmd;

	if (!is_there(edu))
		return -ENODEV;
	if (readl_poll_timeout(edu->regs + EDU_DMA_CMD, cmd, !(cmd & EDU_DMA_RUN),
			       10 * USEC_PER_MSEC, ANSWER_MS * USEC_PER_MSEC))
		return -EIO;
	writel(readl(edu->regs + EDU_IRQ_STATUS), edu->regs + EDU_IRQ_ACK);
	return 0;
}

/* The device, as far as pci_disable_device(). */
static int set_up(struct edu *edu)
{
	struct pci_dev *pdev = edu->pdev;
	int err;

	err = pci_enable_device(pdev);
	if (err)
		return err;
	err = pci_request_regions(pdev, "aiaccel_edu");
	if (err)
		goto err_disable;
	edu->regs = pci_iomap(pdev, 0, 0);
	if (!edu->regs) {
		err = -ENOMEM;
		goto err_release;
	}
	err = quiesce(edu);
	if (!err)
		err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(dma_bits));
	if (err)
		goto err_unmap;
	err = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_ALL_TYPES);
	if (err < 0)
		goto err_unmap;
	err = request_irq(pci_irq_vector(pdev, 0), interrupt, IRQF_SHARED, edu->name, edu);
	if (err)
		goto err_free_vectors;
	pci_set_master(pdev);
	return 0;

err_free_vectors:
	pci_free_irq_vectors(pdev);
err_unmap:
	pci_iounmap(pdev, edu->regs);
err_release:
	pci_release_regions(pdev);
err_disable:
	pci_disable_device(pdev);
	return err;
}

/* Nothing runs on it. */
static void take_down(struct edu *edu)
{
	struct pci_dev *pdev = edu->pdev;

	pci_clear_master(pdev);
	free_irq(pci_irq_vector(pdev, 0), edu);
	pci_free_irq_vectors(pdev);
	pci_iounmap(pdev, edu->regs);
	pci_release_regions(pdev);
	pci_disable_device(pdev);
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu *edu = make(pdev);
	const struct aia_engine_desc desc = {
		.name = pci_name(pdev),
		.provider = "aiaccel_edu",
		.kind = AIACCEL_ENGINE_OTHER,
		.enforcement = AIACCEL_PREEMPTIBLE,
		.slots = 1,
		.numa_node = dev_to_node(&pdev->dev),
		.device_bytes = AIACCEL_EDU_BYTES,
		.stop = stop,
		.stop_ns = STOP_NS,
		.data = edu,
	};
	int err;

	if (IS_ERR(edu))
		return PTR_ERR(edu);
	err = set_up(edu);
	if (err)
		goto err_let_go;
	edu->engine = aia_engine_register(&desc);
	if (IS_ERR(edu->engine)) {
		err = PTR_ERR(edu->engine);
		goto err_take_down;
	}
	err = misc_register(&edu->misc);
	if (err)
		goto err_unregister;
	pci_set_drvdata(pdev, edu);
	return 0;

err_unregister:
	aia_engine_unregister(edu->engine);
err_take_down:
	take_down(edu);
err_let_go:
	let_go(edu);
	return err;
}

/* Files stay open and get ENODEV. */
static void remove(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	/* 1. Nobody opens it any more. */
	misc_deregister(&edu->misc);
	/* 2. No call begins, and none begins a transfer. */
	spin_lock_irq(&edu->lock);
	edu->gone = true;
	edu->claim = NULL;
	spin_unlock_irq(&edu->lock);
	wake_up_all(&edu->wait);
	/* 3. The transfer that ran is over. */
	if (!wait_until_idle(edu))
		cut_off(edu);
	/* 4. The calls are: they have unmapped their buffers. */
	wait_event(edu->wait, !READ_ONCE(edu->users));
	/* 5. Turns are revoked, and no stop() is called any more. */
	aia_engine_unregister(edu->engine);
	/* 6. The device is nobody's. */
	take_down(edu);
	/* 7. What is left is the files'. */
	let_go(edu);
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver driver = {
	.name = "aiaccel_edu",
	.id_table = ids,
	.probe = probe,
	.remove = remove,
};

static int __init edu_init(void)
{
	if (dma_bits < 12 || dma_bits > 64 || !transfer_bytes)
		return -EINVAL;
	return pci_register_driver(&driver);
}

static void __exit edu_exit(void)
{
	pci_unregister_driver(&driver);
	ida_destroy(&numbers);
}

module_init(edu_init);
module_exit(edu_exit);
MODULE_DESCRIPTION("QEMU's edu device as an engine of aiaccel, a sample");
MODULE_LICENSE("GPL");
