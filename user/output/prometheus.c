// SPDX-License-Identifier: BSD-2-Clause
#include "output/prometheus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* What Linux chooses local ports from unless it is told otherwise. */
enum { PORT_LOW_DEFAULT = 32768, PORT_HIGH_DEFAULT = 60999 };

enum { HOOKS_SHOWN = 16 }; /* twice what there are: what a file says of hooks is the file's */

/* ---- the format ---- */

void prometheus__label(struct strbuf *out, const char *bytes, size_t len)
{
	const unsigned char *s = (const unsigned char *)bytes;

	for (size_t i = 0; i < len;) {
		unsigned int n = utf8__harmless(s + i, len - i);

		if (!n)
			strbuf__printf(out, "\\\\x%02x", s[i]);
		else if (s[i] == '\\')
			strbuf__str(out, "\\\\\\\\");
		else if (s[i] == '"')
			strbuf__str(out, "\\\"");
		else
			strbuf__append(out, s + i, n);
		i += n ? n : 1;
	}
}

static void family(struct strbuf *out, const char *name, const char *type, const char *help)
{
	strbuf__printf(out, "# HELP tcpsaga_%s %s\n# TYPE tcpsaga_%s %s\n", name, help, name, type);
}

/* One series: its name, its labels as they stand between the braces, "" for
 * none; then the value. */
static void begin_series(struct strbuf *out, const char *name, const char *labels)
{
	strbuf__printf(out, *labels ? "tcpsaga_%s{%s} " : "tcpsaga_%s%s ", name, labels);
}

static void series(struct strbuf *out, const char *name, const char *labels, uint64_t value)
{
	begin_series(out, name, labels);
	strbuf__u64(out, value);
	strbuf__char(out, '\n');
}

/* Micros as seconds, exactly. */
static void put_seconds(struct strbuf *out, uint64_t us)
{
	strbuf__printf(out, "%llu.%06llu", (unsigned long long)(us / 1000000),
		       (unsigned long long)(us % 1000000));
}

static void series_seconds(struct strbuf *out, const char *name, const char *labels, uint64_t us)
{
	begin_series(out, name, labels);
	put_seconds(out, us);
	strbuf__char(out, '\n');
}

/* With a label whose value is one of our own words. */
static void series_of(struct strbuf *out, const char *name, const char *label, const char *word,
		      uint64_t value)
{
	char labels[96];

	snprintf(labels, sizeof(labels), "%s=\"%s\"", label, word);
	series(out, name, labels, value);
}

static void single(struct strbuf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	family(out, name, type, help);
	series(out, name, "", value);
}

/* labels: "" or some that end with a comma. */
static void put_durations(struct strbuf *out, const char *name, const char *labels,
			  const struct durations *durations)
{
	int shown = labels[0] ? (int)strlen(labels) - 1 : 0; /* without the comma */
	uint64_t count = 0;

	for (unsigned int i = 0; i < DURATIONS_EDGES; i++) {
		count += durations->buckets[i];
		strbuf__printf(out, "tcpsaga_%s_bucket{%sle=\"", name, labels);
		put_seconds(out, durations__edge_us(i));
		strbuf__printf(out, "\"} %llu\n", (unsigned long long)count);
	}
	count += durations->buckets[DURATIONS_EDGES];
	strbuf__printf(out, "tcpsaga_%s_bucket{%sle=\"+Inf\"} %llu\n", name, labels,
		       (unsigned long long)count);
	strbuf__printf(out, "tcpsaga_%s_sum%s%.*s%s ", name, shown ? "{" : "", shown, labels,
		       shown ? "}" : "");
	put_seconds(out, durations->sum_ns / 1000);
	strbuf__printf(out, "\ntcpsaga_%s_count%s%.*s%s %llu\n", name, shown ? "{" : "", shown, labels,
		       shown ? "}" : "", (unsigned long long)count);
}

/* ---- what watches ---- */

