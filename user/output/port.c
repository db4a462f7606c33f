// SPDX-License-Identifier: BSD-2-Clause
#include "output/port.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/wrap.h"
#include "output/json_parts.h"

enum {
	TIMEWAIT_MS = 60000, /* TCP_TIMEWAIT_LEN */
	END_TEXT_MAX = ADDR_TEXT_MAX + 9,
};

/* Holders that differ in nothing that matters: told in one line. */
struct group {
	const struct holder *first;
	uint32_t count;
	uint32_t expires_ms; /* the longest */
	enum answer conflict;
};

struct groups {
	struct group *list; /* owned */
	size_t count;
};

/* ---- words --------------------------------------------------------------------- */

/* The kernel's names, but for what they would not say: a TCP socket in CLOSE
 * has been bound, and of UDP there are two kinds. */
static const char *state_of(const struct holder *holder)
{
	if (holder->state == EV_STATE_CLOSE)
		return "BOUND";
	if (holder->protocol == IPPROTO_UDP && holder->state == EV_ESTABLISHED)
		return "CONNECTED";
	return state__name(holder->state);
}

static const char *protocol__name(uint8_t protocol)
{
	return protocol == IPPROTO_UDP ? "udp" : "tcp";
}

static const char *would(enum answer answer)
{
	static const char *const words[] = { "unknown", "fail", "succeed" };

	return words[answer];
}

static const char *obstacle_key(enum bind_obstacle obstacle)
{
	static const char *const keys[BIND_OBSTACLES] = {
		[BIND_CLEAR] = "",
		[BIND_NO_IPV6] = "no_ipv6",
		[BIND_MAPPED_V6ONLY] = "mapped_v6only",
		[BIND_LINK_LOCAL] = "link_local",
		[BIND_MULTICAST] = "multicast",
		[BIND_PRIVILEGED] = "privileged_port",
		[BIND_ADDRESS_FOREIGN] = "address_not_local",
	};

	return keys[obstacle];
}

static unsigned int end_text(char text[END_TEXT_MAX], const struct endpoint *end)
{
	char *p = text;
	bool v4 = addr__is_v4(end->addr);

	if (!v4)
		*p++ = '[';
	p += addr__format(end->addr, p);
	if (!v4)
		*p++ = ']';
	p += sprintf(p, ":%u", end->port);
	return (unsigned int)(p - text);
}

/* ---- groups ---------------------------------------------------------------------- */

static struct group *find_group(struct groups *groups, const struct holder *holder)
{
	/* Those of one kind follow each other in the kernel's tables more or less. */
	for (size_t i = groups->count; i > 0; i--)
		if (holder__alike(groups->list[i - 1].first, holder))
			return &groups->list[i - 1];
	groups->list[groups->count] = (struct group){ .first = holder };
	return &groups->list[groups->count++];
}

static bool is_asked_about(const struct bind_request *request, const struct holder *holder)
{
	return holder->protocol == request->protocol && holder->netns == request->netns;
}

/* Those that stand in the way of this request, or may. */
static void mark_conflicts(struct groups *groups, const struct bind_request *request)
{
	for (size_t i = 0; i < groups->count; i++) {
		struct group *group = &groups->list[i];

		group->conflict = ANSWER_NO;
		if (is_asked_about(request, group->first))
			group->conflict = bind_rules__conflict(request, group->first);
	}
}

/* wanted may be NULL. False: no memory. */
static bool make_groups(struct groups *groups, const struct port_view *view, const bool *wanted)
{
	*groups = (struct groups){ .list = calloc(view->count + 1, sizeof(struct group)) };
	if (!groups->list)
		return false;
	for (size_t i = 0; i < view->count; i++) {
		const struct holder *holder = &view->holders[i];
		struct group *group;

		if (wanted && !wanted[i])
			continue;
		group = find_group(groups, holder);
		group->count++;
		if (holder->expires_ms > group->expires_ms)
			group->expires_ms = holder->expires_ms;
	}
	return true;
}

/* ---- why ----------------------------------------------------------------------------- */

