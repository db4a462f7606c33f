/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/source/constants.c: which instructions become what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "source/instructions.c"
#include "source/constants.c"

#define LOAD (BPF_LD | BPF_IMM | BPF_DW)
#define SETTING(which) { .code = LOAD, .dst_reg = 3, .imm = (which) }, { .imm = SETTING_MARK }

static const uint64_t values[SETTING_COUNT] = {
	[SETTING_PREEMPTS] = 1,
	[SETTING_ID_KEY] = 0xfedcba9876543210,
};

static void a_setting_becomes_its_value(void **state)
{
	struct bpf_insn insns[] = { SETTING(SETTING_ID_KEY), SETTING(SETTING_PREEMPTS) };

	(void)state;
	assert_int_equal(put(insns, 4, values), 0);
	assert_int_equal((uint32_t)insns[0].imm, 0x76543210);
	assert_int_equal((uint32_t)insns[1].imm, 0xfedcba98);
	assert_int_equal(insns[2].imm, 1);
	assert_int_equal(insns[3].imm, 0);
	assert_int_equal(insns[0].code, LOAD);
	assert_int_equal(insns[0].dst_reg, 3);
}

/* What was not given is 0, and no mark is left. */
static void the_others_are_zero(void **state)
{
	struct bpf_insn insns[2 * SETTING_COUNT];

	(void)state;
	for (int i = 0; i < SETTING_COUNT; i++) {
		const struct bpf_insn setting[] = { SETTING(i) };

		memcpy(&insns[2 * i], setting, sizeof(setting));
	}
	assert_int_equal(put(insns, 2 * SETTING_COUNT, values), 0);
	for (int i = 0; i < SETTING_COUNT; i++) {
		uint64_t found = (uint32_t)insns[2 * i].imm | (uint64_t)(uint32_t)insns[2 * i + 1].imm << 32;

		assert_int_equal(found, values[i]);
	}
}

/* Another constant, an address to be, another instruction with the same number, one that is
 * cut off. */
static void nothing_else_is_touched(void **state)
{
	struct bpf_insn insns[] = {
		{ .code = LOAD, .imm = SETTING_PREEMPTS },
		{ .imm = SETTING_MARK - 1 },
		{ .code = LOAD, .imm = SETTING_PREEMPTS },
		{ .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = SETTING_PREEMPTS },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = SETTING_MARK },
		{ .code = LOAD, .imm = SETTING_PREEMPTS },
	};
	struct bpf_insn before[7];

	(void)state;
	memcpy(before, insns, sizeof(insns));
	assert_int_equal(put(insns, 7, values), 0);
	assert_memory_equal(insns, before, sizeof(insns));
}

static void a_setting_that_there_is_not_is_an_error(void **state)
{
	struct bpf_insn insns[] = { SETTING(SETTING_COUNT) };

	(void)state;
	assert_int_equal(put(insns, 2, values), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_setting_becomes_its_value),
		cmocka_unit_test(the_others_are_zero),
		cmocka_unit_test(nothing_else_is_touched),
		cmocka_unit_test(a_setting_that_there_is_not_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
