/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tracepoints by the number that tracefs has for them. `ip netns exec` and many
 * containers hide tracefs, and some hosts never mount it: neither is a reason to
 * miss accept().
 */
#ifndef TCPSAGA_SOURCE_TRACEFS_H
#define TCPSAGA_SOURCE_TRACEFS_H

struct bpf_link;
struct bpf_program;

/* The id of a tracepoint, event as "syscalls/sys_enter_listen". -ENODEV: no
 * tracefs can be had; -ENOENT: it has no such event; else a negative errno. */
int tracefs__id(const char *event);

/* Attaches a program whose section is "tp/" and the event. NULL with errno. */
struct bpf_link *tracefs__attach(struct bpf_program *program);

#endif
