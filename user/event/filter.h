/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The filter grammar: the trailing words of every looking verb.
 *
 *   expression  = term { ("or") term }
 *   term        = factor { ["and"] factor }          juxtaposition is "and"
 *   factor      = "not" factor | "(" expression ")" | predicate
 *   predicate   = [side] "port" PORTS | [side] "host" ADDR | [side] "net" CIDR
 *               | "state" STATES | "pid" NUMBER | "comm" NAME
 *               | "netns" (INODE | PATH | "self") | "role" ("client" | "server")
 *               | "ipv4" | "ipv6"
 *   side        = "local" | "remote" | "src" | "dst"
 *
 * ss and tcpdump synonyms: "sport"/"dport" N, "src"/"dst" ADDR[/LEN][:PORTS],
 * "!", "&&", "||", "ip"/"ip6", "tcp", "portrange", ss's groups of states
 * ("connected", "bucket", ...). A value may follow "=" or "!=", a port also
 * "<", "<=", ">", ">=", or ss's words for these: "sport = :80", "dport ge 1024".
 * NAME and PATH: quoted, or an argument of their own, may have spaces in them.
 *
 * Pure, but for the netns predicate, whose path is looked at once by
 * filter__parse().
 */
#ifndef TCPSAGA_EVENT_FILTER_H
#define TCPSAGA_EVENT_FILTER_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/settings.h"
#include "event/connection.h"

struct filter; /* opaque; immutable once parsed */

/* What is asked about. A field that is not known yet (or never) is 0 or NULL:
 * a predicate on it is then undecided. */
struct filter_subject {
	const uint8_t *local_addr; /* 16 bytes */
	const uint8_t *remote_addr;
	uint16_t local_port; /* host order */
	uint16_t remote_port;
	uint32_t netns;
	uint32_t states; /* bit (1 << EV_<state>) for each state that counts */
	uint32_t pid;
	enum role role;
	const char *comm; /* raw bytes, EV_COMM_BYTES, NUL-padded */
};

enum filter_verdict {
	FILTER_NO,
	FILTER_YES,
	FILTER_UNDECIDED, /* depends on something that is not known (yet) */
};

/* What is wrong with a filter text, for filter__explain(). */
struct filter_error {
	size_t begin; /* byte span of the word in the joined text */
	size_t end;
	char message[160]; /* one sentence: names the thing and what to do */
};

/*
 * Parses the words (as they stand in argv, joined by single spaces for the
 * positions in *error). count 0 gives a filter that says yes to everything.
 * Returns an owned filter, or NULL with errno EINVAL (error is filled) or
 * ENOMEM.
 */
struct filter *filter__parse(const char *const *words, size_t count, struct filter_error *error);
void filter__free(struct filter *filter);

/* True for one that says yes whatever it is asked. */
bool filter__accepts_all(const struct filter *filter);

/* Three-valued (Kleene) logic: "not undecided" is undecided, "no and
 * undecided" is no, "yes or undecided" is yes. */
enum filter_verdict filter__match(const struct filter *filter, const struct filter_subject *subject);

/*
 * A conjunction of simple terms that every connection passes which the filter
 * could ever accept: for the kernel. Unset where nothing simple can be said.
 */
void filter__kernel_terms(const struct filter *filter, struct kernel_filter *terms);

/*
 * Both filters must accept (for -p, -L, -D, -4, -6 beside trailing words).
 * Takes ownership of both, also on failure (NULL, ENOMEM). Either may be NULL,
 * which accepts everything.
 */
struct filter *filter__and(struct filter *left, struct filter *right);

/*
 * Writes three lines for stderr: the message, the joined text, and a caret
 * line under the word. Truncates to size; returns the length that it wanted.
 */
int filter__explain(const struct filter_error *error, const char *const *words, size_t count, char *out,
		    size_t size);

#endif
