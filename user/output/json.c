// SPDX-License-Identifier: BSD-2-Clause
/*
 * The JSON of DESIGN section 6, one object a line, written straight into the
 * buffer: a general writer costs five times as much per line. Keys that are
 * not known are left out. `tcpsaga schema` is the other half of this file
 * (schema.json); a test holds the two together.
 */
#include <netinet/in.h>
#include <errno.h>
#include <string.h>

#include "output/json_parts.h"
#include "output/printer.h"
#include "base/decimal.h"
#include "base/text.h"
#include "event/counter.h"

#define LITERAL(buf, text) strbuf__append(buf, text, sizeof(text) - 1)

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
};

static char *write_time(struct printer *printer, char *at, uint64_t boot_ns)
{
	*at++ = '"';
	memcpy(at, utc_formatter__format(&printer->utc, boot_ns), UTC_TEXT_LEN);
	at += UTC_TEXT_LEN;
	*at++ = '"';
	return at;
}

static void put_time(struct printer *printer, uint64_t boot_ns)
{
	char *at = strbuf__grow(&printer->out, UTC_TEXT_LEN + 2);

	if (at)
		strbuf__wrote(&printer->out, write_time(printer, at, boot_ns));
}

/* Every object begins alike: schema version, type, time. */
static void open_object(struct printer *printer, const char *type, uint64_t time_ns)
{
	char *at = strbuf__grow(&printer->out, HEAD_ROOM);

	if (!at)
		return;
	at = WRITE(at, "{\"v\":1,\"type\":\"");
	at = stpcpy(at, type);
	at = WRITE(at, "\",\"ts\":");
	strbuf__wrote(&printer->out, write_time(printer, at, time_ns));
}

static void close_object(struct printer *printer)
{
	LITERAL(&printer->out, "}\n");
}

static char *write_hex(char *at, uint64_t value)
{
	static const char digits[] = "0123456789abcdef";
	unsigned int count = (67 - (unsigned int)__builtin_clzll(value | 1)) / 4;

	at = WRITE(at, "0x");
	for (char *p = at + count; p > at; value >>= 4)
		*--p = digits[value & 15];
	return at + count;
}

static void put_hex(struct strbuf *out, uint64_t value)
{
	char text[18];

	strbuf__append(out, text, (size_t)(write_hex(text, value) - text));
}

/* Written once and then copied, as long as no other takes its place. What is written
 * behind it is written over. */
static char *write_v6(struct printer *printer, char *at, const uint8_t addr[16])
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
		at = printer && !addr__is_v4(addr) ? write_v6(printer, at, addr) :
						     at + addr__format(addr, at);
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
static void put_process(struct printer *printer, const struct owner *owner)
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

void json__hex(struct strbuf *out, uint64_t value)
{
	put_hex(out, value);
}

static char *write_role(char *at, unsigned int role)
{
	const char *name = role__name(role);

	if (!name)
		return at;
	at = WRITE(at, ",\"role\":\"");
	at = stpcpy(at, name);
	*at++ = '"';
	return at;
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
		at = decimal__write(at, life->netns);
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
	at = write_role(at, life->role);
	if (life->flags & LIFE_MPTCP)
		at = WRITE(at, ",\"mptcp\":true");
	return at;
}

/* The same, and process. */
static void put_connection(struct printer *printer, const struct life *life, const struct owner *owner)
{
	char *at = strbuf__grow(&printer->out, CONNECTION_ROOM);

	if (!at)
		return;
	strbuf__wrote(&printer->out, write_connection(printer, at, life));
	if (owner)
		put_process(printer, owner);
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

	open_object(printer, "transition", change->time_ns);
	put_connection(printer, change->life, change->owner);
	put_states(out, change);
	if (change->new_state == EV_STATE_CLOSE)
		put_error(out, change->life->error);
	close_object(printer);
}

static void put_word(struct strbuf *out, const char *key, const char *word)
{
	if (!word)
		return;
	strbuf__str(out, key);
	strbuf__str(out, word);
	strbuf__char(out, '"');
}

