// SPDX-License-Identifier: BSD-2-Clause
#include "verbs/session.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "base/wrap.h"
#include "source/live.h"
#include "source/replay.h"
#include "source/snapshot.h"
#include "verbs/select.h"

enum {
	SNAPSHOT_MS = 1000, /* queues */
	/* Text is written out once it is so long, and after each poll. */
	FLUSH_BYTES = 128 * 1024,
	/* What a take may return to end a poll. */
	ENOUGH = 1, /* --count or --duration is reached */
};

struct session {
	const struct session_config *config;
	const struct options *options;
	struct source *source;		 /* owned */
	struct model *model;		 /* owned */
	struct recording_writer *writer; /* owned; NULL: not recording */
	struct select select;
	struct printer printer;
	struct ledger ledger;
	uint64_t shown;
	uint64_t next_snapshot_ns;  /* queues, timewait: boot time */
	uint64_t next_dump_ns;	    /* timewait: of the kernel's tables */
	struct kernel_filter terms; /* what of the filter the kernel applies */
	bool sampled;		    /* the first sample of the listeners has been taken */
	uint64_t until_ns;	    /* boot time of the source; UINT64_MAX: none */
	uint64_t last_ns;	    /* of the last record: where a cut recording ends */
	bool enough;		    /* no more is to be shown */
	bool time_up;		    /* --duration is over: no more is to be looked at */
	bool stopped;		    /* EV_STOP has come */
	bool closed;		    /* standard output's reader has gone */
	int error;		    /* -errno of the first output that failed */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal }, before;

	/* Without SA_RESTART, so that a wait ends at once. */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* Under nohup it stays ignored. */
	if (!sigaction(SIGHUP, NULL, &before) && before.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &action, NULL);
}

/* ---- output ---- */

static void note_write_error(struct session *session, int err)
{
	session->enough = true;
	if (err == EPIPE)
		session->closed = true;
	else if (!session->error)
		session->error = -err;
}

