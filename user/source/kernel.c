// SPDX-License-Identifier: BSD-2-Clause
#include "source/kernel.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "source/hooks.h"
#include "source/linker.h"

#define INSN(c, dst, src, o, i) \
	((struct bpf_insn){ .code = (c), .dst_reg = (dst), .src_reg = (src), .off = (o), .imm = (i) })
#define LOAD_ARG(dst, n) INSN(BPF_LDX | BPF_MEM | BPF_DW, dst, BPF_REG_1, (n)*8, 0)
#define MOV_IMM(dst, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, i)
#define MOV_REG(dst, src) INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define ADD_IMM(dst, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, i)
#define CALL(helper) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int print_if_debugging(enum libbpf_print_level level, const char *format, va_list args)
{
	/* TCPSAGA_DEBUG is for the developer of a BPF program: libbpf's and
	 * the verifier's own words. */
	if (getenv("TCPSAGA_DEBUG"))
		return vfprintf(stderr, format, args);
	(void)level;
	return 0;
}

void kernel__hush_libbpf(void)
{
	libbpf_set_print(print_if_debugging);
}

void kernel__raise_memlock(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
}

/* Beside what can be hooked. */
static const char *const asked_for[] = { "__sys_listen", "tcp_conn_request" };

static int want_names(struct types *types)
{
	int err = hooks__want(types);

	if (!err)
		err = linker__want(types);
	for (size_t i = 0; i < COUNT(asked_for) && !err; i++)
		err = types__want(types, BTF_KIND_FUNC, asked_for[i]);
	return err;
}

int kernel__init(struct kernel *kernel)
{
	int err = types__open(&kernel->types);

	if (!err)
		err = want_names(&kernel->types);
	if (!err)
		err = types__index(&kernel->types);
	if (err)
		kernel__fini(kernel);
	return err;
}

void kernel__fini(struct kernel *kernel)
{
	types__fini(&kernel->types);
}

/* The function's type id, or -ENOENT. */
static int find_function(const struct kernel *kernel, const char *name)
{
	return types__find(&kernel->types, BTF_KIND_FUNC, name);
}

static int load(enum bpf_attach_type attach, int btf_id, const struct bpf_insn *insns, size_t count)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach,
		    .attach_btf_id = (unsigned int)btf_id);
	int fd;

	if (btf_id < 0)
		return btf_id;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "tcpsaga_try", "GPL", insns, count, &opts);
	return fd < 0 ? -errno : fd;
}

static int load_on_tracepoint(const struct kernel *kernel, const char *tracepoint,
			      const struct bpf_insn *insns, size_t count)
{
	char name[128];

	snprintf(name, sizeof(name), "btf_trace_%s", tracepoint);
	return load(BPF_TRACE_RAW_TP, types__find(&kernel->types, BTF_KIND_TYPEDEF, name), insns, count);
}

static int close_if_open(int fd)
{
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int kernel__try_tracepoint(const struct kernel *kernel, const char *tracepoint)
{
	const struct bpf_insn nothing[] = { MOV_IMM(BPF_REG_0, 0), EXIT() };

	return close_if_open(load_on_tracepoint(kernel, tracepoint, nothing, COUNT(nothing)));
}

bool kernel__has_socket_cookie(const struct kernel *kernel, const char *tracepoint)
{
	const struct bpf_insn cookie[] = {
		LOAD_ARG(BPF_REG_1, 0),
		CALL(BPF_FUNC_get_socket_cookie),
		MOV_IMM(BPF_REG_0, 0),
		EXIT(),
	};

	return close_if_open(load_on_tracepoint(kernel, tracepoint, cookie, COUNT(cookie))) == 0;
}

bool kernel__may_probe_read(const struct kernel *kernel, const char *tracepoint)
{
	const struct bpf_insn read[] = {
		MOV_IMM(BPF_REG_3, 0),
		MOV_IMM(BPF_REG_2, 8),
		MOV_REG(BPF_REG_1, BPF_REG_10),
		ADD_IMM(BPF_REG_1, -8),
		CALL(BPF_FUNC_probe_read_kernel),
		MOV_IMM(BPF_REG_0, 0),
		EXIT(),
	};

	return close_if_open(load_on_tracepoint(kernel, tracepoint, read, COUNT(read))) == 0;
}

int kernel__try_function(const struct kernel *kernel, const char *function)
{
	const struct bpf_insn nothing[] = { MOV_IMM(BPF_REG_0, 0), EXIT() };
	int id = find_function(kernel, function);
	int link, fd = load(BPF_TRACE_FENTRY, id, nothing, COUNT(nothing));

	if (fd < 0)
		return fd;
	link = bpf_raw_tracepoint_open(NULL, fd);
	if (link < 0)
		link = -errno;
	close(fd);
	return close_if_open(link);
}

int kernel__try_sockops(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_CGROUP_SOCK_OPS);
	const struct bpf_insn read[] = {
		MOV_REG(BPF_REG_3, BPF_REG_1),
		MOV_IMM(BPF_REG_2, 8),
		MOV_REG(BPF_REG_1, BPF_REG_10),
		ADD_IMM(BPF_REG_1, -8),
		CALL(BPF_FUNC_probe_read_kernel),
		MOV_IMM(BPF_REG_0, 1),
		EXIT(),
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "tcpsaga_try", "GPL", read, COUNT(read), &opts);

	return close_if_open(fd < 0 ? -errno : fd);
}

/* By its version, where nothing else tells. */
static bool is_since(unsigned long major, unsigned long minor)
{
	struct utsname name;
	unsigned long found;
	char *rest;

	if (uname(&name))
		return false;
	found = strtoul(name.release, &rest, 10);
	return found > major || (found == major && *rest == '.' && strtoul(rest + 1, NULL, 10) >= minor);
}

bool kernel__comm_has_zeroes(void)
{
	return is_since(5, 17);
}

bool kernel__preempts_programs(const struct kernel *kernel)
{
	return is_since(7, 0) && kernel__has_function(kernel, "bpf_preempt_disable") &&
	       kernel__has_function(kernel, "bpf_local_irq_save");
}

bool kernel__has_function(const struct kernel *kernel, const char *function)
{
	return find_function(kernel, function) > 0;
}

unsigned int kernel__function_args(const struct kernel *kernel, const char *function)
{
	int id = find_function(kernel, function);
	const struct btf_type *type = id < 0 ? NULL : types__at(&kernel->types, (uint32_t)id);

	type = type ? types__at(&kernel->types, type->type) : NULL; /* its prototype */
	return type ? btf_vlen(type) : 0;
}

unsigned int kernel__struct(const struct kernel *kernel, const char *name)
{
	int id = types__find(&kernel->types, BTF_KIND_STRUCT, name);

	return id < 0 ? 0 : (unsigned int)id;
}

bool kernel__has_kprobes(void)
{
	return !access("/sys/bus/event_source/devices/kprobe/type", R_OK);
}