static void put_info(struct strbuf *out, const struct capture_info *info)
{
	const char *word = info->hooks;
	unsigned int shown = 0;

	family(out, "build_info", "gauge", "Always 1: version of tcpsaga, and the kernel it watches.");
	strbuf__str(out, "tcpsaga_build_info{version=\"");
	prometheus__label(out, info->tool, strnlen(info->tool, sizeof(info->tool)));
	strbuf__str(out, "\",kernel=\"");
	prometheus__label(out, info->kernel, strnlen(info->kernel, sizeof(info->kernel)));
	strbuf__str(out, "\"} 1\n");
	family(out, "start_time_seconds", "gauge", "When the probes were attached, Unix time.");
	series_seconds(out, "start_time_seconds", "", (info->start_ns + info->realtime_offset_ns) / 1000);
	family(out, "hook_info", "gauge", "1 for a hook that works, 0 for one that this kernel refuses.");
	for (; *word; word += strspn(word, " ")) {
		size_t size = strcspn(word, " ");
		const char *equals = memchr(word, '=', size);

		if (equals && shown++ < HOOKS_SHOWN) {
			size_t name = (size_t)(equals - word), kind = size - name - 1;

			strbuf__str(out, "tcpsaga_hook_info{hook=\"");
			prometheus__label(out, word, name);
			strbuf__str(out, "\",kind=\"");
			prometheus__label(out, equals + 1, kind);
			strbuf__printf(out, "\"} %d\n", !(kind == 4 && !memcmp(equals + 1, "none", 4)));
		}
		word += size;
	}
}

/* ---- states and transitions ---- */

#define BIT(state) (1U << (state))

/* To which states a socket moves from each (tcp(7), net/ipv4/tcp*.c); of a
 * kernel that does other things those are added up in one series. */
static const uint32_t moves[EV_STATE_END] = {
	[EV_STATE_CLOSE] = BIT(EV_SYN_SENT) | BIT(EV_LISTEN),
	[EV_LISTEN] = BIT(EV_STATE_CLOSE) | BIT(EV_SYN_RECV),
	[EV_SYN_SENT] = BIT(EV_ESTABLISHED) | BIT(EV_SYN_RECV) | BIT(EV_STATE_CLOSE),
	[EV_SYN_RECV] = BIT(EV_ESTABLISHED) | BIT(EV_FIN_WAIT1) | BIT(EV_STATE_CLOSE),
	[EV_ESTABLISHED] = BIT(EV_FIN_WAIT1) | BIT(EV_CLOSE_WAIT) | BIT(EV_STATE_CLOSE),
	[EV_FIN_WAIT1] = BIT(EV_FIN_WAIT2) | BIT(EV_CLOSING) | BIT(EV_STATE_CLOSE),
	[EV_FIN_WAIT2] = BIT(EV_STATE_CLOSE),
	[EV_CLOSING] = BIT(EV_STATE_CLOSE),
	[EV_CLOSE_WAIT] = BIT(EV_LAST_ACK) | BIT(EV_STATE_CLOSE),
	[EV_LAST_ACK] = BIT(EV_STATE_CLOSE),
};

static void put_transitions(struct strbuf *out, const struct tally *tally)
{
	uint64_t other = 0;
	char labels[64];

	family(out, "transitions_total", "counter", "State transitions of TCP sockets.");
	for (unsigned int from = 1; from < EV_STATE_END; from++) {
		for (unsigned int to = 1; to < EV_STATE_END; to++) {
			if (!(moves[from] & BIT(to))) {
				other += tally->transitions[from][to];
				continue;
			}
			snprintf(labels, sizeof(labels), "old=\"%s\",new=\"%s\"", state__name(from),
				 state__name(to));
			series(out, "transitions_total", labels, tally->transitions[from][to]);
		}
	}
	series(out, "transitions_total", "old=\"other\",new=\"other\"", other);
}

/* A minisocket is counted in the ledger of TIME_WAIT, not as a life. */
/* Those that were there before the start have no life, and those that the table of
 * listeners has no room for have. */
