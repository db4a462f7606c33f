// SPDX-License-Identifier: BSD-2-Clause
#include "source/instructions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int instructions__edit(struct bpf_program *program, instructions_edit_fn edit, const void *context)
{
	size_t count = bpf_program__insn_cnt(program), bytes = count * sizeof(struct bpf_insn);
	struct bpf_insn *insns = malloc(bytes);
	int err;

	if (!insns)
		return -ENOMEM;
	memcpy(insns, bpf_program__insns(program), bytes);
	err = edit(insns, count, context);
	if (!err)
		err = bpf_program__set_insns(program, insns, count);
	free(insns);
	return err;
}
