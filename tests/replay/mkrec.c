/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mkrec: makes a recording from a scenario in text, so that the tree holds no
 * binary and a test's story can be read where it is told.
 *
 *	mkrec < scenario.txt > file.rec
 *
 * README.md describes the language. A scenario is written by hand, hence the
 * two rules here: whatever is not understood is an error with its line, and so
 * is a record that the decoder would refuse, unless it was asked for.
 *
 * Exit status: 0 done, 1 the recording could not be written, 2 a wrong scenario.
 */
#include <netinet/in.h>
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "event/connection.h"
#include "event/counter.h"
#include "event/setting.h"
#include "event/decode.c" /* to refuse what it refuses */
#include "source/recording.h"

#define NS_PER_S 1000000000ULL
#define NS_PER_CS 10000000ULL
#define WORDS_MAX 32
#define KNOWN_MAX 65536
#define TASKS_MAX 1024
#define KNOWN_SLOTS (2 * KNOWN_MAX)

/* ---- a line, word by word ----------------------------------------------- */

/* "key=value", or a bare value, whose key is NULL. */
struct word {
	const char *key;
	const char *value;
	bool used;
};

struct line {
	unsigned int number;
	size_t count;
	struct word words[WORDS_MAX];
};

/* The only way out for a wrong scenario: nothing here outlives the process. */
static void __attribute__((noreturn, format(printf, 2, 3)))
bad(const struct line *line, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "mkrec: line %u: ", line->number);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

static char unescape_hex(const struct line *line, const char *digits)
{
	char text[3] = {digits[0], digits[0] ? digits[1] : '\0', '\0'};
	long value = 0;

	if (isxdigit((unsigned char)text[0]) && isxdigit((unsigned char)text[1]))
		value = strtol(text, NULL, 16);
	if (value == 0)
		bad(line, "\\x wants two hexadecimal digits, and not 00");
	return value;
}

/* *in stands behind a backslash and is moved behind the escape. */
static char unescape(const struct line *line, char **in)
{
	static const char letters[] = "abefnrtv\\\"'";
	static const char meanings[] = "\a\b\x1b\f\n\r\t\v\\\"'";
	char letter = *(*in)++;
	const char *found = letter ? strchr(letters, letter) : NULL;

	if (letter == 'x') {
		char value = unescape_hex(line, *in);

		*in += 2;
		return value;
	}
	if (!found)
		bad(line, "an unknown escape in a quote");
	return meanings[found - letters];
}

/* Takes "..." from *in in place: what is meant is never longer than what was
 * written. */
static char *scan_quoted(const struct line *line, char **in)
{
	char *value = ++*in, *out = value;

	while (**in != '"') {
		char c = *(*in)++;

		if (c == '\0')
			bad(line, "a quote that does not end");
		*out++ = c == '\\' ? unescape(line, in) : c;
	}
	++*in;
	if (**in && !isspace((unsigned char)**in))
		bad(line, "something sticks to a closing quote");
	*out = '\0';
	return value;
}

static char *scan_bare(char **in)
{
	char *value = *in;

	*in += strcspn(*in, " \t\r\n");
	if (**in)
		*(*in)++ = '\0';
	return value;
}

static struct word scan_word(const struct line *line, char **in)
{
	size_t len = strspn(*in, "abcdefghijklmnopqrstuvwxyz_");
	struct word word = {0};

	if (len && (*in)[len] == '=') {
		word.key = *in;
		(*in)[len] = '\0';
		*in += len + 1;
	}
	word.value = **in == '"' ? scan_quoted(line, in) : scan_bare(in);
	return word;
}

/* A # begins a comment where a word could begin, not inside one. */
static void scan_line(struct line *line, char *text)
{
	line->count = 0;
	for (;;) {
		text += strspn(text, " \t\r\n");
		if (*text == '\0' || *text == '#')
			return;
		if (line->count == WORDS_MAX)
			bad(line, "more than %d words", WORDS_MAX);
		line->words[line->count++] = scan_word(line, &text);
	}
}

/* ---- taking words off a line -------------------------------------------- */

struct name {
	const char *name;
	unsigned int value;
};

static const struct name flag_names[] = {
	{"id_is_address", EV_F_ID_IS_ADDRESS},
	{"in_syscall", EV_F_IN_SYSCALL},
	{"no_socket", EV_F_NO_SOCKET},
	{"file_closed", EV_F_FILE_CLOSED},
	{"mptcp", EV_F_MPTCP},
	{"stand_in", EV_F_STAND_IN},
	{0},
};

static const struct name syn_outcome_names[] = {
	{"unknown", EV_SYN_UNKNOWN},   {"queued", EV_SYN_QUEUED},   {"cookie", EV_SYN_COOKIE},
	{"fastopen", EV_SYN_FASTOPEN}, {"dropped", EV_SYN_DROPPED}, {0},
};

static const struct name cause_names[] = {
	{"other", EV_DROP_OTHER},
	{"syn_queue_full", EV_DROP_SYN_QUEUE_FULL},
	{"accept_queue_full", EV_DROP_ACCEPT_QUEUE_FULL},
	{"last_quarter", EV_DROP_LAST_QUARTER},
	{0},
};