static void put_subject(struct strbuf *out, const struct group *group)
{
	const struct holder *holder = group->first;
	char end[END_TEXT_MAX];

	if (holder->owner.pid) {
		text__plain(out, holder->owner.comm,
			    strnlen(holder->owner.comm, sizeof(holder->owner.comm)));
		strbuf__printf(out, "/%u", holder->owner.pid);
	} else {
		strbuf__str(out, holder->inode ? "A process that was not found" :
						 "A socket without a process");
	}
	end[end_text(end, &holder->local)] = '\0';
	if (holder->state == EV_LISTEN)
		strbuf__printf(out, " listens on %s", end);
	else if (holder->state == EV_STATE_CLOSE)
		strbuf__printf(out, " has bound %s", end);
	else if (group->count == 1)
		strbuf__printf(out, " has a connection of %s in %s", end, state_of(holder));
	else
		strbuf__printf(out, " has %u connections of %s in %s", group->count, end,
			       state_of(holder));
}

static void put_minis(struct strbuf *out, const struct group *group)
{
	char end[END_TEXT_MAX];

	end[end_text(end, &group->first->local)] = '\0';
	strbuf__printf(out, "%u closed connection%s of %s in %s, the last one for another %.1f s",
		       group->count, group->count == 1 ? "" : "s", end, state_of(group->first),
		       group->expires_ms / 1000.0);
}

/* Which side has to change for SO_REUSEADDR to help. */
static const char *lack_of_reuseaddr(const struct bind_request *request, const struct holder *holder)
{
	if (holder->reuseaddr == ANSWER_UNKNOWN)
		return request->reuseaddr ? "whether the old socket had it cannot be seen" :
					    "the new socket has it not";
	if (holder->reuseaddr == ANSWER_YES)
		return "the new socket has it not";
	return request->reuseaddr ? "the old socket had it not" : "neither has it";
}

static void put_reuseport(struct strbuf *out, const struct bind_request *request,
			  const struct holder *holder)
{
	if (!request->reuseport)
		return;
	if (holder->reuseport == ANSWER_NO)
		strbuf__str(out, "; SO_REUSEPORT does not help, the old socket has it not");
	else if (holder->reuseport == ANSWER_UNKNOWN)
		strbuf__str(out, "; whether the old socket has SO_REUSEPORT cannot be seen");
	else if (!holder->mini && holder->uid != request->uid)
		strbuf__printf(out,
			       "; SO_REUSEPORT does not help, because the old socket is uid %u's and the "
			       "new one uid %u's",
			       holder->uid, request->uid);
}

static void put_reason(struct strbuf *out, const struct bind_request *request, const struct group *group)
{
	const struct holder *holder = group->first;

	if (holder->mini)
		put_minis(out, group);
	else
		put_subject(out, group);
	if (holder->state == EV_LISTEN)
		strbuf__str(out, ": a listener gives way to no SO_REUSEADDR; two can share the port only "
				 "if both set SO_REUSEPORT before bind(), as the same user");
	else
		strbuf__printf(out, ": SO_REUSEADDR is wanted on both sockets, %s",
			       lack_of_reuseaddr(request, holder));
	put_reuseport(out, request, holder);
}

static void put_obstacle(struct strbuf *out, const struct bind_report *report)
{
	const struct bind_request *request = &report->request;

	switch (report->outcome.obstacle) {
	case BIND_NO_IPV6:
		strbuf__str(out, "this kernel runs without IPv6: socket() fails already");
		break;
	case BIND_MAPPED_V6ONLY:
		strbuf__str(out, "a v4-mapped address is IPv4, which IPV6_V6ONLY rules out");
		break;
	case BIND_LINK_LOCAL:
		strbuf__str(out, "a link-local address needs its interface (sin6_scope_id, or "
				 "SO_BINDTODEVICE)");
		break;
	case BIND_MULTICAST:
		strbuf__str(out, "TCP has no multicast");
		break;
	case BIND_PRIVILEGED:
		strbuf__printf(out,
			       "ports below %u (net.ipv4.ip_unprivileged_port_start) are for "
			       "CAP_NET_BIND_SERVICE, which uid %u has not",
			       report->place.first_unprivileged, request->uid);
		break;
	default:
		strbuf__str(out, "no interface of this network namespace has that address "
				 "(and ip_nonlocal_bind is off)");
	}
}

