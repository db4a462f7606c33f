/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes instructions of a BPF program in their place, before it is loaded. */
#ifndef TCPSAGA_SOURCE_INSTRUCTIONS_H
#define TCPSAGA_SOURCE_INSTRUCTIONS_H

#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <stddef.h>

/* Edits them; 0 or -errno. */
typedef int (*instructions_edit_fn)(struct bpf_insn *insns, size_t count, const void *context);

/* 0, or -errno of edit() or of libbpf; then the program is as it was. */
int instructions__edit(struct bpf_program *program, instructions_edit_fn edit, const void *context);

#endif
