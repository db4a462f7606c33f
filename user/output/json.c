// SPDX-License-Identifier: BSD-2-Clause
/*
 * The JSON of DESIGN section 6, one object a line, written straight into the
 * buffer: a general writer costs five times as much per line. Here are what every line
 * is made of and the events; what is now and findings have files of their own. Keys
 * that are not known are left out. `tcpsaga schema` is the other half of this file
 * (schema.json); a test holds the two together.
 */
#include <netinet/in.h>
#include <errno.h>
#include <string.h>

#include "output/json_parts.h"
#include "output/printer.h"
#include "base/decimal.h"
#include "base/text.h"

/*
 * The write_ functions write at a place where there is room and return the
 * place behind; the put_ functions append to the buffer. What all lines of
 * trace and flows have is written: to ask for room once, and not for each
 * comma, makes a line in half of the time.
 */
#define WRITE(at, text) ((char *)memcpy(at, text, sizeof(text) - 1) + sizeof(text) - 1)

enum {
	HEAD_ROOM = 96,	       /* {"v":1,"type":"timewait_group","ts":"..." */
	CONNECTION_ROOM = 384, /* the longest is 280, and a number or an address behind it */
	ENTRY_ROOM = 80,       /* of a history */
	LIFE_ROOM = LIFE_HISTORY_MAX * ENTRY_ROOM + 768, /* what else there is takes 620 at most */
};

static char *write_time(struct printer *printer, char *at, uint64_t boot_ns)
{
	*at++ = '"';
	at = utc_formatter__write(&printer->utc, at, boot_ns);
	*at++ = '"';
	return at;
}

void json__time(struct printer *printer, uint64_t boot_ns)
{
	char *at = strbuf__grow(&printer->out, UTC_TEXT_LEN + 2);

	if (at)
		strbuf__wrote(&printer->out, write_time(printer, at, boot_ns));
}

/* Every object begins alike: schema version, type, time. */
#define BEFORE_TYPE "{\"v\":1,\"type\":\""
#define BEHIND_TYPE "\",\"ts\":"
#define TYPE(name) BEFORE_TYPE name BEHIND_TYPE

void json__open(struct printer *printer, const char *type, uint64_t time_ns)
{
	char *at = strbuf__grow(&printer->out, HEAD_ROOM);

	if (!at)
		return;
	at = WRITE(at, BEFORE_TYPE);
	at = stpcpy(at, type);
	at = WRITE(at, BEHIND_TYPE);
	strbuf__wrote(&printer->out, write_time(printer, at, time_ns));
}

void json__close(struct printer *printer)
{
	LITERAL(&printer->out, "}\n");
}

/* Two of its digits at a time. */
static char *write_hex(char *at, uint64_t value)
{
	static const char digits[] = "0123456789abcdef";
	unsigned int count = (67 - (unsigned int)__builtin_clzll(value | 1)) / 4;
	char *p = at + 2 + count;

	for (; value > 0xf; value >>= 8) {
		*--p = digits[value & 15];
		*--p = digits[value >> 4 & 15];
	}
	if (count % 2)
		*--p = digits[value];
	memcpy(at, "0x", 2);
	return at + 2 + count;
}

void json__hex(struct strbuf *out, uint64_t value)
{
	char text[18];

	strbuf__append(out, text, (size_t)(write_hex(text, value) - text));
}

/* Written once and then copied, as long as no other takes its place. What is written
 * behind it is written over. */
static char *write_addr(struct printer *printer, char *at, const uint8_t addr[16])
{
	struct addr_text *kept = &printer->addrs[(addr[15] + 13 * addr[14] + 31 * addr[7]) % ADDR_TEXTS];

	if (!kept->len || memcmp(kept->addr, addr, sizeof(kept->addr)) != 0) {
		memcpy(kept->addr, addr, sizeof(kept->addr));
		kept->len = addr__format(addr, kept->text);
	}
	memcpy(at, kept->text, sizeof(kept->text));
	return at + kept->len;
}

