/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzzes the filter grammar. The first bytes are the connection that is asked
 * about, the rest are the words, with a NUL between two. Beyond the sanitizers
 * it checks what must hold of any text: a position lies within the text, no
 * control byte comes out, and learning a field never changes a verdict.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/spelling.c"
#include "event/connection.c"
#include "event/filter.c"
#include "event/filter_text.c"
#include "event/filter_parse.c"
#include "event/filter_token.c"
#include "event/filter_hint.c"
#include "event/filter_place.c"
#include "event/filter_trait.c"

enum { WORDS_MAX = 64, EXPLAINED_BYTES = 512 };

struct input {
	struct filter_subject subject;
	uint8_t addr[2][16];
	char comm[EV_COMM_BYTES];
	char *text; /* owned: the words, each with its NUL */
	const char *words[WORDS_MAX];
	size_t count;
	size_t joined_len;
};

/* The bytes of a connection at the front of the data. */
struct wire {
	uint8_t known;
	uint8_t role;
	uint16_t local_port;
	uint16_t remote_port;
	uint16_t states;
	uint32_t netns;
	uint32_t pid;
	uint8_t addr[2][16];
	char comm[EV_COMM_BYTES];
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void read_subject(struct input *in, const struct wire *wire)
{
	memcpy(in->addr, wire->addr, sizeof(in->addr));
	memcpy(in->comm, wire->comm, sizeof(in->comm));
	/* Both ends of a connection are of one family. */
	if (addr__is_v4(in->addr[0]) != addr__is_v4(in->addr[1]))
		memcpy(in->addr[1], in->addr[0], 12);
	in->subject = (struct filter_subject){
		.local_addr = wire->known & 1 ? in->addr[0] : NULL,
		.remote_addr = wire->known & 2 ? in->addr[1] : NULL,
		.local_port = wire->local_port,
		.remote_port = wire->remote_port,
		.netns = wire->netns,
		.states = wire->states & 0xffe,
		.pid = wire->pid,
		.role = (enum role)(wire->role % ROLE_END),
		.comm = wire->known & 4 ? in->comm : NULL,
	};
}

static void read_words(struct input *in, const uint8_t *data, size_t size)
{
	char *at, *end;

	in->text = malloc(size + 1);
	require(in->text);
	memcpy(in->text, data, size);
	in->text[size] = '\0';
	end = in->text + size;
	for (at = in->text; at < end && in->count < WORDS_MAX; at += strlen(at) + 1) {
		in->words[in->count++] = at;
		in->joined_len += strlen(at);
	}
	in->joined_len += in->count ? in->count - 1 : 0;
}

static void check_error(const struct input *in, const struct filter_error *error)
{
	char text[EXPLAINED_BYTES];
	int wanted = filter__explain(error, in->words, in->count, text, sizeof(text));
	int lines = 0;

	require(errno == EINVAL);
	require(error->begin < error->end && error->end <= in->joined_len);
	require(error->message[0]);
	require(wanted == filter__explain(error, in->words, in->count, NULL, 0));
	require(strlen(text) == (size_t)wanted || strlen(text) == sizeof(text) - 1);
	for (const char *c = text; *c; c++) {
		lines += *c == '\n';
		require(*c == '\n' || ((unsigned char)*c >= 0x20 && *c != 0x7f));
	}
	require(lines == 3 || strlen(text) < (size_t)wanted);
}

static void check_terms(const struct filter *filter)
{
	struct kernel_filter terms;

	filter__kernel_terms(filter, &terms);
	require(terms.family == 0 || terms.family == AF_INET || terms.family == AF_INET6);
	require(terms.local_ports.count <= KERNEL_FILTER_PORTS);
	require(terms.remote_ports.count <= KERNEL_FILTER_PORTS);
	require(terms.either_ports.count <= KERNEL_FILTER_PORTS);
}

/* The verdict on ever less of the connection is the same or undecided. */
static void check_verdicts(const struct filter *filter, struct filter_subject subject)
{
	enum filter_verdict before = filter__match(filter, &subject);
	struct filter_subject less[4] = { subject, subject, subject, subject };

	less[0].local_port = 0;
	less[1].remote_port = 0;
	less[1].local_addr = NULL;
	less[2].pid = 0;
	less[2].comm = NULL;
	less[2].remote_addr = subject.local_addr ? NULL : subject.remote_addr;
	less[3] = (struct filter_subject){ 0 };
	for (size_t i = 0; i < COUNT_OF(less); i++) {
		enum filter_verdict verdict = filter__match(filter, &less[i]);

		require(verdict == before || verdict == FILTER_UNDECIDED);
	}
}

/* libFuzzer's own name; it has no header in C. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { 0 };
	struct filter_error error;
	struct filter *filter;
	struct wire wire;

	if (size < sizeof(wire))
		return 0;
	memcpy(&wire, data, sizeof(wire));
	read_subject(&in, &wire);
	read_words(&in, data + sizeof(wire), size - sizeof(wire));
	filter = filter__parse(in.words, in.count, &error);
	if (filter) {
		check_verdicts(filter, in.subject);
		check_terms(filter);
		filter = filter__and(filter, filter__parse(in.words, in.count, &error));
		require(filter);
		check_verdicts(filter, in.subject);
	} else {
		check_error(&in, &error);
	}
	filter__free(filter);
	free(in.text);
	return 0;
}