static uint64_t count_listeners(const struct model *model, uint64_t lives)
{
	const struct listeners *listeners = model__listeners(model);
	uint64_t count = 0;

	for (uint32_t i = 0; i < listeners->used; i++)
		count += listeners->all[i] && !(listeners->all[i]->flags & LISTENER_CLOSED);
	return count > lives ? count : lives;
}

static void count_states(const struct model *model, uint64_t count[EV_STATE_END])
{
	const struct flow_table *flows = model__flows(model);
	const struct timewaits *waits = model__timewaits(model);

	for (uint32_t i = 0; i < flows->used; i++) {
		const struct life *life = flow_table__open_at(flows, i);

		if (life && life->state && life->state < EV_STATE_END && !(life->flags & LIFE_WAITING))
			count[life->state]++;
	}
	count[EV_LISTEN] = count_listeners(model, count[EV_LISTEN]);
	for (uint32_t i = 0; i < waits->group_count; i++) {
		count[EV_TIME_WAIT] += waits->groups[i].time_wait;
		count[EV_FIN_WAIT2] += waits->groups[i].fin_wait2;
	}
}

/* Where nothing tells of requests, 0 half open would be a lie: what is not known is
 * absent. */
static void put_states(struct strbuf *out, const struct model *model, bool sees_requests)
{
	uint64_t count[EV_STATE_END] = { 0 };

	count_states(model, count);
	family(out, "sockets", "gauge",
	       "TCP sockets now, by state; minisockets are TIME_WAIT or FIN_WAIT2.");
	for (unsigned int state = 1; state < EV_STATE_END; state++)
		if (state != EV_STATE_CLOSE && (sees_requests || state != EV_SYN_RECV))
			series_of(out, "sockets", "state", state__name(state), count[state]);
}

/* ---- handshakes ---- */

static void put_syns(struct strbuf *out, const struct tally *tally)
{
	family(out, "syns_total", "counter", "SYNs at listeners, by what became of them.");
	for (unsigned int outcome = EV_SYN_QUEUED; outcome <= EV_SYN_DROPPED; outcome++)
		series_of(out, "syns_total", "outcome", outcome__name(outcome), tally->steps[outcome]);
	family(out, "syns_dropped_total", "counter", "SYNs that a listener dropped, by cause.");
	for (unsigned int cause = 0; cause < EV_DROP_END; cause++)
		series_of(out, "syns_dropped_total", "cause", drop_cause__name(cause),
			  tally->dropped[cause]);
	family(out, "handshakes_total", "counter",
	       "Passive handshakes that ended, by outcome; accept_queue_full is a third ACK that was "
	       "dropped, and may yet complete.");
	for (unsigned int outcome = EV_REQUEST_COMPLETED; outcome < EV_OUTCOME_END; outcome++)
		series_of(out, "handshakes_total", "outcome", outcome__name(outcome),
			  tally->steps[outcome]);
	family(out, "passive_handshake_seconds", "histogram", "From the SYN to the third ACK.");
	put_durations(out, "passive_handshake_seconds", "", &tally->handshake[ROLE_SERVER]);
}

static void put_handshakes(struct strbuf *out, const struct exposition *e)
{
	if (capture_info__has_hook(e->info, "syn") && capture_info__has_hook(e->info, "handshake"))
		put_syns(out, e->tally);
	if (capture_info__has_hook(e->info, "synack"))
		single(out, "synack_retransmits_total", "counter", "SYN-ACKs that were sent again.",
		       e->tally->steps[EV_REQUEST_RETRANSMITTED]);
	if (capture_info__has_hook(e->info, "accept"))
		single(out, "accepts_total", "counter", "Connections that accept() handed out.",
		       e->tally->accepts);
	family(out, "active_handshake_seconds", "histogram", "From connect() to ESTABLISHED.");
	put_durations(out, "active_handshake_seconds", "", &e->tally->handshake[ROLE_CLIENT]);
	if (!capture_info__has_hook(e->info, "accept"))
		return;
	family(out, "accept_wait_seconds", "histogram",
	       "How long connections waited in the accept queue.");
	put_durations(out, "accept_wait_seconds", "", &e->tally->accept_wait);
}

