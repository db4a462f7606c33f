/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of user/event/filter*.c: what the grammar accepts and means, what
 * is said about what it does not accept, and by random filters against random
 * connections that the kernel's part never loses what the user asked for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Allocations that still succeed; negative: all. */
static int allocations_left = -1;

static void *limited_realloc(void *old, size_t size)
{
	if (!allocations_left) {
		errno = ENOMEM;
		return NULL;
	}
	allocations_left -= allocations_left > 0;
	return realloc(old, size);
}

#define realloc(old, size) limited_realloc(old, size)
#define malloc(size) limited_realloc(NULL, size)
#include "base/spelling.c"
#include "event/connection.c"
#include "event/filter.c"
#include "event/filter_text.c"
#include "event/filter_parse.c"
#include "event/filter_token.c"
#include "event/filter_hint.c"
#include "event/filter_place.c"
#include "event/filter_trait.c"
#undef realloc
#undef malloc

/* ---- helpers ------------------------------------------------------------ */

static const uint8_t here[16] = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 5 };
static const uint8_t there[16] = { [10] = 0xff, [11] = 0xff, 10, 1, 0, 9 };
static const uint8_t here6[16] = { 0xfd, [15] = 5 };
static const uint8_t there6[16] = { 0xfd, 1, [15] = 9 };

static const struct filter_subject client = {
	.local_addr = here, .remote_addr = there, .local_port = 43210, .remote_port = 443,
	.netns = 4026531840, .states = 1 << EV_ESTABLISHED, .pid = 811, .role = ROLE_CLIENT,
	.comm = "curl\0\0\0\0\0\0\0\0\0\0\0",
};

static const struct filter_subject server6 = {
	.local_addr = here6, .remote_addr = there6, .local_port = 80, .remote_port = 50000,
	.netns = 7, .states = 1 << EV_TIME_WAIT | 1 << EV_CLOSING, .pid = 1, .role = ROLE_SERVER,
	.comm = "my prog\0\0\0\0\0\0\0\0",
};

static const struct filter_subject unknown;

static struct filter *parsed(const char *text)
{
	struct filter_error error;
	struct filter *filter = filter__parse(&text, 1, &error);

	if (!filter)
		fail_msg("\"%s\": %s", text, error.message);
	return filter;
}

static enum filter_verdict verdict(const char *text, const struct filter_subject *subject)
{
	struct filter *filter = parsed(text);
	enum filter_verdict result = filter__match(filter, subject);

	filter__free(filter);
	return result;
}

static void expect_yes(const char *text, const struct filter_subject *subject)
{
	if (verdict(text, subject) != FILTER_YES)
		fail_msg("\"%s\" does not say yes", text);
}

static void expect_no(const char *text, const struct filter_subject *subject)
{
	if (verdict(text, subject) != FILTER_NO)
		fail_msg("\"%s\" does not say no", text);
}

static void expect_undecided(const char *text, const struct filter_subject *subject)
{
	if (verdict(text, subject) != FILTER_UNDECIDED)
		fail_msg("\"%s\" is not undecided", text);
}

/* ---- what it means ------------------------------------------------------ */