static const struct name request_outcome_names[] = {
	{"synack_retransmitted", EV_REQUEST_RETRANSMITTED},
	{"completed", EV_REQUEST_COMPLETED},
	{"timed_out", EV_REQUEST_TIMED_OUT},
	{"reset", EV_REQUEST_RESET},
	{"accept_queue_full", EV_REQUEST_OVERFLOW},
	{"listener_closed", EV_REQUEST_LISTENER_CLOSED},
	{0},
};

static const struct name via_names[] = {
	{"syn_queue", EV_VIA_SYN_QUEUE},
	{"cookie", EV_VIA_COOKIE},
	{0},
};

static const struct name reset_by_names[] = {
	{"peer", EV_RESET_BY_PEER},
	{"us", EV_RESET_BY_US},
	{0},
};

static const struct name reason_names[] = {
	{"ring_full", EV_LOST_RING_FULL},
	{"recursion", EV_LOST_RECURSION},
	{"simulated", EV_LOST_SIMULATED},
	{0},
};

static const struct name wait_phase_names[] = {
	{"begin", EV_WAIT_BEGIN},
	{"promoted", EV_WAIT_PROMOTED},
	{"end", EV_WAIT_END},
	{"refused", EV_WAIT_REFUSED},
	{0},
};

static const struct name wait_end_names[] = {
	{"expired", EV_WAIT_EXPIRED},
	{"reused", EV_WAIT_REUSED},
	{"new_syn", EV_WAIT_NEW_SYN},
	{"reset", EV_WAIT_RESET},
	{"aborted", EV_WAIT_ABORTED},
	{"killed", EV_WAIT_KILLED},
	{0},
};

static const struct name mini_names[] = {
	{"fin_wait2", EV_FIN_WAIT2},
	{"time_wait", EV_TIME_WAIT},
	{0},
};

static const struct name kind_names[] = {
	{"unknown", 0},
	{"transition", EV_TRANSITION},
	{"transition_owned", EV_TRANSITION_OWNED},
	{"birth", EV_BIRTH},
	{"close", EV_CLOSE},
	{"syn", EV_SYN},
	{"handshake", EV_HANDSHAKE},
	{"accept", EV_ACCEPT},
	{0},
};

static const struct name family_names[] = {
	{"inet", AF_INET},
	{"inet6", AF_INET6},
	{0},
};

/* The value of the next word with this key, or without any for NULL. */
static const char *take(struct line *line, const char *key)
{
	for (size_t i = 0; i < line->count; i++) {
		struct word *word = &line->words[i];
		bool same = key && word->key ? strcmp(key, word->key) == 0 : key == word->key;

		if (same && !word->used) {
			word->used = true;
			return word->value;
		}
	}
	return NULL;
}

static void expect_all_taken(const struct line *line)
{
	for (size_t i = 0; i < line->count; i++) {
		const struct word *word = &line->words[i];

		if (!word->used && word->key)
			bad(line, "'%s=' means nothing here, or is there twice", word->key);
		if (!word->used)
			bad(line, "'%s' means nothing here", word->value);
	}
}

static uint64_t parse_number(const struct line *line, const char *text, uint64_t max)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (!isdigit((unsigned char)*text) || *end)
		bad(line, "not a number: %s", text);
	if (errno || value > max)
		bad(line, "%s is more than %llu", text, (unsigned long long)max);
	return value;
}

/* SECONDS[.FRACTION], the fraction up to nanoseconds. */
static uint64_t parse_seconds(const struct line *line, const char *text)
{
	size_t whole = strspn(text, "0123456789"), digits = 0;
	uint64_t ns = 0;

	if (text[whole] == '.')
		digits = strspn(text + whole + 1, "0123456789");
	if (whole == 0 || whole > 10 || digits > 9 || text[whole + (digits ? digits + 1 : 0)])
		bad(line, "not a time in seconds: %s", text);
	for (size_t i = 0; i < whole; i++)
		ns = ns * 10 + (text[i] - '0');
	for (size_t i = 0; i < 9; i++)
		ns = ns * 10 + (i < digits ? text[whole + 1 + i] - '0' : 0);
	return ns;
}

static unsigned int parse_name(const struct line *line, const char *text, size_t len,
			       const struct name *names)
{
	for (; names->name; names++) {
		if (strlen(names->name) == len && memcmp(names->name, text, len) == 0)
			return names->value;
	}
	bad(line, "unknown name: %.*s", (int)len, text);
}

static uint64_t take_number(struct line *line, const char *key, uint64_t fallback, uint64_t max)
{
	const char *text = take(line, key);

	return text ? parse_number(line, text, max) : fallback;
}

static unsigned int take_name(struct line *line, const char *key, const struct name *names,
			      unsigned int fallback)
{
	const char *text = take(line, key);

	return text ? parse_name(line, text, strlen(text), names) : fallback;
}

static uint64_t take_id(struct line *line, const char *key)
{
	const char *text = take(line, key);

	if (!text)
		bad(line, "%s= is missing", key);
	return parse_number(line, text, UINT64_MAX);
}