/* What would have to be known. */
static void put_missing(struct strbuf *out, const struct bind_outcome *outcome)
{
	if (outcome->order_decides)
		strbuf__str(out, "which of the holders the kernel meets first: one would share the port by "
				 "SO_REUSEPORT, another one is in the way");
	else if (outcome->doubtful)
		strbuf__printf(out,
			       "the options of %u socket%s that hold%s the port (sock_diag does not tell "
			       "SO_REUSEADDR and SO_REUSEPORT; BPF iterators do: root, or CAP_BPF and "
			       "CAP_PERFMON)",
			       outcome->doubtful, outcome->doubtful == 1 ? "" : "s",
			       outcome->doubtful == 1 ? "s" : "");
	else
		strbuf__str(out, "whether the address is one of this network namespace's");
}

static const char *const option_words[4] = { "neither option", "SO_REUSEADDR", "SO_REUSEPORT",
					     "SO_REUSEADDR and SO_REUSEPORT" };

static unsigned int options_of(const struct bind_request *request)
{
	return (unsigned int)request->reuseaddr | (unsigned int)request->reuseport << 1;
}

/* The least change of the new socket's options with which it would succeed; NULL
 * when there is none. */
static const char *remedy(const struct bind_report *report)
{
	static const unsigned int tries[] = { 1, 2, 3 };
	unsigned int has = options_of(&report->request);

	if (report->outcome.obstacle || report->outcome.succeeds == ANSWER_YES)
		return NULL;
	for (unsigned int i = 0; i < 3; i++)
		if ((tries[i] & has) == has && tries[i] != has &&
		    report->with[tries[i]].succeeds == ANSWER_YES)
			return option_words[tries[i]];
	return NULL;
}

/* ---- JSON ------------------------------------------------------------------------------- */

static void put_head(struct strbuf *out, struct utc_formatter *utc, const char *type, uint64_t time_ns)
{
	strbuf__printf(out, "{\"v\":1,\"type\":\"%s\",\"ts\":\"%.*s\"", type, UTC_TEXT_LEN,
		       utc_formatter__format(utc, time_ns));
}

static void put_answer(struct strbuf *out, const char *key, unsigned int answer)
{
	if (answer != ANSWER_UNKNOWN)
		strbuf__printf(out, ",\"%s\":%s", key, answer == ANSWER_YES ? "true" : "false");
}

static void put_string(struct strbuf *out, const char *key, struct strbuf *text)
{
	const char *words = strbuf__text(text);

	if (key)
		strbuf__printf(out, ",\"%s\":", key);
	text__json(out, words, strlen(words));
}

/* Behind "proto" both objects and a reason speak of a socket alike. */
static void put_socket(const struct port_view *view, const struct holder *holder,
		       struct utc_formatter *utc, struct strbuf *out)
{
	struct owner owner = owner__of(&holder->owner, view->taken_ns);

	strbuf__printf(out, ",\"state\":\"%s\"", state_of(holder));
	if (holder->family == AF_INET6)
		put_answer(out, "v6only", holder->v6only);
	put_answer(out, "reuseaddr", holder->reuseaddr);
	put_answer(out, "reuseport", holder->reuseport);
	if (holder->ifindex)
		strbuf__printf(out, ",\"ifindex\":%u", holder->ifindex);
	if (!holder->mini)
		strbuf__printf(out, ",\"uid\":%u", holder->uid);
	if (holder->owner.pid) {
		json__process(out, &owner, utc);
		strbuf__printf(out, ",\"other_processes\":%u", holder->others);
	}
}

