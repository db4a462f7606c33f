// SPDX-License-Identifier: BSD-2-Clause
#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wrap.h"
#include "event/control.h"
#include "output/port.h"
#include "source/agent_source.h"
#include "source/holders.h"
#include "source/local_addr.h"
#include "source/netns.h"
#include "source/netstat.h"
#include "verbs/options.h"
#include "verbs/verbs.h"

enum {
	KEY_BIND = 256,
	KEY_REUSEADDR,
	KEY_REUSEPORT,
	KEY_UDP,
	KEY_V6ONLY,
	KEY_NETNS,
	KEY_UID,
	KEY_SOURCE,
	WORDS_MAX = 256,
	OPTIONS = 4, /* ways to set two options */
	ADDRESSES_MAX = 16,
};

struct port {
	const char *words[WORDS_MAX]; /* the filter's */
	size_t word_count;
	struct bind_request request; /* but for the address */
	struct {
		uint8_t addr[16];
		uint8_t family;
	} addresses[ADDRESSES_MAX];
	unsigned int address_count;
	bool has_port;
	bool has_v6only;
	bool has_uid;
	enum source_choice source;
	const char *socket; /* of the agent, borrowed */
	bool json;
	bool wide;
	int status; /* not 0: what was wrong has been said */

	struct filter *filter; /* owned */
	uint32_t only;	       /* the filter's namespace, 0 any */
	struct holders holders;
	struct bind_report reports[ADDRESSES_MAX];
	unsigned int report_count;
	bool *shown; /* owned */
};

static const struct argp_option option_table[] = {
	{ "output", 'o', "table|json", 0, "Output format; table is the default", 1 },
	{ "source", KEY_SOURCE, "auto|live|agent[:SOCKET]", 0,
	  "Who looks for those who hold the port: a running agent, this process, or (auto, the "
	  "default) the agent when it answers at " CONTROL_PATH ", else this process",
	  1 },
	{ "wide", 'w', NULL, 0, "Always with the network namespace", 1 },
	{ "bind", KEY_BIND, "ADDR", 0,
	  "Would a bind() to this address succeed? Several may be asked about. The default is any "
	  "address: ::, or 0.0.0.0 where there is no IPv6",
	  2 },
	{ "udp", KEY_UDP, NULL, 0, "... of a UDP socket; TCP, with listen() behind it, is the default", 2 },
	{ "reuseaddr", KEY_REUSEADDR, NULL, 0, "... with SO_REUSEADDR", 2 },
	{ "reuseport", KEY_REUSEPORT, NULL, 0, "... with SO_REUSEPORT", 2 },
	{ "v6only", KEY_V6ONLY, "0|1", 0, "... with IPV6_V6ONLY on or off; bindv6only is the default", 2 },
	{ "uid", KEY_UID, "UID", 0,
	  "... by this user, without capabilities unless it is 0; whoever asks is the default", 2 },
	{ "netns", KEY_NETNS, "INODE|PATH|NAME", 0,
	  "... in this network namespace, and list only those who hold the port there", 2 },
	HELP_OPTION,
	{ 0 },
};

/* ---- the command line ---------------------------------------------------------- */

static int say(struct port *port, const char *what, const char *arg, const char *wants)
{
	port->status = fail(EXIT_USAGE, "port: %s wants %s, not \"%s\"", what, wants, arg);
	return EINVAL;
}

static bool parse_number(const char *text, unsigned long max, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *value <= max;
}

static int add_word(struct port *port, const char *word)
{
	if (port->word_count == WORDS_MAX) {
		port->status = fail(EXIT_USAGE, "port: the filter has more than %d words", WORDS_MAX);
		return EINVAL;
	}
	port->words[port->word_count++] = word;
	return 0;
}

static int parse_operand(struct port *port, const char *arg)
{
	unsigned long number;

	if (port->has_port)
		return add_word(port, arg);
	if (!parse_number(arg, UINT16_MAX, &number) || !number)
		return say(port, "its first operand", arg, "a port from 1 to 65535");
	port->request.port = (uint16_t)number;
	port->has_port = true;
	return 0;
}

static int parse_addr(struct port *port, const char *arg)
{
	uint8_t *addr, *family;

	if (port->address_count == ADDRESSES_MAX) {
		port->status = fail(EXIT_USAGE, "port: --bind is given more than %d times", ADDRESSES_MAX);
		return EINVAL;
	}
	addr = port->addresses[port->address_count].addr;
	family = &port->addresses[port->address_count++].family;
	memset(addr, 0, 10);
	memset(addr + 10, 0xff, 2);
	*family = AF_INET;
	if (inet_pton(AF_INET, arg, addr + 12) == 1)
		return 0;
	*family = AF_INET6;
	if (inet_pton(AF_INET6, arg, addr) == 1)
		return 0;
	return say(port, "--bind", arg, "an IPv4 or IPv6 address");
}