/* ---- listeners ---- */

/* What the open listeners of a row have together. */
struct queue_sum {
	uint64_t syn_queue;
	uint64_t accept_queue;
	uint64_t limit;
	double fullest; /* of the accept queues, 1 is full */
};

static void sum_queues(const struct exposition *e, struct queue_sum sums[TALLY_LISTENERS + 1])
{
	const struct listeners *listeners = model__listeners(e->model);

	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *l = listeners->all[i];
		struct queue_sum *sum;

		if (!l || l->flags & LISTENER_CLOSED || !(l->flags & LISTENER_PLACE_KNOWN))
			continue;
		sum = &sums[tally__row(e->tally, l)];
		sum->syn_queue += l->syn_queue.len;
		sum->accept_queue += l->accept_queue.len;
		sum->limit += l->limit;
		if (l->limit && (double)l->accept_queue.len / l->limit > sum->fullest)
			sum->fullest = (double)l->accept_queue.len / l->limit;
	}
}

static const char *listener_labels(struct strbuf *labels, const struct tally *tally, unsigned int row)
{
	const struct tally_listener *l = &tally->listeners[row];

	strbuf__clear(labels);
	if (row == TALLY_OTHER)
		return "netns=\"\",port=\"\",process=\"other\"";
	strbuf__printf(labels, "netns=\"%u\",port=\"%u\",process=\"", l->netns, l->port);
	prometheus__label(labels, l->comm, strnlen(l->comm, sizeof(l->comm)));
	strbuf__char(labels, '"');
	return strbuf__text(labels);
}

/* What is shown of each row: one family for each. */
enum listener_metric { SYN_QUEUE, ACCEPT_QUEUE, QUEUE_LIMIT, FULLEST, SYNS, DROPPED, ACCEPTED };

static const struct {
	enum listener_metric metric;
	const char *hook; /* what counts it, NULL: it is sampled */
	const char *name, *type, *help;
} listener_families[] = {
	{ SYN_QUEUE, NULL, "listener_syn_queue_length", "gauge", "Requests in the SYN queue." },
	{ ACCEPT_QUEUE, NULL, "listener_accept_queue_length", "gauge",
	  "Connections that wait for accept()." },
	{ QUEUE_LIMIT, NULL, "listener_queue_limit", "gauge",
	  "How many fit into each of the two queues: the effective backlog." },
	{ FULLEST, NULL, "listener_accept_queue_fullest_ratio", "gauge",
	  "Of the fullest accept queue of this name: 1 is full, more overflows." },
	{ SYNS, "syn", "listener_syns_total", "counter", "SYNs that came." },
	{ DROPPED, "handshake", "listener_dropped_total", "counter",
	  "SYNs and third ACKs that were dropped." },
	{ ACCEPTED, "accept", "listener_accepted_total", "counter",
	  "Connections that accept() handed out." },
};

static void put_listener(struct strbuf *out, const char *name, const char *labels,
			 enum listener_metric metric, const struct queue_sum *sum,
			 const struct tally_listener *row)
{
	const uint64_t values[] = {
		[SYN_QUEUE] = sum->syn_queue, [ACCEPT_QUEUE] = sum->accept_queue,
		[QUEUE_LIMIT] = sum->limit,   [SYNS] = row->syns,
		[DROPPED] = row->dropped,     [ACCEPTED] = row->accepted,
	};

	if (metric != FULLEST) {
		series(out, name, labels, values[metric]);
		return;
	}
	begin_series(out, name, labels);
	strbuf__printf(out, "%.4f\n", sum->fullest);
}

