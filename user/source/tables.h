/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's tables, read in this process, or by another one for it: the
 * reader, which is forked while there are privileges, keeps those that the
 * tables take (namespaces, other users' processes), and does nothing else. So
 * the rest of the agent can give up all of them.
 *
 * Where a function takes a struct tables, NULL means: in this process. One
 * reader serves one caller at a time, each answer before the next question.
 *
 *   tables__fork()   a reader begins
 *   tables__await()  it has given up what it does not need, and waits
 *   tables__...()    questions
 *   tables__free()   it ends; it ends by itself when this process does
 */
#ifndef TCPSAGA_SOURCE_TABLES_H
#define TCPSAGA_SOURCE_TABLES_H

#include "base/identity.h"
#include "source/cgroup_root.h"
#include "source/holders.h"
#include "source/snapshot.h"

struct tables;

struct tables_config {
	const char *title; /* what ps shows: at most 15 bytes */
	const struct identity *user;
	bool holders; /* it can be asked for holders, too: that takes BPF */
};

/* Everything is borrowed for the call. Before there are threads. NULL with errno. */
struct tables *tables__fork(const struct tables_config *config);

/* 0, or -errno: it could not begin, and has said why. */
int tables__await(struct tables *tables);

/*
 * 0 while it answers; else -errno, for good: -EPIPE (it has ended), -ETIMEDOUT (no
 * answer for half a minute), -EBADMSG (an answer that is none). Every question
 * then gets this as its answer.
 */
int tables__error(struct tables *tables);

/* What it has cost, as of its last answer. */
struct tables_cost {
	uint64_t user_us;
	uint64_t system_us;
	uint64_t resident_bytes; /* at its most */
};

void tables__cost(const struct tables *tables, struct tables_cost *cost);

/* NULL is accepted. */
void tables__free(struct tables *tables);

/* As snapshot__take(), snapshot__sockets(), snapshot__unread(), snapshot__all(), holders__load() and
 * cgroup_root__path_of(), whose last word on errors is theirs. */
int tables__take(struct tables *tables, uint32_t netns, unsigned int extras, source_take_fn take,
		 void *context);
int tables__sockets(struct tables *tables, const struct kernel_filter *terms, uint32_t states,
		    unsigned int extras, source_take_fn take, void *context);
int tables__unread(struct tables *tables, const struct kernel_filter *terms, unsigned int max,
		   source_take_fn take, void *context);
int tables__all(struct tables *tables, const struct kernel_filter *terms, unsigned int extras,
		source_take_fn take, void *context);
int tables__holders(struct tables *tables, struct holders *holders, uint16_t port, uint32_t netns);
ssize_t tables__cgroup_path(struct tables *tables, struct cgroup_root *root, uint64_t id, char *out,
			    size_t size);

#endif