/* Names joined by commas. */
static uint16_t take_flags(struct line *line)
{
	const char *text = take(line, "flags");
	uint16_t flags = 0;

	while (text && *text) {
		size_t len = strcspn(text, ",");

		flags |= parse_name(line, text, len, flag_names);
		text += len + (text[len] == ',');
	}
	return flags;
}

/* dst is zero where the text does not reach, its last byte always. */
static void take_text(struct line *line, const char *key, char *dst, size_t size)
{
	const char *text = take(line, key);

	if (!text)
		return;
	if (strlen(text) >= size)
		bad(line, "%s is longer than %zu bytes", key, size - 1);
	memset(dst, 0, size);
	memcpy(dst, text, strlen(text));
}

/* ---- the scenario so far ------------------------------------------------ */

/* What the lines before have told of a connection or listener. */
struct known {
	uint64_t id;
	bool placed;
	uint16_t local_port;
	uint16_t remote_port;
	struct ev_place place;
};

struct scenario {
	struct recording_writer *writer; /* NULL before the first record */
	struct ev_owner tasks[TASKS_MAX]; /* by their numbers, less one */
	struct capture_info info;
	bool informed; /* an info line was there */
	uint64_t time_ns; /* of the last record */
	uint32_t netns; /* the last one that was named */
	uint64_t records; /* that came through the ring */
	uint64_t lost[EV_LOSS_REASONS_MAX];
	size_t known_count;
	struct known known[KNOWN_MAX];
	uint32_t by_id[KNOWN_SLOTS]; /* position in known, plus one; 0: free */
};

/* Newest first: an id may be used again. */
static struct known *get_known(struct scenario *scenario, const struct line *line, uint64_t id)
{
	struct known *known;
	size_t slot = id * 0x9e3779b97f4a7c15ULL >> 32;

	for (;; slot++) {
		uint32_t place = scenario->by_id[slot %= KNOWN_SLOTS];

		if (!place)
			break;
		if (scenario->known[place - 1].id == id)
			return &scenario->known[place - 1];
	}
	if (scenario->known_count == KNOWN_MAX)
		bad(line, "more than %d connections", KNOWN_MAX);
	known = &scenario->known[scenario->known_count++];
	*known = (struct known){.id = id, .place.socket_id = id};
	scenario->by_id[slot] = scenario->known_count;
	return known;
}

static uint64_t take_time(const struct scenario *scenario, struct line *line)
{
	const char *text = take(line, "t");

	if (!text)
		return scenario->time_ns;
	if (*text == '+')
		return scenario->time_ns + parse_seconds(line, text + 1);
	return parse_seconds(line, text);
}

/* ---- parts of records --------------------------------------------------- */

struct side {
	uint8_t address[16];
	uint16_t port;
	uint8_t family;
};

static void put_v4(uint8_t address[16], struct in_addr v4)
{
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	memcpy(address + 12, &v4, 4);
}

/* 10.0.0.1:80 or [::1]:80 */
static struct side parse_side(const struct line *line, const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	struct side side = {.family = *text == '[' ? AF_INET6 : AF_INET};
	char address[INET6_ADDRSTRLEN + 2] = "";
	struct in_addr v4;
	int parsed = 0;

	if (len > 2 && len < sizeof(address)) {
		memcpy(address, text, len);
		if (side.family == AF_INET) {
			parsed = inet_pton(AF_INET, address, &v4);
		} else if (address[len - 1] == ']') {
			address[len - 1] = '\0';
			parsed = inet_pton(AF_INET6, address + 1, side.address);
		}
	}
	if (parsed != 1)
		bad(line, "not an address and port: %s", text);
	if (side.family == AF_INET)
		put_v4(side.address, v4);
	side.port = parse_number(line, colon + 1, UINT16_MAX);
	return side;
}

static struct side any_side(uint8_t family)
{
	struct side side = {.family = family};

	if (family == AF_INET)
		put_v4(side.address, (struct in_addr){0});
	return side;
}

static uint8_t parse_state(const struct line *line, const char *text, size_t len)
{
	unsigned int state = state__parse(text, len);

	if (!state)
		bad(line, "unknown state: %.*s", (int)len, text);
	return state;
}

static void put_states(struct line *line, struct ev_transition *transition)
{
	const char *text = take(line, NULL);
	const char *arrow = text ? strchr(text, '>') : NULL;

	if (!arrow)
		bad(line, "OLD>NEW is missing");
	transition->old_state = parse_state(line, text, arrow - text);
	transition->new_state = parse_state(line, arrow + 1, strlen(arrow + 1));
}

static uint32_t take_netns(struct scenario *scenario, struct line *line, uint32_t fallback)
{
	const char *text = take(line, "netns");

	if (!text)
		return fallback;
	scenario->netns = parse_number(line, text, UINT32_MAX);
	return scenario->netns;
}

/* A family beside the addresses' own is for IPv4 on an AF_INET6 socket. */
static uint8_t take_family(struct line *line, const struct side *local, const struct side *remote)
{
	bool inet6 = local->family == AF_INET6 || remote->family == AF_INET6;

	return take_name(line, "family", family_names, inet6 ? AF_INET6 : AF_INET);
}