static void put_history(struct strbuf *out, const struct life *life)
{
	char *at = strbuf__grow(out, (LIFE_HISTORY_MAX + 1) * ENTRY_ROOM);

	if (!at)
		return;
	at = WRITE(at, ",\"history\":[");
	for (unsigned int i = 0; i < life->history_count; i++) {
		if (i)
			*at++ = ',';
		at = WRITE(at, "{\"state\":\"");
		at = state__write(at, history_state(life->history[i]));
		at = WRITE(at, "\",\"at_us\":");
		at = decimal__write(at, history_ns(life->history[i]) / NS_PER_US);
		*at++ = '}';
	}
	*at++ = ']';
	strbuf__wrote(out, at);
	if (life->flags & LIFE_HISTORY_CUT)
		LITERAL(out, ",\"history_cut\":true");
}

static void put_span(struct printer *printer, const struct life *life)
{
	struct strbuf *out = &printer->out;

	if (life->flags & LIFE_START_KNOWN) {
		LITERAL(out, ",\"start\":");
		put_time(printer, life->start_ns);
	}
	if (!life__closed(life))
		return;
	LITERAL(out, ",\"end\":");
	put_time(printer, life->entered_ns);
	if (life->flags & LIFE_START_KNOWN) {
		LITERAL(out, ",\"duration_us\":");
		strbuf__u64(out, life__lasted_ns(life) / NS_PER_US);
	}
}

static void put_outcome(struct strbuf *out, const struct life *life)
{
	LITERAL(out, ",\"closed_first\":\"");
	strbuf__str(out, closed_first__name(life->closed_first));
	strbuf__char(out, '"');
	if (how__name(life->how)) {
		LITERAL(out, ",\"how\":\"");
		strbuf__str(out, how__name(life->how));
		strbuf__char(out, '"');
	}
	put_error(out, life->error);
}

static void put_totals(struct strbuf *out, const struct life *life)
{
	LITERAL(out, ",\"bytes_sent\":");
	strbuf__u64(out, life->bytes_sent);
	LITERAL(out, ",\"bytes_received\":");
	strbuf__u64(out, life->bytes_received);
	LITERAL(out, ",\"retransmits\":");
	strbuf__u64(out, life->retransmits);
}

/* The kernel has it no more, and no record told its end. */
static bool ended_unseen(const struct life *life)
{
	return life->flags & LIFE_ENDED && !life__closed(life) &&
	       !(life->flags & (LIFE_WAITED | LIFE_WAIT_REFUSED));
}

