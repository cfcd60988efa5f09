// SPDX-License-Identifier: GPL-2.0-only
/* vma->vm_flags is changed through vm_flags_mod() (from 6.3), not by assignment. */
#include <linux/mm.h>

void probe(struct vm_area_struct *vma);
void probe(struct vm_area_struct *vma)
{
	vm_flags_mod(vma, VM_DONTCOPY, VM_MAYWRITE);
}