/* Reads "LOCAL [REMOTE]" off the line, if it is there, and the namespace. */
static void take_place(struct scenario *scenario, struct line *line, struct known *known)
{
	const char *text = take(line, NULL);
	struct side local, remote;
	struct ev_place *place = &known->place;

	if (!text && !known->placed)
		bad(line, "no addresses, and none are known of this id");
	if (text) {
		local = parse_side(line, text);
		text = take(line, NULL);
		remote = text ? parse_side(line, text) : any_side(local.family);
		place->family = take_family(line, &local, &remote);
		memcpy(place->local, local.address, sizeof(place->local));
		memcpy(place->remote, remote.address, sizeof(place->remote));
		known->local_port = local.port;
		known->remote_port = remote.port;
	}
	place->netns = take_netns(scenario, line, known->placed ? place->netns : scenario->netns);
	known->placed = true;
}

/* by=N is the task of that line, else it is told here, or is nobody. */
static void put_owner(struct scenario *scenario, struct line *line, struct ev_owner *owner)
{
	uint64_t by = take_number(line, "by", 0, TASKS_MAX);
	const char *started;

	if (by) {
		*owner = scenario->tasks[by - 1];
		if (!owner->pid)
			bad(line, "no line before tells of task %u", (unsigned int)by);
		return;
	}
	owner->pid = take_number(line, "pid", 0, UINT32_MAX);
	if (owner->pid == 0)
		return;
	owner->tid = take_number(line, "tid", owner->pid, UINT32_MAX);
	owner->uid = take_number(line, "uid", 0, UINT32_MAX);
	owner->cgroup = take_number(line, "cgroup", 0, UINT64_MAX);
	started = take(line, "started");
	if (started)
		owner->start_cs = parse_seconds(line, started) / NS_PER_CS;
	take_text(line, "comm", owner->comm, sizeof(owner->comm));
}

static void put_totals(struct line *line, struct ev_totals *totals)
{
	totals->bytes_sent = take_number(line, "sent", 0, UINT64_MAX);
	totals->bytes_received = take_number(line, "received", 0, UINT64_MAX);
	totals->retransmits = take_number(line, "retransmits", 0, UINT32_MAX);
	totals->error = take_number(line, "error", 0, UINT32_MAX);
}

/* ---- records ------------------------------------------------------------ */

union any_record {
	struct ev_header header;
	struct ev_transition transition;
	struct ev_transition_owned owned;
	struct ev_birth birth;
	struct ev_close close;
	struct ev_handshake handshake;
	struct ev_accept accept;
	struct ev_timewait timewait;
	struct ev_bind bind;
	struct ev_socket socket;
	struct ev_dump dump;
	struct ev_cgroup cgroup;
	struct ev_listener listener;
	struct ev_sampled sampled;
	struct ev_netstat netstat;
	struct ev_settings settings;
	struct ev_holder holder;
	struct ev_unread unread;
	struct ev_loss loss;
	struct ev_stop stop;
	uint8_t bytes[sizeof(struct ev_cgroup)];
};

/* place: the record has one, and its addresses give the ports. */
static struct known *put_transition(struct scenario *scenario, struct line *line,
				    struct ev_transition *transition, bool place)
{
	struct known *known;

	transition->conn_id = take_id(line, "id");
	known = get_known(scenario, line, transition->conn_id);
	put_states(line, transition);
	if (place) {
		take_place(scenario, line, known);
		known->place.socket_id = take_number(line, "socket", known->place.socket_id, UINT64_MAX);
	}
	known->local_port = take_number(line, "lport", known->local_port, UINT16_MAX);
	known->remote_port = take_number(line, "rport", known->remote_port, UINT16_MAX);
	transition->local_port = known->local_port;
	transition->remote_port = known->remote_port;
	transition->flags = take_flags(line);
	return known;
}

static void put_compact(struct scenario *scenario, struct line *line, union any_record *record)
{
	put_transition(scenario, line, &record->transition, false);
}

static void put_owned(struct scenario *scenario, struct line *line, union any_record *record)
{
	put_transition(scenario, line, &record->owned.transition, false);
	put_owner(scenario, line, &record->owned.owner);
}

static void put_birth(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_birth *birth = &record->birth;

	birth->place = put_transition(scenario, line, &birth->transition, true)->place;
	put_owner(scenario, line, &birth->owner);
	birth->error = take_number(line, "error", 0, UINT32_MAX);
	birth->backlog = take_number(line, "backlog", 0, UINT32_MAX);
	birth->asked = take_number(line, "asked", 0, UINT32_MAX);
	birth->somaxconn = take_number(line, "somaxconn", 0, UINT32_MAX);
}

static void put_close(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_close *closed = &record->close;

	closed->place = put_transition(scenario, line, &closed->transition, true)->place;
	put_owner(scenario, line, &closed->owner);
	put_totals(line, &closed->totals);
}

/* A listener by its cookie, its address (socket=), or both, as the hook saw it.
 * False when the line names none. */
static bool take_listener(struct scenario *scenario, struct line *line, __u64 *id, __u64 *socket)
{
	const char *text = take(line, "listener");

	*id = text ? parse_number(line, text, UINT64_MAX) : 0;
	*socket = *id ? get_known(scenario, line, *id)->place.socket_id : 0;
	*socket = take_number(line, "socket", *socket, UINT64_MAX);
	return *id || *socket;
}

