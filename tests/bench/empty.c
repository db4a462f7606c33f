// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attaches the empty program and prints a line; detaches it at the end of
 * standard input. run.py compares others with it.
 */
#include <stdio.h>

#include "empty.skel.h"

int main(void)
{
	struct empty_bpf *skel = empty_bpf__open_and_load();

	if (!skel || empty_bpf__attach(skel)) {
		perror("empty: inet_sock_set_state");
		empty_bpf__destroy(skel);
		return 1;
	}
	puts("attached");
	fflush(stdout);
	while (getchar() != EOF)
		;
	empty_bpf__destroy(skel);
	return 0;
}
