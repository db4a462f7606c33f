/* SPDX-License-Identifier: BSD-2-Clause */
/* The names of processes that whatever shows one has to bear: every one of two bytes,
 * and 100,000 random ones of up to fifteen. */
#ifndef TCPSAGA_TESTS_NAMES_H
#define TCPSAGA_TESTS_NAMES_H

#include <locale.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "bpf/event.h"
#include "output/printer.h"

enum { NAMES_OF_TWO_BYTES = 65536, RANDOM_NAMES = 100000 };

/* The characters of a text as the C library reads it; -1 when it is no UTF-8, or has
 * something in it that a terminal acts on, or that hides or reorders what stands there. */
static int count_characters(const char *text, size_t len)
{
	mbstate_t state = {0};
	int count = 0;

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return -1;
	for (size_t at = 0, n; at < len; at += n, count++) {
		wchar_t code;

		n = mbrtowc(&code, text + at, len - at, &state);
		if (!n || n > len - at || iswcntrl((wint_t)code) || (code >= 0x200b && code <= 0x200f) ||
		    (code >= 0x202a && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
		    code == 0xfeff || code == 0x061c)
			return -1;
	}
	return count;
}

typedef void (*name_fn)(const char name[EV_COMM_BYTES]);

static void each_name_of_two_bytes(name_fn see)
{
	for (unsigned int i = 0; i < NAMES_OF_TWO_BYTES; i++) {
		const char name[EV_COMM_BYTES] = {(char)(i >> 8), (char)i};

		see(name);
	}
}

/* xorshift64: the same ones in every run and on every machine. */
static void each_random_name(name_fn see)
{
	uint64_t random = 0x9e3779b97f4a7c15;

	for (unsigned int i = 0; i < RANDOM_NAMES; i++) {
		char name[EV_COMM_BYTES] = "";
		size_t len = 1 + i % (EV_COMM_BYTES - 1);

		for (size_t at = 0; at < len; at++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			name[at] = (char)(random >> 24);
		}
		see(name);
	}
}

static struct printer printer;

/* A transition of a process of that name; the line is in the printer. */
static void print_name(const char name[EV_COMM_BYTES])
{
	struct owner owner = {.pid = 1};
	struct life life = {.conn = 7, .role = ROLE_CLIENT};
	const struct change change = {.kind = CHANGE_TRANSITION,
				      .old_state = EV_SYN_SENT,
				      .new_state = EV_ESTABLISHED,
				      .in_old_ns = NS_PER_MS,
				      .life = &life,
				      .owner = &owner};

	memcpy(owner.comm, name, EV_COMM_BYTES);
	strbuf__clear(&printer.out);
	printer__change(&printer, &change);
	assert_false(printer.out.failed);
}

static void with_printer(const struct printer_ops *ops, void (*each)(name_fn see), name_fn expect)
{
	const struct printer_config config = {.of = OF_EVENTS};

	printer__init(&printer, ops, &config, 1700000000 * NS_PER_S);
	each(expect);
	printer__fini(&printer);
}

#endif
