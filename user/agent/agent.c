// SPDX-License-Identifier: BSD-2-Clause
#include "agent/agent.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/board.h"
#include "agent/control.h"
#include "agent/heartbeat.h"
#include "agent/http.h"
#include "agent/notify.h"
#include "agent/privileges.h"
#include "agent/reload.h"
#include "base/clock.h"
#include "base/log.h"
#include "source/live.h"
#include "source/replay.h"
#include "source/tables.h"

enum {
	TICK_MS = 1000,
	TEXTFILE_S = 15, /* as often as Prometheus asks by default */
	STATUS_S = 10,
	EVENTS_MAX = 8,
};

#define STATE_DEFAULT "/run/tcpsaga/state"

struct agent {
	const struct agent_config *first; /* what it was started with */
	const struct agent_config *config;
	agent_reread_fn reread;
	void *reread_context;
	struct kernel_filter terms; /* what of the filter the kernel applies */
	struct feed feed;
	struct board board;
	struct http *http; /* owned; NULL: none */
	struct heartbeat heartbeat;
	struct gap gap;		 /* before this start */
	struct control *control; /* owned; NULL: none */
	struct identity user;
	/* Owned; NULL: a recording. One for what is asked now and then and answered at
	 * once, one for scans, which take their time. */
	struct tables *looks, *scans;
	bool readers_missed; /* told once */
	int epoll_fd;
	int signal_fd;
	bool ending;
	int textfile_error; /* told once */
	uint64_t watchdog_ns;
	uint64_t next_watchdog_ns; /* boot time, as are the next three */
	uint64_t next_tick_ns;
	uint64_t next_textfile_ns;
	uint64_t next_status_ns;
};

/* ---- opening ---- */

static struct source *open_source(const struct agent_config *config, const struct kernel_filter *terms,
				  int *status)
{
	const struct live_config live = {
		.choice = config->hooks,
		.filter = terms,
		.wanted = 1U << HOOK_STATE | 1U << HOOK_SYN | 1U << HOOK_HANDSHAKE | 1U << HOOK_SYNACK |
			  1U << HOOK_ACCEPT | 1U << HOOK_LISTEN | 1U << HOOK_TIMEWAIT | 1U << HOOK_BIND,
	};
	char message[320];
	struct source *source = config->replay ? replay__new(config->replay, message, sizeof(message)) :
						 live__new(&live, message, sizeof(message));

	if (source)
		return source;
	*status = EXIT_FAILED;
	if (!config->replay && (errno == EPERM || errno == EACCES || errno == ENOENT ||
				errno == EOPNOTSUPP || errno == ESRCH))
		*status = EXIT_CANNOT;
	log__line("%s", message);
	return NULL;
}