/* printer may be NULL: then an address is not kept. */
static char *write_end(struct printer *printer, char *at, const uint8_t addr[16], uint16_t port,
		       bool place_known)
{
	*at++ = '{';
	if (place_known) {
		at = WRITE(at, "\"addr\":\"");
		at = printer ? write_addr(printer, at, addr) : at + addr__format(addr, at);
		*at++ = '"';
	}
	if (port) {
		if (place_known)
			*at++ = ',';
		at = WRITE(at, "\"port\":");
		at = decimal__write(at, port);
	}
	*at++ = '}';
	return at;
}

static void put_end(struct strbuf *out, const uint8_t addr[16], uint16_t port, bool place_known)
{
	char text[ADDR_TEXT_MAX + 32 + DECIMAL_ROOM];

	strbuf__append(out, text, (size_t)(write_end(NULL, text, addr, port, place_known) - text));
}

/* "KEY":"text", and "KEY_hex" with its bytes where it is not UTF-8, so that it
 * round-trips. */
static void put_foreign(struct strbuf *out, const char *key, const char *bytes, size_t len)
{
	LITERAL(out, ",\"");
	strbuf__str(out, key);
	LITERAL(out, "\":");
	if (text__json(out, bytes, len))
		return;
	strbuf__printf(out, ",\"%s_hex\":\"", key);
	for (size_t i = 0; i < len; i++)
		strbuf__printf(out, "%02x", (unsigned char)bytes[i]);
	strbuf__char(out, '"');
}

static void put_cgroup(struct strbuf *out, const struct cgroup *cgroup)
{
	put_foreign(out, "cgroup", cgroup->path, cgroup->len);
	if (cgroup->cut)
		LITERAL(out, ",\"cgroup_cut\":true");
	if (cgroup->container.len) {
		LITERAL(out, ",\"container\":\"");
		strbuf__append(out, cgroup->path + cgroup->container.at, cgroup->container.len);
		strbuf__char(out, '"');
	}
	if (cgroup->unit.len) {
		LITERAL(out, ",\"unit\":");
		text__json(out, cgroup->path + cgroup->unit.at, cgroup->unit.len);
	}
}

/* cgroup may be NULL. */
static void put_who(struct strbuf *out, const struct owner *owner, struct utc_formatter *starts,
		    const struct cgroup *cgroup)
{
	LITERAL(out, ",\"process\":{\"pid\":");
	strbuf__u64(out, owner->pid);
	put_foreign(out, "comm", owner->comm, strnlen(owner->comm, sizeof(owner->comm)));
	LITERAL(out, ",\"uid\":");
	strbuf__u64(out, owner->uid);
	if (owner->start_cs) {
		LITERAL(out, ",\"started\":\"");
		strbuf__append(out, utc_formatter__format(starts, owner->start_cs * NS_PER_CS),
			       UTC_TEXT_LEN);
		strbuf__char(out, '"');
	}
	if (cgroup)
		put_cgroup(out, cgroup);
	strbuf__char(out, '}');
}

/* Written once and then copied, as long as it is the same. */
void json__owner(struct printer *printer, const struct owner *owner)
{
	struct process_text *kept = &printer->processes[owner->pid % PROCESS_TEXTS];
	uint64_t told = printer->cgroups ? printer->cgroups->told : 0;
	struct strbuf *out = &printer->out;
	size_t before = out->len;

	if (kept->len && kept->told == told && !memcmp(&kept->owner, owner, sizeof(*owner))) {
		strbuf__append(out, kept->text, kept->len);
		return;
	}
	put_who(out, owner, &printer->starts, printer__cgroup(printer, owner));
	if (out->failed || out->len - before > sizeof(kept->text))
		return;
	kept->owner = *owner;
	kept->told = told;
	kept->len = (uint32_t)(out->len - before);
	memcpy(kept->text, out->data + before, kept->len);
}

/* For the views that have files of their own. */

void json__end(struct strbuf *out, const struct endpoint *end)
{
	put_end(out, end->addr, end->port, true);
}

void json__process(struct strbuf *out, const struct owner *owner, struct utc_formatter *starts)
{
	put_who(out, owner, starts, NULL);
}

/* Thousands of lines have the same: what is written behind it is written over. */
static char *write_netns(struct printer *printer, char *at, uint32_t netns)
{
	struct netns_text *kept = &printer->netns;

	if (kept->netns != netns || !kept->len) {
		kept->netns = netns;
		kept->len = (uint32_t)(decimal__write(kept->text, netns) - kept->text);
	}
	memcpy(at, kept->text, sizeof(kept->text));
	return at + kept->len;
}

