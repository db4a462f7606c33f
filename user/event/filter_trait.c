/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Predicates on what a connection is and whose: state, role, family, process,
 * namespace. Names and paths may have anything in them, so these two do not
 * come from the tokens but from the text itself.
 */
#include "event/filter_parser.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static int add_number(struct parser *p, struct span at, enum node_kind kind, uint32_t number,
		      uint32_t *node)
{
	int err = parser__add_leaf(p, at, kind, node);

	if (!err)
		p->filter->nodes[*node].number = number;
	return err;
}

uint32_t span__states(const struct parser *p, struct span at)
{
	/* ss's own words for several states. */
	enum {
		ALL = (1 << EV_STATE_END) - 2,
		CONNECTED = ALL & ~(1 << EV_STATE_CLOSE | 1 << EV_LISTEN),
		BUCKET = 1 << EV_SYN_RECV | 1 << EV_TIME_WAIT,
	};
	unsigned int state = state__parse(p->text + at.begin, (unsigned int)(at.end - at.begin));

	if (state)
		return 1U << state;
	if (span__is(p, at, "all"))
		return ALL;
	if (span__is(p, at, "connected"))
		return CONNECTED;
	if (span__is(p, at, "synchronized"))
		return CONNECTED & ~(1 << EV_SYN_SENT);
	if (span__is(p, at, "bucket"))
		return BUCKET;
	if (span__is(p, at, "big"))
		return ALL & ~BUCKET;
	return 0;
}

static int reject_state(struct parser *p, const struct predicate *predicate, struct span at)
{
	struct guess guess = { 0 };

	for (unsigned int state = 1; state < EV_STATE_END; state++)
		guess__hold_against(&guess, p, at, state__name(state));
	if (guess.name)
		return parser__reject(p, at, "unknown state \"%.*s\": did you mean \"%s\"?",
				      SHOWN(p, at), guess.name);
	return parser__reject_value(p, predicate->keyword, at);
}

int predicate__state(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	struct span list, rest, at;
	uint32_t states = 0, bits;
	int err = parser__take_value(p, predicate, &list);

	if (err)
		return err;
	rest = list;
	while (span__next_element(p, &rest, &at)) {
		if (at.begin == at.end)
			return parser__reject_empty_element(p, list);
		bits = span__states(p, at);
		if (!bits)
			return reject_state(p, predicate, at);
		states |= bits;
	}
	return add_number(p, list, NODE_STATE, states, node);
}

int predicate__pid(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	uint32_t pid;
	struct span at;
	int err = parser__take_value(p, predicate, &at);

	if (err)
		return err;
	if (!span__number(p, at, 1, INT32_MAX, &pid))
		return parser__reject_value(p, predicate->keyword, at);
	return add_number(p, at, NODE_PID, pid, node);
}

int predicate__role(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	struct span at;
	int err = parser__take_value(p, predicate, &at);

	if (err)
		return err;
	for (uint32_t role = ROLE_UNKNOWN + 1; role < ROLE_END; role++)
		if (span__is(p, at, role__name((enum role)role)))
			return add_number(p, at, NODE_ROLE, role, node);
	return parser__reject_value(p, predicate->keyword, at);
}

int predicate__family(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	return add_number(p, predicate->at, NODE_FAMILY, predicate->keyword->number, node);
}

/* tcpdump's "tcp port 80": here everything is. */
int predicate__tcp(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	return parser__add_leaf(p, predicate->at, NODE_YES, node);
}

/* ---- names and paths ---------------------------------------------------- */

/* The end of the argument that begins at this byte, 0 if none does. */
static size_t argument_end(const struct parser *p, size_t begin)
{
	size_t at = 0;

	for (size_t i = 0; i < p->count && at <= begin; i++) {
		size_t len = strlen(p->words[i]);

		if (at == begin)
			return at + len;
		at += len + 1;
	}
	return 0;
}

/*
 * A name may have spaces and parentheses in it ("(sd-pam)"). When it is an
 * argument of its own the shell has taken its quotes, and the spaces belong to
 * it. An unmatched ')' closes what an earlier '(' opened.
 */
