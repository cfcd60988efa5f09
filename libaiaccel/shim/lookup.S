/* SPDX-License-Identifier: MIT */
/*
 * dlsym, dlvsym and dlopen, as programs call them. Each asks its answer function in lookup.cpp, with the
 * arguments and the caller's address, and then either returns the answer or jumps to the real
 * function with the registers and the stack as they were: to that one the program is the caller.
 *
 * Threads: any; nothing is kept.
 */

#if defined(__x86_64__)

/* \at: which argument the caller's address is. */
.macro ENTRY name, at
	.globl	\name
	.type	\name, @function
\name:
	.cfi_startproc
	endbr64
	push	%rdi
	.cfi_adjust_cfa_offset 8
	push	%rsi
	.cfi_adjust_cfa_offset 8
	push	%rdx
	.cfi_adjust_cfa_offset 8
	mov	24(%rsp), \at
	call	aiaccel_shim_answer_\name
	mov	%rdx, %r11
	pop	%rdx
	.cfi_adjust_cfa_offset -8
	pop	%rsi
	.cfi_adjust_cfa_offset -8
	pop	%rdi
	.cfi_adjust_cfa_offset -8
	test	%r11, %r11
	jz	1f
	jmp	*%r11
1:	ret
	.cfi_endproc
	.size	\name, . - \name
.endm

	.text
	ENTRY	dlsym, %rdx
	ENTRY	dlvsym, %rcx
	ENTRY	dlopen, %rdx

#elif defined(__aarch64__)

.macro ENTRY name, at
	.globl	\name
	.type	\name, @function
\name:
	.cfi_startproc
	hint	#34			/* bti c */
	stp	x29, x30, [sp, #-48]!
	.cfi_adjust_cfa_offset 48
	.cfi_rel_offset x29, 0
	.cfi_rel_offset x30, 8
	stp	x0, x1, [sp, #16]
	str	x2, [sp, #32]
	mov	\at, x30
	bl	aiaccel_shim_answer_\name
	mov	x16, x1
	cbz	x16, 1f
	ldp	x0, x1, [sp, #16]
	ldr	x2, [sp, #32]
1:	ldp	x29, x30, [sp], #48
	.cfi_adjust_cfa_offset -48
	.cfi_restore x29
	.cfi_restore x30
	cbz	x16, 2f
	br	x16
2:	ret
	.cfi_endproc
	.size	\name, . - \name
.endm

	.text
	ENTRY	dlsym, x2
	ENTRY	dlvsym, x3
	ENTRY	dlopen, x2

#else
#error "the shim knows how to stand before dlsym on x86-64 and arm64 only"
#endif

	.section .note.GNU-stack, "", %progbits
