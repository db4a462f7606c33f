/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one thing that tcpsaga attaches to what is the user's: a sockops program
 * on the cgroup that the user has named. It changes nothing there, and goes with
 * its link when tcpsaga ends, however it ends.
 */
#ifndef TCPSAGA_SOURCE_SOCKOPS_H
#define TCPSAGA_SOURCE_SOCKOPS_H

#include <stddef.h>

struct bpf_link;
struct bpf_program;

/* The cgroup's directory, to be closed; or -EINVAL with one sentence in message. */
int sockops__open(const char *path, char *message, size_t size);

/* NULL with errno. Beside programs that others have attached there. */
struct bpf_link *sockops__attach(struct bpf_program *program, int cgroup);

#endif
