/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists what becomes of every CO-RE relocation of a BPF object on a kernel of
 * which only the BTF is here. Usage: relocs OBJECT BTF
 *
 * libbpf itself relocates, as it would on that kernel; the linker (--wrap) puts
 * two stand-ins under it: a bpf() system call that agrees to everything, so that
 * nothing reaches the kernel of this machine and no privilege is needed, and the
 * given BTF in place of the running kernel's. libbpf does not report an
 * unresolved relocation as an error (the instruction becomes an invalid call,
 * and dead code may hold one), so its debug log is read.
 *
 * Output, for the script of the same name, tab-separated:
 *   relo PROGRAM KIND TYPE ACCESSOR yes|no    one per relocation
 *   warning TEXT                              what libbpf complained about
 *   count FOUND SEEN                          must be equal
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct relocation {
	char program[128];
	int index;
	char kind[32];
	char type[256];
	char accessor[256];
	bool resolved;
};

static struct relocation *relocations;
static size_t seen, found, skipped;
static const char *btf_path;

/* ---- the kernel that is not there --------------------------------------- */

long __wrap_syscall(long number, long command, void *attr, unsigned int size);
struct btf *__wrap_btf__load_vmlinux_btf(void);

/* Everything that libbpf asks for on its way to the relocations either makes a
 * descriptor, which it later closes, or just has to succeed. */
long __wrap_syscall(long number, long command, void *attr, unsigned int size)
{
	(void)attr;
	(void)size;
	if (number != SYS_bpf) {
		errno = ENOSYS;
		return -1;
	}
	switch (command) {
	case BPF_MAP_CREATE:
	case BPF_PROG_LOAD:
	case BPF_BTF_LOAD:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_FREEZE:
	case BPF_OBJ_GET_INFO_BY_FD:
	case BPF_PROG_BIND_MAP:
		return 0;
	case BPF_BTF_GET_NEXT_ID:
		/* No modules: their types are not in the given BTF either. */
		errno = ENOENT;
		return -1;
	default:
		errno = EINVAL;
		return -1;
	}
}

/* Programs that name a kernel function look it up here. */
struct btf *__wrap_btf__load_vmlinux_btf(void)
{
	return btf__parse_raw(btf_path);
}

/* ---- reading libbpf's log ----------------------------------------------- */

static struct relocation *add_relocation(void)
{
	relocations = reallocarray(relocations, seen + 1, sizeof(*relocations));
	if (!relocations) {
		perror("relocs");
		exit(1);
	}
	return memset(&relocations[seen++], 0, sizeof(*relocations));
}

/* "<byte_off> [7] struct sock.__sk_common.skc_family (0:0:3 @ offset 16)", for
 * enums "<enumval_value> [9] enum e::NAME = 1", for types "<type_exists> [3]
 * struct sock". */
static void note_relocation(const char *program, int index, const char *spec)
{
	struct relocation *relo = add_relocation();
	char keyword[16] = "";
	size_t length;
	int rest = 0;

	relo->index = index;
	relo->resolved = true;
	snprintf(relo->program, sizeof(relo->program), "%s", program);
	if (sscanf(spec, "<%31[^>]> [%*d] %n", relo->kind, &rest) < 1 || !rest) {
		snprintf(relo->kind, sizeof(relo->kind), "unreadable");
		return;
	}
	spec += rest;
	length = strcspn(spec, "(=\n");
	while (length && spec[length - 1] == ' ')
		length--;
	snprintf(relo->accessor, sizeof(relo->accessor), "%.*s", (int)length, spec);
	if (sscanf(relo->accessor, "%15s %255[^.:[]", keyword, relo->type) < 2)
		snprintf(relo->type, sizeof(relo->type), "%s", relo->accessor);
}

static void note_failure(const char *program, int index)
{
	struct relocation *relo = seen ? &relocations[seen - 1] : NULL;

	if (relo && relo->index == index && !strcmp(relo->program, program))
		relo->resolved = false;
}

static void read_line(const char *line)
{
	char program[128];
	int index, number, rest = 0;

	if (sscanf(line, "libbpf: sec '%*[^']': found %d CO-RE", &number) == 1)
		found += number;
	if (strstr(line, ": skipping CO-RE relocation #"))
		skipped++;
	if (sscanf(line, "libbpf: prog '%127[^']': relo #%d: %n", program, &index,
		   &rest) < 2 || !rest)
		return;
	line += rest;
	if (line[0] == '<')
		note_relocation(program, index, line);
	else if (!strncmp(line, "no matching targets", 19) ||
		 !strncmp(line, "substituting insn", 17))
		note_failure(program, index);
}

static int on_message(enum libbpf_print_level level, const char *format,
		      va_list arguments)
{
	char line[2048];

	vsnprintf(line, sizeof(line), format, arguments);
	line[strcspn(line, "\n")] = '\0';
	read_line(line);
	if (level == LIBBPF_WARN)
		printf("warning\t%s\n", line);
	return 0;
}

/* ---- */

/* Loading may well fail after the relocations, on a function that this kernel
 * lacks: the agent decides about that by trying. Only the log counts. */
static int relocate(const char *object_path)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = btf_path);
	struct bpf_object *object = bpf_object__open_file(object_path, &options);
	struct bpf_program *program;

	if (!object)
		return -errno;
	bpf_object__for_each_program(program, object)
		bpf_program__set_autoload(program, true);
	bpf_object__load(object);
	bpf_object__close(object);
	return 0;
}

int main(int argc, char **argv)
{
	const struct relocation *relo;
	char reason[128];
	int err;

	if (argc != 3) {
		fprintf(stderr, "Usage: relocs OBJECT BTF\n");
		return 2;
	}
	btf_path = argv[2];
	libbpf_set_print(on_message);
	err = relocate(argv[1]);
	if (err) {
		libbpf_strerror(err, reason, sizeof(reason));
		fprintf(stderr, "relocs: %s: %s\n", argv[1], reason);
		return 1;
	}
	for (relo = relocations; relo < relocations + seen; relo++)
		printf("relo\t%s\t%s\t%s\t%s\t%s\n", relo->program, relo->kind,
		       relo->type, relo->accessor, relo->resolved ? "yes" : "no");
	printf("count\t%zu\t%zu\n", found, seen + skipped);
	free(relocations);
	return 0;
}