static void put_listeners(struct strbuf *out, const struct exposition *e)
{
	struct queue_sum sums[TALLY_LISTENERS + 1] = { 0 };
	const struct tally *tally = e->tally;
	struct strbuf labels;

	strbuf__init(&labels);
	sum_queues(e, sums);
	for (size_t f = 0; f < sizeof(listener_families) / sizeof(listener_families[0]); f++) {
		const char *name = listener_families[f].name, *hook = listener_families[f].hook;

		/* What was true once is not shown as true now. */
		if (hook ? !capture_info__has_hook(e->info, hook) : e->tables_gone)
			continue;
		family(out, name, listener_families[f].type, listener_families[f].help);
		for (unsigned int i = 0; i <= TALLY_LISTENERS; i++)
			if (tally->listeners[i].used || i == TALLY_OTHER)
				put_listener(out, name, listener_labels(&labels, tally, i),
					     listener_families[f].metric, &sums[i], &tally->listeners[i]);
	}
	out->failed |= labels.failed;
	strbuf__fini(&labels);
	single(out, "listeners_folded", "gauge",
	       "Listening sockets that have no series of their own: process=\"other\".", tally->folded);
}

/* ---- TIME_WAIT ---- */

/* What groups are called; those called alike are one. */
struct wait_name {
	uint32_t netns;
	uint16_t port; /* 0: not told */
	uint8_t role;
	char comm[EV_COMM_BYTES];
};

struct wait_row {
	struct wait_name name;
	uint64_t time_wait;
	uint64_t fin_wait2;
};

/* A service's port says which service it is; one out of the range that
 * connect() chooses from says nothing, and there are 28,000 of them. */
static uint16_t port_to_tell(const struct model *model, const struct wait_group *group)
{
	const struct ev_dump *settings = model__dump_of(model, group->netns);
	unsigned int low = PORT_LOW_DEFAULT, high = PORT_HIGH_DEFAULT;

	if (settings && settings->port_high) {
		low = settings->port_low;
		high = settings->port_high;
	}
	if (group->role != ROLE_SERVER && group->service.port >= low && group->service.port <= high)
		return 0;
	return group->service.port;
}

static int by_name(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct wait_name)); /* name comes first, and has no padding */
}

_Static_assert(sizeof(struct wait_name) == 24, "names are compared as bytes");

static int most_first(const void *a, const void *b)
{
	const struct wait_row *x = a, *y = b;
	uint64_t nx = x->time_wait + x->fin_wait2, ny = y->time_wait + y->fin_wait2;

	return nx == ny ? by_name(a, b) : (nx < ny) - (nx > ny);
}

/* Rows of groups that hold something, each name once; most first. other gets
 * what has no name at all. */
static size_t collect_waits(const struct model *model, struct wait_row *rows, struct wait_row *other)
{
	const struct timewaits *waits = model__timewaits(model);
	size_t count = 0, kept = 0;

	for (uint32_t i = 0; i < waits->group_count; i++) {
		const struct wait_group *group = &waits->groups[i];
		const struct owner *owner = model__owner_at(model, group->owner);
		struct wait_row *row = i ? &rows[count] : other; /* the first is the model's "other" */

		if (!group->time_wait && !group->fin_wait2)
			continue;
		count += i ? 1 : 0;
		memset(row, 0, sizeof(*row));
		row->name.netns = group->netns;
		row->name.role = group->role;
		row->name.port = port_to_tell(model, group);
		if (owner)
			memcpy(row->name.comm, owner->comm, strnlen(owner->comm, EV_COMM_BYTES));
		row->time_wait = group->time_wait;
		row->fin_wait2 = group->fin_wait2;
	}
	qsort(rows, count, sizeof(rows[0]), by_name);
	for (size_t i = 0; i < count; i++) {
		if (kept && !by_name(&rows[kept - 1], &rows[i])) {
			rows[kept - 1].time_wait += rows[i].time_wait;
			rows[kept - 1].fin_wait2 += rows[i].fin_wait2;
		} else {
			rows[kept++] = rows[i];
		}
	}
	qsort(rows, kept, sizeof(rows[0]), most_first);
	return kept;
}

