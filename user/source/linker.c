// SPDX-License-Identifier: BSD-2-Clause
#include "source/linker.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bpf/kernel_calls.h"
#include "source/instructions.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	const char *prefix;
	enum bpf_attach_type attach;
} sections[] = {
	{ "tp_btf/", BPF_TRACE_RAW_TP },
	{ "fentry/", BPF_TRACE_FENTRY },
	{ "fexit/", BPF_TRACE_FEXIT },
};

enum { CALLS = KERNEL_CALL_END - KERNEL_CALL_FIRST };

/* Those of the object that is being loaded, for prepare(). */
static const struct types *kernel_types;

static const char *const functions[CALLS] = {
	[KERNEL_CALL_PREEMPT_DISABLE - KERNEL_CALL_FIRST] = "bpf_preempt_disable",
	[KERNEL_CALL_PREEMPT_ENABLE - KERNEL_CALL_FIRST] = "bpf_preempt_enable",
	[KERNEL_CALL_LOCAL_IRQ_SAVE - KERNEL_CALL_FIRST] = "bpf_local_irq_save",
	[KERNEL_CALL_LOCAL_IRQ_RESTORE - KERNEL_CALL_FIRST] = "bpf_local_irq_restore",
	[KERNEL_CALL_RDONLY_CAST - KERNEL_CALL_FIRST] = "bpf_rdonly_cast",
};

int linker__want(struct types *types)
{
	int err = 0;

	for (int i = 0; i < CALLS && !err; i++)
		err = types__want(types, BTF_KIND_FUNC, functions[i]);
	return err;
}

/* A tracepoint is the typedef of what is called in it. */
static int id_of_target(const struct types *types, enum bpf_attach_type attach, const char *name)
{
	char traced[128];

	if (attach != BPF_TRACE_RAW_TP)
		return types__find(types, BTF_KIND_FUNC, name);
	snprintf(traced, sizeof(traced), "btf_trace_%s", name);
	return types__find(types, BTF_KIND_TYPEDEF, traced);
}

static bool is_kernel_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && !insn->src_reg && insn->imm >= KERNEL_CALL_FIRST &&
	       insn->imm < KERNEL_CALL_END;
}

static int link_calls(struct bpf_insn *insns, size_t count, const void *context)
{
	const struct types *types = context;

	for (size_t i = 0; i < count; i++) {
		int id;

		if (!is_kernel_call(&insns[i]))
			continue;
		id = types__find(types, BTF_KIND_FUNC, functions[insns[i].imm - KERNEL_CALL_FIRST]);
		if (id < 0)
			continue;
		insns[i].src_reg = BPF_PSEUDO_KFUNC_CALL;
		insns[i].imm = id;
	}
	return 0;
}

/* By now the functions of ours that it calls stand behind it. */
static int prepare(struct bpf_program *program, struct bpf_prog_load_opts *opts, long cookie)
{
	enum bpf_attach_type attach = bpf_program__expected_attach_type(program);
	const char *target = strchr(bpf_program__section_name(program), '/') + 1;
	int id = kernel_types ? id_of_target(kernel_types, attach, target) : -EINVAL;
	int err = id < 0 ? id : instructions__edit(program, link_calls, kernel_types);

	(void)cookie;
	if (err)
		return err;
	opts->expected_attach_type = attach;
	opts->attach_btf_id = (unsigned int)id;
	return bpf_program__set_type(program, BPF_PROG_TYPE_TRACING);
}

/* Those that libbpf has, it keeps. */
static int register_handlers(void)
{
	static size_t registered;
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = prepare);

	for (; registered < COUNT(sections); registered++) {
		int handler = libbpf_register_prog_handler(sections[registered].prefix,
							   BPF_PROG_TYPE_RAW_TRACEPOINT,
							   sections[registered].attach, &opts);
		if (handler < 0)
			return handler;
	}
	return 0;
}

int linker__begin(const struct types *types)
{
	kernel_types = types;
	return register_handlers();
}

void linker__end(void)
{
	kernel_types = NULL;
}