/* What a step and its SYN have in common; an id is a request's, its child's. */
static void put_step(struct scenario *scenario, struct line *line, struct ev_handshake *step)
{
	struct known nobody = {0}, *known = &nobody;

	step->conn_id = take_number(line, "id", 0, UINT64_MAX);
	if (step->conn_id)
		known = get_known(scenario, line, step->conn_id);
	if (!take_listener(scenario, line, &step->listener_id, &step->listener_socket) &&
	    step->header.kind != EV_ADMITTED)
		bad(line, "listener= or socket= is missing");
	take_place(scenario, line, known);
	step->netns = known->place.netns;
	step->family = known->place.family;
	step->local_port = known->local_port;
	step->remote_port = known->remote_port;
	memcpy(step->local, known->place.local, sizeof(step->local));
	memcpy(step->remote, known->place.remote, sizeof(step->remote));
	step->retransmits = take_number(line, "retransmits", 0, UINT8_MAX);
	step->syn_queue_len = take_number(line, "syn_queue", 0, UINT32_MAX);
	step->accept_queue_len = take_number(line, "accept_queue", 0, UINT32_MAX);
	step->limit = take_number(line, "limit", 0, UINT32_MAX);
}

static void put_syn(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_handshake *syn = &record->handshake;

	put_step(scenario, line, syn);
	syn->outcome = take_name(line, "outcome", syn_outcome_names, EV_SYN_UNKNOWN);
	if (syn->outcome == EV_SYN_DROPPED)
		syn->detail = take_name(line, "cause", cause_names, EV_DROP_OTHER);
}

static void put_admitted(struct scenario *scenario, struct line *line, union any_record *record)
{
	put_step(scenario, line, &record->handshake);
	record->handshake.outcome = EV_SYN_QUEUED;
}

static void put_handshake(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_handshake *step = &record->handshake;

	put_step(scenario, line, step);
	step->outcome = take_name(line, "outcome", request_outcome_names, 0);
	if (!step->outcome)
		bad(line, "outcome= is missing");
	if (step->outcome == EV_REQUEST_COMPLETED)
		step->detail = take_name(line, "via", via_names, EV_VIA_SYN_QUEUE);
	if (step->outcome == EV_REQUEST_RESET)
		step->detail = take_name(line, "by", reset_by_names, EV_RESET_BY_PEER);
}

static void put_accept(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_accept *accept = &record->accept;
	struct known *known;

	accept->conn_id = take_id(line, "id");
	accept->by_address = take_number(line, "by_address", 0, 1);
	known = get_known(scenario, line, accept->conn_id);
	take_listener(scenario, line, &accept->listener_id, &accept->listener_socket);
	take_place(scenario, line, known);
	accept->netns = known->place.netns;
	accept->family = known->place.family;
	accept->local_port = known->local_port;
	accept->remote_port = known->remote_port;
	memcpy(accept->local, known->place.local, sizeof(accept->local));
	memcpy(accept->remote, known->place.remote, sizeof(accept->remote));
	accept->accept_queue_len = take_number(line, "accept_queue", 0, UINT32_MAX);
	accept->limit = take_number(line, "limit", 0, UINT32_MAX);
	put_owner(scenario, line, &accept->owner);
}

/* A refusal: id=N is for this tool only, the record has none. */
static void put_bind(struct scenario *scenario, struct line *line, union any_record *record)
{
	static const struct name calls[] = {{"bind", EV_CALL_BIND}, {"listen", EV_CALL_LISTEN}, {0}};
	static const struct name protocols[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {0}};
	struct ev_bind *bind = &record->bind;
	struct known *known;

	known = get_known(scenario, line, take_id(line, "id"));
	take_place(scenario, line, known);
	bind->netns = known->place.netns;
	bind->family = known->place.family;
	bind->port = known->local_port;
	memcpy(bind->local, known->place.local, sizeof(bind->local));
	bind->call = take_name(line, "call", calls, EV_CALL_BIND);
	bind->protocol = take_name(line, "protocol", protocols, IPPROTO_TCP);
	bind->error = take_number(line, "error", EADDRINUSE, UINT16_MAX);
	bind->options = take_number(line, "options", 0, EV_BIND_OPTIONS);
	put_owner(scenario, line, &bind->owner);
}