static int watch_fd(struct agent *agent, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return fd >= 0 && epoll_ctl(agent->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* Before any thread is there, so that all of them leave signals alone. */
static int open_signals(struct agent *agent)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	agent->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	agent->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return agent->signal_fd < 0 || agent->epoll_fd < 0 ? -errno : watch_fd(agent, agent->signal_fd);
}

static int open_http(struct agent *agent)
{
	const char *address = agent->config->metrics;
	char message[320];
	int err;

	if (!address)
		return 0;
	agent->http = http__new(address, agent_pages, &agent->board, message, sizeof(message));
	err = errno;
	if (!agent->http)
		return fail(err == EINVAL ? EXIT_USAGE : EXIT_FAILED, "agent: --metrics %s", message);
	if (watch_fd(agent, http__fd(agent->http)))
		return fail(EXIT_FAILED, "agent: cannot wait for %s: %m", address);
	return 0;
}

/* Who did not ask for it can do without. */
static int open_control(struct agent *agent)
{
	const struct agent_config *config = agent->config;
	char message[320];

	if (!config->control)
		return 0;
	agent->control = control__new(config->control, message, sizeof(message));
	if (!agent->control && config->control_asked)
		return fail(EXIT_FAILED, "agent: --control: %s", message);
	if (!agent->control)
		log__line("agent: no control socket: %s", message);
	else if (watch_fd(agent, control__fd(agent->control)))
		return fail(EXIT_FAILED, "agent: cannot wait for %s: %m", config->control);
	return 0;
}

/* Asked for by name it has to be there; by default it is kept where there is a
 * place for it. */
static int open_heartbeat(struct agent *agent)
{
	const char *path = agent->config->state ? agent->config->state : STATE_DEFAULT;
	int err;

	agent->heartbeat.fd = -1;
	if (agent->config->replay || !*path)
		return 0;
	err = heartbeat__open(&agent->heartbeat, path);
	if (!err || (err == -ENOENT && !agent->config->state))
		return 0;
	if (agent->config->state)
		return fail(EXIT_FAILED, "agent: --state %s: %s", path,
			    err == -EBUSY ? "another agent keeps it" : strerror(-err));
	log__line("agent: %s: %s; what the next start misses will not be told", path,
		  err == -EBUSY ? "another agent keeps it" : strerror(-err));
	return 0;
}

static int set_thresholds(struct agent *agent)
{
	int status = 0;

	for (unsigned int i = 0; i < agent->config->set_count && !status; i++) {
		struct strbuf message;

		strbuf__init(&message);
		if (engine__set(agent->feed.engine, agent->config->sets[i], &message))
			status = fail(EXIT_USAGE, "agent: --set: %s", strbuf__text(&message));
		strbuf__fini(&message);
	}
	return status;
}

/* Before anything is open that is not theirs. */
static int open_readers(struct agent *agent)
{
	struct tables_config looks = { .title = "tcpsaga-looks", .holders = true };
	struct tables_config scans = { .title = "tcpsaga-scans" };
	int status = privileges__choose(&agent->user, agent->config->user);

	if (status || agent->config->replay)
		return status;
	looks.user = scans.user = &agent->user;
	agent->looks = tables__fork(&looks);
	agent->scans = tables__fork(&scans);
	if (!agent->looks || !agent->scans)
		return fail(EXIT_FAILED, "agent: cannot start what reads the kernel's tables: %m");
	return 0;
}

/* All is open, and no thread is there yet. */
static int give_up_privileges(struct agent *agent)
{
	int err = 0;

	if (agent->looks)
		err = tables__await(agent->looks);
	if (agent->scans && !err)
		err = tables__await(agent->scans);
	if (err)
		return fail(EXIT_CANNOT, "agent: the kernel's tables cannot be read: %s", strerror(-err));
	feed__use_readers(&agent->feed, agent->looks, agent->scans);
	privileges__make_files(agent->config, &agent->user);
	return privileges__give_up(agent->config, &agent->user);
}

/* The port first: whose port is taken is told before the probes are loaded. */
static int open_agent(struct agent *agent)
{
	struct source *source;
	int status = open_readers(agent), err = status ? 0 : open_signals(agent);

	if (err)
		return fail(EXIT_FAILED, "agent: cannot wait for signals: %s", strerror(-err));
	if (!status)
		status = open_http(agent);
	if (!status)
		status = open_control(agent);
	if (!status)
		status = open_heartbeat(agent);
	if (status)
		return status;
	filter__kernel_terms(agent->config->filter, &agent->terms);
	source = open_source(agent->config, &agent->terms, &status);
	if (!source)
		return status;
	err = feed__init(&agent->feed, source, &agent->terms);
	if (!err)
		err = watch_fd(agent, source->fd);
	if (err)
		return fail(EXIT_FAILED, "agent: %s", strerror(-err));
	board__init(&agent->board, &agent->feed);
	if (agent->control)
		control__serve(agent->control, &agent->feed);
	status = set_thresholds(agent);
	if (!status)
		status = give_up_privileges(agent);
	if (!status &&
	    outlets__set(&agent->feed.outlets, agent->config->outlets, agent->config->outlet_count, NULL))
		status = EXIT_FAILED;
	return status;
}

/* ---- what is said ---- */

static uint64_t sum_lost(const struct ledger *ledger)
{
	uint64_t lost = 0;

	for (unsigned int reason = 1; reason < EV_LOSS_REASON_END; reason++)
		lost += ledger->lost[reason];
	return lost;
}

static void say_start(const struct agent *agent)
{
	const struct source *source = agent->feed.source;
	char where[64] = "", who[128];

	privileges__describe(&agent->user, who, sizeof(who));
	if (agent->http)
		snprintf(where, sizeof(where), "; metrics on port %u", http__port(agent->http));
	if (agent->control)
		log__line("agent: looking verbs are served at %s", agent->config->control);
	log__line("agent: watching %s %s as %s%s%s%s",
		  agent->config->replay ? "a recording of" : "the live kernel", source->info.kernel, who,
		  source->note[0] ? "; cannot see " : "", source->note, where);
}

static void say_sink(const struct sink *sink, const struct sink_state *state)
{
	log__line("agent: %s: %" PRIu64 " lines offered, %" PRIu64 " written, %" PRIu64
		  " dropped, %" PRIu64 " bytes queued%s%s",
		  sink__name(sink), state->offered, state->delivered, state->dropped, state->queued_bytes,
		  state->error ? ": " : "", state->error ? strerror(state->error) : "");
}

static void say_ledger(struct agent *agent)
{
	const struct ledger *ledger = feed__ledger(&agent->feed);

	log__line("agent: %" PRIu64 " records attempted, %" PRIu64 " delivered, %" PRIu64 " lost, %" PRIu64
		  " malformed; %" PRIu64 " changes of state had no record; %u connections open",
		  ledger->attempted, ledger->delivered, sum_lost(ledger), ledger->malformed,
		  ledger->unrecorded, model__flows(agent->feed.model)->open);
}

static void say_clients(const struct agent *agent)
{
	struct control_state state;

	if (!agent->control)
		return;
	control__state(agent->control, &state);
	log__line("agent: %s: %u served now, %" PRIu64 " so far, %" PRIu64 " refused, %" PRIu64
		  " ignored; %" PRIu64 " records dropped, %" PRIu64 " bytes queued",
		  agent->first->control, state.clients, state.served, state.refused, state.ignored,
		  state.dropped, state.queued_bytes);
}

static void say_counters(struct agent *agent)
{
	say_ledger(agent);
	say_clients(agent);
	for (unsigned int i = 0; i < agent->feed.outlets.count; i++) {
		struct sink *sink = agent->feed.outlets.list[i].sink;
		struct sink_state state;

		sink__state(sink, &state);
		say_sink(sink, &state);
	}
}

static uint64_t id_of(const struct sink *sink)
{
	return heartbeat__sink_id(sink__name(sink), sink__config(sink)->level);
}

/* What nobody saw between the last agent and this one: in each sink that was there
 * then, in the log and in the metrics. */
static void tell_gap(struct agent *agent)
{
	uint64_t start_ns = agent->feed.source->info.start_ns;
	struct gap gap;

	for (unsigned int i = 0; i < agent->feed.outlets.count; i++) {
		struct sink *sink = agent->feed.outlets.list[i].sink;

		if (heartbeat__gap(&agent->heartbeat, id_of(sink), start_ns, &gap))
			feed__tell_gap(&agent->feed, sink, &gap);
	}
	if (!heartbeat__gap(&agent->heartbeat, 0, start_ns, &agent->gap))
		return;
	agent->board.gap = &agent->gap;
	log__line("agent: nobody watched for %.3f s before this start: the agent %s",
		  (double)(start_ns - agent->gap.from_ns) / (double)NS_PER_S,
		  agent->gap.stopped ? "had been stopped" : "had died");
}

/* ---- the loop ---- */

static unsigned int sink_books(const struct feed *feed, struct heartbeat_sink books[OUTLETS_MAX])
{
	for (unsigned int i = 0; i < feed->outlets.count; i++) {
		struct sink *sink = feed->outlets.list[i].sink;
		struct sink_state state;

		sink__state(sink, &state);
		books[i] = (struct heartbeat_sink){ .id = id_of(sink),
						    .offered = state.offered,
						    .delivered = state.delivered,
						    .dropped = state.dropped };
	}
	return feed->outlets.count;
}

/* before_ns: when the ring was looked at. */
static void beat(struct agent *agent, uint64_t before_ns)
{
	bool drained = agent->feed.source->patience_ms > 0;
	struct heartbeat_sink books[OUTLETS_MAX];
	unsigned int count;

	if (agent->heartbeat.fd < 0)
		return;
	count = sink_books(&agent->feed, books);
	heartbeat__beat(&agent->heartbeat, books, count, drained ? before_ns : 0, clock__boot_ns());
}

/* Between two looks at the ring, which holds what comes meanwhile. Files are opened anew in
 * any case: so logrotate wants it. */
static void reload(struct agent *agent)
{
	const struct agent_config *fresh;

	notify__reloading();
	fresh = agent->reread(agent->reread_context);
	if (fresh) {
		reload__apply(&agent->feed, agent->first, agent->config, fresh);
		agent->config = fresh;
		log__line("agent: the configuration was read again");
	} else {
		log__line("agent: the configuration stays as it was");
	}
	outlets__reopen(&agent->feed.outlets);
	notify__send("READY=1\nSTATUS=%s",
		     fresh ? "watching" : "watching; the new configuration was refused");
}

static void take_signals(struct agent *agent)
{
	struct signalfd_siginfo signal;

	while (read(agent->signal_fd, &signal, sizeof(signal)) == sizeof(signal)) {
		if (signal.ssi_signo == SIGHUP)
			reload(agent);
		else if (signal.ssi_signo == SIGUSR1)
			say_counters(agent);
		else
			agent->ending = true;
	}
}

static void write_textfile(struct agent *agent)
{
	const char *path = agent->config->textfile;
	int err;

	if (!path)
		return;
	err = board__write_textfile(&agent->board, path);
	if (err && err != agent->textfile_error)
		log__line("agent: cannot write %s: %s", path, strerror(-err));
	agent->textfile_error = err;
}

static void say_status(struct agent *agent)
{
	const struct ledger *ledger = feed__ledger(&agent->feed);

	notify__send("STATUS=%" PRIu64 " records delivered, %" PRIu64 " lost; %u connections open",
		     ledger->delivered, sum_lost(ledger), model__flows(agent->feed.model)->open);
}

static bool is_due(uint64_t *next_ns, uint64_t now_ns, uint64_t every_ns)
{
	if (!every_ns || now_ns < *next_ns)
		return false;
	*next_ns = now_ns + every_ns;
	return true;
}

/* A reader that ended has taken its privileges with it: there is no other. */
static void watch_readers(struct agent *agent)
{
	int err = feed__readers_error(&agent->feed);

	if (!err || agent->readers_missed)
		return;
	agent->readers_missed = true;
	log__line("agent: the process that reads the kernel's tables %s: depths of queues, what "
		  "namespaces count, who holds a port and what a loss has left wrong are not known "
		  "from here on; start the agent anew",
		  err == -EPIPE ? "has ended" : "does not answer");
}

static void tick(struct agent *agent, uint64_t now_ns)
{
	if (is_due(&agent->next_watchdog_ns, now_ns, agent->watchdog_ns))
		notify__send("WATCHDOG=1");
	if (!is_due(&agent->next_tick_ns, now_ns, TICK_MS * NS_PER_MS))
		return;
	feed__tick(&agent->feed, now_ns);
	outlets__reap(&agent->feed.outlets);
	board__watch(&agent->board, now_ns);
	watch_readers(agent);
	if (is_due(&agent->next_textfile_ns, now_ns, TEXTFILE_S * NS_PER_S))
		write_textfile(agent);
	if (is_due(&agent->next_status_ns, now_ns, STATUS_S * NS_PER_S))
		say_status(agent);
}

static int patience_ms(const struct agent *agent)
{
	int patience = source__patience_ms(agent->feed.source), http = -1;

	if (agent->http)
		http = http__patience_ms(agent->http);
	return http >= 0 && http < patience ? http : patience;
}

/* Until the source ends or a signal comes. 0 or -errno. */
static int loop(struct agent *agent)
{
	struct epoll_event events[EVENTS_MAX];
	int verdict = SOURCE_MORE;
	uint64_t before_ns;

	while (verdict == SOURCE_MORE && !agent->ending) {
		if (epoll_wait(agent->epoll_fd, events, EVENTS_MAX, patience_ms(agent)) < 0 &&
		    errno != EINTR)
			return -errno;
		take_signals(agent);
		/* The ring before all else. */
		before_ns = clock__boot_ns();
		verdict = feed__poll(&agent->feed);
		beat(agent, before_ns);
		if (agent->http)
			http__run(agent->http);
		if (agent->control)
			control__run(agent->control, clock__boot_ns());
		tick(agent, clock__boot_ns());
	}
	return verdict < 0 ? verdict : 0;
}

static int wind_up(struct agent *agent, int err)
{
	struct heartbeat_sink books[OUTLETS_MAX];
	struct sink_state states[OUTLETS_MAX];
	unsigned int count = sink_books(&agent->feed, books);
	int stop_err;

	notify__send("STOPPING=1");
	write_textfile(agent);
	stop_err = feed__end(&agent->feed);
	say_ledger(agent);
	outlets__end(&agent->feed.outlets, states);
	for (unsigned int i = 0; i < count; i++)
		books[i].dropped = states[i].dropped;
	heartbeat__stop(&agent->heartbeat, books, count, agent->feed.last_ns);
	if (agent->control)
		control__end(agent->control);
	if (!err)
		err = stop_err;
	if (err)
		return fail(EXIT_FAILED, "agent: reading events failed: %s", strerror(-err));
	return EXIT_DONE;
}

static int run(struct agent *agent)
{
	int status = open_agent(agent);

	if (status)
		return status;
	agent->watchdog_ns = notify__watchdog_ns();
	feed__begin(&agent->feed);
	say_start(agent);
	tell_gap(agent);
	notify__send("READY=1\nSTATUS=watching");
	return wind_up(agent, loop(agent));
}

int agent__run(const struct agent_config *config, agent_reread_fn reread, void *context)
{
	struct agent agent = { .first = config,
			       .config = config,
			       .reread = reread,
			       .reread_context = context,
			       .epoll_fd = -1,
			       .signal_fd = -1,
			       .heartbeat.fd = -1 };
	int status = run(&agent);

	heartbeat__close(&agent.heartbeat);
	http__free(agent.http);
	control__free(agent.control);
	if (agent.feed.source)
		feed__fini(&agent.feed);
	tables__free(agent.looks);
	tables__free(agent.scans);
	if (agent.epoll_fd >= 0)
		close(agent.epoll_fd);
	if (agent.signal_fd >= 0)
		close(agent.signal_fd);
	return status;
}
