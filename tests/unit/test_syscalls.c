/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/base/syscalls.c: what is not in the list ends the process
 * that does it, and no other. Each child puts itself under a list and tries.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/syscalls.c"

static const struct syscall_rule some[] = {
	CALL_IF("openat", 2, O_ACCMODE, O_RDONLY),
	{.name = "chdir", .verdict = SYSCALL_REFUSED},
	{.name = "no_such_call"},
	{.name = NULL},
};

enum { NOT_NARROWED = 99 };

/* The wait status of a child that tries it: its exit status is what it returns. */
static int try(int (*attempt)(void))
{
	static const struct syscall_rule *const lists[] = {syscalls_of_libc, some, NULL};
	const struct rlimit no_core = {0};
	pid_t pid = fork();
	int status;

	if (!pid) {
		setrlimit(RLIMIT_CORE, &no_core);
		if (syscalls__allow_only(lists))
			_exit(NOT_NARROWED);
		_exit(attempt());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void *of_thread(void *argument)
{
	*(int *)argument = 7;
	return NULL;
}

static int allowed(void)
{
	pthread_t thread;
	int seven = 0, fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC);
	char *memory = malloc(1 << 20);

	if (fd < 0 || close(fd) || !memory)
		return 1;
	free(memory);
	if (pthread_create(&thread, NULL, of_thread, &seven) || pthread_join(thread, NULL))
		return 2;
	return seven == 7 ? 0 : 3;
}

static int refused(void) { return syscall(SYS_chdir, "/") == -1 && errno == EPERM ? 0 : 1; }
static int absent(void) { return syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS ? 0 : 1; }

static int opens_for_writing(void) { return (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY); }
static int makes_a_socket(void) { return socket(AF_UNIX, SOCK_STREAM, 0); }
static int runs_a_program(void) { return execl("/bin/true", "true", NULL); }
static int makes_a_process(void) { return (int)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL); }
static int loads_bpf(void) { return (int)syscall(SYS_bpf, 5, NULL, 0); }
static int traces(void) { return (int)syscall(SYS_ptrace, 0, 0, 0, 0); }

static int has_code_in_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int enters_a_namespace(void) { return (int)syscall(SYS_setns, 0, 0); }

/* valgrind makes system calls of its own. */
#define NOT_UNDER_VALGRIND()          \
	do {                          \
		if (getenv("VALGRIND")) \
			skip();       \
	} while (0)

static void what_is_listed_works(void **state)
{
	(void)state;
	NOT_UNDER_VALGRIND();
	assert_int_equal(try(allowed), 0);
	assert_int_equal(try(refused), 0);
	assert_int_equal(try(absent), 0);
}

static void what_is_not_listed_ends_the_process(void **state)
{
	static int (*const attempts[])(void) = {
		opens_for_writing, makes_a_socket,     runs_a_program,     makes_a_process, loads_bpf,
		traces,		   has_code_in_memory, enters_a_namespace,
	};

	(void)state;
	NOT_UNDER_VALGRIND();
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		int status = try(attempts[i]);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("attempt %zu: wait status %#x", i, status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_listed_works),
		cmocka_unit_test(what_is_not_listed_ends_the_process),
	};

	return cmocka_run_group_tests_name("syscalls", tests, NULL, NULL);
}