static int parse_uid(struct port *port, const char *arg)
{
	unsigned long uid;

	if (!parse_number(arg, UINT32_MAX, &uid))
		return say(port, "--uid", arg, "a number");
	port->request.uid = (uint32_t)uid;
	port->has_uid = true;
	return 0;
}

static int parse_flag(struct port *port, const char *what, const char *arg, bool *flag)
{
	if (strcmp(arg, "0") && strcmp(arg, "1"))
		return say(port, what, arg, "0 or 1");
	*flag = *arg == '1';
	return 0;
}

/* A namespace is a filter by another name. It joins the words from the front, so
 * that an "or" among them stays what it is. */
static int add_netns(struct port *port, const char *arg)
{
	int err = add_word(port, "netns");

	return err ? err : add_word(port, arg);
}

static error_t on_option(int key, char *arg, struct argp_state *state)
{
	struct port *port = state->input;

	switch (key) {
	case 'o':
		port->json = !strcmp(arg, "json");
		return port->json || !strcmp(arg, "table") ? 0 : say(port, "-o", arg, "table or json");
	case 'w':
		port->wide = true;
		return 0;
	case KEY_BIND:
		return parse_addr(port, arg);
	case KEY_UDP:
		port->request.protocol = IPPROTO_UDP;
		return 0;
	case KEY_REUSEADDR:
		port->request.reuseaddr = true;
		return 0;
	case KEY_REUSEPORT:
		port->request.reuseport = true;
		return 0;
	case KEY_V6ONLY:
		port->has_v6only = true;
		return parse_flag(port, "--v6only", arg, &port->request.v6only);
	case KEY_UID:
		return parse_uid(port, arg);
	case KEY_SOURCE:
		return options__source(arg, &port->source, &port->socket) ?
			       0 :
			       say(port, "--source", arg, "auto, live, agent or agent:SOCKET");
	case KEY_NETNS:
		return add_netns(port, arg);
	case ARGP_KEY_ARG:
		return parse_operand(port, arg);
	case ARGP_KEY_END:
		if (port->has_port)
			return 0;
		port->status = fail(EXIT_USAGE, "port: which port? try: tcpsaga port 8080");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int parse_filter(struct port *port)
{
	struct kernel_filter terms;
	int status = options__filter("port", port->words, port->word_count, &port->filter);

	if (status)
		return status;
	filter__kernel_terms(port->filter, &terms);
	port->only = terms.netns;
	return EXIT_DONE;
}

/* ---- what a bind() would find ---------------------------------------------------- */

/* CAP_NET_BIND_SERVICE of this process. */
static bool may_bind_all(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !syscall(SYS_capget, &head, data) && data[0].effective & 1U << CAP_NET_BIND_SERVICE;
}

static enum answer answer_of(bool yes)
{
	return yes ? ANSWER_YES : ANSWER_NO;
}

static int64_t setting(const struct sysctls *sysctls, enum sysctl_id id, int64_t otherwise)
{
	int64_t value = otherwise;

	sysctls__get(sysctls, id, &value);
	return value;
}

/* Any address; an IPv4 one is v4-mapped, also 0.0.0.0. */
static void choose_any_address(struct port *port, bool ipv6)
{
	uint8_t *addr = port->addresses[0].addr;

	memset(addr, 0, 16);
	memset(addr + 10, ipv6 ? 0 : 0xff, 2);
	port->addresses[0].family = ipv6 ? AF_INET6 : AF_INET;
	port->address_count = 1;
}

static void put_request(const struct port *port, unsigned int i, const struct sysctls *sysctls,
			struct bind_request *request)
{
	*request = port->request;
	request->family = port->addresses[i].family;
	memcpy(request->addr, port->addresses[i].addr, sizeof(request->addr));
	if (!port->has_v6only)
		request->v6only = setting(sysctls, SYSCTL_BINDV6ONLY, 0);
	request->v6only &= request->family == AF_INET6;
}

static enum answer is_local(const uint8_t addr[16], const struct sysctls *sysctls)
{
	enum sysctl_id lifts = addr__is_v4(addr) ? SYSCTL_NONLOCAL_BIND : SYSCTL_NONLOCAL_BIND6;
	bool local = false;

	if (setting(sysctls, lifts, 0))
		return ANSWER_YES;
	return local_addr__check(addr, &local) ? ANSWER_UNKNOWN : answer_of(local);
}

static void look_at_addresses(struct port *port, const struct bind_place *place,
			      const struct sysctls *sysctls)
{
	for (unsigned int i = 0; i < port->address_count; i++) {
		struct bind_report *report = &port->reports[port->report_count++];

		put_request(port, i, sysctls, &report->request);
		report->place = *place;
		report->place.local = is_local(report->request.addr, sysctls);
	}
}

enum { FOUND = 1 };

static int look_at_place(void *context, const struct netns *netns)
{
	struct port *port = context;
	struct bind_place place = { 0 };
	struct sysctls *sysctls;

	if (port->only && netns->inode != port->only)
		return 0;
	sysctls = calloc(1, sizeof(*sysctls));
	if (!sysctls)
		return -ENOMEM;
	sysctls__load(sysctls);
	port->request.netns = netns->inode;
	place.ipv6 = answer_of(local_addr__has_ipv6());
	place.first_unprivileged = (uint16_t)setting(sysctls, SYSCTL_UNPRIVILEGED_PORT, 1024);
	place.capable =
		port->has_uid && port->request.uid != geteuid() ? !port->request.uid : may_bind_all();
	if (!port->address_count)
		choose_any_address(port, place.ipv6 == ANSWER_YES);
	look_at_addresses(port, &place, sysctls);
	free(sysctls);
	return FOUND;
}

/* Where everything else would let it pass, an address that could not be asked
 * about leaves it open. */
static void mark_unknown_address(const struct bind_place *place, struct bind_outcome *outcome)
{
	if (place->local == ANSWER_UNKNOWN && outcome->succeeds == ANSWER_YES)
		outcome->succeeds = ANSWER_UNKNOWN;
}

static void judge(const struct holders *holders, struct bind_report *report)
{
	enum bind_obstacle obstacle = bind_rules__obstacle(&report->request, &report->place);

	if (obstacle) {
		bind_rules__refuse(obstacle, &report->outcome);
		return;
	}
	for (unsigned int i = 0; i < OPTIONS; i++) {
		struct bind_request request = report->request;

		request.reuseaddr = i & 1;
		request.reuseport = i & 2;
		bind_rules__judge(&request, holders->list, holders->count, &report->with[i]);
		mark_unknown_address(&report->place, &report->with[i]);
	}
	report->outcome = report->with[report->request.reuseaddr | report->request.reuseport << 1];
}

/* ---- telling ------------------------------------------------------------------------ */

static void choose_shown(struct port *port)
{
	for (size_t i = 0; i < port->holders.count; i++) {
		const struct holder *holder = &port->holders.list[i];
		const struct filter_subject subject = {
			.local_addr = holder->local.addr,
			.remote_addr = holder->remote.port ? holder->remote.addr : NULL,
			.local_port = holder->local.port,
			.remote_port = holder->remote.port,
			.netns = holder->netns,
			.states = 1U << holder->state,
			.pid = holder->owner.pid,
			.role = holder->state == EV_LISTEN ? ROLE_LISTENER : ROLE_UNKNOWN,
			.comm = holder->owner.pid ? holder->owner.comm : NULL,
		};

		port->shown[i] = filter__match(port->filter, &subject) != FILTER_NO;
	}
}

static void add_notes(const struct port *port, struct port_view *view)
{
	static const struct {
		unsigned int unseen;
		const char *note;
	} notes[] = {
		{ HOLDERS_NO_TCP, "TCP: this kernel has no sock_diag for it (modprobe tcp_diag)." },
		{ HOLDERS_NO_UDP, "UDP: this kernel has no sock_diag for it (modprobe udp_diag)." },
		{ HOLDERS_NO_BOUND, "TCP sockets that are bound and neither listen nor are connected: kernels "
				    "before 6.8 do not tell them." },
		{ HOLDERS_NO_OPTIONS,
		  "SO_REUSEADDR and SO_REUSEPORT of those who hold the port: BPF iterators "
		  "tell them, to root or with CAP_BPF and CAP_PERFMON." },
		{ HOLDERS_NO_NETNS,
		  "Some network namespaces, which whoever looked may not enter: CAP_SYS_ADMIN and CAP_SYS_PTRACE may." },
		{ HOLDERS_NO_OWNERS,
		  "The sockets of some processes: whose they are only root (CAP_SYS_PTRACE) "
		  "is told." },
		{ HOLDERS_CHANGING,
		  "A quiet moment: the kernel's tables changed while they were read; an entry may "
		  "be missing or come twice." },
	};

	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
		if (port->holders.unseen & notes[i].unseen)
			view->notes[view->note_count++] = notes[i].note;
}

static int write_out(const struct strbuf *out)
{
	if (out->failed)
		return fail(EXIT_FAILED, "out of memory");
	if (fwrite(out->data, 1, out->len, stdout) != out->len || fflush(stdout))
		return errno == EPIPE ? EXIT_DONE : fail(EXIT_FAILED, "cannot write standard output: %m");
	return EXIT_DONE;
}

static int print(const struct port *port)
{
	struct port_view view = {
		.port = port->request.port,
		.taken_ns = port->holders.taken_ns,
		.holders = port->holders.list,
		.shown = port->shown,
		.count = port->holders.count,
		.reports = port->reports,
		.report_count = port->report_count,
		.columns = terminal__columns(STDOUT_FILENO),
		.wide = port->wide,
	};
	struct utc_formatter utc;
	struct strbuf out;
	int status;

	add_notes(port, &view);
	utc_formatter__init(&utc, clock__realtime_offset_ns());
	strbuf__init(&out);
	if (port->json)
		port_view__json(&view, &utc, &out);
	else
		port_view__table(&view, &utc, &out);
	status = write_out(&out);
	strbuf__fini(&out);
	return status;
}

/* ---- all of it ------------------------------------------------------------------------ */

static int cannot(const struct port *port, int err)
{
	if (err == -EPERM || err == -EACCES || err == -ESRCH)
		return fail(EXIT_CANNOT,
			    "port: cannot enter network namespace %u: it takes CAP_SYS_ADMIN", port->only);
	return fail(EXIT_FAILED, "port: cannot read the kernel's tables: %s", strerror(-err));
}

/* 0 also when the agent has not told, and need not: then *told is false. */
static int ask_agent(struct port *port, bool *told)
{
	char message[320];
	int err;

	if (port->source == SOURCE_LIVE)
		return EXIT_DONE;
	err = agent_source__holders(&port->holders, port->socket, port->request.port, port->only,
				    message, sizeof(message));
	*told = !err;
	if (!err)
		log__line("reading from the agent at %s", port->socket);
	else if (port->source == SOURCE_AGENT)
		return fail(err == -EACCES || err == -EPERM ? EXIT_CANNOT : EXIT_FAILED, "%s", message);
	else if (err != -ENOENT && err != -ECONNREFUSED)
		log__line("%s", message);
	return EXIT_DONE;
}

static int load_holders(struct port *port)
{
	bool told = false;
	int status = ask_agent(port, &told), err;

	if (status || told)
		return status;
	err = holders__load(&port->holders, NULL, port->request.port, port->only);
	return err ? cannot(port, err) : EXIT_DONE;
}

static int look(struct port *port)
{
	const struct netns_visitor visitor = { .inside = look_at_place, .context = port };
	int err, status;

	err = netns__walk(&visitor, NULL);
	if (err != FOUND)
		return cannot(port, err ? err : -ESRCH);
	status = load_holders(port);
	if (status)
		return status;
	port->shown = calloc(port->holders.count + 1, sizeof(*port->shown));
	if (!port->shown)
		return cannot(port, -ENOMEM);
	choose_shown(port);
	for (unsigned int i = 0; i < port->report_count; i++)
		judge(&port->holders, &port->reports[i]);
	return EXIT_DONE;
}

int verb_port(int argc, char **argv)
{
	const struct argp argp = {
		.options = option_table,
		.parser = on_option,
		.args_doc = "PORT [FILTER]",
		.doc = "Tell who holds a local port, TCP and UDP, in every network namespace, and whether a "
		       "bind() to it would succeed now, why not, and from when on it would. Nothing is bound."
		       "\v"
		       "FILTER narrows the list as it does elsewhere (netns, pid, comm, state, host ...).\n"
		       "What a BPF program or a security module refuses at bind() is not looked at.\n\n"
		       "Examples:\n"
		       "  tcpsaga port 8080\n"
		       "  tcpsaga port 8080 --bind 127.0.0.1 --reuseaddr\n"
		       "  tcpsaga port 53 --udp --netns blue\n"
		       "  tcpsaga port 443 -o json | jq 'select(.type == \"bind_check\") | .bind'\n",
	};
	struct port port = { .request = { .protocol = IPPROTO_TCP, .uid = geteuid() },
			     .socket = CONTROL_PATH };
	int status = options__argp(&argp, "port", argc, argv, &port, &port.status);

	if (!status)
		status = parse_filter(&port);
	if (!status)
		status = look(&port);
	if (!status)
		status = print(&port);
	free(port.shown);
	holders__fini(&port.holders);
	filter__free(port.filter);
	return status;
}