/* refused= is the time of the refusal; asked= its id. No count: nobody. */
static void put_holder(struct scenario *scenario, struct line *line, union any_record *record)
{
	static const struct name answers[] = {{"no", EV_ANSWER_NO}, {"yes", EV_ANSWER_YES}, {0}};
	struct ev_holder *holder = &record->holder;
	struct known *asked = get_known(scenario, line, take_id(line, "asked"));
	const char *refused = take(line, "refused"), *state = take(line, "state");
	struct known *known;

	if (!refused)
		bad(line, "refused= is wanted");
	holder->refused_ns = parse_seconds(line, refused);
	holder->netns = asked->place.netns;
	holder->local_port = asked->local_port;
	holder->protocol = IPPROTO_TCP;
	memcpy(holder->asked, asked->place.local, sizeof(holder->asked));
	holder->count = take_number(line, "count", 0, UINT32_MAX);
	if (!holder->count)
		return;
	known = get_known(scenario, line, take_id(line, "id"));
	take_place(scenario, line, known);
	holder->family = known->place.family;
	holder->remote_port = known->remote_port;
	memcpy(holder->local, known->place.local, sizeof(holder->local));
	memcpy(holder->remote, known->place.remote, sizeof(holder->remote));
	holder->state = parse_state(line, state ? state : "LISTEN", strlen(state ? state : "LISTEN"));
	holder->mini = take_number(line, "mini", 0, 1);
	holder->expires_ms = take_number(line, "expires_ms", 0, UINT32_MAX);
	holder->reuseaddr = take_name(line, "reuseaddr", answers, EV_ANSWER_UNKNOWN);
	holder->reuseport = take_name(line, "reuseport", answers, EV_ANSWER_UNKNOWN);
	put_owner(scenario, line, &holder->owner);
	holder->uid = holder->owner.uid;
}

static void put_timewait(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_timewait *wait = &record->timewait;
	struct known *known;

	wait->conn_id = take_id(line, "id");
	wait->by_address = take_number(line, "by_address", 0, 1);
	known = get_known(scenario, line, wait->conn_id);
	take_place(scenario, line, known);
	wait->netns = known->place.netns;
	wait->family = known->place.family;
	wait->local_port = known->local_port;
	wait->remote_port = known->remote_port;
	memcpy(wait->local, known->place.local, sizeof(wait->local));
	memcpy(wait->remote, known->place.remote, sizeof(wait->remote));
	wait->phase = take_name(line, "phase", wait_phase_names, EV_WAIT_BEGIN);
	wait->substate = take_name(line, "substate", mini_names, EV_TIME_WAIT);
	wait->end = take_name(line, "end", wait_end_names, EV_WAIT_END_NONE);
}

static void put_socket(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_socket *socket = &record->socket;
	struct known *known;
	const char *state;

	socket->conn_id = take_id(line, "id");
	known = get_known(scenario, line, socket->conn_id);
	take_place(scenario, line, known);
	socket->netns = known->place.netns;
	socket->family = known->place.family;
	socket->local_port = known->local_port;
	socket->remote_port = known->remote_port;
	memcpy(socket->local, known->place.local, sizeof(socket->local));
	memcpy(socket->remote, known->place.remote, sizeof(socket->remote));
	state = take(line, "state");
	socket->state = take_name(line, "mini", mini_names, 0);
	socket->kind = socket->state ? EV_SOCKET_MINI : EV_SOCKET_FULL;
	if (!socket->state)
		socket->state = state ? parse_state(line, state, strlen(state)) : EV_ESTABLISHED;
	if (socket->state == EV_SYN_RECV)
		socket->kind = EV_SOCKET_REQUEST;
	socket->expires_ms = take_number(line, "expires_ms", 0, UINT32_MAX);
	put_owner(scenario, line, &socket->owner);
}

/* id= is for this tool only. */
static void put_unread(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_unread *unread = &record->unread;
	struct known *known = get_known(scenario, line, take_id(line, "id"));

	take_place(scenario, line, known);
	unread->netns = known->place.netns;
	unread->family = known->place.family;
	unread->local_port = known->local_port;
	unread->remote_port = known->remote_port;
	memcpy(unread->local, known->place.local, sizeof(unread->local));
	memcpy(unread->remote, known->place.remote, sizeof(unread->remote));
	unread->unread = take_number(line, "bytes", 0, UINT32_MAX);
}

static void put_dump(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_dump *dump = &record->dump;
	const char *began = take(line, "began");

	dump->netns = take_number(line, "whole", 0, 1) ? 0 : take_netns(scenario, line, scenario->netns);
	dump->began_ns = began ? parse_seconds(line, began) : dump->header.time_ns - take_number(line, "took_ms", 0, UINT32_MAX) * 1000000;
	dump->port_low = take_number(line, "low", 32768, UINT16_MAX);
	dump->port_high = take_number(line, "high", 60999, UINT16_MAX);
	dump->ephemeral_ports = take_number(line, "ports", dump->port_high - dump->port_low + 1u, UINT32_MAX);
	dump->max_tw_buckets = take_number(line, "max_tw_buckets", 0, UINT32_MAX);
	dump->states = take_number(line, "states", 0, UINT32_MAX);
}

static void put_listener(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_listener *listener = &record->listener;
	struct known *known;

	listener->conn_id = take_id(line, "id");
	known = get_known(scenario, line, listener->conn_id);
	take_place(scenario, line, known);
	if (known->remote_port)
		bad(line, "a listener has no peer");
	listener->netns = known->place.netns;
	listener->family = known->place.family;
	listener->local_port = known->local_port;
	memcpy(listener->local, known->place.local, sizeof(listener->local));
	listener->syn_queue_len = take_number(line, "syn_queue", 0, UINT32_MAX);
	listener->accept_queue_len = take_number(line, "accept_queue", 0, UINT32_MAX);
	listener->limit = take_number(line, "limit", 0, UINT32_MAX);
	listener->drops = take_number(line, "drops", 0, UINT32_MAX);
	listener->somaxconn = take_number(line, "somaxconn", 0, UINT32_MAX);
	put_owner(scenario, line, &listener->owner);
}