static void put_wait_row(struct strbuf *out, const char *name, const struct wait_row *row, uint64_t value)
{
	const char *role = role__name(row->name.role);

	strbuf__printf(out, "tcpsaga_%s{netns=\"%u\",role=\"%s\",port=\"", name, row->name.netns,
		       role ? role : "");
	if (row->name.port)
		strbuf__u64(out, row->name.port);
	strbuf__str(out, "\",process=\"");
	prometheus__label(out, row->name.comm, strnlen(row->name.comm, sizeof(row->name.comm)));
	strbuf__str(out, "\"} ");
	strbuf__u64(out, value);
	strbuf__char(out, '\n');
}

static void put_wait_rows(struct strbuf *out, const struct wait_row *rows, size_t count,
			  const struct wait_row *other)
{
	static const char other_labels[] = "netns=\"\",role=\"\",port=\"\",process=\"other\"";

	family(out, "time_wait_sockets", "gauge",
	       "Sockets in TIME_WAIT now, by whose connection it was and the service's port.");
	for (size_t i = 0; i < count; i++)
		put_wait_row(out, "time_wait_sockets", &rows[i], rows[i].time_wait);
	series(out, "time_wait_sockets", other_labels, other->time_wait);
	family(out, "fin_wait2_minisockets", "gauge",
	       "Minisockets that wait for the peer's FIN, by whose connection it was.");
	for (size_t i = 0; i < count; i++)
		put_wait_row(out, "fin_wait2_minisockets", &rows[i], rows[i].fin_wait2);
	series(out, "fin_wait2_minisockets", other_labels, other->fin_wait2);
}

static void put_wait_groups(struct strbuf *out, const struct model *model)
{
	struct wait_row *rows = malloc(TIMEWAIT_GROUPS_MAX * sizeof(*rows));
	struct wait_row other = { 0 };
	size_t count;

	if (!rows) {
		out->failed = true;
		return;
	}
	count = collect_waits(model, rows, &other);
	for (size_t i = PROMETHEUS_WAIT_ROWS; i < count; i++) {
		other.time_wait += rows[i].time_wait;
		other.fin_wait2 += rows[i].fin_wait2;
	}
	put_wait_rows(out, rows, count < PROMETHEUS_WAIT_ROWS ? count : PROMETHEUS_WAIT_ROWS, &other);
	single(out, "time_wait_groups_folded", "gauge",
	       "Groups of minisockets that have no series of their own: process=\"other\".",
	       count < PROMETHEUS_WAIT_ROWS ? 0 : count - PROMETHEUS_WAIT_ROWS);
	free(rows);
}

static void put_waits(struct strbuf *out, const struct exposition *e)
{
	put_wait_groups(out, e->model);
	if (!capture_info__has_hook(e->info, "timewait"))
		return;
	single(out, "minisockets_begun_total", "counter", "Sockets that became a minisocket.",
	       e->tally->waits[EV_WAIT_BEGIN]);
	single(out, "minisockets_refused_total", "counter",
	       "Minisockets that were not made: tcp_max_tw_buckets, or no memory.",
	       e->tally->waits[EV_WAIT_REFUSED]);
	family(out, "minisockets_ended_total", "counter", "Minisockets that are gone, by how.");
	for (unsigned int end = EV_WAIT_EXPIRED; end < EV_WAIT_END_END; end++)
		series_of(out, "minisockets_ended_total", "end", wait_end__name(end),
			  e->tally->wait_ends[end]);
}

/* ---- connections that ended ---- */