static void put_holder(const struct port_view *view, const struct holder *holder,
		       struct utc_formatter *utc, struct strbuf *out)
{
	put_head(out, utc, "port_holder", view->taken_ns);
	if (holder->cookie) {
		strbuf__str(out, ",\"conn\":\"");
		json__hex(out, holder->cookie);
		strbuf__char(out, '"');
	}
	strbuf__printf(out, ",\"netns\":%u,\"proto\":\"%s\",\"family\":%u,\"local\":", holder->netns,
		       protocol__name(holder->protocol), addr__family(holder->local.addr));
	json__end(out, &holder->local);
	if (holder->remote.port) {
		strbuf__str(out, ",\"remote\":");
		json__end(out, &holder->remote);
	}
	put_socket(view, holder, utc, out);
	if (holder->mini)
		strbuf__printf(out, ",\"expires_in_s\":%.3f", holder->expires_ms / 1000.0);
	if (holder->state == EV_TIME_WAIT && holder->expires_ms <= TIMEWAIT_MS)
		strbuf__printf(
			out, ",\"since\":\"%.*s\"", UTC_TEXT_LEN,
			utc_formatter__format(utc, view->taken_ns - (TIMEWAIT_MS - holder->expires_ms) *
									    NS_PER_MS));
	strbuf__str(out, "}\n");
}

static const char *cause_of(const struct holder *holder)
{
	if (holder->mini)
		return holder->state == EV_TIME_WAIT ? "time_wait" : "fin_wait2";
	if (holder->state == EV_LISTEN)
		return "listener";
	return holder->state == EV_STATE_CLOSE ? "bound" : "connection";
}

static void put_because(const struct port_view *view, const struct bind_report *report,
			struct utc_formatter *utc, struct strbuf *out, const struct groups *groups)
{
	const char *separator = "";
	struct strbuf text;

	strbuf__init(&text);
	strbuf__str(out, ",\"because\":[");
	if (report->outcome.obstacle) {
		put_obstacle(&text, report);
		strbuf__printf(out, "{\"cause\":\"%s\",\"text\":", obstacle_key(report->outcome.obstacle));
		put_string(out, NULL, &text);
		strbuf__char(out, '}');
	}
	for (size_t i = 0; i < groups->count && !report->outcome.obstacle; i++) {
		const struct group *group = &groups->list[i];

		if (group->conflict == ANSWER_NO)
			continue;
		strbuf__clear(&text);
		put_reason(&text, &report->request, group);
		strbuf__printf(out,
			       "%s{\"cause\":\"%s\",\"certain\":%s,\"count\":%u,\"local\":", separator,
			       cause_of(group->first), group->conflict == ANSWER_YES ? "true" : "false",
			       group->count);
		json__end(out, &group->first->local);
		put_socket(view, group->first, utc, out);
		if (group->first->mini)
			strbuf__printf(out, ",\"expires_in_s\":%.3f", group->expires_ms / 1000.0);
		put_string(out, "text", &text);
		strbuf__char(out, '}');
		separator = ",";
	}
	strbuf__char(out, ']');
	strbuf__fini(&text);
}

static void put_outcome(const struct port_view *view, const struct bind_report *report,
			struct utc_formatter *utc, struct strbuf *out, const struct groups *groups)
{
	const struct bind_outcome *outcome = &report->outcome;
	struct strbuf text;

	strbuf__printf(out, ",\"bind\":{\"would\":\"%s\"", would(outcome->succeeds));
	if (outcome->error)
		strbuf__printf(out, ",\"errno\":\"%s\"", strerrorname_np(outcome->error));
	put_because(view, report, utc, out, groups);
	if (outcome->ends_by_itself)
		strbuf__printf(out, ",\"succeeds_in_s\":%.3f,\"succeeds_at\":\"%.*s\"",
			       outcome->wait_ms / 1000.0, UTC_TEXT_LEN,
			       utc_formatter__format(utc, view->taken_ns + outcome->wait_ms * NS_PER_MS));
	if (outcome->succeeds == ANSWER_UNKNOWN) {
		strbuf__init(&text);
		put_missing(&text, outcome);
		put_string(out, "missing", &text);
		strbuf__fini(&text);
	}
	if (!outcome->obstacle)
		strbuf__printf(out,
			       ",\"with\":{\"neither\":\"%s\",\"reuseaddr\":\"%s\",\"reuseport\":\"%s\","
			       "\"both\":\"%s\"}",
			       would(report->with[0].succeeds), would(report->with[1].succeeds),
			       would(report->with[2].succeeds), would(report->with[3].succeeds));
	strbuf__char(out, '}');
}