/* conn, netns, proto, family, local, remote, role. */
static char *write_connection(struct printer *printer, char *at, const struct life *life)
{
	bool known = life->flags & LIFE_PLACE_KNOWN;

	at = WRITE(at, ",\"conn\":\"");
	at = write_hex(at, life->conn);
	*at++ = '"';
	if (known) {
		at = WRITE(at, ",\"netns\":");
		at = write_netns(printer, at, life->netns);
	}
	at = WRITE(at, ",\"proto\":\"tcp\"");
	if (known) {
		at = WRITE(at, ",\"family\":");
		*at++ = life__family(life) == 4 ? '4' : '6';
	}
	at = WRITE(at, ",\"local\":");
	at = write_end(printer, at, life->local.addr, life->local.port, known);
	if (life->role != ROLE_LISTENER) {
		at = WRITE(at, ",\"remote\":");
		at = write_end(printer, at, life->remote.addr, life->remote.port, known);
	}
	if (life->role != ROLE_UNKNOWN) {
		at = WRITE(at, ",\"role\":\"");
		at = role__write(at, (enum role)life->role);
		*at++ = '"';
	}
	if (life->flags & LIFE_MPTCP)
		at = WRITE(at, ",\"mptcp\":true");
	return at;
}

/* The beginning of a line with these, and process. Of the lines that there are most of:
 * room is asked for once, and the head copied as the constant that it is. */
static inline __attribute__((always_inline)) void
put_connection(struct printer *printer, const char *head, size_t head_len, const struct change *change)
{
	char *at = strbuf__grow(&printer->out, HEAD_ROOM + CONNECTION_ROOM);

	if (!at)
		return;
	memcpy(at, head, head_len);
	at = write_time(printer, at + head_len, change->time_ns);
	strbuf__wrote(&printer->out, write_connection(printer, at, change->life));
	if (change->owner)
		json__owner(printer, change->owner);
}

static uint64_t listener_id(const struct listener *listener)
{
	return listener ? listener->id : 0;
}

static void put_error(struct strbuf *out, unsigned int error)
{
	const char *name = error ? strerrorname_np((int)error) : NULL;

	if (!name)
		return;
	LITERAL(out, ",\"error\":\"");
	strbuf__str(out, name);
	strbuf__char(out, '"');
}

static void put_states(struct strbuf *out, const struct change *change)
{
	char *at = strbuf__grow(out, 2 * ENTRY_ROOM);

	if (!at)
		return;
	at = WRITE(at, ",\"old\":\"");
	at = state__write(at, change->old_state);
	at = WRITE(at, "\",\"new\":\"");
	at = state__write(at, change->new_state);
	*at++ = '"';
	if (change->in_old_ns != UNKNOWN_NS) {
		at = WRITE(at, ",\"in_old_us\":");
		at = decimal__write(at, change->in_old_ns / NS_PER_US);
	}
	strbuf__wrote(out, at);
}

static void put_transition(struct printer *printer, const struct change *change)
{
	struct strbuf *out = &printer->out;

	put_connection(printer, TYPE("transition"), sizeof(TYPE("transition")) - 1, change);
	put_states(out, change);
	if (change->new_state == EV_STATE_CLOSE)
		put_error(out, change->life->error);
	json__close(printer);
}

void json__count(struct strbuf *out, const char *key, uint64_t count)
{
	strbuf__str(out, key);
	strbuf__u64(out, count);
}

void json__word(struct strbuf *out, const char *key, const char *word)
{
	if (!word)
		return;
	strbuf__str(out, key);
	strbuf__str(out, word);
	strbuf__char(out, '"');
}

/* A key with its punctuation and a number. */
#define WRITE_COUNT(at, key, count) decimal__write(WRITE(at, key), count)

static char *write_word(char *at, const char *word)
{
	at = stpcpy(at, word);
	*at++ = '"';
	return at;
}

