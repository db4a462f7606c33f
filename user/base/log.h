/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is said on stderr: one line a message, "tcpsaga: ...". Control bytes in
 * it are shown as '?', because names from outside may stand in a message.
 */
#ifndef TCPSAGA_BASE_LOG_H
#define TCPSAGA_BASE_LOG_H

/* The exit status of the program (DESIGN, section 1). */
enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1, /* at run time */
	EXIT_USAGE = 2,
	EXIT_CANNOT = 3,   /* this kernel or these privileges cannot do it */
	EXIT_WARNINGS = 4, /* diagnose: findings, none of them critical */
	EXIT_CRITICAL = 5,
};

void log__line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Message and code in one act: return fail(EXIT_USAGE, "..."). */
int fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
