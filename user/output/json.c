// SPDX-License-Identifier: BSD-2-Clause
/*
 * The JSON of DESIGN section 6, one object a line, written straight into the
 * buffer: a general writer costs five times as much per line. Keys that are
 * not known are left out. `tcpsaga schema` is the other half of this file
 * (schema.json); a test holds the two together.
 */
#include <errno.h>
#include <string.h>

#include "output/printer.h"
#include "output/text.h"

#define LITERAL(buf, text) strbuf__append(buf, text, sizeof(text) - 1)

static void put_time(struct printer *printer, uint64_t boot_ns)
{
	strbuf__char(&printer->out, '"');
	strbuf__append(&printer->out, utc_formatter__format(&printer->utc, boot_ns), UTC_TEXT_LEN);
	strbuf__char(&printer->out, '"');
}

/* Every object begins alike: schema version, type, time. */
static void open_object(struct printer *printer, const char *type, uint64_t time_ns)
{
	LITERAL(&printer->out, "{\"v\":1,\"type\":\"");
	strbuf__str(&printer->out, type);
	LITERAL(&printer->out, "\",\"ts\":");
	put_time(printer, time_ns);
}

static void close_object(struct printer *printer)
{
	LITERAL(&printer->out, "}\n");
}

static void put_hex(struct strbuf *out, uint64_t value)
{
	static const char digits[] = "0123456789abcdef";
	char text[18], *p = text + sizeof(text);

	do {
		*--p = digits[value & 15];
		value >>= 4;
	} while (value);
	*--p = 'x';
	*--p = '0';
	strbuf__append(out, p, (size_t)(text + sizeof(text) - p));
}

static void put_end(struct strbuf *out, const uint8_t addr[16], uint16_t port, bool place_known)
{
	char text[ADDR_TEXT_MAX];

	strbuf__char(out, '{');
	if (place_known) {
		LITERAL(out, "\"addr\":\"");
		strbuf__append(out, text, addr__format(addr, text));
		strbuf__char(out, '"');
	}
	if (port) {
		if (place_known)
			strbuf__char(out, ',');
		LITERAL(out, "\"port\":");
		strbuf__u64(out, port);
	}
	strbuf__char(out, '}');
}

static void put_process(struct strbuf *out, const struct owner *owner)
{
	size_t len = strnlen(owner->comm, sizeof(owner->comm));

	LITERAL(out, ",\"process\":{\"pid\":");
	strbuf__u64(out, owner->pid);
	LITERAL(out, ",\"comm\":");
	if (!text__json(out, owner->comm, len)) {
		/* The name is not UTF-8: its bytes, so that it round-trips. */
		LITERAL(out, ",\"comm_hex\":\"");
		for (size_t i = 0; i < len; i++)
			strbuf__printf(out, "%02x", (unsigned char)owner->comm[i]);
		strbuf__char(out, '"');
	}
	LITERAL(out, ",\"uid\":");
	strbuf__u64(out, owner->uid);
	strbuf__char(out, '}');
}