static char *write_history(char *at, const struct life *life)
{
	at = WRITE(at, ",\"history\":[");
	for (unsigned int i = 0; i < life->history_count; i++) {
		if (i)
			*at++ = ',';
		at = WRITE(at, "{\"state\":\"");
		at = state__write(at, history_state(life->history[i]));
		at = WRITE_COUNT(at, "\",\"at_us\":", history_ns(life->history[i]) / NS_PER_US);
		*at++ = '}';
	}
	*at++ = ']';
	return life->flags & LIFE_HISTORY_CUT ? WRITE(at, ",\"history_cut\":true") : at;
}

static char *write_span(struct printer *printer, char *at, const struct life *life)
{
	if (life->flags & LIFE_START_KNOWN)
		at = write_time(printer, WRITE(at, ",\"start\":"), life->start_ns);
	if (!life__closed(life))
		return at;
	at = write_time(printer, WRITE(at, ",\"end\":"), life->entered_ns);
	if (life->flags & LIFE_START_KNOWN)
		at = WRITE_COUNT(at, ",\"duration_us\":", life__lasted_ns(life) / NS_PER_US);
	return at;
}

static char *write_outcome(char *at, const struct life *life)
{
	const char *how = how__name(life->how);
	const char *error = life->error ? strerrorname_np((int)life->error) : NULL;

	at = write_word(WRITE(at, ",\"closed_first\":\""), closed_first__name(life->closed_first));
	if (how)
		at = write_word(WRITE(at, ",\"how\":\""), how);
	if (error)
		at = write_word(WRITE(at, ",\"error\":\""), error);
	return at;
}

static char *write_wait(char *at, const struct life *life)
{
	if (life->flags & LIFE_WAITED)
		at = write_word(WRITE(at, ",\"wait_end\":\""), wait_end__name(life->wait_end));
	if (life->flags & LIFE_WAIT_REFUSED)
		at = WRITE(at, ",\"wait_end\":\"refused\"");
	if (life->wait_estimated)
		at = WRITE(at, ",\"wait_quality\":\"estimated\"");
	return at;
}

static char *write_totals(char *at, const struct life *life)
{
	at = WRITE_COUNT(at, ",\"bytes_sent\":", life->bytes_sent);
	at = WRITE_COUNT(at, ",\"bytes_received\":", life->bytes_received);
	return WRITE_COUNT(at, ",\"retransmits\":", life->retransmits);
}

/* The kernel has it no more, and no record told its end. */
static bool ended_unseen(const struct life *life)
{
	return life->flags & LIFE_ENDED && !life__closed(life) &&
	       !(life->flags & (LIFE_WAITED | LIFE_WAIT_REFUSED));
}

/* The other end of the connection, when it is on this host, too. */
static char *write_peer(const struct printer *printer, char *at, const struct life *life)
{
	const struct life *peer = printer->flows ? flow_table__peer(printer->flows, life) : NULL;

	if (!peer)
		return at;
	at = write_hex(WRITE(at, ",\"peer\":\""), peer->conn);
	*at++ = '"';
	return at;
}

/* How it came about, and how it ended. */
static char *write_course(char *at, const struct life *life)
{
	uint64_t handshake_ns = life__handshake_ns(life);

	at = write_word(WRITE(at, ",\"state\":\""), state__name(life->state));
	at = write_history(at, life);
	if (life__closed(life) || life->flags & LIFE_SOCKET_GONE)
		at = write_outcome(at, life);
	at = write_wait(at, life);
	if (handshake_ns != UNKNOWN_NS)
		at = WRITE_COUNT(at, ",\"handshake_us\":", handshake_ns / NS_PER_US);
	if (life->flags & LIFE_ACCEPTED)
		at = WRITE_COUNT(at, ",\"accept_wait_us\":", life->accept_wait_us);
	return life->flags & LIFE_TOTALS_KNOWN ? write_totals(at, life) : at;
}