static void put_ends(struct strbuf *out, const struct tally *tally)
{
	static const char *const roles[ROLE_END] = {
		[ROLE_CLIENT] = "client", [ROLE_SERVER] = "server", [ROLE_BOTH] = "both"
	};
	char labels[64];

	family(out, "connections_ended_total", "counter", "Connections that ended, by how.");
	for (unsigned int how = 0; how < HOW_END; how++)
		series_of(out, "connections_ended_total", "how", how ? how__name(how) : "unknown",
			  tally->ended[how]);
	family(out, "connections_closed_first_total", "counter",
	       "Connections that ended, by their role here and the side that closed first.");
	for (unsigned int role = 0; role < ROLE_LISTENER; role++) {
		for (unsigned int who = 0; who < CLOSED_FIRST_END; who++) {
			snprintf(labels, sizeof(labels), "role=\"%s\",closed_first=\"%s\"",
				 roles[role] ? roles[role] : "unknown", closed_first__name(who));
			series(out, "connections_closed_first_total", labels,
			       tally->closed_first[role][who]);
		}
	}
	single(out, "connections_incomplete_total", "counter",
	       "Connections that ended of which a record was lost, or the birth not seen.",
	       tally->incomplete);
	single(out, "sent_bytes_total", "counter", "Sent by connections that ended.", tally->bytes_sent);
	single(out, "received_bytes_total", "counter", "Received by connections that ended.",
	       tally->bytes_received);
	single(out, "retransmits_total", "counter", "Segments that connections that ended sent again.",
	       tally->retransmits);
	family(out, "connection_duration_seconds", "histogram",
	       "How long connections that ended have lasted.");
	put_durations(out, "connection_duration_seconds", "", &tally->lasted);
}

/* ---- the ledger, the tables, ourselves ---- */

static void put_ledger(struct strbuf *out, const struct ledger *ledger)
{
	if (ledger->attempted_known)
		single(out, "records_attempted_total", "counter",
		       "Records that the kernel's side had to send.", ledger->attempted);
	single(out, "records_delivered_total", "counter", "Records that came.", ledger->delivered);
	family(out, "records_lost_total", "counter", "Records that were lost, by reason.");
	for (unsigned int reason = 1; reason < EV_LOSS_REASON_END; reason++)
		series_of(out, "records_lost_total", "reason", loss_reason__name(reason),
			  ledger->lost[reason]);
	single(out, "records_malformed_total", "counter", "Records that came and were refused.",
	       ledger->malformed);
	single(out, "records_doubled_total", "counter", "Transitions that came twice, and count once.",
	       ledger->doubles);
	single(out, "unrecorded_total", "counter",
	       "Changes of state that no record told and the kernel's tables showed.", ledger->unrecorded);
}

static void put_tables(struct strbuf *out, const struct model *model)
{
	const struct flow_table *flows = model__flows(model);
	const struct timewaits *waits = model__timewaits(model);
	const struct namespaces *namespaces = model__namespaces(model);

	family(out, "table_entries", "gauge", "What tcpsaga's tables hold.");
	series_of(out, "table_entries", "table", "connections", flows->open);
	series_of(out, "table_entries", "table", "minisockets", waits->count);
	series_of(out, "table_entries", "table", "timewait_groups", waits->group_count);
	series_of(out, "table_entries", "table", "namespaces", namespaces->used);
	family(out, "table_not_kept_total", "counter",
	       "What a table had no room for, or gave up for something newer.");
	for (int table = 0; table < TABLE_COUNT; table++)
		series_of(out, "table_not_kept_total", "table", model_table__name((enum model_table)table),
			  model__not_kept(model, (enum model_table)table));
}

static void put_findings(struct strbuf *out, const struct rule_count *counts)
{
	family(out, "findings", "gauge", "Findings that hold.");
	for (const struct rule_count *count = counts; count->id; count++)
		series_of(out, "findings", "rule", count->id, count->active);
	family(out, "findings_raised_total", "counter", "Findings that were raised.");
	for (const struct rule_count *count = counts; count->id; count++)
		series_of(out, "findings_raised_total", "rule", count->id, count->raised);
}

