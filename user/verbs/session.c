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
#include "bpf/ledger.h"
#include "event/control.h"
#include "source/agent_source.h"
#include "source/live.h"
#include "source/replay.h"
#include "source/snapshot.h"

enum {
	SNAPSHOT_MS = 1000,
	/* Text is written out once it is so long, and after each poll. */
	FLUSH_BYTES = 128 * 1024,
	/* What a take may return to end a poll. */
	ENOUGH = 1, /* --count or --duration is reached */
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

void session__count_shown(struct session *session)
{
	if (++session->shown == session->options->count)
		session->enough = true;
	if (session->printer.out.len >= FLUSH_BYTES)
		flush(session);
}

static void show(void *context, const struct change *change)
{
	struct session *session = context;
	struct printer *printer = &session->printer;

	if (session->enough || !session->prints || change->kind == CHANGE_STOP)
		return;
	printer__change(printer, change);
	if (change->kind != CHANGE_LOSS) /* not one of those that --count counts */
		session__count_shown(session);
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

static void show_changes(void *context, const struct changes *changes)
{
	struct session *session = context;

	for (unsigned int i = 0; i < changes->count && session->view->see; i++)
		session->view->see(session, &changes->change[i]);
	for (unsigned int i = 0; i < changes->count; i++)
		select__change(&session->select, &changes->change[i], show, session);
}

/* All that the agent knew has come: from here on it is as if we had been there. */
static void join(struct session *session, const struct ev_known *known)
{
	if (session->fed && known->flags & EV_KNOWN_NARROWED)
		log__line("the agent watches only what its own filter lets pass");
	session->joined = true;
}

/* Keeps it, applies it and shows what has changed. */
static int take_record(struct session *session, const void *data, size_t len, const struct record *record)
{
	int err = keep(session, data, len);

	if (err)
		return err;
	account(session, record);
	if (session->time_up && !record->stop && !(session->last_look && (record->socket || record->dump)))
		return ENOUGH;
	session->last_ns = record->header->time_ns;
	session->losses += record->loss != NULL;
	if (session->view->pass && session->joined)
		session->view->pass(session, record->header->time_ns);
	err = model__apply(session->model, record, show_changes, session);
	if (err)
		return err;
	if (record->known)
		join(session, record->known);
	return session->enough && !session->stopped ? ENOUGH : 0;
}

/* Whatever comes of it, the record that names the cgroup comes next. */
static void take_cgroup(struct session *session, const struct record *record)
{
	struct ev_cgroup told;
	struct record decoded;

	if (!session->time_up &&
	    cgroup_teller__tell(&session->cgroups, record->owner, record->header->time_ns, &told) &&
	    !record__decode(&decoded, &told, sizeof(told)))
		take_record(session, &told, sizeof(told), &decoded);
}

static int take(void *context, const void *data, size_t len)
{
	struct session *session = context;
	struct record record;

	if (record__decode(&record, data, len)) {
		session->ledger.delivered++;
		session->ledger.malformed++;
		return keep(session, data, len);
	}
	take_cgroup(session, &record);
	return take_record(session, data, len, &record);
}

static void foresee(void *context, const struct ev_header *record)
{
	const struct session *session = context;

	if (!batch__is_worth_it(session->model)) /* else it does so, when the lives have come */
		model__foresee(session->model, record);
}

/* For the source, which brings many. */
static int take_soon(void *context, const void *data, size_t len)
{
	struct session *session = context;

	return batch__add(&session->batch, session->model, data, len, take, session);
}

static int take_held(struct session *session)
{
	return batch__release(&session->batch, session->model, take, session);
}

/* After the end is decided: counted, kept, but not shown. */
int session__take_rest(void *context, const void *data, size_t len)
{
	int verdict = take(context, data, len);

	return verdict == ENOUGH ? 0 : verdict;
}

/* ---- life cycle ---- */

void session__hook_kind(const struct session *session, const char *name, char kind[16])
{
	capture_info__hook_kind(&session->source->info, name, kind);
}

bool session__has_hook(const struct session *session, const char *name)
{
	return capture_info__has_hook(&session->source->info, name);
}

static int open_live(struct session *session)
{
	struct live_config config = {
		.choice = session->options->hooks,
		.wanted = session->view->hooks(session->options) | 1U << HOOK_STATE,
		.filter = &session->terms,
		.cgroup = session->options->sockops,
		.ring_bytes = session->options->ring_bytes,
		.simulate_loss = session->options->simulate_loss,
	};
	char message[320];

	session->source = live__new(&config, message, sizeof(message));
	if (!session->source)
		return fail(errno == EPERM || errno == EACCES || errno == ENOENT ||
					    errno == EOPNOTSUPP || errno == ESRCH ?
				    EXIT_CANNOT :
				    EXIT_FAILED,
			    "%s", message);
	if (session->options->sockops && session__has_hook(session, "syn"))
		log__line("--sockops is not needed here: function hooks see every SYN; %s is left alone",
			  session->options->sockops);
	log__line("watching the live kernel %s%s%s", session->source->info.kernel,
		  session->source->note[0] ? "; cannot see " : "", session->source->note);
	return 0;
}

/* 0 also when there is none, and there need not be: then session->fed is false. */
static int open_agent(struct session *session)
{
	const struct options *options = session->options;
	uint32_t wants = session->view->samples | (options->once ? CONTROL_ONCE : 0);
	char message[320];

	if (options->source == SOURCE_LIVE || (options->source == SOURCE_AUTO && options->own_capture))
		return 0;
	session->source = agent_source__new(options->socket, wants, message, sizeof(message));
	session->fed = session->source != NULL;
	if (session->fed)
		log__line("reading from the agent at %s, which watches kernel %s", options->socket,
			  session->source->info.kernel);
	else if (options->source == SOURCE_AGENT)
		return fail(errno == EACCES || errno == EPERM ? EXIT_CANNOT : EXIT_FAILED, "%s", message);
	else if (errno != ENOENT && errno != ECONNREFUSED)
		log__line("%s", message);
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
	const char *path = session->record_to;

	if (!path)
		return 0;
	session->writer = recording_writer__new(path, &session->source->info);
	return session->writer ? 0 : fail(EXIT_FAILED, "cannot write %s: %s", path, strerror(errno));
}

static void init_printer(struct session *session)
{
	const struct options *options = session->options;
	struct printer_config config = {
		.of = session->view->of,
		.wide = options->wide,
		.full_time = options->full_time,
	};
	const char *no_color = getenv("NO_COLOR");

	config.columns = terminal__columns(STDOUT_FILENO);
	if (isatty(STDOUT_FILENO))
		config.colour = !no_color || !*no_color; /* no-color.org: empty is not set */
	printer__init(&session->printer, options->json ? &json_printer : &table_printer, &config,
		      session->source->info.realtime_offset_ns);
	session->printer.cgroups = model__cgroups(session->model);
	session->printer.flows = model__flows(session->model);
}

static int init_model(struct session *session)
{
	const struct view *view = session->view;
	const uint32_t kinds = view->changes ? view->changes(session->options) : 0;
	const uint32_t max_lives = session->options->max_flows;
	struct model_config config = { .max_lives = max_lives ? max_lives : MODEL_MAX_LIVES,
				       .max_ended = MODEL_MAX_ENDED };

	config.requests_told = session->options->once || (session__has_hook(session, "syn") &&
							  session__has_hook(session, "handshake"));
	config.requests_sampled = !config.requests_told && view->heals;
	config.waits_told = session->options->once || session__has_hook(session, "timewait");
	config.keeps_transitions = !view->see && !(kinds & 1U << CHANGE_TRANSITION);
	if (view->tune)
		view->tune(session, &config);
	if (getrandom(&config.seed, sizeof(config.seed), 0) != sizeof(config.seed))
		return fail(EXIT_FAILED, "no random numbers: %s", strerror(errno));
	session->estimates_waits = config.estimate_waits;
	session->model = model__new(&config);
	if (!session->model || select__init(&session->select, session->options->filter, session->model))
		return fail(EXIT_FAILED, "out of memory");
	session->select.kinds = kinds;
	session->source->foresee = foresee;
	session->source->foresee_context = session;
	return 0;
}

static int open_kernel(struct session *session)
{
	if (cgroup_teller__init(&session->cgroups))
		return fail(EXIT_FAILED, "out of memory");
	return session->options->once ? open_tables(session) : open_live(session);
}

static int open_session(struct session *session)
{
	const struct options *options = session->options;
	int status;

	filter__kernel_terms(options->filter, &session->terms);
	status = options->replay ? open_replay(session) : open_agent(session);
	if (!status && !session->source)
		status = open_kernel(session);
	session->joined = !session->fed;
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
	return session->view->begin ? session->view->begin(session) : 0;
}

static bool time_is_up(const struct session *session)
{
	return !session->options->replay && session->until_ns != UINT64_MAX &&
	       clock__boot_ns() >= session->until_ns;
}

void session__tell(struct session *session, const struct change *change)
{
	select__change(&session->select, change, show, session);
}

/* On a terminal the table stays in place; elsewhere one follows the other. */
static void show_snapshot(struct session *session, uint64_t now_ns)
{
	if (!session->options->json) {
		if (session->printer.config.columns)
			strbuf__str(&session->printer.out, "\033[H\033[J");
		session->printer.ops->begin(&session->printer, &session->source->info);
	}
	session->view->show(session, now_ns);
}

/* A first snapshot without what existed before would be a lie. */
static bool is_ready(const struct session *session)
{
	return !session->view->heals || session->options->once || session->heal.begun || session->heal.off;
}

/* A recording has a time of its own, and brings its own samples: it is shown
 * as it is in the end. */
static void look(struct session *session)
{
	uint64_t now_ns = clock__boot_ns();
	bool due = session->view->show && now_ns >= session->next_snapshot_ns && is_ready(session);

	if (session->options->replay)
		return;
	if (!session->options->once)
		model__pass_time(session->model, now_ns, show_changes, session);
	if (session->view->look)
		session->view->look(session, now_ns, due);
	if (!due)
		return;
	session->next_snapshot_ns = now_ns + SNAPSHOT_MS * NS_PER_MS;
	show_snapshot(session, clock__boot_ns());
	if (session->options->count && ++session->shown == session->options->count)
		session->enough = true;
}

/* A recording has no tables, and --once looks at nothing else. A recording that is
 * written grows with each look: there only after a loss. */
static int heal(struct session *session)
{
	if (!session->view->heals || session->options->replay || session->options->once || session->fed)
		return 0;
	session->heal.terms = &session->terms;
	session->heal.regular = session->view->heals & HEALS_REGULARLY && !session->writer;
	session->heal.waits = session->view->heals & HEALS_WAITS && session->estimates_waits;
	return heal__step(&session->heal, session->source, session->model, session->losses, take, session);
}

/* What no record tells the end of, and there is some of: half-open requests, and what
 * a look found in FIN_WAIT2, which soon is TIME_WAIT. */
static uint32_t states_untold(const struct session *session)
{
	bool requests_told = session__has_hook(session, "syn") && session__has_hook(session, "handshake");
	uint32_t states = requests_told ? 0 : 1U << EV_SYN_RECV;

	if (session->heal.waits && timewaits__have_fin_wait2(model__timewaits(session->model)))
		states |= HEAL_WAIT_STATES;
	return states | heal__unended(session->model);
}

/* The tables tell it: in the end once more, for who is told what is left, or will read
 * the recording. */
static int look_last(struct session *session)
{
	const struct options *options = session->options;
	uint32_t states = states_untold(session);

	if (!session->view->heals || options->replay || options->once || session->fed ||
	    session->enough || (!session->view->finish && !session->writer) || !states)
		return 0;
	session->last_look = true;
	return heal__last(&session->heal, states, session->source, session->model, session__take_rest,
			  session);
}

/* What an agent knows comes first, and nothing is shown before it is all there. */
static int await_known(struct session *session)
{
	int verdict = SOURCE_MORE;

	while (verdict == SOURCE_MORE && !session->joined && !interrupted) {
		verdict = source__poll(session->source, take, session);
		look_at_reader(session);
		if (session->enough)
			return ENOUGH;
	}
	return verdict;
}

/* When there is something to do though no record comes; 0: never. */
static uint64_t next_due_ns(const struct session *session)
{
	uint64_t due_ns = session->until_ns;

	if (session->view->show && is_ready(session) && session->next_snapshot_ns < due_ns)
		due_ns = session->next_snapshot_ns;
	return due_ns == UINT64_MAX ? 0 : due_ns;
}

/* Until the source ends, the user has seen enough, or output fails. */
static int pump(struct session *session)
{
	int verdict = await_known(session);

	if (verdict == SOURCE_MORE || verdict == SOURCE_END)
		look(session);
	while (verdict == SOURCE_MORE && !session->enough && !session->time_up && !interrupted &&
	       !time_is_up(session)) {
		int held;

		session->source->until_ns = next_due_ns(session);
		verdict = source__poll(session->source, take_soon, session);
		held = take_held(session);
		if (verdict == SOURCE_MORE)
			verdict = held;
		if (verdict == SOURCE_MORE)
			verdict = heal(session);
		look(session);
		flush(session);
		look_at_reader(session);
	}
	if (verdict >= 0)
		verdict = look_last(session);
	return verdict < 0 ? verdict : 0;
}

static void say_not_kept(const struct ledger *ledger)
{
	if (ledger->not_kept[TABLE_HISTORIES])
		log__line("histories that have lost their middle: %" PRIu64,
			  ledger->not_kept[TABLE_HISTORIES]);
	/* One that has given way may come back with its next record, and give way again. */
	if (ledger->not_kept[TABLE_CONNECTIONS])
		log__line("times that a connection had no room or gave way to a newer one (--max-flows): %" PRIu64,
			  ledger->not_kept[TABLE_CONNECTIONS]);
	for (int table = TABLE_CONNECTIONS + 1; table < TABLE_HISTORIES; table++)
		if (ledger->not_kept[table])
			log__line("no room for %" PRIu64 " %s", ledger->not_kept[table],
				  model_table__name((enum model_table)table));
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
	if (ledger->lost[EV_LOST_QUEUE_FULL])
		log__line("%" PRIu64 " of them because we did not keep up with the agent",
			  ledger->lost[EV_LOST_QUEUE_FULL]);
	if (ledger->lost[EV_LOST_SIMULATED])
		log__line("%" PRIu64 " of them by --simulate-loss", ledger->lost[EV_LOST_SIMULATED]);
	if (ledger->malformed)
		log__line("%" PRIu64 " records were malformed or of a later version, and skipped",
			  ledger->malformed);
	if (ledger->doubles)
		log__line("%" PRIu64 " transitions were told twice by the stand-in, and shown once",
			  ledger->doubles);
	/* The books of a recording that was cut are not known. */
	if (ledger->unrecorded)
		log__line("%" PRIu64 " changes of state had no record; the kernel's tables showed them%s",
			  ledger->unrecorded,
			  lost || !session->stopped ?
				  "" :
				  ": this kernel runs no program in some places, and does not count it");
	say_not_kept(ledger);
}

/* Ends the capture, tells what is left to tell, closes the books. */
static int wind_up(struct session *session)
{
	bool told_all = !session->enough;
	int err;

	heal__stop(&session->heal);
	/* What the kernel's tables say now. */
	if (session->view->look && told_all && !session->options->once && !session->options->replay)
		session->view->look(session, clock__boot_ns(), true);
	err = source__stop(session->source, session__take_rest, session);

	if (session->view->finish && told_all)
		session->view->finish(session);
	if (session->view->show && told_all && !session->options->once)
		show_snapshot(session, session->last_ns);
	/* The reader that had enough still gets its stop line: --count 5 is
	 * five events between start and stop. */
	session->ledger.doubles = model__doubles(session->model);
	session->ledger.unrecorded = model__unrecorded(session->model);
	for (int table = 0; table < TABLE_COUNT; table++)
		session->ledger.not_kept[table] = model__not_kept(session->model, (enum model_table)table);
	if (session->prints)
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
	log__line("%" PRIu64 " records in %s", delivered, session->record_to);
	return 0;
}

/* What went wrong, in the order of importance, as one line and a status. */
static int verdict_of(struct session *session, int pump_error, int stop_error, int writer_error)
{
	char message[320];

	if (writer_error)
		return fail(EXIT_FAILED, "cannot write %s: %s", session->record_to,
			    strerror(-writer_error));
	if (session->error)
		return fail(EXIT_FAILED, "cannot write standard output: %s", strerror(-session->error));
	if (pump_error && session->options->replay) {
		replay__explain(session->source, pump_error, message, sizeof(message));
		return fail(pump_error == -ENODATA ? EXIT_DONE : EXIT_FAILED, "%s", message);
	}
	if ((pump_error || stop_error) && session->fed) {
		agent_source__explain(session->source, pump_error ? pump_error : stop_error, message,
				      sizeof(message));
		return fail(EXIT_FAILED, "%s", message);
	}
	if (!session->stopped && session->options->replay && !session->enough && !session->time_up &&
	    !interrupted)
		log__line("%s has no end: its capture was killed, or the file was cut between two records",
			  session->options->replay);
	if (pump_error || stop_error)
		return fail(EXIT_FAILED, "reading events failed: %s",
			    strerror(pump_error ? -pump_error : -stop_error));
	return session->view->status ? session->view->status(session) : EXIT_DONE;
}

static int run(struct session *session)
{
	int status = open_session(session);
	int pump_error, stop_error, writer_error;

	if (status)
		return status;
	/* Not before: a pipe whose head has not come yet is left by a plain Ctrl-C. */
	if (session->options->replay)
		catch_signals();
	if (session->prints && (session->options->json || !session->view->show))
		session->printer.ops->begin(&session->printer, &session->source->info);
	flush(session);
	pump_error = pump(session);
	stop_error = wind_up(session);
	writer_error = close_writer(session);
	return verdict_of(session, pump_error, stop_error, writer_error);
}

int session__run(const struct session_config *config)
{
	struct session session = {
		.view = config->view,
		.context = config->context,
		.options = config->options,
		.record_to = config->record_to,
		.prints = !config->silent,
		.cgroups.root.fd = -1,
	};
	int status;

	if (!session.options->replay)
		catch_signals();
	status = run(&session);
	recording_writer__free(session.writer);
	printer__fini(&session.printer);
	select__fini(&session.select);
	model__free(session.model);
	source__free(session.source);
	cgroup_teller__fini(&session.cgroups);
	return status;
}

int session__verb(const struct verb_syntax *syntax, const struct view *view, int argc, char **argv)
{
	struct options options;
	const struct session_config config = { .options = &options, .view = view };
	int status = options__parse(&options, syntax, argc, argv);

	if (!status)
		status = session__run(&config);
	options__fini(&options);
	return status;
}