static void texts_that_say_yes(void **state)
{
	static const char *const texts[] = {
		"", " \t\n", "port 443", "port 80,443", "port 400-500", "port 1-2,443", "port 43210",
		"remote port 443", "dst port 443", "dport 443", "local port 43210", "sport :43210",
		"portrange 440-450", "dport = :443", "dport == 443", "dport eq 443", "dport != 80",
		"dport ne :80,81", "dport >= 443", "dport>442", "dport <= :443", "dport lt 444",
		"dport gt 442", "port > 40000", "remote port = 443", "port != 80", "dport=443",
		"host 10.0.0.5", "host 10.1.0.9", "local host 10.0.0.5", "src 10.0.0.5",
		"dst 10.1.0.9", "dst host 10.1.0.9", "dst 10.1.0.0/16", "dst net 10.1.0.0/16",
		"net 10.0.0.0/16", "remote net 10.0.0.0/8", "net 0.0.0.0/0", "host ::ffff:10.0.0.5",
		"host ::FFFF:a00:5", "net ::ffff:10.0.0.0/104", "dst 10.1.0.9:443", "dst :443",
		"dst *:443", "src 10.0.0.0/8:43210", "remote 10.1.0.9", "local 10.0.0.5:1,43210",
		"dst = 10.1.0.9", "dst != 10.1.0.8", "dst != 10.1.0.9:80", "host != 10.9.9.9",
		"state established", "state estab,time-wait", "state ESTABLISHED", "state != time-wait",
		"state connected", "state synchronized", "state big", "state all", "pid 811",
		"pid != 1", "comm curl", "comm 'curl'", "comm \"curl\"", "comm != wget",
		"netns 4026531840", "netns != 5", "role client", "role != server", "ipv4", "ip",
		"not ipv6", "! ip6", "!ip6", "tcp", "tcp port 443", "ip host 10.0.0.5",
		"port 443 and pid 811", "port 443 pid 811", "port 443 && pid 811", "port 443&pid 811",
		"port 80 or pid 811", "port 80||pid 811", "port 80 | pid 811", "not port 80",
		"not not port 443", "not (port 80 or pid 1)", "!(port 80)and(port 443)",
		"((((port 443))))", "port 80 or port 443 and pid 811", "port 443 or port 80 and pid 1",
		"not port 80 pid 811", "not port 80 or port 80",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		expect_yes(texts[i], &client);
}

static void texts_that_say_no(void **state)
{
	static const char *const texts[] = {
		"port 80", "port 444-500", "local port 443", "sport 443", "remote port 43210",
		"dport != 443", "dport != 80,443", "port != 443", "dport > 443", "dport < 443",
		"dport >= 444", "dport le 442", "host 10.0.0.6", "src 10.1.0.9", "remote host 10.0.0.5",
		"net 10.2.0.0/16", "src net 10.1.0.0/16", "net ::/0", "host ::a00:5", "dst 10.1.0.9:80",
		"dst 10.1.0.8:443", "dst != 10.1.0.9:443", "state time-wait", "state != estab",
		"state bucket", "pid 812", "comm cur", "comm curls", "comm Curl", "netns 1",
		"role server", "role listener", "role both", "ipv6", "not ipv4", "not tcp",
		"port 443 and pid 1", "port 443 pid 1", "port 80 or pid 1", "not port 443",
		"not (port 80 or pid 811)", "(port 80 or port 443) and pid 1", "not port 80 pid 1",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		expect_no(texts[i], &client);
}

static void v6_and_names(void **state)
{
	(void)state;
	expect_yes("ipv6", &server6);
	expect_yes("host fd00::5", &server6);
	expect_yes("src [fd00::5]:80", &server6);
	expect_yes("src [fd00::5]", &server6);
	expect_yes("src fd00::/16", &server6);
	expect_yes("src [fd00::]/16", &server6);
	expect_yes("net fd01::/16", &server6);
	expect_yes("net ::/0", &server6);
	expect_no("net 0.0.0.0/0", &server6);
	expect_no("dst fd00::/16", &server6);
	expect_no("host fd00::6", &server6);
	expect_yes("state closing", &server6);
	expect_yes("state time-wait", &server6);
	expect_yes("comm 'my prog'", &server6);
	expect_yes("(comm \"my prog\")", &server6);
	expect_no("comm my", &server6);
}

static void roles(void **state)
{
	struct filter_subject s = { .role = ROLE_BOTH };

	(void)state;
	expect_yes("role client", &s);
	expect_yes("role server", &s);
	expect_yes("role both", &s);
	expect_no("role listener", &s);
	s.role = ROLE_LISTENER;
	expect_no("role client", &s);
	expect_no("role server", &s);
	expect_yes("role listener", &s);
}

static void unknown_is_undecided(void **state)
{
	static const char *const texts[] = {
		"port 80", "local port 80", "dport 80", "host 10.0.0.1", "src ::1", "dst net 10.0.0.0/8",
		"state listen", "pid 1", "comm x", "netns 1", "role client", "ipv4", "ipv6",
		"not port 80", "port 80 and pid 1", "port 80 or pid 1", "dport != 80",
	};
	struct filter_subject s = { .comm = "", .local_port = 80 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		expect_undecided(texts[i], &unknown);
	/* One side suffices for yes, never for no. */
	expect_yes("port 80", &s);
	expect_undecided("port 81", &s);
	expect_no("port != 80", &s);
	/* No and undecided is no, yes or undecided is yes, in both orders. */
	expect_no("sport 81 and pid 1", &s);
	expect_no("pid 1 and sport 81", &s);
	expect_yes("sport 80 or pid 1", &s);
	expect_yes("pid 1 or sport 80", &s);
	expect_undecided("sport 80 and pid 1", &s);
	expect_undecided("pid 1 or sport 81", &s);
	expect_undecided("comm x", &s);
	/* The family is the remote address's, or the local one's. */
	s.local_addr = here;
	expect_yes("ipv4", &s);
	s.remote_addr = there6;
	expect_no("ipv4", &s);
}

/* A comm that fills its 16 bytes has no NUL to stop at. */
static void comm_of_full_length(void **state)
{
	char comm[EV_COMM_BYTES];
	struct filter_subject s = { .comm = comm };

	(void)state;
	memcpy(comm, "123456789012345", sizeof(comm));
	expect_yes("comm 123456789012345", &s);
	expect_no("comm 12345678901234", &s);
	comm[15] = '6';
	expect_no("comm 123456789012345", &s);
}

static void expect_words(const struct filter_subject *subject, const char *const *words,
			 size_t count)
{
	struct filter_error error;
	struct filter *filter = filter__parse(words, count, &error);

	if (!filter)
		fail_msg("\"%s\"...: %s", words[0], error.message);
	assert_int_equal(filter__match(filter, subject), FILTER_YES);
	filter__free(filter);
}

#define EXPECT_WORDS(subject, ...) \
	expect_words(subject, (const char *const[]){ __VA_ARGS__ }, \
		     COUNT_OF(((const char *const[]){ __VA_ARGS__ })))

static void words_from_the_shell(void **state)
{
	static const struct filter_subject pam = { .comm = "(sd-pam)\0\0\0\0\0\0\0" };

	(void)state;
	EXPECT_WORDS(&client, "port", "443");
	EXPECT_WORDS(&client, "(port 443 or", "port", "80)");
	EXPECT_WORDS(&client, "(port", "443)");
	EXPECT_WORDS(&client, "netns 4026531840&&comm curl||pid 1");
	EXPECT_WORDS(&client, "(", "port 443", ")", "and", "(comm", "curl)");
	EXPECT_WORDS(&client, "", "port", "", "443", "");
	/* The shell took the quotes: the argument is the name. */
	EXPECT_WORDS(&server6, "comm", "my prog");
	EXPECT_WORDS(&server6, "comm", "my prog", "and", "port", "80");
	EXPECT_WORDS(&server6, "(comm", "my prog)", "and", "port", "80");
	EXPECT_WORDS(&server6, "port", "80", "comm", "!=", "your prog");
	EXPECT_WORDS(&pam, "comm", "(sd-pam)");
	EXPECT_WORDS(&pam, "(comm", "(sd-pam))");
	EXPECT_WORDS(&pam, "(comm (sd-pam)) or port 80");
	assert_int_equal(verdict("comm 'and'", &client), FILTER_NO);
}

static void no_words_accept_everything(void **state)
{
	struct filter_error error;
	struct filter *filter = filter__parse(NULL, 0, &error);
	struct kernel_filter terms, none = { 0 };

	(void)state;
	assert_non_null(filter);
	assert_true(filter__accepts_all(filter));
	assert_int_equal(filter__match(filter, &unknown), FILTER_YES);
	assert_int_equal(filter__match(filter, &client), FILTER_YES);
	filter__kernel_terms(filter, &terms);
	assert_memory_equal(&terms, &none, sizeof(terms));
	filter__free(filter);
	filter__free(NULL);
}

static void both_must_accept(void **state)
{
	struct filter *filter = filter__and(parsed("port 443"), parsed("pid 1 or comm curl"));

	(void)state;
	assert_false(filter__accepts_all(filter));
	assert_int_equal(filter__match(filter, &client), FILTER_YES);
	filter = filter__and(filter, parsed("not (ipv6 or netns 4)"));
	assert_int_equal(filter__match(filter, &client), FILTER_YES);
	filter = filter__and(parsed(""), filter);
	filter = filter__and(filter, parsed(""));
	filter = filter__and(filter, NULL);
	filter = filter__and(NULL, filter);
	assert_int_equal(filter__match(filter, &client), FILTER_YES);
	assert_int_equal(filter__match(filter, &server6), FILTER_NO);
	filter = filter__and(filter, parsed("role server"));
	assert_int_equal(filter__match(filter, &client), FILTER_NO);
	filter__free(filter);

	filter = filter__and(NULL, NULL);
	assert_int_equal(filter__match(filter, &unknown), FILTER_YES);
	filter__free(filter);
}

static void network_namespaces(void **state)
{
	struct filter_subject s = { 0 };
	struct stat file;

	(void)state;
	if (stat("/proc/self/ns/net", &file))
		skip();
	s.netns = (uint32_t)file.st_ino;
	expect_yes("netns self", &s);
	expect_yes("netns /proc/self/ns/net", &s);
	expect_yes("netns '/proc/self/ns/net' and not netns 5", &s);
	expect_yes("(netns /proc/thread-self/ns/net)", &s);
	s.netns++;
	expect_no("netns self", &s);
}

/* ---- what is wrong with it ---------------------------------------------- */

struct mistake {
	const char *text;
	size_t begin;
	size_t end;
	const char *message;
};

static void expect_mistake(const char *const *words, size_t count, const struct mistake *mistake)
{
	struct filter_error error;

	errno = 0;
	if (filter__parse(words, count, &error))
		fail_msg("\"%s\" is accepted", mistake->text);
	assert_int_equal(errno, EINVAL);
	if (strcmp(error.message, mistake->message))
		fail_msg("\"%s\":\n  says  %s\n  wants %s", mistake->text, error.message,
			 mistake->message);
	if (error.begin != mistake->begin || error.end != mistake->end)
		fail_msg("\"%s\": bytes %zu to %zu, not %zu to %zu", mistake->text, error.begin,
			 error.end, mistake->begin, mistake->end);
}

static void expect_mistakes(const struct mistake *mistakes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect_mistake(&mistakes[i].text, 1, &mistakes[i]);
}

static void mistakes_of_grammar(void **state)
{
	static const struct mistake mistakes[] = {
		{ "port 80 and", 8, 11, "\"and\" has nothing on its right" },
		{ "port 80 ||", 8, 10, "\"||\" has nothing on its right" },
		{ "port 80 or and pid 1", 8, 10, "\"or\" has nothing on its right" },
		{ "port 80 and and pid 1", 8, 11, "\"and\" has nothing on its right" },
		{ "(port 80 or)", 9, 11, "\"or\" has nothing on its right" },
		{ "not", 0, 3, "\"not\" has nothing on its right" },
		{ "port 80 !", 8, 9, "\"!\" has nothing on its right" },
		{ "and port 80", 0, 3, "\"and\" has nothing on its left" },
		{ "pid 1 (or port 80)", 7, 9, "\"or\" has nothing on its left" },
		{ "(port 80", 0, 1, "\"(\" is never closed" },
		{ "pid 1 and ((port 80)", 10, 11, "\"(\" is never closed" },
		{ "pid 1 (", 6, 7, "\"(\" is never closed" },
		{ "pid 1 ( )", 6, 9, "\"(\" and \")\" have nothing between them" },
		{ ") port 80", 0, 1, "\")\" closes nothing: remove it, or open a \"(\" before it" },
		{ "port 80) or pid 1", 7, 8, "\")\" closes nothing: remove it, or open a \"(\" before it" },
		{ "= 80", 0, 1, "\"=\" has nothing to compare on its left" },
		{ "ipv4 = 80", 5, 6, "\"=\" has nothing to compare on its left" },
		{ "pid > 80", 4, 5, "\">\" compares ports only" },
		{ "src ge 10.0.0.1", 4, 6, "\"ge\" compares ports only" },
	};

	(void)state;
	expect_mistakes(mistakes, COUNT_OF(mistakes));
}

static void mistakes_of_words(void **state)
{
	static const struct mistake mistakes[] = {
		{ "prot 443", 0, 4, "unknown word \"prot\": did you mean \"port\"?" },
		{ "pid 1 and PORT 443", 10, 14, "unknown word \"PORT\": did you mean \"port\"?" },
		{ "remotte port 443", 0, 7, "unknown word \"remotte\": did you mean \"remote\"?" },
		{ "pid 1 adn pid 2", 6, 9, "unknown word \"adn\": did you mean \"and\"?" },
		{ "ipv5", 0, 4, "unknown word \"ipv5\": did you mean \"ipv4\"?" },
		{ "443", 0, 3, "\"443\" stands alone: did you mean \"port 443\"?" },
		{ "port 80 or 443", 11, 14, "\"443\" stands alone: did you mean \"port 443\"?" },
		{ "10.0.0.1", 0, 8, "\"10.0.0.1\" stands alone: did you mean \"host 10.0.0.1\"?" },
		{ "::1", 0, 3, "\"::1\" stands alone: did you mean \"host ::1\"?" },
		{ "10.0.0.0/8", 0, 10, "\"10.0.0.0/8\" stands alone: did you mean \"net 10.0.0.0/8\"?" },
		{ "Time-Wait", 0, 9, "\"Time-Wait\" stands alone: did you mean \"state Time-Wait\"?" },
		{ "frobnicate", 0, 10, "unknown word \"frobnicate\": a filter is made of words such as \"port 443\" or \"state time-wait\"" },
		{ "x\x1b[31m", 0, 6, "unknown word \"x?[31m\": a filter is made of words such as \"port 443\" or \"state time-wait\"" },
		{ "state time-wiat", 6, 15, "unknown state \"time-wiat\": did you mean \"TIME_WAIT\"?" },
		{ "state estab,wrong", 12, 17, "state wants a TCP state such as established or time-wait, not \"wrong\"" },
		{ "state estab,", 6, 12, "\"estab,\" has an empty place: write a list with one comma between two and no spaces" },
		{ "state", 0, 5, "state wants a TCP state such as established or time-wait after it" },
		{ "role clinet", 5, 11, "role wants \"client\" or \"server\", not \"clinet\"" },
		{ "pid 0", 4, 5, "pid wants the number of a process, not \"0\"" },
		{ "pid 5000000000", 4, 14, "pid wants the number of a process, not \"5000000000\"" },
		{ "pid and", 4, 7, "pid wants the number of a process, not \"and\"" },
		{ "(pid)", 1, 4, "pid wants the number of a process after it" },
	};

	(void)state;
	expect_mistakes(mistakes, COUNT_OF(mistakes));
}

static void mistakes_of_ports(void **state)
{
	static const struct mistake mistakes[] = {
		{ "port 99999", 5, 10, "port wants a number from 1 to 65535, not \"99999\"" },
		{ "port 0", 5, 6, "port wants a number from 1 to 65535, not \"0\"" },
		{ "port 65536", 5, 10, "port wants a number from 1 to 65535, not \"65536\"" },
		{ "port 18446744073709551617", 5, 25, "port wants a number from 1 to 65535, not \"18446744073709551617\"" },
		{ "port http", 5, 9, "port wants a number from 1 to 65535, not \"http\"" },
		{ "port +80", 5, 8, "port wants a number from 1 to 65535, not \"+80\"" },
		{ "port 80,x,443", 8, 9, "port wants a number from 1 to 65535, not \"x\"" },
		{ "port 80-", 5, 8, "port wants a number from 1 to 65535, not \"80-\"" },
		{ "port 80-90-95", 8, 13, "port wants a number from 1 to 65535, not \"90-95\"" },
		{ "port 90-80", 5, 10, "\"90-80\" runs backwards: did you mean \"80-90\"?" },
		{ "port 80,,443", 5, 12, "\"80,,443\" has an empty place: write a list with one comma between two and no spaces" },
		{ "port 80, 443", 5, 8, "\"80,\" has an empty place: write a list with one comma between two and no spaces" },
		{ "port", 0, 4, "port wants a number from 1 to 65535 after it" },
		{ "local port", 6, 10, "port wants a number from 1 to 65535 after it" },
		{ "port (80)", 5, 6, "port wants a number from 1 to 65535, not \"(\"" },
		{ "sport >= 80,443", 9, 15, "sport wants a number from 1 to 65535, not \"80,443\"" },
		{ "dport > 65535", 8, 13, "no port is above 65535" },
		{ "dport < :1", 8, 10, "no port is below 1" },
		{ "dst 10.0.0.1:99999", 13, 18, "port wants a number from 1 to 65535, not \"99999\"" },
	};

	(void)state;
	expect_mistakes(mistakes, COUNT_OF(mistakes));
}

static void mistakes_of_addresses(void **state)
{
	static const struct mistake mistakes[] = {
		{ "host example.com", 5, 16, "host wants an address such as 10.0.0.1 or fd00::1, not \"example.com\"" },
		{ "host 10.0.0", 5, 11, "host wants an address such as 10.0.0.1 or fd00::1, not \"10.0.0\"" },
		{ "host 10.0.0.0/8", 5, 15, "host wants one address: write \"net 10.0.0.0/8\"" },
		{ "remote net 10.0.0.1/8", 11, 21, "an address bit is set beyond the length: did you mean \"10.0.0.0/8\" or \"10.0.0.1\"?" },
		{ "src 10.0.0.0/4", 4, 14, "an address bit is set beyond the length: did you mean \"0.0.0.0/4\" or \"10.0.0.0\"?" },
		{ "net fd00::1/64", 4, 14, "an address bit is set beyond the length: did you mean \"fd00::/64\" or \"fd00::1\"?" },
		{ "net ::ffff:10.0.0.1/104", 4, 23, "an address bit is set beyond the length: did you mean \"10.0.0.0/8\" or \"10.0.0.1\"?" },
		{ "net 10.0.0.0/33", 4, 15, "the length after the \"/\" is a number from 0 to 32, not \"33\"" },
		{ "net fd00::/129", 4, 14, "the length after the \"/\" is a number from 0 to 128, not \"129\"" },
		{ "net 10.0.0.0/", 4, 13, "the length after the \"/\" is a number from 0 to 32, not \"\"" },
		{ "net 10.0.0.0", 4, 12, "net wants a length after the address: add it, or write \"host 10.0.0.0\"" },
		{ "net 10/8", 4, 8, "net wants a network such as 10.0.0.0/8 or fd00::/8, not \"10/8\"" },
		{ "dst *", 4, 5, "dst wants \"port\", \"host\", \"net\" or an address, not \"*\"" },
		{ "dst 10.0.0.1:", 4, 13, "dst wants \"port\", \"host\", \"net\" or an address, not \"10.0.0.1:\"" },
		{ "src sport 80", 4, 9, "src wants \"port\", \"host\", \"net\" or an address, not \"sport\"" },
		{ "src [::1", 4, 8, "src wants \"port\", \"host\", \"net\" or an address, not \"[::1\"" },
		{ "local and", 6, 9, "local wants \"port\", \"host\", \"net\" or an address, not \"and\"" },
	};

	(void)state;
	expect_mistakes(mistakes, COUNT_OF(mistakes));
}

static void mistakes_of_names(void **state)
{
	static const struct mistake mistakes[] = {
		{ "comm systemd-resolved", 5, 21, "the kernel keeps 15 bytes of a process name: did you mean \"systemd-resolve\"?" },
		{ "comm 'x", 5, 7, "the quote ' is never closed" },
		{ "comm \"\"", 5, 7, "comm wants the name of a process, not \"\"\"\"" },
		{ "comm", 0, 4, "comm wants the name of a process after it" },
		{ "comm or port 80", 5, 7, "comm wants the name of a process, not \"or\"" },
		{ "netns /no/such/place", 6, 20, "netns \"/no/such/place\": No such file or directory" },
		{ "netns no-such-name", 6, 18, "netns \"/run/netns/no-such-name\": No such file or directory" },
		{ "netns /dev/null", 6, 15, "netns \"/dev/null\" is not a network namespace" },
		{ "netns", 0, 5, "netns wants an inode, a path, a name under /run/netns or \"self\" after it" },
	};
	char path[600] = "netns /";
	struct mistake too_long = { path, 6, 599, "the netns path is longer than 511 bytes" };
	const char *text = path;

	(void)state;
	expect_mistakes(mistakes, COUNT_OF(mistakes));
	memset(path + 7, 'x', sizeof(path) - 8);
	expect_mistake(&text, 1, &too_long);
}

/* Positions count the single spaces that join the words. */
static void mistakes_across_words(void **state)
{
	static const char *const words[] = { "(port", "80 or", "", "prot", "443)" };
	static const struct mistake mistake = {
		"(port 80 or  prot 443)", 13, 17, "unknown word \"prot\": did you mean \"port\"?",
	};

	(void)state;
	expect_mistake(words, COUNT_OF(words), &mistake);
}

static char *repeat(const char *before, size_t times, const char *middle, const char *after)
{
	size_t size = times * (strlen(before) + strlen(after)) + strlen(middle) + 1;
	char *text = malloc(size), *at = text;

	assert_non_null(text);
	for (size_t i = 0; i < times; i++)
		at = stpcpy(at, before);
	at = stpcpy(at, middle);
	for (size_t i = 0; i < times; i++)
		at = stpcpy(at, after);
	return text;
}

static void nesting_is_bounded(void **state)
{
	struct mistake mistake = {
		.begin = 64, .end = 65,
		.message = "\"(\" and \"not\" go at most 64 deep: write the filter flatter",
	};
	char *text;

	(void)state;
	for (int round = 0; round < 2; round++) {
		text = repeat(round ? "!" : "(", 64, "port 443", round ? "" : ")");
		expect_yes(text, &client);
		free(text);
		text = repeat(round ? "!" : "(", 65, "port 443", round ? "" : ")");
		mistake.text = text;
		expect_mistake(&mistake.text, 1, &mistake);
		free(text);
	}
	/* One after the other is not one in the other. */
	text = repeat("!(port 80) and ", 500, "port 443", "");
	expect_yes(text, &client);
	free(text);
}

static void terms_are_bounded(void **state)
{
	struct mistake mistake = {
		.begin = 1024 * 6, .end = 1024 * 6 + 4,
		.message = "a filter has at most 1024 terms: make it shorter",
	};
	char *text = repeat("ipv4 &", 1023, "ipv4", "");

	(void)state;
	expect_yes(text, &client);
	free(text);
	text = repeat("ipv4 &", 1024, "ipv4", "");
	mistake.text = text;
	expect_mistake(&mistake.text, 1, &mistake);
	free(text);
}

static void no_memory(void **state)
{
	static const char *const text = "port 80,443 and not (src 10.0.0.1 or dst != ::1) or ipv4";
	struct filter *filter = NULL, *left, *right;
	struct filter_error error;
	int allowed;

	(void)state;
	for (allowed = 0; !filter && allowed < 20; allowed++) {
		allocations_left = allowed;
		filter = filter__parse(&text, 1, &error);
		allocations_left = -1;
		if (!filter)
			assert_int_equal(errno, ENOMEM);
	}
	assert_in_range(allowed, 3, 19);
	assert_int_equal(filter__match(filter, &client), FILTER_YES);
	filter__free(filter);

	for (allowed = 0, filter = NULL; !filter && allowed < 20; allowed++) {
		left = parsed(text);
		right = parsed(text);
		allocations_left = allowed;
		filter = filter__and(left, right);
		allocations_left = -1;
		if (!filter)
			assert_int_equal(errno, ENOMEM);
	}
	assert_in_range(allowed, 2, 19);
	assert_int_equal(filter__match(filter, &client), FILTER_YES);
	filter__free(filter);
}

/* ---- explained ---------------------------------------------------------- */

static void expect_explained(const char *const *words, size_t count, const char *expected)
{
	struct filter_error error;
	char text[512], small[20];

	assert_null(filter__parse(words, count, &error));
	assert_int_equal(filter__explain(&error, words, count, text, sizeof(text)), strlen(expected));
	assert_string_equal(text, expected);

	/* Cut to the room, and never beyond it. */
	memset(small, 0x5a, sizeof(small));
	assert_int_equal(filter__explain(&error, words, count, small, 10), strlen(expected));
	assert_memory_equal(small, expected, 9);
	assert_int_equal(small[9], 0);
	assert_int_equal(small[10], 0x5a);
	assert_int_equal(filter__explain(&error, words, count, NULL, 0), strlen(expected));
}

static void explained_in_three_lines(void **state)
{
	static const char *const plain[] = { "pid", "1", "and", "prot", "443" };
	static const char *const wide[] = { "comm", "gr\xc3\xbc\xc3\x9f", "pr\xc3\xb6t 443" };
	static const char *const hostile[] = { "comm", "\x1b[2J", "\23331m\xc2\x9b\x7f\xed\xa0\x80" };
	static const char *const at_end[] = { "port", "80", "or" };
	static const char *const lines[] = { "port\n80", "por" };

	(void)state;
	expect_explained(plain, 5,
			 "unknown word \"prot\": did you mean \"port\"?\n"
			 "  pid 1 and prot 443\n"
			 "            ^~~~\n");
	expect_explained(wide, 3,
			 "unknown word \"pr\xc3\xb6t\": a filter is made of words such as \"port 443\" or \"state time-wait\"\n"
			 "  comm gr\xc3\xbc\xc3\x9f pr\xc3\xb6t 443\n"
			 "            ^~~~\n");
	expect_explained(hostile, 3,
			 "unknown word \"?31m??????\": a filter is made of words such as \"port 443\" or \"state time-wait\"\n"
			 "  comm ?[2J ?31m??????\n"
			 "            ^~~~~~~~~~\n");
	expect_explained(at_end, 3,
			 "\"or\" has nothing on its right\n"
			 "  port 80 or\n"
			 "          ^~\n");
	expect_explained(lines, 2,
			 "unknown word \"por\": did you mean \"port\"?\n"
			 "  port?80 por\n"
			 "          ^~~\n");
}

static void only_printable_characters(void **state)
{
	static const struct {
		const char *text;
		size_t bytes;
	} cases[] = {
		{ "a", 1 }, { " ", 1 }, { "~", 1 }, { "\x1f", 0 }, { "\n", 0 }, { "\x7f", 0 },
		{ "\x80", 0 }, { "\x9b", 0 }, { "\xc2\x80", 0 }, { "\xc2\x9f", 0 }, { "\xc2\xa0", 2 },
		{ "\xc0\x9b", 0 }, { "\xc1\xbf", 0 }, { "\xdf\xbf", 2 }, { "\xe0\x9f\xbf", 0 },
		{ "\xe0\x80\x9b", 0 }, { "\xe0\xa0\x80", 3 }, { "\xed\x9f\xbf", 3 }, { "\xed\xa0\x80", 0 },
		{ "\xee\x80\x80", 3 }, { "\xf0\x8f\xbf\xbf", 0 }, { "\xf0\x9f\x98\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 }, { "\xf4\x90\x80\x80", 0 }, { "\xf8\x88\x80\x80\x80", 0 },
		{ "\xc3", 0 }, { "\xc3(", 0 }, { "\xe2\x82", 0 }, { "\xff", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(printable_bytes(cases[i].text, strlen(cases[i].text)), cases[i].bytes);
}

/* A message quotes a long word in part, and only whole characters of it. */
static void long_words_are_cut(void **state)
{
	char *text = repeat("", 100, "x", "\xe2\x82\xac");
	struct filter_error error;

	(void)state;
	assert_null(filter__parse((const char *const *)&text, 1, &error));
	assert_null(strchr(error.message, '?'));
	assert_non_null(strstr(error.message, "\xe2\x82\xac\": a filter is made"));
	assert_int_equal(error.end, 301);
	free(text);
}

/* ---- the kernel's part -------------------------------------------------- */

static size_t show_ports(char *at, const char *name, const struct kernel_filter_ports *ports)
{
	size_t len = 0;

	for (uint32_t i = 0; i < ports->count; i++)
		len += (size_t)sprintf(at + len, "%s%u", i ? "," : name, ports->port[i]);
	return len;
}

static size_t show_net(char *at, const char *name, const struct kernel_filter_net *net)
{
	unsigned int bits = mask__bits(net->mask);
	char addr[ADDR_TEXT_MAX];
	int len = (int)addr__format(net->address, addr);

	return bits ? (size_t)sprintf(at, "%s%.*s/%u", name, len, addr, bits) : 0;
}

/* "l" local, "r" remote, "e" either. */
static void show_terms(const char *text, char *at)
{
	struct filter *filter = parsed(text);
	struct kernel_filter terms;

	filter__kernel_terms(filter, &terms);
	filter__free(filter);
	*at = '\0';
	if (terms.family)
		at += sprintf(at, " ipv%d", terms.family == AF_INET ? 4 : 6);
	if (terms.netns)
		at += sprintf(at, " netns %u", terms.netns);
	at += show_ports(at, " l:", &terms.local_ports);
	at += show_ports(at, " r:", &terms.remote_ports);
	at += show_ports(at, " e:", &terms.either_ports);
	at += show_net(at, " l:", &terms.local_net);
	at += show_net(at, " r:", &terms.remote_net);
	show_net(at, " e:", &terms.either_net);
}

static void terms_for_the_kernel(void **state)
{
	static const struct {
		const char *text;
		const char *terms;
	} cases[] = {
		{ "port 443", " e:443" },
		{ "local port 80", " l:80" },
		{ "dport 80,443", " r:80,443" },
		{ "port 80 or port 443", " e:80,443" },
		{ "port 80 or port 80", " e:80" },
		{ "port 1,2,3,4 or port 5-8", " e:1,2,3,4,5,6,7,8" },
		{ "port 1,2,3,4 or port 5-9", "" },
		{ "port 1-8", " e:1,2,3,4,5,6,7,8" },
		{ "port 1-9", "" },
		{ "port 1-9 or port 1", "" },
		{ "port 1 or port 1-9", "" },
		{ "port 65535", " e:65535" },
		{ "port 65530-65535", " e:65530,65531,65532,65533,65534,65535" },
		{ "sport 80 or dport 80", " e:80" },
		{ "sport 80 or dport 443", " e:80,443" },
		{ "sport 80 or sport 443", " l:80,443" },
		{ "port 80 and local port 80", " l:80" },
		{ "dport 80,443 and dport 443", " r:443" },
		{ "port 80 or pid 1", "" },
		{ "port 80 and pid 1", " e:80" },
		{ "not port 80", "" },
		{ "not not port 80", " e:80" },
		{ "dport != 80", "" },
		{ "not dport != 80", " r:80" },
		{ "not (dport != 80 or dport != 80)", " r:80" },
		{ "not (dport != 80 and dport != 443)", " r:80,443" },
		{ "host 10.0.0.1", " e:10.0.0.1/128" },
		{ "remote net 10.0.0.0/8", " r:10.0.0.0/104" },
		{ "src fd00::/8", " l:fd00::/8" },
		{ "net ::/0", "" },
		{ "net 0.0.0.0/0", " e:0.0.0.0/96" },
		{ "dst 10.0.0.0/8 and dst 10.1.0.0/16", " r:10.1.0.0/112" },
		{ "dst 10.0.0.1 or dst 10.0.0.2", " r:10.0.0.0/126" },
		{ "dst 10.0.0.1 or src 10.0.0.1", " e:10.0.0.1/128" },
		{ "dst 10.0.0.1 or dst fd00::1", "" },
		{ "dst 10.0.0.9:5432", " r:5432 r:10.0.0.9/128" },
		{ "ipv4", " ipv4" },
		{ "not ipv4", " ipv6" },
		{ "ipv4 or ipv6", "" },
		{ "ipv4 and not ip6", " ipv4" },
		{ "netns 5", " netns 5" },
		{ "netns 5 or netns 6", "" },
		{ "netns 5 and (port 80 or port 81) and ipv6", " ipv6 netns 5 e:80,81" },
		{ "netns 5 port 80 or netns 5 port 81", " netns 5 e:80,81" },
		{ "(ipv4 and sport 80) or (ipv4 and sport 81)", " ipv4 l:80,81" },
		{ "not tcp", "" },
		{ "tcp port 80", " e:80" },
		{ "tcp or port 80", "" },
		{ "state listen role client comm x pid 1", "" },
	};
	char terms[400];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		show_terms(cases[i].text, terms);
		if (strcmp(terms, cases[i].terms))
			fail_msg("\"%s\":%s, not%s", cases[i].text, terms, cases[i].terms);
	}
}

/*
 * What a BPF program does with the terms, as bpf/settings.h has it. What is not
 * known (a NULL address, a port 0) passes if `lenient`: a local port is 0 until
 * connect() has chosen one.
 */
static bool port_passes(const struct kernel_filter_ports *ports, uint16_t port, bool lenient)
{
	if (!ports->count || (!port && lenient))
		return true;
	for (uint32_t i = 0; i < ports->count; i++)
		if (port && ports->port[i] == port)
			return true;
	return false;
}

static bool addr_passes(const struct kernel_filter_net *net, const uint8_t *addr, bool lenient)
{
	static const uint8_t everything[16];

	if (!memcmp(net->mask, everything, 16))
		return true;
	if (!addr)
		return lenient;
	for (int i = 0; i < 16; i++)
		if ((addr[i] & net->mask[i]) != net->address[i])
			return false;
	return true;
}

static bool family_passes(uint32_t family, const struct filter_subject *s, bool lenient)
{
	const uint8_t *addr = s->remote_addr ? s->remote_addr : s->local_addr;

	if (!family)
		return true;
	return addr ? addr__family(addr) == (family == AF_INET ? 4 : 6) : lenient;
}

static bool passes(const struct kernel_filter *t, const struct filter_subject *s, bool lenient)
{
	if (t->netns && t->netns != s->netns && (s->netns || !lenient))
		return false;
	return family_passes(t->family, s, lenient) &&
	       port_passes(&t->local_ports, s->local_port, lenient) &&
	       port_passes(&t->remote_ports, s->remote_port, lenient) &&
	       (port_passes(&t->either_ports, s->local_port, lenient) ||
		port_passes(&t->either_ports, s->remote_port, lenient)) &&
	       addr_passes(&t->local_net, s->local_addr, lenient) &&
	       addr_passes(&t->remote_net, s->remote_addr, lenient) &&
	       (addr_passes(&t->either_net, s->local_addr, lenient) ||
		addr_passes(&t->either_net, s->remote_addr, lenient));
}

/* ---- random filters against random connections -------------------------- */

/* xorshift64: the same numbers in every run and on every machine. */
static uint64_t random_state = 0x2545f4914f6cdd1d;

static unsigned int random_below(unsigned int limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned int)(random_state >> 20) % limit;
}

/* Few values, so that filters and connections often meet. */
static const uint16_t some_ports[] = { 1, 80, 81, 82, 83, 84, 443, 444, 445, 8000, 65535 };
static const char *const some_addrs[2][6] = {
	{ "10.0.0.1", "10.0.0.2", "10.1.0.1", "192.0.2.1", "0.0.0.0", "127.0.0.1" },
	{ "::", "::1", "fd00::1", "fd00::2", "fd00:0:0:1::1", "2001:db8::1" },
};
static const char *const some_nets[] = {
	"0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/15", "10.0.0.0/16", "10.0.0.0/30", "10.0.0.1/32",
	"192.0.2.0/24", "::/0", "::/64", "fd00::/8", "fd00::/64", "fd00::/48", "::1/128",
	"::ffff:10.0.0.0/104", "::/90",
};
static const char *const some_comms[] = { "a", "my prog", "(sd-pam)", "123456789012345" };

struct connection {
	struct filter_subject subject;
	uint8_t local[16], remote[16];
	char comm[EV_COMM_BYTES];
};

static void to_addr(const char *text, uint8_t addr[16])
{
	char mapped[80];

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
	assert_int_equal(inet_pton(AF_INET6, mapped, addr), 1);
}

/* Everything is known, and both addresses are of one family. */
static void random_connection(struct connection *c)
{
	unsigned int family = random_below(2);

	memset(c, 0, sizeof(*c));
	to_addr(some_addrs[family][random_below(6)], c->local);
	to_addr(some_addrs[family][random_below(6)], c->remote);
	strcpy(c->comm, some_comms[random_below(COUNT_OF(some_comms))]);
	c->subject = (struct filter_subject){
		.local_addr = c->local,
		.remote_addr = c->remote,
		.local_port = some_ports[random_below(COUNT_OF(some_ports))],
		.remote_port = some_ports[random_below(COUNT_OF(some_ports))],
		.netns = 1 + random_below(3),
		.states = 2U << random_below(11),
		.pid = 1 + random_below(3),
		.role = (enum role)(1 + random_below(4)),
		.comm = c->comm,
	};
}

enum { FIELDS = 9 };

/* Takes from `to` each field that the mask does not have. */
static void forget(struct filter_subject *s, unsigned int known)
{
	s->local_addr = known & 1 ? s->local_addr : NULL;
	s->remote_addr = known & 2 ? s->remote_addr : NULL;
	s->local_port = known & 4 ? s->local_port : 0;
	s->remote_port = known & 8 ? s->remote_port : 0;
	s->netns = known & 16 ? s->netns : 0;
	s->states = known & 32 ? s->states : 0;
	s->pid = known & 64 ? s->pid : 0;
	s->role = known & 128 ? s->role : ROLE_UNKNOWN;
	s->comm = known & 256 ? s->comm : NULL;
}

/*
 * Writes a random filter and works out, apart from the product, what it says of
 * one connection: as the set of answers that are possible, 1 for no and 2 for
 * yes. What is not known has both.
 */
struct writer {
	char text[8192];
	size_t len;
	const struct filter_subject *subject;
};

enum { CAN_BE_NO = 1, CAN_BE_YES = 2 };

__attribute__((format(printf, 2, 3)))
static void write_text(struct writer *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	w->len += (size_t)vsnprintf(w->text + w->len, sizeof(w->text) - w->len, format, args);
	va_end(args);
	assert_true(w->len < sizeof(w->text));
}

static unsigned int answer(bool known, bool yes)
{
	return !known ? CAN_BE_NO | CAN_BE_YES : yes ? CAN_BE_YES : CAN_BE_NO;
}

static unsigned int negated(unsigned int a)
{
	return (a & CAN_BE_NO ? CAN_BE_YES : 0) | (a & CAN_BE_YES ? CAN_BE_NO : 0);
}

static unsigned int both(unsigned int a, unsigned int b)
{
	return ((a | b) & CAN_BE_NO) | (a & b & CAN_BE_YES);
}

static unsigned int any(unsigned int a, unsigned int b)
{
	return negated(both(negated(a), negated(b)));
}

/* 0 either, 1 local, 2 remote */
static unsigned int write_side(struct writer *w, bool bare)
{
	static const char *const names[] = { "local ", "src ", "remote ", "dst " };
	unsigned int side = random_below(bare ? 2 : 3) + bare;

	if (side)
		write_text(w, "%s", names[side * 2 - 2 + random_below(2)]);
	return side;
}

static unsigned int on_side(unsigned int side, unsigned int local, unsigned int remote)
{
	return side == 1 ? local : side == 2 ? remote : any(local, remote);
}

static unsigned int write_ports(struct writer *w)
{
	unsigned int side = write_side(w, false), elements = 1 + random_below(4);
	uint16_t l = w->subject->local_port, r = w->subject->remote_port;
	bool unequal = !random_below(5), l_in = false, r_in = false;
	unsigned int result;

	write_text(w, "port %s", unequal ? "!= " : "");
	for (unsigned int i = 0; i < elements; i++) {
		unsigned int low = some_ports[random_below(COUNT_OF(some_ports))];
		unsigned int high = random_below(2) ? low : low + random_below(10);

		high = high > 65535 ? 65535 : high;
		write_text(w, low == high ? "%s%u" : "%s%u-%u", i ? "," : "", low, high);
		l_in |= low <= l && l <= high;
		r_in |= low <= r && r <= high;
	}
	result = on_side(side, answer(l, l_in), answer(r, r_in));
	return unequal ? negated(result) : result;
}

static unsigned int write_bound(struct writer *w)
{
	bool local = random_below(2), below = random_below(2);
	uint16_t port = local ? w->subject->local_port : w->subject->remote_port;
	uint16_t bound = some_ports[random_below(COUNT_OF(some_ports))];

	write_text(w, "%s %s :%u", local ? "sport" : "dport", below ? "<=" : "ge", bound);
	return answer(port, below ? port <= bound : port >= bound);
}

/* Bit by bit, and by the text of the network. */
static bool is_in_net(const uint8_t *addr, const char *net)
{
	char text[64];
	uint8_t base[16];
	bool v4 = !strchr(net, ':'), mapped = addr && !memcmp(addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
	int bits;

	assert_int_equal(sscanf(net, "%63[^/]/%d", text, &bits), 2);
	to_addr(text, base);
	bits += v4 ? 96 : 0;
	if (!addr || (bits < 96 && mapped))
		return false;
	for (int i = 0; i < bits; i++)
		if ((addr[i / 8] ^ base[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static unsigned int write_net(struct writer *w)
{
	bool bare = random_below(2), is_host = random_below(2);
	unsigned int side = write_side(w, bare);
	const uint8_t *l = w->subject->local_addr, *r = w->subject->remote_addr;
	const char *host = some_addrs[random_below(2)][random_below(6)];
	char net[64];

	if (is_host)
		snprintf(net, sizeof(net), "%s/%d", host, strchr(host, ':') ? 128 : 32);
	else
		strcpy(net, some_nets[random_below(COUNT_OF(some_nets))]);
	write_text(w, "%s%s", bare ? "" : is_host ? "host " : "net ", is_host ? host : net);
	return on_side(side, answer(l, is_in_net(l, net)), answer(r, is_in_net(r, net)));
}

static unsigned int write_family(struct writer *w)
{
	const uint8_t *addr = w->subject->remote_addr ? w->subject->remote_addr
						      : w->subject->local_addr;
	bool v4 = random_below(2);

	write_text(w, v4 ? "ipv4" : "ip6");
	return answer(addr, is_in_net(addr, "0.0.0.0/0") == v4);
}

static unsigned int write_number(struct writer *w)
{
	bool is_pid = random_below(2);
	uint32_t number = 1 + random_below(3), has = is_pid ? w->subject->pid : w->subject->netns;

	write_text(w, "%s %u", is_pid ? "pid" : "netns", number);
	return answer(has, has == number);
}

static unsigned int write_state(struct writer *w)
{
	unsigned int a = 1 + random_below(11), b = 1 + random_below(11);
	uint32_t has = w->subject->states;

	write_text(w, "state %s,%s", state__name(a), state__name(b));
	return answer(has, has == 1U << a || has == 1U << b);
}

static unsigned int write_who(struct writer *w)
{
	const char *comm = some_comms[random_below(COUNT_OF(some_comms))];
	bool is_client = random_below(2);
	enum role role = w->subject->role;

	if (random_below(2)) {
		write_text(w, "comm '%s'", comm);
		return answer(w->subject->comm, w->subject->comm && !strcmp(w->subject->comm, comm));
	}
	write_text(w, "role %s", is_client ? "client" : "server");
	return answer(role, role == ROLE_BOTH || role == (is_client ? ROLE_CLIENT : ROLE_SERVER));
}

static unsigned int write_expression(struct writer *w, unsigned int depth);

static unsigned int write_factor(struct writer *w, unsigned int depth)
{
	static unsigned int (*const leaves[])(struct writer *) = {
		write_ports, write_ports, write_ports, write_bound, write_net, write_net,
		write_family, write_number, write_state, write_who,
	};
	unsigned int result;

	if (!random_below(5)) {
		write_text(w, random_below(2) ? "not " : "!");
		return negated(write_factor(w, depth));
	}
	if (!depth || random_below(2))
		return leaves[random_below(COUNT_OF(leaves))](w);
	write_text(w, "(");
	result = write_expression(w, depth - 1);
	write_text(w, ")");
	return result;
}

static unsigned int write_expression(struct writer *w, unsigned int depth)
{
	static const char *const ands[] = { " and ", " && ", " ", "&" };
	unsigned int result = CAN_BE_NO, factors, term;

	for (unsigned int i = 0, terms = 1 + random_below(3); i < terms; i++) {
		if (i)
			write_text(w, random_below(2) ? " or " : "||");
		term = CAN_BE_YES;
		factors = 1 + random_below(3);
		for (unsigned int j = 0; j < factors; j++) {
			if (j)
				write_text(w, "%s", ands[random_below(4)]);
			term = both(term, write_factor(w, depth));
		}
		result = any(result, term);
	}
	return result;
}

static enum filter_verdict to_verdict(unsigned int answers)
{
	return answers == CAN_BE_YES ? FILTER_YES : answers == CAN_BE_NO ? FILTER_NO : FILTER_UNDECIDED;
}

static void random_filters_mean_what_they_say(void **state)
{
	unsigned int seen[3] = { 0 };
	struct connection c;
	struct writer w;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		enum filter_verdict expected, got;

		random_connection(&c);
		if (random_below(2))
			forget(&c.subject, random_below(1 << FIELDS));
		w.len = 0;
		w.subject = &c.subject;
		expected = to_verdict(write_expression(&w, 2));
		got = verdict(w.text, &c.subject);
		if (got != expected)
			fail_msg("%d, not %d: %s", got, expected, w.text);
		seen[got]++;
	}
	for (int i = 0; i < 3; i++)
		assert_true(seen[i] > 1000);
}

/* The text is random; what it says of the subject here does not matter. */
static struct filter *random_filter(struct writer *w)
{
	static const struct filter_subject nothing;

	w->len = 0;
	w->subject = &nothing;
	write_expression(w, random_below(3));
	return parsed(w->text);
}

static void kernel_loses_nothing_that_is_wanted(void **state)
{
	unsigned int accepted = 0, refused = 0;
	struct kernel_filter terms;
	struct connection c;
	struct writer w;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		struct filter *filter = random_filter(&w);

		filter__kernel_terms(filter, &terms);
		for (int i = 0; i < 40; i++) {
			enum filter_verdict v;

			random_connection(&c);
			if (i % 2)
				forget(&c.subject, random_below(1 << FIELDS));
			v = filter__match(filter, &c.subject);
			if (v == FILTER_YES && !passes(&terms, &c.subject, false))
				fail_msg("lost a connection that is wanted: %s", w.text);
			if (v != FILTER_NO && !passes(&terms, &c.subject, true))
				fail_msg("lost a connection that may be wanted: %s", w.text);
			accepted += v == FILTER_YES;
			refused += !passes(&terms, &c.subject, true);
		}
		filter__free(filter);
	}
	/* The property is not true for want of cases. */
	assert_true(accepted > 10000);
	assert_true(refused > 10000);
}

static void learning_more_never_changes_an_answer(void **state)
{
	unsigned int decided_early = 0;
	struct connection c;
	struct writer w;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct filter *filter = random_filter(&w);
		unsigned int known = random_below(1 << FIELDS);
		enum filter_verdict before = FILTER_UNDECIDED, now;

		random_connection(&c);
		for (unsigned int field = 0; field <= FIELDS; field++) {
			struct filter_subject partly = c.subject;

			forget(&partly, known);
			now = filter__match(filter, &partly);
			if (before != FILTER_UNDECIDED && now != before)
				fail_msg("%d became %d: %s", before, now, w.text);
			decided_early += now != FILTER_UNDECIDED && known != (1 << FIELDS) - 1;
			before = now;
			known |= 1U << field;
		}
		assert_int_not_equal(before, FILTER_UNDECIDED);
		filter__free(filter);
	}
	assert_true(decided_early > 10000);
}

/* "a and b" by filter__and() is "(a) and (b)" by the grammar. */
static void joining_is_and(void **state)
{
	struct connection c;
	struct writer a, b;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		struct filter *left = random_filter(&a), *right = random_filter(&b);
		enum filter_verdict l, r, v;
		struct kernel_filter terms;
		struct filter *filter;

		random_connection(&c);
		forget(&c.subject, random_below(1 << FIELDS));
		l = filter__match(left, &c.subject);
		r = filter__match(right, &c.subject);
		filter = filter__and(left, right);
		v = filter__match(filter, &c.subject);
		assert_int_equal(v, l == FILTER_NO || r == FILTER_NO ? FILTER_NO
				    : l == FILTER_YES ? r : FILTER_UNDECIDED);
		filter__kernel_terms(filter, &terms);
		if (v != FILTER_NO)
			assert_true(passes(&terms, &c.subject, true));
		filter__free(filter);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_that_say_yes),
		cmocka_unit_test(texts_that_say_no),
		cmocka_unit_test(v6_and_names),
		cmocka_unit_test(roles),
		cmocka_unit_test(unknown_is_undecided),
		cmocka_unit_test(comm_of_full_length),
		cmocka_unit_test(words_from_the_shell),
		cmocka_unit_test(no_words_accept_everything),
		cmocka_unit_test(both_must_accept),
		cmocka_unit_test(network_namespaces),
		cmocka_unit_test(mistakes_of_grammar),
		cmocka_unit_test(mistakes_of_words),
		cmocka_unit_test(mistakes_of_ports),
		cmocka_unit_test(mistakes_of_addresses),
		cmocka_unit_test(mistakes_of_names),
		cmocka_unit_test(mistakes_across_words),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(terms_are_bounded),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(explained_in_three_lines),
		cmocka_unit_test(only_printable_characters),
		cmocka_unit_test(long_words_are_cut),
		cmocka_unit_test(terms_for_the_kernel),
		cmocka_unit_test(random_filters_mean_what_they_say),
		cmocka_unit_test(kernel_loses_nothing_that_is_wanted),
		cmocka_unit_test(learning_more_never_changes_an_answer),
		cmocka_unit_test(joining_is_and),
	};

	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
