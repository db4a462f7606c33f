// SPDX-License-Identifier: BSD-2-Clause
#include "source/constants.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>

#include "source/instructions.h"

/* The load of a 64-bit constant, which takes two instructions. One that is to become an
 * address has an offset there, whose upper half is 0. */
static bool is_setting(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_IMM | BPF_DW) && insn[1].imm == SETTING_MARK;
}

static int put(struct bpf_insn *insns, size_t count, const void *context)
{
	const uint64_t *values = context;

	for (size_t i = 0; i + 1 < count; i++) {
		uint32_t which = (uint32_t)insns[i].imm;

		if (!is_setting(&insns[i]))
			continue;
		if (which >= SETTING_COUNT)
			return -EINVAL;
		insns[i].imm = (int32_t)values[which];
		insns[i + 1].imm = (int32_t)(values[which] >> 32);
	}
	return 0;
}

int constants__put(const struct bpf_object *object, const uint64_t values[SETTING_COUNT])
{
	struct bpf_program *program;
	int err = 0;

	bpf_object__for_each_program(program, object)
	{
		if (!err && bpf_program__autoload(program))
			err = instructions__edit(program, put, values);
	}
	return err;
}