static void put_check(const struct port_view *view, const struct bind_report *report,
		      struct utc_formatter *utc, struct strbuf *out, const struct groups *groups)
{
	const struct bind_request *request = &report->request;
	struct endpoint local = { .port = request->port };

	memcpy(local.addr, request->addr, sizeof(local.addr));
	put_head(out, utc, "bind_check", view->taken_ns);
	strbuf__printf(out, ",\"netns\":%u,\"proto\":\"%s\",\"family\":%u,\"local\":", request->netns,
		       protocol__name(request->protocol), addr__family(request->addr));
	json__end(out, &local);
	if (request->family == AF_INET6)
		put_answer(out, "v6only", request->v6only ? ANSWER_YES : ANSWER_NO);
	strbuf__printf(out, ",\"reuseaddr\":%s,\"reuseport\":%s,\"uid\":%u",
		       request->reuseaddr ? "true" : "false", request->reuseport ? "true" : "false",
		       request->uid);
	put_outcome(view, report, utc, out, groups);
	strbuf__str(out, ",\"not_seen\":[");
	for (unsigned int i = 0; i < view->note_count; i++) {
		strbuf__str(out, i ? "," : "");
		text__json(out, view->notes[i], strlen(view->notes[i]));
	}
	strbuf__str(out, "]}\n");
}

void port_view__json(const struct port_view *view, struct utc_formatter *utc, struct strbuf *out)
{
	struct groups groups;

	for (size_t i = 0; i < view->count; i++)
		if (view->shown[i])
			put_holder(view, &view->holders[i], utc, out);
	if (!make_groups(&groups, view, NULL)) {
		out->failed = true;
		return;
	}
	for (unsigned int i = 0; i < view->report_count; i++) {
		mark_conflicts(&groups, &view->reports[i].request);
		put_check(view, &view->reports[i], utc, out, &groups);
	}
	free(groups.list);
}

/* ---- table ------------------------------------------------------------------------------- */

/* Who and with what, in a line of its own where one is too short for all of it. */
enum { ROW_COLUMNS = 131 };

static const char *behind_count(const struct port_view *view)
{
	return view->columns && view->columns < ROW_COLUMNS ? "\n    " : " ";
}

static void put_cell(struct strbuf *out, size_t start, unsigned int width)
{
	while (out->len - start < width)
		strbuf__char(out, ' ');
	strbuf__char(out, ' ');
}

static void put_end_cell(struct strbuf *out, const struct endpoint *end, unsigned int width)
{
	char text[END_TEXT_MAX];
	size_t start = out->len;

	if (end->port)
		strbuf__append(out, text, end_text(text, end));
	else
		strbuf__char(out, '-');
	put_cell(out, start, width);
}

static void put_process_cell(struct strbuf *out, const struct holder *holder)
{
	size_t start = out->len;

	if (!holder->owner.pid)
		strbuf__char(out, '-');
	else
		text__plain(out, holder->owner.comm,
			    strnlen(holder->owner.comm, sizeof(holder->owner.comm)));
	if (holder->owner.pid)
		strbuf__printf(out, "/%u", holder->owner.pid);
	if (holder->others)
		strbuf__printf(out, " +%u", holder->others);
	put_cell(out, start, 22);
}