static void put_self(struct strbuf *out, const struct self_cost *self)
{
	family(out, "process_cpu_seconds_total", "counter", "CPU time of tcpsaga itself.");
	series_seconds(out, "process_cpu_seconds_total", "mode=\"user\"", self->user_us);
	series_seconds(out, "process_cpu_seconds_total", "mode=\"system\"", self->system_us);
	single(out, "process_resident_memory_bytes", "gauge", "Memory of tcpsaga itself.",
	       self->resident_bytes);
	single(out, "process_open_fds", "gauge", "Open file descriptors of tcpsaga itself.",
	       self->open_fds);
}

static void put_agent_gap(struct strbuf *out, const struct gap *gap)
{
	char labels[32];

	if (!gap)
		return;
	family(out, "agent_gap_seconds", "gauge", "How long nobody watched before this start.");
	snprintf(labels, sizeof(labels), "reason=\"%s\"", gap__reason(gap));
	series_seconds(out, "agent_gap_seconds", labels, (gap->to_ns - gap->from_ns) / NS_PER_US);
}

static void put_sink(struct strbuf *out, const char *name, const struct sink_count *sink, uint64_t value)
{
	strbuf__printf(out, "tcpsaga_%s{sink=\"", name);
	prometheus__label(out, sink->name, strlen(sink->name));
	strbuf__printf(out, "\"} %llu\n", (unsigned long long)value);
}

/* Those beyond the rows are one row, in which one that fails shows. How many there are. */
static unsigned int fold_sinks(const struct exposition *e, struct sink_count shown[PROMETHEUS_SINKS_MAX])
{
	struct sink_count *other = &shown[PROMETHEUS_SINKS_MAX - 1];
	unsigned int own = e->sink_count;

	if (own > PROMETHEUS_SINKS_MAX) {
		own = PROMETHEUS_SINKS_MAX - 1;
		*other = (struct sink_count){ .name = "other", .healthy = true };
	}
	for (unsigned int i = 0; i < own; i++)
		shown[i] = e->sinks[i];
	for (unsigned int i = own; i < e->sink_count; i++) {
		other->healthy &= e->sinks[i].healthy;
		other->offered += e->sinks[i].offered;
		other->delivered += e->sinks[i].delivered;
		other->dropped += e->sinks[i].dropped;
		other->queued_bytes += e->sinks[i].queued_bytes;
	}
	return own < e->sink_count ? PROMETHEUS_SINKS_MAX : own;
}

static void put_sinks(struct strbuf *out, const struct exposition *e)
{
	static const struct {
		const char *name, *type, *help;
	} families[] = {
		{ "sink_healthy", "gauge", "1 when what is offered is written." },
		{ "sink_lines_offered_total", "counter", "Lines that the sink was to write." },
		{ "sink_lines_delivered_total", "counter", "Lines that it wrote." },
		{ "sink_lines_dropped_total", "counter", "Lines that its full queue had no room for." },
		{ "sink_queued_bytes", "gauge", "Bytes that wait in its queue." },
	};
	struct sink_count shown[PROMETHEUS_SINKS_MAX];
	unsigned int count = fold_sinks(e, shown);

	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]) && count; f++) {
		family(out, families[f].name, families[f].type, families[f].help);
		for (unsigned int i = 0; i < count; i++) {
			const struct sink_count *sink = &shown[i];
			const uint64_t values[] = { sink->healthy, sink->offered, sink->delivered,
						    sink->dropped, sink->queued_bytes };

			put_sink(out, families[f].name, sink, values[f]);
		}
	}
}

void prometheus__render(struct strbuf *out, const struct exposition *e)
{
	put_info(out, e->info);
	put_states(out, e->model, capture_info__has_hook(e->info, "syn"));
	put_transitions(out, e->tally);
	put_handshakes(out, e);
	put_listeners(out, e);
	put_waits(out, e);
	put_ends(out, e->tally);
	put_findings(out, e->findings);
	put_ledger(out, e->ledger);
	put_tables(out, e->model);
	single(out, "kernel_tables_readable", "gauge",
	       "0 when what reads the kernel's own tables has ended: samples are missing.",
	       !e->tables_gone);
	put_sinks(out, e);
	put_self(out, e->self);
	put_agent_gap(out, e->gap);
}