static void put_life(struct printer *printer, const struct change *change)
{
	const struct life *life = change->life;
	char *at;

	put_connection(printer, TYPE("connection"), sizeof(TYPE("connection")) - 1, change);
	at = strbuf__grow(&printer->out, LIFE_ROOM);
	if (!at)
		return;
	if (life->ordinal)
		at = WRITE_COUNT(at, ",\"life\":", life->ordinal);
	at = write_peer(printer, at, life);
	at = write_span(printer, at, life);
	at = write_course(at, life);
	if (life->flags & LIFE_PREEXISTING)
		at = WRITE(at, ",\"preexisting\":true");
	if (ended_unseen(life))
		at = WRITE(at, ",\"end_unseen\":true");
	at = life->flags & LIFE_INCOMPLETE ? WRITE(at, ",\"incomplete\":true}\n") :
					     WRITE(at, ",\"incomplete\":false}\n");
	strbuf__wrote(&printer->out, at);
}

static void put_queue(struct strbuf *out, uint32_t len, uint32_t limit)
{
	LITERAL(out, "{\"len\":");
	strbuf__u64(out, len);
	LITERAL(out, ",\"limit\":");
	strbuf__u64(out, limit);
	strbuf__char(out, '}');
}

/* The place of a step at a listener: listener, netns, both ends. */
void json__place_at_listener(struct strbuf *out, uint64_t listener, uint32_t netns,
			     const uint8_t local[16], uint16_t local_port, const uint8_t remote[16],
			     uint16_t remote_port)
{
	if (listener) {
		LITERAL(out, ",\"listener\":\"");
		json__hex(out, listener);
		strbuf__char(out, '"');
	}
	LITERAL(out, ",\"netns\":");
	strbuf__u64(out, netns);
	LITERAL(out, ",\"proto\":\"tcp\",\"family\":");
	strbuf__char(out, addr__family(local) == 4 ? '4' : '6');
	LITERAL(out, ",\"local\":");
	put_end(out, local, local_port, true);
	if (remote_port) {
		LITERAL(out, ",\"remote\":");
		put_end(out, remote, remote_port, true);
	}
	LITERAL(out, ",\"role\":\"server\"");
}

static void put_conn(struct strbuf *out, const struct life *life)
{
	if (!life)
		return;
	LITERAL(out, ",\"conn\":\"");
	json__hex(out, life->conn);
	strbuf__char(out, '"');
}

static void put_outcome_of_step(struct strbuf *out, const struct change *change)
{
	const struct ev_handshake *step = change->handshake;

	json__word(out, ",\"outcome\":\"", outcome__name(step->outcome));
	if (step->outcome == EV_SYN_DROPPED)
		json__word(out, ",\"cause\":\"", drop_cause__name(step->detail));
	if (step->outcome == EV_REQUEST_COMPLETED)
		json__word(out, ",\"via\":\"", step->detail == EV_VIA_COOKIE ? "cookie" : "syn_queue");
	if (step->outcome == EV_REQUEST_RESET && step->detail == EV_RESET_BY_US)
		LITERAL(out, ",\"aborted\":true");
	if (change->kind == CHANGE_SYN)
		return;
	if (change->took_ns != UNKNOWN_NS) {
		LITERAL(out, ",\"took_us\":");
		strbuf__u64(out, change->took_ns / NS_PER_US);
	}
	LITERAL(out, ",\"synack_retransmits\":");
	strbuf__u64(out, step->retransmits);
}

static void put_handshake(struct printer *printer, const struct change *change)
{
	const struct ev_handshake *step = change->handshake;
	struct strbuf *out = &printer->out;

	json__open(printer, change->kind == CHANGE_SYN ? "syn" : "handshake", change->time_ns);
	put_conn(out, change->life);
	json__place_at_listener(out, listener_id(change->listener), step->netns, step->local,
				step->local_port, step->remote, step->remote_port);
	if (change->owner)
		json__owner(printer, change->owner);
	put_outcome_of_step(out, change);
	LITERAL(out, ",\"syn_queue\":");
	put_queue(out, step->syn_queue_len, step->limit);
	LITERAL(out, ",\"accept_queue\":");
	put_queue(out, step->accept_queue_len, step->limit);
	json__close(printer);
}