static void put_options_cell(struct strbuf *out, const struct holder *holder)
{
	size_t start = out->len;
	static const char *const reuseaddr[] = { "reuseaddr?", "", "reuseaddr" };
	static const char *const reuseport[] = { "reuseport?", "", "reuseport" };
	bool any_addr = holder->family == AF_INET6 && addr__family(holder->local.addr) == 6 &&
			!memcmp(holder->local.addr, (uint8_t[16]){ 0 }, 16);
	const char *words[3] = { reuseaddr[holder->reuseaddr], reuseport[holder->reuseport], "" };

	if (any_addr && holder->v6only)
		words[2] = holder->v6only == ANSWER_YES ? "v6only" : "dual-stack";
	for (int i = 0; i < 3; i++) {
		if (*words[i] && out->len != start)
			strbuf__char(out, ',');
		strbuf__str(out, words[i]);
	}
	if (out->len == start)
		strbuf__char(out, '-');
	put_cell(out, start, 30);
}

static void put_group(const struct port_view *view, const struct group *group, bool with_netns,
		      struct strbuf *out)
{
	static const struct endpoint nobody;
	const struct holder *holder = group->first;

	if (with_netns)
		strbuf__printf(out, "%-10u ", holder->netns);
	strbuf__printf(out, "%-3s %-11s ", protocol__name(holder->protocol), state_of(holder));
	put_end_cell(out, &holder->local, 21);
	put_end_cell(out, group->count == 1 ? &holder->remote : &nobody, 21);
	strbuf__printf(out, "%5u%s", group->count, behind_count(view));
	put_process_cell(out, holder);
	if (holder->mini)
		strbuf__str(out, "    - ");
	else
		strbuf__printf(out, "%5u ", holder->uid);
	put_options_cell(out, holder);
	if (holder->mini)
		strbuf__printf(out, "%.1fs", group->expires_ms / 1000.0);
	else
		strbuf__char(out, '-');
	strbuf__char(out, '\n');
}

static bool in_one_netns(const struct groups *groups, uint32_t netns)
{
	for (size_t i = 0; i < groups->count; i++)
		if (groups->list[i].first->netns != netns)
			return false;
	return true;
}

static void put_groups(const struct port_view *view, const struct groups *groups, struct strbuf *out)
{
	bool with_netns = view->wide || !in_one_netns(groups, view->reports->request.netns);

	if (!groups->count) {
		strbuf__printf(out, "Nobody holds port %u, as far as can be seen.\n", view->port);
		return;
	}
	if (with_netns)
		strbuf__printf(out, "%-10s ", "NETNS");
	strbuf__printf(out, "%-3s %-11s %-21s %-21s %5s%s%-22s %5s %-30s %s\n", "", "STATE", "LOCAL",
		       "REMOTE", "COUNT", behind_count(view), "PROCESS", "UID", "OPTIONS", "LEFT");
	for (size_t i = 0; i < groups->count; i++)
		put_group(view, &groups->list[i], with_netns, out);
}

/* A paragraph of its own: "    - text". */
static void put_paragraph(const struct port_view *view, struct strbuf *out, const char *lead,
			  struct strbuf *text)
{
	struct wrap wrap = { .columns = view->columns ? view->columns : 80,
			     /* the blank in front of each word is part of it */
			     .indent = *lead ? (unsigned int)strlen(lead) - 1 : 0 };
	const char *words = strbuf__text(text);

	wrap__piece(&wrap, out, lead, strlen(lead));
	wrap__words(&wrap, out, words, strlen(words));
	strbuf__char(out, '\n');
	strbuf__clear(text);
}

static void put_question(const struct bind_report *report, struct strbuf *text)
{
	static const char *const outcomes[] = { "cannot be told", "would fail", "would succeed" };
	const struct bind_request *request = &report->request;
	struct endpoint local = { .port = request->port };
	char end[END_TEXT_MAX];

	memcpy(local.addr, request->addr, sizeof(local.addr));
	end[end_text(end, &local)] = '\0';
	strbuf__printf(text, "%s of %s, %s",
		       request->protocol == IPPROTO_UDP ? "bind()" : "bind() and listen()", end,
		       request->protocol == IPPROTO_UDP ? "UDP" : "TCP");
	if (request->family == AF_INET6 && bind_request__is_wildcard(request))
		strbuf__str(text, request->v6only ? " (IPv6 only)" : " (dual-stack)");
	strbuf__printf(text, ", by uid %u with %s, in network namespace %u: %s", request->uid,
		       option_words[options_of(request)], request->netns,
		       outcomes[report->outcome.succeeds]);
	if (report->outcome.error)
		strbuf__printf(text, ", %s", strerrorname_np(report->outcome.error));
	strbuf__char(text, '.');
}

