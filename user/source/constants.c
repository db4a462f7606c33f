// SPDX-License-Identifier: BSD-2-Clause
#include "source/constants.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The load of a 64-bit constant, which takes two instructions. One that is to become an
 * address has an offset there, whose upper half is 0. */
static bool is_setting(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_IMM | BPF_DW) && insn[1].imm == SETTING_MARK;
}

static int put(struct bpf_insn *insns, size_t count, const uint64_t values[SETTING_COUNT])
{
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

static int put_into(struct bpf_program *program, const uint64_t values[SETTING_COUNT])
{
	size_t count = bpf_program__insn_cnt(program), bytes = count * sizeof(struct bpf_insn);
	struct bpf_insn *insns = malloc(bytes);
	int err;

	if (!insns)
		return -ENOMEM;
	memcpy(insns, bpf_program__insns(program), bytes);
	err = put(insns, count, values);
	if (!err)
		err = bpf_program__set_insns(program, insns, count);
	free(insns);
	return err;
}

int constants__put(const struct bpf_object *object, const uint64_t values[SETTING_COUNT])
{
	struct bpf_program *program;
	int err = 0;

	bpf_object__for_each_program(program, object)
	{
		if (!err && bpf_program__autoload(program))
			err = put_into(program, values);
	}
	return err;
}