static void put_sampled(struct scenario *scenario, struct line *line, union any_record *record)
{
	record->sampled.netns = take_netns(scenario, line, scenario->netns);
}

/* Counters by the kernel's names: ListenOverflows=4. The others are not known. */
static void put_netstat(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_netstat *netstat = &record->netstat;
	const char *text;

	netstat->netns = take_netns(scenario, line, scenario->netns);
	while ((text = take(line, NULL)) != NULL) {
		size_t len = strcspn(text, "=");
		unsigned int i = 0;

		while (i < EV_COUNTER_END &&
		       (strlen(counter__name(i)) != len || memcmp(counter__name(i), text, len) != 0))
			i++;
		if (i == EV_COUNTER_END || !text[len])
			bad(line, "not a counter=number: %s", text);
		netstat->known |= 1U << i;
		netstat->counters[i] = parse_number(line, text + len + 1, UINT64_MAX);
	}
}

static void put_cgroup(struct scenario *scenario, struct line *line, union any_record *record)
{
	(void)scenario;
	record->cgroup.id = take_id(line, "id");
	record->cgroup.cut = take_number(line, "cut", 0, 1);
	take_text(line, "path", record->cgroup.path, sizeof(record->cgroup.path));
}

/* Settings by the last part of their names: tcp_tw_reuse=2. The others are not
 * known. */
static void put_settings(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_settings *settings = &record->settings;

	settings->netns = take_netns(scenario, line, scenario->netns);
	for (unsigned int i = 0; i < EV_SETTING_END; i++) {
		const char *text = take(line, setting__word(i));

		if (!text)
			continue;
		settings->known |= 1U << i;
		settings->values[i] = (int64_t)parse_number(line, text, INT64_MAX);
	}
}

/* since= is a time, or -SECONDS before this record; the default is the record
 * before, the last that is known to have come through. */
static void put_loss(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_loss *loss = &record->loss;
	const char *since = take(line, "since");

	loss->since_ns = scenario->time_ns;
	if (since && *since == '-')
		loss->since_ns = loss->header.time_ns - parse_seconds(line, since + 1);
	else if (since)
		loss->since_ns = parse_seconds(line, since);
	loss->count = take_number(line, "count", 1, UINT64_MAX);
	loss->reason = take_name(line, "reason", reason_names, EV_LOST_RING_FULL);
	loss->of_kind = take_name(line, "kind", kind_names, 0);
	scenario->lost[loss->reason] += loss->count;
}

/* What is not given is what the scenario adds up to: a good ledger. */
static void put_stop(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_stop *stop = &record->stop;
	uint64_t attempted = scenario->records;

	for (const struct name *name = reason_names; name->name; name++) {
		stop->lost[name->value] =
			take_number(line, name->name, scenario->lost[name->value], UINT64_MAX);
		attempted += stop->lost[name->value];
	}
	stop->attempted = take_number(line, "attempted", attempted, UINT64_MAX);
}

/* A kind or version from the future; behind the header all is zero. */
static void put_future(struct scenario *scenario, struct line *line, union any_record *record)
{
	struct ev_header *header = &record->header;

	(void)scenario;
	header->kind = take_number(line, "kind", 127, UINT8_MAX);
	header->version = take_number(line, "version", EV_VERSION, UINT8_MAX);
	header->len = take_number(line, "size", sizeof(*header), sizeof(*record));
}

static const struct verb {
	const char *name;
	uint8_t kind;
	void (*put)(struct scenario *scenario, struct line *line, union any_record *record);
} verbs[] = {
	{"trans", EV_TRANSITION, put_compact},
	{"owned", EV_TRANSITION_OWNED, put_owned},
	{"birth", EV_BIRTH, put_birth},
	{"close", EV_CLOSE, put_close},
	{"syn", EV_SYN, put_syn},
	{"handshake", EV_HANDSHAKE, put_handshake},
	{"accept", EV_ACCEPT, put_accept},
	{"admitted", EV_ADMITTED, put_admitted},
	{"timewait", EV_TIMEWAIT, put_timewait},
	{"bind", EV_BIND, put_bind},
	{"socket", EV_SOCKET, put_socket},
	{"dump", EV_DUMP, put_dump},
	{"cgroup", EV_CGROUP, put_cgroup},
	{"listener", EV_LISTENER, put_listener},
	{"sampled", EV_SAMPLED, put_sampled},
	{"netstat", EV_NETSTAT, put_netstat},
	{"settings", EV_SETTINGS, put_settings},
	{"holder", EV_HOLDER, put_holder},
	{"unread", EV_UNREAD, put_unread},
	{"loss", EV_LOSS, put_loss},
	{"stop", EV_STOP, put_stop},
	{"future", 0, put_future},
};