static void put_reasons(const struct port_view *view, const struct bind_report *report,
			const struct groups *groups, struct strbuf *out, struct strbuf *text)
{
	if (report->outcome.obstacle) {
		put_obstacle(text, report);
		put_paragraph(view, out, "  - ", text);
		return;
	}
	for (size_t i = 0; i < groups->count; i++) {
		if (groups->list[i].conflict == ANSWER_NO)
			continue;
		put_reason(text, &report->request, &groups->list[i]);
		put_paragraph(view, out, "  - ", text);
	}
}

static void put_way_out(const struct port_view *view, const struct bind_report *report,
			struct utc_formatter *utc, struct strbuf *out, struct strbuf *text)
{
	const struct bind_outcome *outcome = &report->outcome;
	const char *options = remedy(report);

	if (outcome->succeeds == ANSWER_UNKNOWN) {
		strbuf__str(text, "To tell, one has to know ");
		put_missing(text, outcome);
		put_paragraph(view, out, "  ? ", text);
	}
	if (options) {
		strbuf__printf(text, "With %s on the new socket it would succeed now.", options);
		put_paragraph(view, out, "  * ", text);
	}
	if (outcome->ends_by_itself) {
		strbuf__printf(
			text, "It would succeed from %.*s UTC on, in %.1f s, if nothing new comes.", 8,
			utc_formatter__format(utc, view->taken_ns + outcome->wait_ms * NS_PER_MS) + 11,
			outcome->wait_ms / 1000.0);
		put_paragraph(view, out, "  * ", text);
	}
}

/* The old question: why does the other protocol's socket not matter? */
static void put_other_protocol(const struct port_view *view, const struct bind_request *request,
			       struct strbuf *out, struct strbuf *text)
{
	for (size_t i = 0; i < view->count; i++) {
		const struct holder *holder = &view->holders[i];

		if (holder->netns != request->netns || holder->protocol == request->protocol)
			continue;
		strbuf__printf(
			text,
			"What %s holds is not in the way: TCP and UDP have port numbers of their own.",
			holder->protocol == IPPROTO_UDP ? "UDP" : "TCP");
		put_paragraph(view, out, "  * ", text);
		return;
	}
}

static void put_verdict(const struct port_view *view, const struct bind_report *report,
			struct utc_formatter *utc, struct strbuf *out, struct groups *groups)
{
	struct strbuf text;

	strbuf__init(&text);
	mark_conflicts(groups, &report->request);
	strbuf__char(out, '\n');
	put_question(report, &text);
	put_paragraph(view, out, "", &text);
	put_reasons(view, report, groups, out, &text);
	put_way_out(view, report, utc, out, &text);
	put_other_protocol(view, &report->request, out, &text);
	out->failed |= text.failed;
	strbuf__fini(&text);
}

static void put_notes(const struct port_view *view, struct strbuf *out)
{
	struct strbuf text;

	strbuf__init(&text);
	if (view->note_count)
		strbuf__char(out, '\n');
	for (unsigned int i = 0; i < view->note_count; i++) {
		strbuf__printf(&text, "Not seen: %s", view->notes[i]);
		put_paragraph(view, out, "", &text);
	}
	out->failed |= text.failed;
	strbuf__fini(&text);
}

void port_view__table(const struct port_view *view, struct utc_formatter *utc, struct strbuf *out)
{
	struct groups listed, all = { 0 };

	if (!make_groups(&listed, view, view->shown) || !make_groups(&all, view, NULL)) {
		out->failed = true;
	} else {
		put_groups(view, &listed, out);
		for (unsigned int i = 0; i < view->report_count; i++)
			put_verdict(view, &view->reports[i], utc, out, &all);
		put_notes(view, out);
	}
	free(listed.list);
	free(all.list);
}
