/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An excerpt of the kernel's BTF: the types that our programs name, with the members that
 * they name, and what these are made of. libbpf looks for each type that a program names
 * through all that it is given: a millisecond in the whole of a kernel's, which is the
 * longest part of a start.
 */
#ifndef TCPSAGA_SOURCE_EXCERPT_H
#define TCPSAGA_SOURCE_EXCERPT_H

#include "source/types.h"

struct btf;

/*
 * Writes it to fd, for bpf_object_open_opts.btf_custom_path. programs: the BTF of the
 * object. Ids in it are its own: bpf_core_type_id_kernel() is of no use there. 0 or -errno.
 */
int excerpt__write(const struct types *types, const struct btf *programs, int fd);

#endif
