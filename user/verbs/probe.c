// SPDX-License-Identifier: BSD-2-Clause
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/wrap.h"
#include "model/model.h"
#include "source/live.h"
#include "source/rings.h"
#include "verbs/options.h"
#include "verbs/verbs.h"

enum { KEY_HOOKS = 256 };

struct probe {
	bool json;
	enum hook_choice choice;
	int said; /* exit status of a usage error that has been told */
	struct hook_result results[HOOK_COUNT];
	bool socket_cookie;
	bool probe_read;
	char kernel[65];
};

static const struct argp_option option_table[] = {
	{ "output", 'o', "table|json", 0, "Output format; table is the default", 0 },
	{ "hooks", KEY_HOOKS, HOOK_CHOICE_WORDS, 0, "Try only this kind of hook", 0 },
	HELP_OPTION,
	{ 0 },
};

static error_t on_option(int key, char *arg, struct argp_state *state)
{
	struct probe *probe = state->input;
	int choice;

	switch (key) {
	case 'o':
		probe->json = !strcmp(arg, "json");
		if (!probe->json && strcmp(arg, "table"))
			probe->said = fail(EXIT_USAGE, "probe: -o wants table or json, not \"%s\"", arg);
		break;
	case KEY_HOOKS:
		choice = hook_choice__parse(arg);
		if (choice < 0)
			probe->said =
				fail(EXIT_USAGE,
				     "probe: --hooks wants one of " HOOK_CHOICE_WORDS ", not \"%s\"", arg);
		else
			probe->choice = (enum hook_choice)choice;
		break;
	case ARGP_KEY_ARG:
		probe->said = fail(EXIT_USAGE, "probe takes no operands, not \"%s\"", arg);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return probe->said ? EINVAL : 0;
}

static void put_key(struct strbuf *out, const char *key, const char *text)
{
	strbuf__printf(out, ",\"%s\":", key);
	text__json(out, text, strlen(text));
}

static void put_hook_json(struct strbuf *out, const struct hook_result *result)
{
	const struct hook *hook = result->hook;

	strbuf__printf(out, "{\"hook\":\"%s\"", hook->name);
	put_key(out, "kind", hook_kind__name(result->kind));
	put_key(out, "target", hook_result__target(result));
	strbuf__printf(out, ",\"works\":%s", result->error ? "false" : "true");
	if (result->error)
		put_key(out, "reason", hook_result__reason(result));
	put_key(out, "shows", hook->shows);
	put_key(out, "without", hook->without);
	strbuf__char(out, '}');
}

/* Where the numbers of `queues` come from on this kernel. */
struct numbers {
	const char *keys;    /* of the JSON, joined by blanks */
	const char *option;  /* only with this one; NULL: always */
	const char *quality; /* "exact", "sampled", "host_wide", "not_seen" */
	const char *from;
};

enum { NUMBERS = 9 };

static const char *exact_if(bool works)
{
	return works ? "exact" : "not_seen";
}

static void find_numbers(const struct probe *probe, struct numbers numbers[NUMBERS])
{
	const struct hook_result *results = probe->results;
	bool handshakes = !results[HOOK_SYN].error && !results[HOOK_HANDSHAKE].error;
	enum hook_kind accept = results[HOOK_ACCEPT].kind;
	const struct numbers all[NUMBERS] = {
		{ "syns queued cookies fastopen dropped", NULL, exact_if(handshakes),
		  handshakes ? "each SYN is seen" :
			       "needs function hooks; sk_drops and the host-wide counters stand in" },
		{ "queued", "--sockops", exact_if(!results[HOOK_SOCKOPS].error),
		  handshakes ? "not needed: function hooks see every SYN" :
			       "a sockops program on that cgroup, for the listeners in it" },
		{ "completed completed_by_cookie timed_out reset aborted listener_closed pending "
		  "third_ack_dropped delayed blocked gave_up handshake_us",
		  NULL, exact_if(handshakes),
		  handshakes ? "each request is seen from its SYN to its end" : "needs function hooks" },
		{ "synack_retransmits", NULL, exact_if(!results[HOOK_SYNACK].error),
		  "tracepoint of each SYN-ACK sent again" },
		{ "accepted accept_wait_us", NULL, exact_if(accept != HOOK_NONE),
		  accept == HOOK_SYSCALL ?
			  "accept() system calls, without io_uring's; of a SO_REUSEPORT group not "
			  "of one socket (host_wide)" :
		  accept == HOOK_NONE ? "needs function hooks, or tracefs" :
					"each accept() is seen with its listener" },
		{ "syn_queue accept_queue", NULL, "sampled",
		  handshakes ? "read at each event, and from sock_diag each second" :
			       "sock_diag each second; the SYN queue is that of the port" },
		{ "backlog", NULL, handshakes ? "exact" : "sampled",
		  results[HOOK_LISTEN].error ?
			  "limit from sock_diag; listen()'s argument is not known" :
			  "listen()'s argument from its system call, for listeners made since the start" },
		{ "sk_drops", NULL, "sampled", "sock_diag: the socket's own counter, of all causes" },
		{ "counters", NULL, "host_wide", "/proc/net/netstat and snmp of each network namespace" },
	};

	memcpy(numbers, all, sizeof(all));
}

static void put_numbers_json(struct strbuf *out, const struct probe *probe)
{
	struct numbers numbers[NUMBERS];

	find_numbers(probe, numbers);
	strbuf__str(out, ",\"queues\":[");
	for (int i = 0; i < NUMBERS; i++) {
		strbuf__str(out, i ? ",{\"numbers\":[" : "{\"numbers\":[");
		for (const char *key = numbers[i].keys; *key; key += strspn(key, " ")) {
			int len = (int)strcspn(key, " ");

			strbuf__printf(out, "%s\"%.*s\"", key == numbers[i].keys ? "" : ",", len, key);
			key += len;
		}
		strbuf__char(out, ']');
		put_key(out, "quality", numbers[i].quality);
		put_key(out, "from", numbers[i].from);
		if (numbers[i].option)
			put_key(out, "option", numbers[i].option);
		strbuf__char(out, '}');
	}
	strbuf__char(out, ']');
}

enum { INDENT = 11 }; /* of what stands under a hook's name */

/* A line under a name, or behind it where there is one. */
static void put_under(struct strbuf *out, const char *name, const char *what, const char *text)
{
	struct wrap wrap = { .columns = terminal__columns(STDOUT_FILENO), .indent = INDENT + 1 };

	strbuf__printf(out, "%-10s", name);
	wrap.used = INDENT - 1;
	wrap__words(&wrap, out, what, strlen(what));
	wrap__words(&wrap, out, " ", 1);
	wrap__words(&wrap, out, text, strlen(text));
	strbuf__char(out, '\n');
}

static void put_numbers_table(struct strbuf *out, const struct probe *probe)
{
	struct numbers numbers[NUMBERS];

	find_numbers(probe, numbers);
	strbuf__str(out, "\nNumbers of tcpsaga queues:\n");
	for (int i = 0; i < NUMBERS; i++) {
		char keys[256];

		snprintf(keys, sizeof(keys), "%s%s%s", numbers[i].keys,
			 numbers[i].option ? ", with " : "", numbers[i].option ? numbers[i].option : "");
		put_under(out, numbers[i].quality, "", keys);
		put_under(out, "", "", numbers[i].from);
	}
}

/* Whatever has an owner. */
enum { OWNERS_MOST = MODEL_MAX_LIVES + LISTENERS_MAX + TIMEWAIT_GROUPS_MAX };

/* Nothing grows without an end. */
static const struct limit {
	const char *of;
	uint64_t most;
	const char *option; /* that changes it; NULL: none */
	const char *when_full;
} limits[] = {
	{ "bytes of the ring", LIVE_RING_BYTES, "--ring-size",
	  "records are dropped, counted and told as lost; the tables are read again" },
	{ "bytes of each CPU's own ring", RINGS_CPU_MOST, "--ring-size",
	  "transitions go to the ring that all CPUs share" },
	{ "connections", MODEL_MAX_LIVES, "--max-flows",
	  "ended ones give way first, then open ones, counted; new ones are always told" },
	{ "ended connections", MODEL_MAX_ENDED, NULL,
	  "the oldest is forgotten: a later one of its tuple counts as its first" },
	{ "states of a history", LIFE_HISTORY_MAX, NULL,
	  "its middle is cut, it says so, and it is counted" },
	{ "owners", OWNERS_MOST, NULL,
	  "there is one at most for each connection, listener and group; each goes with the last of these" },
	{ "minisockets", TIMEWAITS_MAX, NULL, "those beyond are counted" },
	{ "groups of minisockets", TIMEWAIT_GROUPS_MAX, NULL,
	  "the rest is charged to one without a name, and counted" },
	{ "listeners", LISTENERS_MAX, NULL, "those beyond are counted" },
	{ "clients of dropped SYNs", CLIENTS_MAX, NULL, "those beyond are counted" },
	{ "network namespaces", NAMESPACES_MAX, NULL,
	  "the counters of those beyond are not shown; that is counted" },
	{ "cgroups", CGROUPS_MAX, NULL, "the one told first is forgotten first, and counted" },
};

enum { LIMITS = sizeof(limits) / sizeof(limits[0]) };

static void put_limits_json(struct strbuf *out)
{
	strbuf__str(out, ",\"limits\":[");
	for (int i = 0; i < LIMITS; i++) {
		strbuf__printf(out, "%s{\"of\":\"%s\",\"most\":", i ? "," : "", limits[i].of);
		strbuf__u64(out, limits[i].most);
		if (limits[i].option)
			put_key(out, "option", limits[i].option);
		put_key(out, "when_full", limits[i].when_full);
		strbuf__char(out, '}');
	}
	strbuf__char(out, ']');
}

static void put_limits_table(struct strbuf *out)
{
	strbuf__str(out, "\nLimits:\n");
	for (int i = 0; i < LIMITS; i++) {
		char most[24], what[96];

		snprintf(most, sizeof(most), "%llu", (unsigned long long)limits[i].most);
		snprintf(what, sizeof(what), "%s%s%s", limits[i].of, limits[i].option ? ", with " : "",
			 limits[i].option ? limits[i].option : "");
		put_under(out, most, "", what);
		put_under(out, "", "", limits[i].when_full);
	}
}

static void put_json(struct strbuf *out, const struct probe *probe)
{
	struct utc_formatter utc;

	utc_formatter__init(&utc, clock__realtime_offset_ns());
	strbuf__printf(out, "{\"v\":1,\"type\":\"probe\",\"ts\":\"%.*s\"", UTC_TEXT_LEN,
		       utc_formatter__format(&utc, clock__boot_ns()));
	put_key(out, "version", TCPSAGA_VERSION);
	put_key(out, "kernel", probe->kernel);
	strbuf__printf(out, ",\"socket_cookie\":%s,\"probe_read\":%s,\"hooks\":[",
		       probe->socket_cookie ? "true" : "false", probe->probe_read ? "true" : "false");
	for (int i = 0; i < HOOK_COUNT; i++) {
		if (i)
			strbuf__char(out, ',');
		put_hook_json(out, &probe->results[i]);
	}
	strbuf__char(out, ']');
	put_numbers_json(out, probe);
	put_limits_json(out);
	strbuf__str(out, "}\n");
}

static void put_table(struct strbuf *out, const struct probe *probe)
{
	strbuf__printf(out, "kernel %s\n\n%-10s %-8s %-28s %s\n", probe->kernel, "HOOK", "KIND", "ON",
		       "WORKS");
	for (int i = 0; i < HOOK_COUNT; i++) {
		const struct hook_result *result = &probe->results[i];
		const struct hook *hook = result->hook;

		strbuf__printf(out, "%-10s %-8s %-28s %s%s\n", hook->name, hook_kind__name(result->kind),
			       hook_result__target(result), result->error ? "no: " : "yes",
			       hook_result__reason(result));
		put_under(out, "", " shows:", hook->shows);
		if (result->error)
			put_under(out, "", " lost without it:", hook->without);
	}
	strbuf__printf(out, "\nidentity of a connection: %s\n",
		       probe->socket_cookie ? "socket cookie" : "socket address and time of birth");
	strbuf__printf(out, "peer of a SYN: %s\n",
		       probe->probe_read ? "read from the packet" :
					   "unknown, since probe reads are refused (lockdown)");
	put_numbers_table(out, probe);
	put_limits_table(out);
}

static int write_out(const struct strbuf *out)
{
	if (out->failed)
		return fail(EXIT_FAILED, "out of memory");
	if (fwrite(out->data, 1, out->len, stdout) != out->len || fflush(stdout))
		return errno == EPIPE ? EXIT_DONE : fail(EXIT_FAILED, "cannot write standard output: %m");
	return EXIT_DONE;
}

static int run(struct probe *probe)
{
	struct utsname name;
	struct strbuf out;
	char message[320];
	int status, err = live__probe(probe->choice, probe->results, &probe->socket_cookie,
				      &probe->probe_read, message, sizeof(message));

	if (err)
		return fail(EXIT_CANNOT, "%s", message);
	uname(&name);
	snprintf(probe->kernel, sizeof(probe->kernel), "%s", name.release);
	strbuf__init(&out);
	if (probe->json)
		put_json(&out, probe);
	else
		put_table(&out, probe);
	status = write_out(&out);
	strbuf__fini(&out);
	return status;
}

int verb_probe(int argc, char **argv)
{
	const struct argp argp = {
		.options = option_table,
		.parser = on_option,
		.doc = "Try every hook on this kernel and say what it shows, and what is lost "
		       "where one is refused.\v"
		       "Examples:\n"
		       "  tcpsaga probe\n"
		       "  tcpsaga probe -o json | jq '.hooks[] | select(.works | not)'\n",
	};
	struct probe probe = { 0 };
	int status = options__argp(&argp, "probe", argc, argv, &probe, &probe.said);

	return status ? status : run(&probe);
}