static void put_accept(struct printer *printer, const struct change *change)
{
	const struct ev_accept *accept = change->accept;
	struct strbuf *out = &printer->out;

	json__open(printer, "accept", change->time_ns);
	put_conn(out, change->life);
	json__place_at_listener(out, listener_id(change->listener), accept->netns, accept->local,
				accept->local_port, accept->remote, accept->remote_port);
	if (change->owner)
		json__owner(printer, change->owner);
	if (change->took_ns != UNKNOWN_NS) {
		LITERAL(out, ",\"waited_us\":");
		strbuf__u64(out, change->took_ns / NS_PER_US);
	}
	if (change->listener) {
		LITERAL(out, ",\"accept_queue\":");
		put_queue(out, accept->accept_queue_len, accept->limit);
	}
	json__close(printer);
}

static void put_flag(struct strbuf *out, const char *key, bool flag)
{
	strbuf__printf(out, ",\"%s\":%s", key, flag ? "true" : "false");
}

static void put_bind(struct printer *printer, const struct change *change)
{
	const struct ev_bind *bind = change->bind;
	struct strbuf *out = &printer->out;

	json__open(printer, "bind", change->time_ns);
	LITERAL(out, ",\"netns\":");
	strbuf__u64(out, bind->netns);
	strbuf__printf(out, ",\"proto\":\"%s\",\"family\":%u,\"local\":",
		       bind->protocol == IPPROTO_UDP ? "udp" : "tcp", addr__family(bind->local));
	put_end(out, bind->local, bind->port, true);
	if (change->owner)
		json__owner(printer, change->owner);
	strbuf__printf(out, ",\"call\":\"%s\",\"error\":\"%s\"",
		       bind->call == EV_CALL_LISTEN ? "listen" : "bind", bind_error__name(bind->error));
	put_flag(out, "reuseaddr", bind->options & EV_BIND_REUSEADDR);
	put_flag(out, "reuseport", bind->options & EV_BIND_REUSEPORT);
	if (bind->family == AF_INET6)
		put_flag(out, "v6only", bind->options & EV_BIND_V6ONLY);
	json__close(printer);
}

static void put_timewait(struct printer *printer, const struct change *change)
{
	const struct ev_timewait *wait = change->timewait;
	struct strbuf *out = &printer->out;

	json__open(printer, "timewait", change->time_ns);
	put_conn(out, change->life);
	LITERAL(out, ",\"netns\":");
	strbuf__u64(out, wait->netns);
	LITERAL(out, ",\"proto\":\"tcp\",\"family\":");
	strbuf__char(out, addr__family(wait->remote) == 4 ? '4' : '6');
	LITERAL(out, ",\"local\":");
	put_end(out, wait->local, wait->local_port, true);
	LITERAL(out, ",\"remote\":");
	put_end(out, wait->remote, wait->remote_port, true);
	if (change->life)
		json__word(out, ",\"role\":\"", role__name(change->life->role));
	if (change->owner)
		json__owner(printer, change->owner);
	json__word(out, ",\"phase\":\"", wait_phase__name(wait->phase));
	json__word(out, ",\"substate\":\"", state__name(wait->substate));
	json__word(out, ",\"end\":\"", wait_end__name(wait->end));
	if (change->took_ns != UNKNOWN_NS) {
		LITERAL(out, ",\"held_us\":");
		strbuf__u64(out, change->took_ns / NS_PER_US);
	}
	json__close(printer);
}

static void put_gap_ends(struct printer *printer, uint64_t from_ns, uint64_t to_ns)
{
	LITERAL(&printer->out, ",\"from\":");
	json__time(printer, from_ns);
	LITERAL(&printer->out, ",\"to\":");
	json__time(printer, to_ns);
}

static void put_loss(struct printer *printer, const struct change *change)
{
	const struct ev_loss *loss = change->loss;
	struct strbuf *out = &printer->out;

	json__open(printer, "loss", change->time_ns);
	LITERAL(out, ",\"count\":");
	strbuf__u64(out, loss->count);
	LITERAL(out, ",\"reason\":\"");
	strbuf__str(out, loss_reason__name(loss->reason));
	strbuf__char(out, '"');
	if (loss->of_kind) {
		LITERAL(out, ",\"kind\":\"");
		strbuf__str(out, event_kind__name(loss->of_kind));
		strbuf__char(out, '"');
	}
	put_gap_ends(printer, loss->since_ns, change->time_ns);
	json__close(printer);
}

