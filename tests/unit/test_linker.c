/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/source/linker.c: which instructions become calls of a small kernel, and
 * what a program attaches to there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/idmap.c"
#include "source/instructions.c"
#include "source/types.c"
#include "source/linker.c"

#define CALL_OF(number) { .code = BPF_JMP | BPF_CALL, .imm = (number) }

/* ---- a kernel with a tracepoint, a function that is called, one of the same name ---- */

static struct {
	struct types types;
	struct btf *btf;
	int tracepoint, cast, accept;
} kernel;

static int set_up(void **state)
{
	struct btf *btf = btf__new_empty();
	int number = btf__add_int(btf, "int", 4, BTF_INT_SIGNED), proto = btf__add_func_proto(btf, number);

	(void)state;
	btf__add_typedef(btf, "inet_csk_accept", number);
	kernel.tracepoint = btf__add_typedef(btf, "btf_trace_inet_sock_set_state", proto);
	kernel.cast = btf__add_func(btf, "bpf_rdonly_cast", BTF_FUNC_STATIC, proto);
	kernel.accept = btf__add_func(btf, "inet_csk_accept", BTF_FUNC_STATIC, proto);
	kernel.btf = btf;
	kernel.types.all = (void *)(uintptr_t)btf__raw_data(btf, (__u32 *)&kernel.types.size);
	return find_sections(&kernel.types) || idmap__init(&kernel.types.wanted, 0) ||
	       linker__want(&kernel.types) || types__index(&kernel.types);
}

static int tear_down(void **state)
{
	(void)state;
	idmap__fini(&kernel.types.wanted);
	free(kernel.types.marks);
	btf__free(kernel.btf);
	return 0;
}

/* ---- calls ---- */

static void a_call_becomes_that_of_the_kernel(void **state)
{
	struct bpf_insn insns[] = { CALL_OF(BPF_FUNC_map_lookup_elem), CALL_OF(KERNEL_CALL_RDONLY_CAST) };

	(void)state;
	assert_int_equal(link_calls(insns, 2, &kernel.types), 0);
	assert_int_equal(insns[1].code, BPF_JMP | BPF_CALL);
	assert_int_equal(insns[1].src_reg, BPF_PSEUDO_KFUNC_CALL);
	assert_int_equal(insns[1].imm, kernel.cast);
	assert_int_equal(insns[1].off, 0);
	assert_int_equal(insns[0].src_reg, 0);
	assert_int_equal(insns[0].imm, BPF_FUNC_map_lookup_elem);
}

/* What the kernel does not have; helpers; calls within the program; numbers beside ours;
 * other instructions. */
static void nothing_else_is_touched(void **state)
{
	struct bpf_insn insns[] = {
		CALL_OF(KERNEL_CALL_PREEMPT_DISABLE),
		CALL_OF(BPF_FUNC_get_prandom_u32),
		{ .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = KERNEL_CALL_RDONLY_CAST },
		CALL_OF(KERNEL_CALL_FIRST - 1),
		CALL_OF(KERNEL_CALL_END),
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = KERNEL_CALL_RDONLY_CAST },
	};
	struct bpf_insn before[6];

	(void)state;
	memcpy(before, insns, sizeof(insns));
	assert_int_equal(link_calls(insns, 6, &kernel.types), 0);
	assert_memory_equal(insns, before, sizeof(insns));
}

static void every_call_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < CALLS; i++)
		assert_non_null(functions[i]);
}

/* ---- targets ---- */

static void a_tracepoint_is_a_typedef_and_the_rest_are_functions(void **state)
{
	(void)state;
	assert_int_equal(id_of_target(&kernel.types, BPF_TRACE_RAW_TP, "inet_sock_set_state"), kernel.tracepoint);
	assert_int_equal(id_of_target(&kernel.types, BPF_TRACE_FENTRY, "inet_csk_accept"), kernel.accept);
	assert_int_equal(id_of_target(&kernel.types, BPF_TRACE_FEXIT, "inet_csk_accept"), kernel.accept);
}

static void what_is_not_there_is_no_target(void **state)
{
	(void)state;
	assert_int_equal(id_of_target(&kernel.types, BPF_TRACE_RAW_TP, "inet_csk_accept"), -ENOENT);
	assert_int_equal(id_of_target(&kernel.types, BPF_TRACE_FENTRY, "inet_sock_set_state"), -ENOENT);
	assert_int_equal(id_of_target(&kernel.types, BPF_TRACE_FEXIT, "tcp_conn_request"), -ENOENT);
}

/* ---- by libbpf ---- */

static void one_begins_as_often_as_objects_are_loaded(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(linker__begin(&kernel.types), 0);
		assert_ptr_equal(kernel_types, &kernel.types);
		linker__end();
		assert_null(kernel_types);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_becomes_that_of_the_kernel),
		cmocka_unit_test(nothing_else_is_touched),
		cmocka_unit_test(every_call_has_a_name),
		cmocka_unit_test(a_tracepoint_is_a_typedef_and_the_rest_are_functions),
		cmocka_unit_test(what_is_not_there_is_no_target),
		cmocka_unit_test(one_begins_as_often_as_objects_are_loaded),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