static void flush(struct session *session)
{
	struct strbuf *out = &session->printer.out;
	size_t done = 0;

	if (out->failed && !session->error)
		session->error = -ENOMEM;
	while (done < out->len && !session->closed && !session->error) {
		ssize_t n = write(STDOUT_FILENO, out->data + done, out->len - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			note_write_error(session, errno);
	}
	strbuf__clear(out);
}

/* A reader that has gone (| head -1) is noticed on a quiet host, too. */
static void look_at_reader(struct session *session)
{
	struct pollfd out = { .fd = STDOUT_FILENO };

	if (poll(&out, 1, 0) == 1 && out.revents & POLLERR)
		note_write_error(session, EPIPE);
}

static void show(void *context, const struct change *change)
{
	struct session *session = context;
	struct printer *printer = &session->printer;

	if (session->enough || !session->config->prints || change->kind == CHANGE_STOP)
		return;
	printer->ops->change(printer, change);
	if (change->kind == CHANGE_LOSS) /* not one of those that --count counts */
		return;
	if (++session->shown == session->options->count)
		session->enough = true;
	if (printer->out.len >= FLUSH_BYTES)
		flush(session);
}

/* ---- records ---- */

static void close_books(struct session *session, const struct ev_stop *stop)
{
	struct ledger *ledger = &session->ledger;

	ledger->attempted = stop->attempted;
	ledger->attempted_known = true;
	memcpy(ledger->lost, stop->lost, sizeof(ledger->lost));
	session->stopped = true;
}

static int keep(struct session *session, const void *data, size_t len)
{
	int err = session->writer ? recording_writer__append(session->writer, data, len) : 0;

	if (err && !session->error)
		session->error = err;
	return err;
}

static void account(struct session *session, const struct record *record)
{
	if (record->header->kind < LEDGER_KINDS)
		session->ledger.delivered++;
	if (record->stop)
		close_books(session, record->stop);
	else if (record->header->time_ns >= session->until_ns)
		session->time_up = true;
}

static int take(void *context, const void *data, size_t len)
{
	struct session *session = context;
	struct changes changes;
	struct record record;
	int err = keep(session, data, len);

	if (err)
		return err;
	if (record__decode(&record, data, len)) {
		session->ledger.delivered++;
		session->ledger.malformed++;
		return 0;
	}
	account(session, &record);
	if (session->time_up && !record.stop)
		return ENOUGH;
	session->last_ns = record.header->time_ns;
	err = model__apply(session->model, &record, &changes);
	if (err)
		return err;
	for (unsigned int i = 0; i < changes.count; i++)
		select__change(&session->select, &changes.change[i], show, session);
	return session->enough && !session->stopped ? ENOUGH : 0;
}

/* After the end is decided: counted, kept, but not shown. */
static int take_rest(void *context, const void *data, size_t len)
{
	int verdict = take(context, data, len);

	return verdict == ENOUGH ? 0 : verdict;
}

/* ---- life cycle ---- */

/* The hooks behind what is to be seen. A life needs its SYN, its end as a
 * request and its accept(). */
static uint32_t hooks_wanted(const struct session *session)
{
	uint32_t events = session->config->of == OF_EVENTS ? session->options->events : EVENTS_ALL;
	uint32_t wanted = 1U << HOOK_STATE;

	if (events & (EVENTS_SYN | EVENTS_HANDSHAKE))
		wanted |= 1U << HOOK_SYN;
	if (events & EVENTS_HANDSHAKE)
		wanted |= 1U << HOOK_HANDSHAKE;
	if (events & EVENTS_HANDSHAKE && session->config->of != OF_LIVES)
		wanted |= 1U << HOOK_SYNACK;
	if (events & EVENTS_ACCEPT)
		wanted |= 1U << HOOK_ACCEPT;
	if (events & EVENTS_TIMEWAIT && session->config->of != OF_LISTENERS && !session->options->at_close)
		wanted |= 1U << HOOK_TIMEWAIT;
	/* The ledger needs who closed, and whose connection it was. */
	if (session->config->of == OF_WAITS)
		wanted &= ~(1U << HOOK_SYN | 1U << HOOK_HANDSHAKE | 1U << HOOK_SYNACK);
	if (session->config->of == OF_LISTENERS)
		wanted |= 1U << HOOK_LISTEN;
	if (session->options->sockops)
		wanted |= 1U << HOOK_SOCKOPS;
	return wanted;
}

/* "state=tp_btf syn=fentry": the kind of a hook, "none" when it was not wanted. */
static void hook_kind(const struct session *session, const char *name, char kind[16])
{
	const char *word = session->source->info.hooks;
	size_t len = strlen(name);

	strcpy(kind, "none");
	for (; *word; word += strspn(word, " ")) {
		size_t size = strcspn(word, " ");

		if (size > len && size - len < 16 && !memcmp(word, name, len) && word[len] == '=')
			snprintf(kind, 16, "%.*s", (int)(size - len - 1), word + len + 1);
		word += size;
	}
}

static bool hook_is_on(const struct session *session, const char *name)
{
	char kind[16];

	hook_kind(session, name, kind);
	return strcmp(kind, "none") != 0;
}

static int open_live(struct session *session)
{
	struct live_config config = {
		.choice = session->options->hooks,
		.wanted = hooks_wanted(session),
		.filter = &session->terms,
		.cgroup = session->options->sockops,
	};
	char message[320];

	session->source = live__new(&config, message, sizeof(message));
	if (!session->source)
		return fail(errno == EPERM || errno == EACCES || errno == ENOENT ||
					    errno == EOPNOTSUPP || errno == ESRCH ?
				    EXIT_CANNOT :
				    EXIT_FAILED,
			    "%s", message);
	if (session->options->sockops && hook_is_on(session, "syn"))
		log__line("--sockops is not needed here: function hooks see every SYN; %s is left alone",
			  session->options->sockops);
	log__line("watching the live kernel %s%s%s", session->source->info.kernel,
		  session->source->note[0] ? "; cannot see " : "", session->source->note);
	return 0;
}

static int open_tables(struct session *session)
{
	session->source = snapshot__source();
	return session->source ? 0 : fail(EXIT_FAILED, "out of memory");
}

static int open_replay(struct session *session)
{
	char message[320];

	session->source = replay__new(session->options->replay, message, sizeof(message));
	return session->source ? 0 : fail(EXIT_FAILED, "%s", message);
}

static int open_writer(struct session *session)
{
	const char *path = session->config->record_to;

	if (!path)
		return 0;
	session->writer = recording_writer__new(path, &session->source->info);
	return session->writer ? 0 : fail(EXIT_FAILED, "cannot write %s: %s", path, strerror(errno));
}

static void init_printer(struct session *session)
{
	const struct options *options = session->options;
	struct printer_config config = {
		.of = session->config->of,
		.wide = options->wide,
		.full_time = options->full_time,
	};
	const char *no_color = getenv("NO_COLOR");

	config.columns = terminal__columns(STDOUT_FILENO);
	if (isatty(STDOUT_FILENO))
		config.colour = !no_color || !*no_color; /* no-color.org: empty is not set */
	printer__init(&session->printer, options->json ? &json_printer : &table_printer, &config,
		      session->source->info.realtime_offset_ns);
}

static int init_model(struct session *session)
{
	const char *works = session->source->info.hooks;
	struct model_config config = { .max_lives = MODEL_MAX_LIVES,
				       .max_ended = MODEL_MAX_ENDED,
				       .estimate_waits = session->config->of == OF_WAITS &&
							 !strstr(works, "timewait=fentry") &&
							 !strstr(works, "timewait=kprobe"),
				       .ends_at_close = session->options->at_close ||
							session->config->of == OF_WAITS };

	if (getrandom(&config.seed, sizeof(config.seed), 0) != sizeof(config.seed))
		return fail(EXIT_FAILED, "no random numbers: %s", strerror(errno));
	session->model = model__new(&config);
	if (!session->model || select__init(&session->select, session->options->filter, session->model))
		return fail(EXIT_FAILED, "out of memory");
	session->select.transitions =
		session->config->of == OF_EVENTS && session->options->events & EVENTS_TRANSITION;
	session->select.syns = session->config->of == OF_EVENTS && session->options->events & EVENTS_SYN;
	session->select.handshakes =
		session->config->of == OF_EVENTS && session->options->events & EVENTS_HANDSHAKE;
	session->select.accepts =
		session->config->of == OF_EVENTS && session->options->events & EVENTS_ACCEPT;
	session->select.timewaits =
		session->config->of == OF_EVENTS && session->options->events & EVENTS_TIMEWAIT;
	session->select.lives = session->config->of == OF_LIVES;
	return 0;
}

static int open_session(struct session *session)
{
	const struct options *options = session->options;
	int status;

	filter__kernel_terms(options->filter, &session->terms);
	if (options->replay)
		status = open_replay(session);
	else
		status = options->once ? open_tables(session) : open_live(session);
	if (!status)
		status = open_writer(session);
	if (!status)
		status = init_model(session);
	if (status)
		return status;
	init_printer(session);
	session->until_ns =
		options->duration_ns ? session->source->info.start_ns + options->duration_ns : UINT64_MAX;
	session->last_ns = session->source->info.start_ns;
	return 0;
}

static bool time_is_up(const struct session *session)
{
	return !session->options->replay && session->until_ns != UINT64_MAX &&
	       clock__boot_ns() >= session->until_ns;
}

/* ---- queues ---- */

static struct queue_quality quality_of(const struct session *session)
{
	const struct model *model = session->model;

	return (struct queue_quality){
		.handshakes = hook_is_on(session, "syn") && hook_is_on(session, "handshake"),
		.synacks = hook_is_on(session, "synack"),
		.accepts = hook_is_on(session, "accept"),
		.admitted = hook_is_on(session, "sockops"),
		.incomplete = model__has_lost(model, EV_SYN) || model__has_lost(model, EV_HANDSHAKE) ||
			      model__has_lost(model, EV_ACCEPT),
	};
}

/* A listener as the filter sees it: its own end, and its owner. */
static bool listener_wanted(const struct session *session, const struct listener *listener,
			    const struct owner *owner)
{
	const struct filter_subject subject = {
		.local_addr = listener->local.addr,
		.local_port = listener->local.port,
		.netns = listener->netns,
		.states = 1U << EV_LISTEN,
		.pid = owner ? owner->pid : 0,
		.comm = owner ? owner->comm : NULL,
		.role = ROLE_SERVER,
	};

	return filter__match(session->options->filter, &subject) != FILTER_NO;
}

/* Returns the qualities of all of them together, for the legend. */
static struct queue_quality show_listeners(struct session *session, uint64_t now_ns)
{
	const struct listeners *listeners = model__listeners(session->model);
	struct printer *printer = &session->printer;
	struct queue_quality quality = quality_of(session);
	bool shared_accepts = false;
	char accept[16];

	hook_kind(session, "accept", accept);
	for (uint32_t i = 0; i < listeners->used; i++) {
		const struct listener *listener = listeners->all[i];
		const struct owner *owner;

		if (!listener)
			continue;
		owner = model__owner_at(session->model, listener->owner);
		if (!listener_wanted(session, listener, owner))
			continue;
		quality.shared_accepts =
			!strcmp(accept, "syscall") && listeners__share_place(listeners, listener);
		shared_accepts |= quality.shared_accepts;
		printer->ops->listener(printer, listener, owner, &quality, now_ns);
	}
	quality.shared_accepts = shared_accepts;
	return quality;
}

/* Of a namespace the filter sees nothing but that. */
static void show_namespaces(struct session *session, uint64_t now_ns)
{
	const struct namespaces *namespaces = model__namespaces(session->model);

	for (uint32_t i = 0; i < namespaces->used; i++) {
		const struct namespace *ns = &namespaces->all[i];
		const struct filter_subject subject = { .netns = ns->netns };

		if (filter__match(session->options->filter, &subject) != FILTER_NO)
			session->printer.ops->netns(&session->printer, ns, now_ns);
	}
}

static void show_queues(struct session *session, uint64_t now_ns)
{
	const struct listeners *listeners = model__listeners(session->model);
	struct queue_quality quality;
	const struct not_kept not_kept = {
		.listeners = listeners__not_kept(listeners),
		.clients = listeners->clients.not_kept,
		.namespaces = model__namespaces(session->model)->not_kept,
	};

	quality = show_listeners(session, now_ns);
	show_namespaces(session, now_ns);
	session->printer.ops->queues_end(&session->printer, &quality, &not_kept, now_ns);
}

/* The kernel's own tables into the model: limits, and the depths that no event
 * tells. A recording brings its own samples. */
static int sample_listeners(struct session *session)
{
	unsigned int extras = session->sampled ? 0 : SNAPSHOT_OWNERS;
	int err;

	if (session->options->replay)
		return 0;
	if (!session->sampled || !hook_is_on(session, "syn"))
		extras |= SNAPSHOT_REQUESTS;
	err = snapshot__take(session->terms.netns, extras, take_rest, session);
	if (err && !session->sampled)
		log__line("listeners that existed before are not known: %s",
			  err == -ENOENT ? "this kernel has no tcp_diag (modprobe tcp_diag)" :
					   strerror(-err));
	session->sampled = true;
	return err;
}

/* ---- timewait ---- */

enum {
	/* No more than a hundredth of a core for reading tables that change little. */
	DUMP_SHARE = 100,
	DUMP_MS_LEAST = 1000,
	PORTS_SHOWN = 10, /* in a table */
};

/*
 * The kernel's tables of connections and minisockets into the model: once at the
 * start, for what was there before; where no record tells of minisockets again
 * and again, the more seldom the longer it takes.
 */
static void sample_sockets(struct session *session, uint64_t now_ns)
{
	bool first = !session->sampled;
	uint32_t states = first ? SOCKET_STATES : 1U << EV_FIN_WAIT2 | 1U << EV_TIME_WAIT;
	int err;

	if (session->options->replay || now_ns < session->next_dump_ns)
		return;
	if (first)
		sample_listeners(session);
	err = snapshot__sockets(session->terms.netns, states, first ? SNAPSHOT_OWNERS : 0, take_rest,
				session);
	if (err && first)
		log__line("connections that existed before are not known: %s", strerror(-err));
	session->sampled = true;
	session->next_dump_ns = clock__boot_ns();
	session->next_dump_ns += (session->next_dump_ns - now_ns) * DUMP_SHARE;
	if (session->next_dump_ns < now_ns + DUMP_MS_LEAST * NS_PER_MS)
		session->next_dump_ns = now_ns + DUMP_MS_LEAST * NS_PER_MS;
	if (hook_is_on(session, "timewait"))
		session->next_dump_ns = UINT64_MAX;
}

static bool group_wanted(const struct session *session, const struct wait_group *group,
			 const struct owner *owner)
{
	const struct filter_subject subject = {
		.local_addr = group->role == ROLE_SERVER ? group->service.addr : NULL,
		.local_port = group->role == ROLE_SERVER ? group->service.port : 0,
		.remote_addr = group->role == ROLE_SERVER ? NULL : group->service.addr,
		.remote_port = group->role == ROLE_SERVER ? 0 : group->service.port,
		.netns = group->netns,
		.states = 1U << EV_TIME_WAIT | 1U << EV_FIN_WAIT2,
		.pid = owner ? owner->pid : 0,
		.comm = owner ? owner->comm : NULL,
		.role = (enum role)group->role,
	};

	return filter__match(session->options->filter, &subject) != FILTER_NO;
}

static int most_first(const void *a, const void *b)
{
	const struct wait_group *x = *(const struct wait_group *const *)a;
	const struct wait_group *y = *(const struct wait_group *const *)b;
	uint32_t nx = x->time_wait + x->fin_wait2, ny = y->time_wait + y->fin_wait2;

	return (nx < ny) - (nx > ny);
}

static void show_groups(struct session *session, uint64_t now_ns)
{
	const struct timewaits *waits = model__timewaits(session->model);
	const struct wait_group *sorted[TIMEWAIT_GROUPS_MAX];
	size_t count = 0;

	for (uint32_t i = 0; i < waits->group_count; i++) {
		const struct wait_group *group = &waits->groups[i];

		if ((group->begun || group->refused) &&
		    group_wanted(session, group, model__owner_at(session->model, group->owner)))
			sorted[count++] = group;
	}
	/* cppcheck-suppress uninitvar ; the first count are set */
	qsort(sorted, count, sizeof(sorted[0]), most_first);
	for (size_t i = 0; i < count; i++)
		session->printer.ops->waits(&session->printer, sorted[i],
					    model__owner_at(session->model, sorted[i]->owner), now_ns);
}

static void show_ports(struct session *session, uint64_t now_ns)
{
	struct port_use *uses;
	int count = ports__count(session->model, now_ns, &uses);

	if (count < 0)
		return;
	if (!session->options->json && count > PORTS_SHOWN)
		count = PORTS_SHOWN;
	for (int i = 0; i < count; i++) {
		const struct filter_subject subject = {
			.local_addr = uses[i].source,
			.remote_addr = uses[i].destination.addr,
			.remote_port = uses[i].destination.port,
			.netns = uses[i].netns,
			.role = ROLE_CLIENT,
		};

		if (filter__match(session->options->filter, &subject) != FILTER_NO)
			session->printer.ops->ports(&session->printer, &uses[i],
						    model__dump_of(session->model, uses[i].netns), now_ns);
	}
	free(uses);
}

static void show_waits(struct session *session, uint64_t now_ns)
{
	model__measure(session->model, now_ns);
	show_groups(session, now_ns);
	show_ports(session, now_ns);
}

static bool shows_tables(const struct session *session)
{
	return session->config->of == OF_LISTENERS || session->config->of == OF_WAITS;
}

/* On a terminal the table stays in place; elsewhere one follows the other. */
static void show_snapshot(struct session *session, uint64_t now_ns)
{
	if (!session->options->json) {
		if (session->printer.config.columns)
			strbuf__str(&session->printer.out, "\033[H\033[J");
		session->printer.ops->begin(&session->printer, &session->source->info);
	}
	if (session->config->of == OF_LISTENERS)
		show_queues(session, now_ns);
	else
		show_waits(session, now_ns);
}

/* A recording has a time of its own: it is shown as it is in the end. */
static void snapshot(struct session *session)
{
	uint64_t now_ns = clock__boot_ns();

	if (!shows_tables(session) || session->options->replay)
		return;
	if (session->config->of == OF_WAITS)
		sample_sockets(session, now_ns);
	if (now_ns < session->next_snapshot_ns)
		return;
	session->next_snapshot_ns = now_ns + SNAPSHOT_MS * NS_PER_MS;
	if (session->config->of == OF_LISTENERS)
		sample_listeners(session);
	show_snapshot(session, clock__boot_ns());
	if (session->options->count && ++session->shown == session->options->count)
		session->enough = true;
}

/* Until the source ends, the user has seen enough, or output fails. */
static int pump(struct session *session)
{
	int verdict = SOURCE_MORE;

	snapshot(session);
	while (verdict == SOURCE_MORE && !session->enough && !session->time_up && !interrupted &&
	       !time_is_up(session)) {
		verdict = source__poll(session->source, take, session);
		snapshot(session);
		flush(session);
		look_at_reader(session);
	}
	return verdict < 0 ? verdict : 0;
}

/* flows: what is still open is told as it stands. */
static void show_open_lives(struct session *session)
{
	const struct flow_table *flows = model__flows(session->model);

	for (uint32_t i = 0; i < flows->used && !session->enough; i++) {
		struct change change = { .kind = CHANGE_LIFE,
					 .life = flow_table__open_at(flows, i),
					 .time_ns = session->last_ns };

		if (!change.life)
			continue;
		change.peer = flow_table__peer(flows, change.life);
		change.owner = model__owner(session->model, change.life);
		select__change(&session->select, &change, show, session);
	}
}

static void say_books(const struct session *session)
{
	const struct ledger *ledger = &session->ledger;
	uint64_t lost = 0;

	for (unsigned int reason = 1; reason < EV_LOSS_REASON_END; reason++)
		lost += ledger->lost[reason];
	if (lost)
		log__line("%" PRIu64 " of %" PRIu64 " records were lost (ring full: %" PRIu64
			  ", recursion: %" PRIu64 ")",
			  lost, ledger->attempted, ledger->lost[EV_LOST_RING_FULL],
			  ledger->lost[EV_LOST_RECURSION]);
	if (ledger->malformed)
		log__line("%" PRIu64 " records were malformed or of a later version, and skipped",
			  ledger->malformed);
	if (ledger->doubles)
		log__line("%" PRIu64 " transitions were told twice by the stand-in, and shown once",
			  ledger->doubles);
}

/* Ends the capture, tells what is left to tell, closes the books. */
static int wind_up(struct session *session)
{
	bool told_all = !session->enough;
	int err;

	/* What the namespaces have counted up to now. */
	if (session->config->of == OF_LISTENERS && told_all && !session->options->once)
		sample_listeners(session);
	err = source__stop(session->source, take_rest, session);

	if (session->select.lives && told_all)
		show_open_lives(session);
	if (shows_tables(session) && told_all && !session->options->once)
		show_snapshot(session, session->last_ns);
	/* The reader that had enough still gets its stop line: --count 5 is
	 * five events between start and stop. */
	session->ledger.doubles = model__doubles(session->model);
	if (session->config->prints)
		session->printer.ops->stop(&session->printer, session->last_ns, &session->ledger);
	flush(session);
	say_books(session);
	return err;
}

static int close_writer(struct session *session)
{
	uint64_t delivered = session->ledger.delivered;
	int err;

	if (!session->writer)
		return 0;
	err = recording_writer__free(session->writer);
	session->writer = NULL;
	if (err)
		return err;
	log__line("%" PRIu64 " records in %s", delivered, session->config->record_to);
	return 0;
}

/* What went wrong, in the order of importance, as one line and a status. */
static int verdict_of(struct session *session, int pump_error, int stop_error, int writer_error)
{
	char message[320];

	if (writer_error)
		return fail(EXIT_FAILED, "cannot write %s: %s", session->config->record_to,
			    strerror(-writer_error));
	if (session->error)
		return fail(EXIT_FAILED, "cannot write standard output: %s", strerror(-session->error));
	if (pump_error && session->options->replay) {
		replay__explain(session->source, pump_error, message, sizeof(message));
		return fail(pump_error == -ENODATA ? EXIT_DONE : EXIT_FAILED, "%s", message);
	}
	if (!session->stopped && session->options->replay && !session->enough && !session->time_up &&
	    !interrupted)
		log__line("%s has no end: its capture was killed, or the file was cut between two records",
			  session->options->replay);
	if (pump_error || stop_error)
		return fail(EXIT_FAILED, "reading events failed: %s",
			    strerror(pump_error ? -pump_error : -stop_error));
	return EXIT_DONE;
}

static int run(struct session *session)
{
	int status = open_session(session);
	int pump_error, stop_error, writer_error;

	if (status)
		return status;
	if (session->config->prints && (session->options->json || !shows_tables(session)))
		session->printer.ops->begin(&session->printer, &session->source->info);
	flush(session);
	pump_error = pump(session);
	stop_error = wind_up(session);
	writer_error = close_writer(session);
	return verdict_of(session, pump_error, stop_error, writer_error);
}

int session__run(const struct session_config *config)
{
	struct session session = { .config = config, .options = config->options };
	int status;

	catch_signals();
	status = run(&session);
	recording_writer__free(session.writer);
	printer__fini(&session.printer);
	select__fini(&session.select);
	model__free(session.model);
	source__free(session.source);
	return status;
}