/* poke=OFFSET:BYTE overwrites one byte, to tell of a record that is damaged. */
static bool poke(struct line *line, union any_record *record)
{
	const char *text;
	bool poked = false;

	while ((text = take(line, "poke")) != NULL) {
		const char *colon = strchr(text, ':');
		char offset[24] = "";

		if (!colon || (size_t)(colon - text) >= sizeof(offset))
			bad(line, "not OFFSET:BYTE: %s", text);
		memcpy(offset, text, colon - text);
		record->bytes[parse_number(line, offset, sizeof(*record) - 1)] =
			parse_number(line, colon + 1, UINT8_MAX);
		poked = true;
	}
	return poked;
}

/* ---- the whole ---------------------------------------------------------- */

static void fail_to_write(int err)
{
	fprintf(stderr, "mkrec: standard output: %s\n", strerror(-err));
	exit(1);
}

static void start_recording(struct scenario *scenario)
{
	scenario->time_ns = scenario->info.start_ns;
	scenario->writer = recording_writer__new("-", &scenario->info);
	if (!scenario->writer)
		fail_to_write(-errno);
}

static void take_info(struct scenario *scenario, struct line *line)
{
	struct capture_info *info = &scenario->info;

	if (scenario->informed || scenario->writer)
		bad(line, "info is the first line, and there is one");
	scenario->informed = true;
	take_text(line, "kernel", info->kernel, sizeof(info->kernel));
	take_text(line, "tool", info->tool, sizeof(info->tool));
	take_text(line, "source", info->source, sizeof(info->source));
	take_text(line, "hooks", info->hooks, sizeof(info->hooks));
	info->realtime_offset_ns = take_number(line, "offset", info->realtime_offset_ns, UINT64_MAX);
	info->start_ns = take_number(line, "start", info->start_ns, UINT64_MAX);
	expect_all_taken(line);
}

/* Many records are of few tasks. */
static void take_task(struct scenario *scenario, struct line *line)
{
	const char *text = take(line, NULL);
	uint64_t number = text ? parse_number(line, text, TASKS_MAX) : 0;

	if (!number)
		bad(line, "a task has a number, from 1 on");
	put_owner(scenario, line, &scenario->tasks[number - 1]);
	if (!scenario->tasks[number - 1].pid)
		bad(line, "pid= is missing");
	expect_all_taken(line);
}

static void take_record(struct scenario *scenario, struct line *line, const struct verb *verb)
{
	union any_record bytes = {0};
	struct record record;
	bool poked;
	int err;

	if (!scenario->writer)
		start_recording(scenario);
	bytes.header = (struct ev_header){
		.len = record__size(verb->kind),
		.version = EV_VERSION,
		.kind = verb->kind,
		.cpu = take_number(line, "cpu", 0, UINT32_MAX),
		.time_ns = take_time(scenario, line),
	};
	verb->put(scenario, line, &bytes);
	scenario->time_ns = bytes.header.time_ns;
	scenario->records += verb->kind < EV_LOSS;
	poked = poke(line, &bytes);
	expect_all_taken(line);

	if (bytes.header.len > sizeof(bytes))
		bad(line, "a length of more than %zu bytes", sizeof(bytes));
	err = record__decode(&record, &bytes, bytes.header.len);
	if (!poked && err != (verb->kind ? 0 : -ENOTSUP))
		bad(line, "the decoder would not take this for a '%s' record", verb->name);
	err = recording_writer__append(scenario->writer, &bytes, bytes.header.len);
	if (err == -EINVAL)
		bad(line, "a recording cannot hold a record of %u bytes", bytes.header.len);
	if (err)
		fail_to_write(err);
}

static void take_line(struct scenario *scenario, struct line *line)
{
	const char *name = take(line, NULL);

	if (!name)
		bad(line, "a line begins with its kind");
	if (strcmp(name, "info") == 0) {
		take_info(scenario, line);
		return;
	}
	if (strcmp(name, "task") == 0) {
		take_task(scenario, line);
		return;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(name, verbs[i].name) == 0) {
			take_record(scenario, line, &verbs[i]);
			return;
		}
	}
	bad(line, "unknown kind of line: %s", name);
}

/* NUL bytes would hide the rest of their line. */
static void read_scenario(struct scenario *scenario, FILE *file)
{
	struct line line = {0};
	char *text = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&text, &size, file)) >= 0) {
		line.number++;
		if (memchr(text, '\0', len))
			bad(&line, "a NUL byte");
		scan_line(&line, text);
		if (line.count)
			take_line(scenario, &line);
	}
	free(text);
	if (ferror(file))
		bad(&line, "cannot read on: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	static struct scenario scenario = {
		.netns = 4026531840u, /* what the first namespace of a host usually has */
		.info =
			{
				.realtime_offset_ns = 1700000000 * NS_PER_S,
				.start_ns = NS_PER_S,
				.kernel = "6.12.0",
				.tool = "0.1.0",
				.source = "live",
				.hooks = "state=tp_btf syn=none",
			},
	};
	int err;

	(void)argv;
	if (argc > 1) {
		fprintf(stderr, "usage: mkrec < SCENARIO > RECORDING\n");
		return 2;
	}
	read_scenario(&scenario, stdin);
	if (!scenario.writer)
		start_recording(&scenario);
	err = recording_writer__free(scenario.writer);
	if (err)
		fail_to_write(err);
	return 0;
}