static void put_life(struct printer *printer, const struct change *change)
{
	const struct life *life = change->life;
	struct strbuf *out = &printer->out;
	uint64_t handshake_ns = life__handshake_ns(life);

	open_object(printer, "connection", change->time_ns);
	put_connection(printer, life, change->owner);
	if (life->ordinal) {
		LITERAL(out, ",\"life\":");
		strbuf__u64(out, life->ordinal);
	}
	if (change->peer) {
		LITERAL(out, ",\"peer\":\"");
		put_hex(out, change->peer->conn);
		strbuf__char(out, '"');
	}
	put_span(printer, life);
	LITERAL(out, ",\"state\":\"");
	strbuf__str(out, state__name(life->state));
	strbuf__char(out, '"');
	put_history(out, life);
	if (life__closed(life) || life->flags & LIFE_SOCKET_GONE)
		put_outcome(out, life);
	if (life->flags & LIFE_WAITED)
		put_word(out, ",\"wait_end\":\"", wait_end__name(life->wait_end));
	if (life->flags & LIFE_WAIT_REFUSED)
		put_word(out, ",\"wait_end\":\"", "refused");
	if (life->wait_estimated)
		put_word(out, ",\"wait_quality\":\"", "estimated");
	if (handshake_ns != UNKNOWN_NS) {
		LITERAL(out, ",\"handshake_us\":");
		strbuf__u64(out, handshake_ns / NS_PER_US);
	}
	if (life->flags & LIFE_ACCEPTED) {
		LITERAL(out, ",\"accept_wait_us\":");
		strbuf__u64(out, life->accept_wait_us);
	}
	if (life->flags & LIFE_TOTALS_KNOWN)
		put_totals(out, life);
	if (life->flags & LIFE_PREEXISTING)
		LITERAL(out, ",\"preexisting\":true");
	if (ended_unseen(life))
		LITERAL(out, ",\"end_unseen\":true");
	if (life->flags & LIFE_INCOMPLETE)
		LITERAL(out, ",\"incomplete\":true");
	else
		LITERAL(out, ",\"incomplete\":false");
	close_object(printer);
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
static void put_step_place(struct strbuf *out, uint64_t listener, uint32_t netns, const uint8_t local[16],
			   uint16_t local_port, const uint8_t remote[16], uint16_t remote_port)
{
	if (listener) {
		LITERAL(out, ",\"listener\":\"");
		put_hex(out, listener);
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
	put_hex(out, life->conn);
	strbuf__char(out, '"');
}

static void put_outcome_of_step(struct strbuf *out, const struct change *change)
{
	const struct ev_handshake *step = change->handshake;

	put_word(out, ",\"outcome\":\"", outcome__name(step->outcome));
	if (step->outcome == EV_SYN_DROPPED)
		put_word(out, ",\"cause\":\"", drop_cause__name(step->detail));
	if (step->outcome == EV_REQUEST_COMPLETED)
		put_word(out, ",\"via\":\"", step->detail == EV_VIA_COOKIE ? "cookie" : "syn_queue");
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

	open_object(printer, change->kind == CHANGE_SYN ? "syn" : "handshake", change->time_ns);
	put_conn(out, change->life);
	put_step_place(out, listener_id(change->listener), step->netns, step->local, step->local_port,
		       step->remote, step->remote_port);
	if (change->owner)
		put_process(printer, change->owner);
	put_outcome_of_step(out, change);
	LITERAL(out, ",\"syn_queue\":");
	put_queue(out, step->syn_queue_len, step->limit);
	LITERAL(out, ",\"accept_queue\":");
	put_queue(out, step->accept_queue_len, step->limit);
	close_object(printer);
}

static void put_accept(struct printer *printer, const struct change *change)
{
	const struct ev_accept *accept = change->accept;
	struct strbuf *out = &printer->out;

	open_object(printer, "accept", change->time_ns);
	put_conn(out, change->life);
	put_step_place(out, listener_id(change->listener), accept->netns, accept->local,
		       accept->local_port, accept->remote, accept->remote_port);
	if (change->owner)
		put_process(printer, change->owner);
	if (change->took_ns != UNKNOWN_NS) {
		LITERAL(out, ",\"waited_us\":");
		strbuf__u64(out, change->took_ns / NS_PER_US);
	}
	if (change->listener) {
		LITERAL(out, ",\"accept_queue\":");
		put_queue(out, accept->accept_queue_len, accept->limit);
	}
	close_object(printer);
}

static void put_flag(struct strbuf *out, const char *key, bool flag)
{
	strbuf__printf(out, ",\"%s\":%s", key, flag ? "true" : "false");
}

static void put_bind(struct printer *printer, const struct change *change)
{
	const struct ev_bind *bind = change->bind;
	struct strbuf *out = &printer->out;

	open_object(printer, "bind", change->time_ns);
	LITERAL(out, ",\"netns\":");
	strbuf__u64(out, bind->netns);
	strbuf__printf(out, ",\"proto\":\"%s\",\"family\":%u,\"local\":",
		       bind->protocol == IPPROTO_UDP ? "udp" : "tcp", addr__family(bind->local));
	put_end(out, bind->local, bind->port, true);
	if (change->owner)
		put_process(printer, change->owner);
	strbuf__printf(out, ",\"call\":\"%s\",\"error\":\"%s\"",
		       bind->call == EV_CALL_LISTEN ? "listen" : "bind", bind_error__name(bind->error));
	put_flag(out, "reuseaddr", bind->options & EV_BIND_REUSEADDR);
	put_flag(out, "reuseport", bind->options & EV_BIND_REUSEPORT);
	if (bind->family == AF_INET6)
		put_flag(out, "v6only", bind->options & EV_BIND_V6ONLY);
	close_object(printer);
}

static void put_timewait(struct printer *printer, const struct change *change)
{
	const struct ev_timewait *wait = change->timewait;
	struct strbuf *out = &printer->out;

	open_object(printer, "timewait", change->time_ns);
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
		put_word(out, ",\"role\":\"", role__name(change->life->role));
	if (change->owner)
		put_process(printer, change->owner);
	put_word(out, ",\"phase\":\"", wait_phase__name(wait->phase));
	put_word(out, ",\"substate\":\"", state__name(wait->substate));
	put_word(out, ",\"end\":\"", wait_end__name(wait->end));
	if (change->took_ns != UNKNOWN_NS) {
		LITERAL(out, ",\"held_us\":");
		strbuf__u64(out, change->took_ns / NS_PER_US);
	}
	close_object(printer);
}

static void put_depth(struct strbuf *out, const char *key, const struct queue_depth *depth, uint32_t limit)
{
	strbuf__printf(out, "%s{\"len\":%u,\"limit\":%u,\"max\":%u}", key, depth->len, limit, depth->max);
}

static void put_quantiles(struct strbuf *out, const char *key, const struct histogram *h)
{
	if (h->count)
		strbuf__printf(out, "%s{\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"max\":%llu}", key,
			       (unsigned long long)histogram__quantile(h, 0.5),
			       (unsigned long long)histogram__quantile(h, 0.9),
			       (unsigned long long)histogram__quantile(h, 0.99),
			       (unsigned long long)h->max);
}

static void put_count(struct strbuf *out, const char *key, uint64_t count)
{
	strbuf__str(out, key);
	strbuf__u64(out, count);
}

static void put_drops(struct strbuf *out, const struct listener *l)
{
	bool first = true;

	LITERAL(out, ",\"dropped\":{");
	for (unsigned int cause = 0; cause < EV_DROP_END; cause++) {
		if (!l->dropped[cause])
			continue;
		strbuf__printf(out, "%s\"%s\":%llu", first ? "" : ",", drop_cause__name(cause),
			       (unsigned long long)l->dropped[cause]);
		first = false;
	}
	strbuf__char(out, '}');
}

static void put_backlog(struct strbuf *out, const struct listener *l)
{
	LITERAL(out, ",\"backlog\":{");
	if (l->asked)
		strbuf__printf(out, "\"listen\":%u,", l->asked);
	if (l->somaxconn)
		strbuf__printf(out, "\"somaxconn\":%u,", l->somaxconn);
	strbuf__printf(out, "\"effective\":%u", l->limit);
	if (l->needed)
		strbuf__printf(out, ",\"needed\":%u", l->needed);
	strbuf__char(out, '}');
}

/* A number whose quality is not that of its line. Depths are samples in any case:
 * they are read while other CPUs go on (KERNEL.md, section 3). */
static void put_quality(struct strbuf *out, bool *first, const char *number, const char *quality)
{
	strbuf__str(out, *first ? ",\"qualities\":{" : ",");
	strbuf__printf(out, "\"%s\":\"%s\"", number, quality);
	*first = false;
}

static void put_qualities(struct strbuf *out, const struct listener *l, const struct queue_quality *quality)
{
	const char *accepts = quality->shared_accepts ? "host_wide" : "exact";
	bool exact = quality->handshakes, first = true;

	put_word(out, ",\"quality\":\"", exact ? "exact" : "sampled");
	if (exact) {
		put_quality(out, &first, "syn_queue", "sampled");
		put_quality(out, &first, "accept_queue", "sampled");
	}
	if (!exact && l->admitted)
		put_quality(out, &first, "queued", "exact");
	if (!exact && quality->synacks)
		put_quality(out, &first, "synack_retransmits", "exact");
	if (quality->accepts && (!exact || quality->shared_accepts))
		put_quality(out, &first, "accepted", accepts);
	if (l->accept_wait_us.count && (!exact || quality->shared_accepts))
		put_quality(out, &first, "accept_wait_us", accepts);
	if (exact && l->flags & LISTENER_DROPS_KNOWN)
		put_quality(out, &first, "sk_drops", "sampled");
	if (!first)
		strbuf__char(out, '}');
	if (quality->incomplete)
		LITERAL(out, ",\"incomplete\":true");
}

static void json_listener(struct printer *printer, const struct listener *l, const struct owner *owner,
			  const struct queue_quality *quality, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;

	open_object(printer, "queue", time_ns);
	put_step_place(out, listener_id(l), l->netns, l->local.addr, l->local.port, NULL, 0);
	if (owner)
		put_process(printer, owner);
	put_depth(out, ",\"syn_queue\":", &l->syn_queue, l->limit);
	put_depth(out, ",\"accept_queue\":", &l->accept_queue, l->limit);
	put_backlog(out, l);
	if (quality->handshakes) {
		put_count(out, ",\"syns\":", l->syns);
		put_count(out, ",\"queued\":", l->queued);
		put_count(out, ",\"cookies\":", l->cookies);
		put_count(out, ",\"fastopen\":", l->fastopen);
		put_drops(out, l);
		put_count(out, ",\"completed\":", l->completed);
		put_count(out, ",\"completed_by_cookie\":", l->completed_by_cookie);
		put_count(out, ",\"timed_out\":", l->timed_out);
		put_count(out, ",\"reset\":", l->reset);
		put_count(out, ",\"aborted\":", l->aborted);
		put_count(out, ",\"listener_closed\":", l->abandoned);
		put_count(out, ",\"pending\":", listener__pending(l));
		put_count(out, ",\"third_ack_dropped\":", l->overflows);
		put_count(out, ",\"delayed\":", l->delayed);
		put_count(out, ",\"blocked\":", l->blocked);
		put_count(out, ",\"gave_up\":", l->gave_up);
	}
	/* A listener outside the cgroup admits SYNs, too: 0 is not known. */
	if (!quality->handshakes && l->admitted)
		put_count(out, ",\"queued\":", l->admitted);
	if (quality->synacks)
		put_count(out, ",\"synack_retransmits\":", l->retransmits);
	if (quality->accepts)
		put_count(out, ",\"accepted\":", l->accepted);
	if (l->flags & LISTENER_DROPS_KNOWN)
		put_count(out, ",\"sk_drops\":", l->sk_drops);
	put_quantiles(out, ",\"handshake_us\":", &l->handshake_us);
	put_quantiles(out, ",\"accept_wait_us\":", &l->accept_wait_us);
	if (l->flags & LISTENER_PREEXISTING)
		LITERAL(out, ",\"preexisting\":true");
	if (l->flags & LISTENER_CLOSED)
		LITERAL(out, ",\"closed\":true");
	put_qualities(out, l, quality);
	close_object(printer);
}

static void json_netns(struct printer *printer, const struct namespace *ns, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;
	const char *gap = "";

	open_object(printer, "queue", time_ns);
	put_count(out, ",\"netns\":", ns->netns);
	LITERAL(out, ",\"proto\":\"tcp\",\"since\":");
	put_time(printer, ns->first_ns);
	LITERAL(out, ",\"counters\":{");
	for (unsigned int i = 0; i < EV_COUNTER_END; i++) {
		if (!namespace__knows(ns, i))
			continue;
		strbuf__printf(out, "%s\"%s\":{\"delta\":%llu,\"total\":%llu}", gap, counter__name(i),
			       (unsigned long long)namespace__moved(ns, i),
			       (unsigned long long)ns->last[i]);
		gap = ",";
	}
	strbuf__char(out, '}');
	if (ns->gone)
		LITERAL(out, ",\"closed\":true");
	put_word(out, ",\"quality\":\"", "host_wide");
	close_object(printer);
}

static void json_queues_end(struct printer *printer, const struct queue_quality *quality,
			    const struct not_kept *not_kept, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;

	(void)quality;
	if (!not_kept->listeners && !not_kept->clients && !not_kept->namespaces)
		return;
	open_object(printer, "queue", time_ns);
	strbuf__printf(out, ",\"not_kept\":{\"listeners\":%llu,\"clients\":%llu,\"namespaces\":%llu}",
		       (unsigned long long)not_kept->listeners, (unsigned long long)not_kept->clients,
		       (unsigned long long)not_kept->namespaces);
	close_object(printer);
}

static void json_waits(struct printer *printer, const struct wait_group *group,
		       const struct owner *owner, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;
	double rate = wait_group__rate(group, time_ns);
	bool first = true;

	open_object(printer, "timewait_group", time_ns);
	if (group->netns)
		put_count(out, ",\"netns\":", group->netns);
	put_word(out, ",\"role\":\"", role__name(group->role));
	if (group->service.port) {
		LITERAL(out, ",\"service\":");
		put_end(out, group->service.addr, group->service.port, true);
	}
	if (owner)
		put_process(printer, owner);
	put_count(out, ",\"count\":", group->time_wait + group->fin_wait2);
	put_count(out, ",\"time_wait\":", group->time_wait);
	put_count(out, ",\"fin_wait2\":", group->fin_wait2);
	strbuf__printf(out, ",\"rate_per_s\":%.1f,\"steady_state\":%.0f,\"oldest_s\":%.1f", rate,
		       rate * TIMEWAIT_LEN_S, (double)wait_group__oldest_ns(group, time_ns) / NS_PER_S);
	put_count(out, ",\"begun\":", group->begun);
	if (group->measured)
		strbuf__printf(out, ",\"short_share\":%.3f",
			       (double)group->short_lived / (double)group->measured);
	LITERAL(out, ",\"ended\":{");
	for (unsigned int end = 0; end < EV_WAIT_END_END; end++) {
		if (!group->ended[end])
			continue;
		strbuf__printf(out, "%s\"%s\":%llu", first ? "" : ",",
			       end ? wait_end__name(end) : "unseen",
			       (unsigned long long)group->ended[end]);
		first = false;
	}
	strbuf__char(out, '}');
	if (group->refused)
		put_count(out, ",\"refused\":", group->refused);
	put_word(out, ",\"quality\":\"", wait_group__is_exact(group) ? "exact" : "estimated");
	close_object(printer);
}

static void json_ports(struct printer *printer, const struct port_use *use,
		       const struct ev_dump *settings, uint64_t time_ns)
{
	struct strbuf *out = &printer->out;
	char text[ADDR_TEXT_MAX];
	uint32_t range = settings ? settings->ephemeral_ports : 0;

	open_object(printer, "ports", time_ns);
	put_count(out, ",\"netns\":", use->netns);
	LITERAL(out, ",\"source\":\"");
	strbuf__append(out, text, addr__format(use->source, text));
	LITERAL(out, "\",\"destination\":");
	put_end(out, use->destination.addr, use->destination.port, true);
	if (range)
		put_count(out, ",\"range\":", range);
	put_count(out, ",\"in_use\":", use->in_use);
	put_count(out, ",\"time_wait\":", use->time_wait);
	if (range)
		put_count(out, ",\"left\":", port_use__left(use, range));
	if (range && port_use__seconds_left(use, range) >= 0)
		strbuf__printf(out, ",\"seconds_left\":%.1f", port_use__seconds_left(use, range));
	close_object(printer);
}

/* ---- findings ---- */

static void put_evidence(struct strbuf *out, const struct finding *finding)
{
	LITERAL(out, ",\"evidence\":{");
	for (unsigned int i = 0; i < finding->evidence_count; i++) {
		const struct evidence *evidence = &finding->evidence[i];

		strbuf__printf(out, "%s\"%s\":", i ? "," : "", evidence->key);
		if (evidence->is_text)
			text__json(out, evidence->text, strlen(evidence->text));
		else
			evidence__number(evidence, out);
	}
	strbuf__char(out, '}');
}

static void put_sentence(struct strbuf *out, const struct finding *finding, const char *sentence)
{
	struct strbuf text;

	strbuf__init(&text);
	finding__fill(finding, sentence, &text);
	text__json(out, text.data ? text.data : "", text.len);
	strbuf__fini(&text);
}

static void put_sentences(struct strbuf *out, const struct finding *finding, const char *key,
			  const char *const *sentences, unsigned int count)
{
	strbuf__str(out, key);
	for (unsigned int i = 0; i < count; i++) {
		if (i)
			strbuf__char(out, ',');
		put_sentence(out, finding, sentences[i]);
	}
	strbuf__char(out, ']');
}

static void json_finding(struct printer *printer, const struct finding *finding)
{
	struct strbuf *out = &printer->out;

	open_object(printer, "finding", finding->time_ns);
	put_count(out, ",\"netns\":", finding->netns);
	put_word(out, ",\"id\":\"", finding->rule->id);
	put_word(out, ",\"severity\":\"", severity__name(finding->severity));
	put_word(out, ",\"phase\":\"", phase__name(finding->phase));
	LITERAL(out, ",\"since\":");
	put_time(printer, finding->start_ns);
	if (finding->local_known) {
		LITERAL(out, ",\"local\":");
		put_end(out, finding->local.addr, finding->local.port, true);
	}
	if (finding->remote_known) {
		LITERAL(out, ",\"remote\":");
		put_end(out, finding->remote.addr, finding->remote.port, true);
	}
	put_word(out, ",\"role\":\"", role__name(finding->role));
	if (finding->owner_known)
		put_process(printer, &finding->owner);
	LITERAL(out, ",\"verdict\":");
	put_sentence(out, finding, finding->verdict);
	put_evidence(out, finding);
	put_sentences(out, finding, ",\"advice\":[", finding->advice, finding->advice_count);
	put_sentences(out, finding, ",\"will_not_help\":[", finding->wont, finding->wont_count);
	close_object(printer);
}

static void json_census(struct printer *printer, const struct census_row *row, bool estimated,
			uint64_t time_ns)
{
	struct strbuf *out = &printer->out;
	const char *gap = "";

	open_object(printer, "states", time_ns);
	put_count(out, ",\"netns\":", row->netns);
	LITERAL(out, ",\"proto\":\"tcp\",\"states\":{");
	for (unsigned int state = 1; state < EV_STATE_END; state++) {
		if (!row->counts[state])
			continue;
		strbuf__printf(out, "%s\"%s\":%u", gap, state__name(state), row->counts[state]);
		gap = ",";
	}
	strbuf__char(out, '}');
	put_word(out, ",\"quality\":\"", estimated ? "estimated" : "exact");
	close_object(printer);
}

static void put_gap_ends(struct printer *printer, uint64_t from_ns, uint64_t to_ns)
{
	LITERAL(&printer->out, ",\"from\":");
	put_time(printer, from_ns);
	LITERAL(&printer->out, ",\"to\":");
	put_time(printer, to_ns);
}

static void put_loss(struct printer *printer, const struct change *change)
{
	const struct ev_loss *loss = change->loss;
	struct strbuf *out = &printer->out;

	open_object(printer, "loss", change->time_ns);
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
	close_object(printer);
}

void json__gap(struct printer *printer, const struct gap *gap)
{
	open_object(printer, "loss", gap->to_ns);
	put_word(&printer->out, ",\"reason\":\"", gap__reason(gap));
	put_gap_ends(printer, gap->from_ns, gap->to_ns);
	close_object(printer);
}

static void json_change(struct printer *printer, const struct change *change)
{
	switch (change->kind) {
	case CHANGE_TRANSITION:
		put_transition(printer, change);
		break;
	case CHANGE_LIFE:
		put_life(printer, change);
		break;
	case CHANGE_SYN:
	case CHANGE_HANDSHAKE:
		put_handshake(printer, change);
		break;
	case CHANGE_ACCEPT:
		put_accept(printer, change);
		break;
	case CHANGE_TIMEWAIT:
		put_timewait(printer, change);
		break;
	case CHANGE_BIND:
		put_bind(printer, change);
		break;
	case CHANGE_LOSS:
		put_loss(printer, change);
		break;
	case CHANGE_HOLDER: /* for a diagnosis */
	case CHANGE_UNREAD:
	case CHANGE_STOP: /* told by stop(), with the ledger */
		break;
	}
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

	open_object(printer, "start", info->start_ns);
	put_text(out, ",\"version\":", info->tool);
	put_text(out, ",\"kernel\":", info->kernel);
	put_text(out, ",\"source\":", info->source);
	put_hooks(out, info->hooks);
	close_object(printer);
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

	open_object(printer, "stop", time_ns);
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
	strbuf__char(out, '}');
	put_not_kept(out, ledger);
	close_object(printer);
}

const struct printer_ops json_printer = {
	.begin = json_begin,
	.change = json_change,
	.listener = json_listener,
	.netns = json_netns,
	.queues_end = json_queues_end,
	.waits = json_waits,
	.ports = json_ports,
	.finding = json_finding,
	.census = json_census,
	.stop = json_stop,
};