/* conn, netns, proto, family, local, remote, role, process. */
static void put_connection(struct strbuf *out, const struct life *life, const struct owner *owner)
{
	bool known = life->flags & LIFE_PLACE_KNOWN;

	LITERAL(out, ",\"conn\":\"");
	put_hex(out, life->conn);
	strbuf__char(out, '"');
	if (known) {
		LITERAL(out, ",\"netns\":");
		strbuf__u64(out, life->netns);
	}
	LITERAL(out, ",\"proto\":\"tcp\"");
	if (known) {
		LITERAL(out, ",\"family\":");
		strbuf__char(out, life__family(life) == 4 ? '4' : '6');
	}
	LITERAL(out, ",\"local\":");
	put_end(out, life->local.addr, life->local.port, known);
	if (life->role != ROLE_LISTENER) {
		LITERAL(out, ",\"remote\":");
		put_end(out, life->remote.addr, life->remote.port, known);
	}
	if (role__name(life->role)) {
		LITERAL(out, ",\"role\":\"");
		strbuf__str(out, role__name(life->role));
		strbuf__char(out, '"');
	}
	if (life->flags & LIFE_MPTCP)
		LITERAL(out, ",\"mptcp\":true");
	if (owner)
		put_process(out, owner);
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

static void put_transition(struct printer *printer, const struct change *change)
{
	struct strbuf *out = &printer->out;

	open_object(printer, "transition", change->time_ns);
	put_connection(out, change->life, change->owner);
	LITERAL(out, ",\"old\":\"");
	strbuf__str(out, state__name(change->old_state));
	LITERAL(out, "\",\"new\":\"");
	strbuf__str(out, state__name(change->new_state));
	strbuf__char(out, '"');
	if (change->in_old_ns != UNKNOWN_NS) {
		LITERAL(out, ",\"in_old_us\":");
		strbuf__u64(out, change->in_old_ns / NS_PER_US);
	}
	if (change->new_state == EV_STATE_CLOSE)
		put_error(out, change->life->error);
	close_object(printer);
}

static void put_history(struct strbuf *out, const struct life *life)
{
	LITERAL(out, ",\"history\":[");
	for (unsigned int i = 0; i < life->history_count; i++) {
		if (i)
			strbuf__char(out, ',');
		LITERAL(out, "{\"state\":\"");
		strbuf__str(out, state__name(history_state(life->history[i])));
		LITERAL(out, "\",\"at_us\":");
		strbuf__u64(out, history_ns(life->history[i]) / NS_PER_US);
		strbuf__char(out, '}');
	}
	strbuf__char(out, ']');
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
	if (!(life->flags & LIFE_ENDED))
		return;
	LITERAL(out, ",\"end\":");
	put_time(printer, life->entered_ns);
	if (life->flags & LIFE_START_KNOWN) {
		LITERAL(out, ",\"duration_us\":");
		strbuf__u64(out, (life->entered_ns - life->start_ns) / NS_PER_US);
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

static void put_life(struct printer *printer, const struct change *change)
{
	const struct life *life = change->life;
	struct strbuf *out = &printer->out;
	uint64_t handshake_ns = life__handshake_ns(life);

	open_object(printer, "connection", change->time_ns);
	put_connection(out, life, change->owner);
	if (life->ordinal) {
		LITERAL(out, ",\"life\":");
		strbuf__u64(out, life->ordinal);
	}
	put_span(printer, life);
	LITERAL(out, ",\"state\":\"");
	strbuf__str(out, state__name(life->state));
	strbuf__char(out, '"');
	put_history(out, life);
	if (life->flags & LIFE_ENDED)
		put_outcome(out, life);
	if (handshake_ns != UNKNOWN_NS) {
		LITERAL(out, ",\"handshake_us\":");
		strbuf__u64(out, handshake_ns / NS_PER_US);
	}
	if (life->flags & LIFE_TOTALS_KNOWN)
		put_totals(out, life);
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

static void put_syn(struct printer *printer, const struct change *change)
{
	const struct ev_syn *syn = change->syn;
	struct strbuf *out = &printer->out;

	open_object(printer, "syn", change->time_ns);
	LITERAL(out, ",\"listener\":\"");
	put_hex(out, syn->listener_id);
	LITERAL(out, "\",\"netns\":");
	strbuf__u64(out, syn->netns);
	LITERAL(out, ",\"proto\":\"tcp\",\"family\":");
	strbuf__char(out, addr__family(syn->local) == 4 ? '4' : '6');
	LITERAL(out, ",\"local\":");
	put_end(out, syn->local, syn->local_port, true);
	if (syn->flags & EV_SYN_F_REMOTE) {
		LITERAL(out, ",\"remote\":");
		put_end(out, syn->remote, syn->remote_port, true);
	}
	LITERAL(out, ",\"role\":\"server\"");
	if (change->owner)
		put_process(out, change->owner);
	LITERAL(out, ",\"syn_queue\":");
	put_queue(out, syn->syn_queue_len, syn->limit);
	LITERAL(out, ",\"accept_queue\":");
	put_queue(out, syn->accept_queue_len, syn->limit);
	close_object(printer);
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
	LITERAL(out, ",\"from\":");
	put_time(printer, loss->since_ns);
	LITERAL(out, ",\"to\":");
	put_time(printer, change->time_ns);
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
		put_syn(printer, change);
		break;
	case CHANGE_LOSS:
		put_loss(printer, change);
		break;
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
	strbuf__char(out, '}');
	close_object(printer);
}

const struct printer_ops json_printer = {
	.begin = json_begin,
	.change = json_change,
	.stop = json_stop,
};
