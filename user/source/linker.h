/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Links tracing programs (tp_btf, fentry, fexit) with the running kernel: the ids, in its
 * BTF, of what they attach to and of its functions that they call (bpf/kernel_calls.h).
 *
 * libbpf finds both by itself, and for that reads, copies and indexes all of the kernel's
 * types: a third of the time from the start to the first event. They have been read already
 * (types.h). So libbpf is told that these sections are of another type, for which it
 * looks nothing up; they get the true type and the ids right before each load.
 *
 *   linker__begin()   before the object is opened
 *   linker__end()     when it is loaded, or is not to be
 *
 * One object at a time: libbpf keeps handlers of sections for the whole process. They are
 * never taken back: libbpf 1.1 frees their list with the last of them and goes on using it
 * (libbpf_unregister_prog_handler()).
 */
#ifndef TCPSAGA_SOURCE_LINKER_H
#define TCPSAGA_SOURCE_LINKER_H

#include "source/types.h"

/* Names that will be looked up. 0 or -ENOMEM. */
int linker__want(struct types *types);

/* types: indexed; borrowed until the end. 0 or -errno. A program whose target this kernel
 * does not have fails to load with -ENOENT. */
int linker__begin(const struct types *types);
void linker__end(void);

#endif