static size_t text_end(const struct parser *p, size_t begin)
{
	size_t argument = argument_end(p, begin), end = begin;
	size_t limit = argument ? argument : p->len;
	unsigned int open = 0;

	for (; end < limit; end++) {
		if (p->text[end] == '(')
			open++;
		else if (p->text[end] == ')' && open)
			open--;
		else if (p->text[end] == ')' || (!argument && char__ends_word(p->text[end])))
			break;
	}
	return end;
}

/* A name or a path: 'quoted', "quoted", or as text_end() says. */
static int take_text(struct parser *p, const struct predicate *predicate, struct span *text)
{
	struct span at = p->token.at;
	size_t after;

	if (p->token.kind != TOKEN_WORD && p->token.kind != TOKEN_OPEN)
		return parser__reject_missing(p, predicate);
	if (p->text[at.begin] == '\'' || p->text[at.begin] == '"') {
		const char *close = strchr(p->text + at.begin + 1, p->text[at.begin]);

		if (!close)
			return parser__reject(p, (struct span){ at.begin, p->len },
					      "the quote %c is never closed", p->text[at.begin]);
		*text = (struct span){ at.begin + 1, parser__offset(p, close) };
		after = text->end + 1;
	} else {
		*text = (struct span){ at.begin, text_end(p, at.begin) };
		after = text->end;
	}
	p->previous = (struct token){ .kind = TOKEN_WORD, .at = { at.begin, after } };
	if (text->begin == text->end)
		return parser__reject_value(p, predicate->keyword, p->previous.at);
	parser__scan(p, after);
	return 0;
}

int predicate__comm(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	struct span at;
	int err = take_text(p, predicate, &at);

	if (err)
		return err;
	if (at.end - at.begin >= EV_COMM_BYTES)
		return parser__reject(
			p, at, "the kernel keeps %d bytes of a process name: did you mean \"%.*s\"?",
			EV_COMM_BYTES - 1, EV_COMM_BYTES - 1, p->text + at.begin);
	err = parser__add_leaf(p, at, NODE_COMM, node);
	if (!err)
		memcpy(p->filter->nodes[*node].comm, p->text + at.begin, at.end - at.begin);
	return err;
}

/* The inode of a namespace by its file. Anything else than a namespace is
 * refused: a name that `ip netns` left behind without its mount is a plain file
 * whose inode would match nothing, or, worse, something. */
static int look_up_netns(struct parser *p, struct span at, const char *path, uint32_t *inode)
{
	enum { PATH_SHOWN = 100 };
	struct statfs fs;
	struct stat file;

	if (stat(path, &file) || statfs(path, &fs))
		return parser__reject(p, at, "netns \"%.*s\": %s", PATH_SHOWN, path, strerror(errno));
	if (fs.f_type != NSFS_MAGIC)
		return parser__reject(p, at, "netns \"%.*s\" is not a network namespace", PATH_SHOWN,
				      path);
	*inode = (uint32_t)file.st_ino;
	return 0;
}

int predicate__netns(struct parser *p, const struct predicate *predicate, uint32_t *node)
{
	char path[512];
	uint32_t inode = 0;
	struct span at;
	int len, err = take_text(p, predicate, &at);

	if (err)
		return err;
	len = (int)(at.end - at.begin);
	if (span__is(p, at, "self"))
		len = snprintf(path, sizeof(path), "/proc/self/ns/net");
	else if (span__find(p, at, '/'))
		len = snprintf(path, sizeof(path), "%.*s", len, p->text + at.begin);
	else if (!span__number(p, at, 1, UINT32_MAX, &inode))
		len = snprintf(path, sizeof(path), "/run/netns/%.*s", len, p->text + at.begin);
	if (!inode && (size_t)len >= sizeof(path))
		return parser__reject(p, at, "the netns path is longer than %zu bytes", sizeof(path) - 1);
	if (!inode)
		err = look_up_netns(p, at, path, &inode);
	return err ? err : add_number(p, at, NODE_NETNS, inode, node);
}