void json__gap(struct printer *printer, const struct gap *gap)
{
	json__open(printer, "loss", gap->to_ns);
	json__word(&printer->out, ",\"reason\":\"", gap__reason(gap));
	put_gap_ends(printer, gap->from_ns, gap->to_ns);
	json__close(printer);
}

/* "state=tp_btf syn=none" to an object. */
static void put_hooks(struct strbuf *out, const char *hooks)
{
	const char *word = hooks;

	LITERAL(out, ",\"hooks\":{");
	while (*word) {
		size_t len = strcspn(word, " ");
		const char *equals = memchr(word, '=', len);
		size_t name = equals ? (size_t)(equals - word) : len;

		if (word != hooks)
			strbuf__char(out, ',');
		text__json(out, word, name);
		strbuf__char(out, ':');
		text__json(out, word + name + !!equals, len - name - !!equals);
		word += len;
		word += strspn(word, " ");
	}
	strbuf__char(out, '}');
}

static void put_text(struct strbuf *out, const char *key, const char *text)
{
	strbuf__str(out, key);
	text__json(out, text, strlen(text));
}

static void json_begin(struct printer *printer, const struct capture_info *info)
{
	struct strbuf *out = &printer->out;

	json__open(printer, "start", info->start_ns);
	put_text(out, ",\"version\":", info->tool);
	put_text(out, ",\"kernel\":", info->kernel);
	put_text(out, ",\"source\":", info->source);
	put_hooks(out, info->hooks);
	json__close(printer);
}

static void put_not_kept(struct strbuf *out, const struct ledger *ledger)
{
	bool first = true;

	for (int table = 0; table < TABLE_COUNT; table++) {
		if (!ledger->not_kept[table])
			continue;
		strbuf__printf(out, "%s\"%s\":", first ? ",\"not_kept\":{" : ",",
			       model_table__name((enum model_table)table));
		strbuf__u64(out, ledger->not_kept[table]);
		first = false;
	}
	if (!first)
		strbuf__char(out, '}');
}

static void json_stop(struct printer *printer, uint64_t time_ns, const struct ledger *ledger)
{
	struct strbuf *out = &printer->out;
	bool first = true;

	json__open(printer, "stop", time_ns);
	LITERAL(out, ",\"ledger\":{");
	if (ledger->attempted_known) {
		LITERAL(out, "\"attempted\":");
		strbuf__u64(out, ledger->attempted);
		strbuf__char(out, ',');
	}
	LITERAL(out, "\"delivered\":");
	strbuf__u64(out, ledger->delivered);
	LITERAL(out, ",\"lost\":{");
	for (unsigned int reason = 1; reason < EV_LOSS_REASON_END; reason++) {
		if (!ledger->lost[reason])
			continue;
		strbuf__printf(out, "%s\"%s\":", first ? "" : ",", loss_reason__name(reason));
		strbuf__u64(out, ledger->lost[reason]);
		first = false;
	}
	strbuf__char(out, '}');
	if (ledger->malformed) {
		LITERAL(out, ",\"malformed\":");
		strbuf__u64(out, ledger->malformed);
	}
	if (ledger->doubles) {
		LITERAL(out, ",\"doubles\":");
		strbuf__u64(out, ledger->doubles);
	}
	if (ledger->unrecorded) {
		LITERAL(out, ",\"unrecorded\":");
		strbuf__u64(out, ledger->unrecorded);
	}
	strbuf__char(out, '}');
	put_not_kept(out, ledger);
	json__close(printer);
}

const struct printer_ops json_printer = {
	.begin = json_begin,
	.change = {
		[CHANGE_TRANSITION] = put_transition,
		[CHANGE_LIFE] = put_life,
		[CHANGE_SYN] = put_handshake,
		[CHANGE_HANDSHAKE] = put_handshake,
		[CHANGE_ACCEPT] = put_accept,
		[CHANGE_TIMEWAIT] = put_timewait,
		[CHANGE_BIND] = put_bind,
		[CHANGE_LOSS] = put_loss,
	},
	.listener = json__listener,
	.netns = json__netns,
	.queues_end = json__queues_end,
	.waits = json__waits,
	.ports = json__ports,
	.finding = json__finding,
	.census = json__census,
	.stop = json_stop,
};
