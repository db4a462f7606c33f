// SPDX-License-Identifier: BSD-2-Clause
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "event/control.h"
#include "findings/engine.h"
#include "verbs/holdups.h"
#include "verbs/samples.h"
#include "verbs/session.h"
#include "verbs/unread.h"
#include "verbs/verbs.h"

static const struct verb_syntax syntax = {
	.name = "diagnose",
	.operands = "[FILTER]",
	.doc = "Say what is wrong, why, what to change, and what will not help. A finding is told when "
	       "it is raised, when it has doubled or become critical, and when it is over. Ends with status 4 "
	       "when there were warnings, 5 when one was critical, else 0.",
	.examples = "Examples:\n"
		    "  tcpsaga diagnose                      until Ctrl-C\n"
		    "  tcpsaga diagnose --once || echo something is wrong\n"
		    "  tcpsaga diagnose --rules              what it looks for\n"
		    "  tcpsaga diagnose --set close-wait-leak.age=120s local port 443\n"
		    "  tcpsaga diagnose -r night.saga -o json | jq .verdict\n",
	.takes_rules = true,
};

enum {
	ONCE_S = 10, /* as long as a rule looks back */
	SAMPLE_MS = 1000,
	/* A fiftieth of a core at most goes into reading the kernel's tables. */
	SAMPLE_SHARE = 50,
};

struct diagnosis {
	struct engine *engine; /* owned */
	struct session *session;
	bool once;
	uint8_t worst; /* enum severity; 0: nothing was found */
	uint64_t next_sample_ns;
	struct holdups holdups;
	struct unread unread;
};

static uint32_t diagnose_hooks(const struct options *options)
{
	(void)options;
	return 1U << HOOK_SYN | 1U << HOOK_HANDSHAKE | 1U << HOOK_ACCEPT | 1U << HOOK_TIMEWAIT |
	       1U << HOOK_LISTEN | 1U << HOOK_BIND;
}

static void diagnose_tune(const struct session *session, struct model_config *config)
{
	config->estimate_waits = !session__has_hook(session, "timewait");
	config->ends_at_close = true;
}

static int set_thresholds(struct engine *engine, const struct options *options)
{
	int status = 0;

	for (unsigned int i = 0; i < options->set_count && !status; i++) {
		struct strbuf message;

		strbuf__init(&message);
		if (engine__set(engine, options->sets[i], &message))
			status = fail(EXIT_USAGE, "diagnose: --set: %s", strbuf__text(&message));
		strbuf__fini(&message);
	}
	return status;
}

/* Which rules see less here than they could. */
static void tell_what_is_missing(const struct session *session)
{
	struct strbuf ids;

	strbuf__init(&ids);
	for (unsigned int r = 0; r < rules_count; r++)
		if (rules[r]->hook && !session__has_hook(session, rules[r]->hook))
			strbuf__printf(&ids, "%s%s", ids.len ? ", " : "", rules[r]->id);
	if (ids.len)
		log__line("for want of hooks these rules see less, diagnose --rules says what: %s",
			  strbuf__text(&ids));
	strbuf__fini(&ids);
}

static int diagnose_begin(struct session *session)
{
	struct diagnosis *diagnosis = session->context;
	const struct engine_config config = {
		.model = session->model,
		.sees_syns = session__has_hook(session, "syn"),
		.sees_accepts = session__has_hook(session, "accept"),
		.sees_waits = session__has_hook(session, "timewait"),
		.misses_answers = session__has_hook(session, "answers"),
		.since_ns = session->source->info.start_ns,
	};

	tell_what_is_missing(session);
	if (config.misses_answers)
		log__line("a filter of local ports keeps out what becomes of a connect(): connect-timeout "
			  "does not count those that wait");
	diagnosis->session = session;
	diagnosis->engine = engine__new(&config);
	if (!diagnosis->engine)
		return fail(EXIT_FAILED, "out of memory");
	return set_thresholds(diagnosis->engine, session->options);
}

static bool is_wanted(const struct session *session, const struct finding *finding)
{
	const struct filter_subject subject = finding__subject(finding);

	return session__wants(session, &subject);
}

static void tell(void *context, const struct finding *finding)
{
	struct diagnosis *diagnosis = context;
	struct session *session = diagnosis->session;

	if (session->enough || !is_wanted(session, finding))
		return;
	if (!diagnosis->once && finding->severity > diagnosis->worst)
		diagnosis->worst = finding->severity;
	if (diagnosis->once)
		return;
	session->printer.ops->finding(&session->printer, finding);
	session__count_shown(session);
}

static void diagnose_pass(struct session *session, uint64_t time_ns)
{
	struct diagnosis *diagnosis = session->context;

	engine__advance(diagnosis->engine, time_ns, tell, diagnosis);
}

static void diagnose_see(struct session *session, const struct change *change)
{
	struct diagnosis *diagnosis = session->context;

	engine__see(diagnosis->engine, change);
	holdups__see(&diagnosis->holdups, change);
}

static void diagnose_look(struct session *session, uint64_t now_ns, bool due)
{
	struct diagnosis *diagnosis = session->context;

	(void)due;
	samples__sockets(session, now_ns);
	if (!session->fed) {
		holdups__look(&diagnosis->holdups, session__take_rest, session, now_ns);
		unread__look(&diagnosis->unread, session->model, &session->terms, session__take_rest,
			     session, now_ns);
	}
	if (now_ns >= diagnosis->next_sample_ns) {
		uint64_t began_ns = clock__boot_ns(), took_ns;

		samples__listeners(session);
		took_ns = clock__boot_ns() - began_ns;
		diagnosis->next_sample_ns = now_ns + SAMPLE_MS * NS_PER_MS;
		if (took_ns * SAMPLE_SHARE > SAMPLE_MS * NS_PER_MS)
			diagnosis->next_sample_ns = now_ns + took_ns * SAMPLE_SHARE;
	}
	/* On a quiet host no record tells that time goes on. */
	diagnose_pass(session, clock__boot_ns());
}

/* --once: what holds in the end. */
static void show_all(struct diagnosis *diagnosis)
{
	struct session *session = diagnosis->session;
	const struct finding *finding;

	for (unsigned int i = 0; (finding = engine__at(diagnosis->engine, i)); i++) {
		struct finding now = *finding;

		if (!is_wanted(session, finding))
			continue;
		now.phase = PHASE_RAISED;
		session->printer.ops->finding(&session->printer, &now);
		if (finding->severity > diagnosis->worst)
			diagnosis->worst = finding->severity;
	}
	if (!diagnosis->worst && !session->options->json)
		log__line("nothing found");
}

static void diagnose_finish(struct session *session)
{
	struct diagnosis *diagnosis = session->context;

	/* The last second of a recording counts, too. */
	engine__advance(diagnosis->engine, session->last_ns + NS_PER_S, tell, diagnosis);
	if (diagnosis->once)
		show_all(diagnosis);
	if (engine__not_kept(diagnosis->engine))
		log__line("%llu findings were not kept: there were more than %d at a time",
			  (unsigned long long)engine__not_kept(diagnosis->engine), FINDINGS_MAX);
}

static int diagnose_status(const struct session *session)
{
	const struct diagnosis *diagnosis = session->context;

	if (!diagnosis->worst)
		return EXIT_DONE;
	return diagnosis->worst == SEVERITY_CRITICAL ? EXIT_CRITICAL : EXIT_WARNINGS;
}

static const struct view diagnose_view = {
	.of = OF_FINDINGS,
	.samples = CONTROL_WAITS | CONTROL_QUEUES,
	.hooks = diagnose_hooks,
	.tune = diagnose_tune,
	.look = diagnose_look,
	.begin = diagnose_begin,
	.pass = diagnose_pass,
	.see = diagnose_see,
	.finish = diagnose_finish,
	.status = diagnose_status,
};

/* ---- --rules ---- */

static void put_rule(struct strbuf *out, const struct engine *engine, unsigned int r)
{
	strbuf__printf(out, "%s\n    %s\n", rules[r]->id, rules[r]->raised_when);
	if (rules[r]->hook)
		strbuf__printf(out, "    without the hook %s: %s\n", rules[r]->hook, rules[r]->without);
	for (unsigned int t = 0; t < rule__thresholds(rules[r]); t++) {
		const struct threshold *threshold = &rules[r]->thresholds[t];
		struct strbuf value;

		strbuf__init(&value);
		threshold__format(threshold, engine__value(engine, r, t), &value);
		strbuf__printf(out, "    %-10s %8s  %s\n", threshold->name, strbuf__text(&value),
			       threshold->reason);
		strbuf__fini(&value);
	}
}

static void put_rule_json(struct strbuf *out, const struct engine *engine, unsigned int r)
{
	static const char *const units[] = { "count", "s", "per_s", "percent" };

	strbuf__str(out, "{\"v\":1,\"type\":\"rule\",\"id\":\"");
	strbuf__printf(out, "%s\",\"raised_when\":", rules[r]->id);
	text__json(out, rules[r]->raised_when, strlen(rules[r]->raised_when));
	if (rules[r]->hook) {
		strbuf__printf(out, ",\"hook\":\"%s\",\"without\":", rules[r]->hook);
		text__json(out, rules[r]->without, strlen(rules[r]->without));
	}
	strbuf__str(out, ",\"thresholds\":[");
	for (unsigned int t = 0; t < rule__thresholds(rules[r]); t++) {
		const struct threshold *threshold = &rules[r]->thresholds[t];

		strbuf__printf(
			out,
			"%s{\"name\":\"%s\",\"value\":%.10g,\"preset\":%.10g,\"unit\":\"%s\",\"reason\":",
			t ? "," : "", threshold->name, engine__value(engine, r, t), threshold->preset,
			units[threshold->unit]);
		text__json(out, threshold->reason, strlen(threshold->reason));
		strbuf__char(out, '}');
	}
	strbuf__str(out, "]}\n");
}

static int list_rules(const struct options *options)
{
	const struct engine_config config = { 0 };
	struct engine *engine = engine__new(&config);
	int status = engine ? set_thresholds(engine, options) : fail(EXIT_FAILED, "out of memory");
	struct strbuf out;

	strbuf__init(&out);
	for (unsigned int r = 0; r < rules_count && !status; r++)
		(options->json ? put_rule_json : put_rule)(&out, engine, r);
	if (!status && fwrite(out.data, 1, out.len, stdout) != out.len)
		status = fail(EXIT_FAILED, "cannot write standard output: %m");
	strbuf__fini(&out);
	engine__free(engine);
	return status;
}

int verb_diagnose(int argc, char **argv)
{
	struct options options;
	struct diagnosis diagnosis = { 0 };
	const struct session_config config = { .options = &options,
					       .view = &diagnose_view,
					       .context = &diagnosis };
	int status = options__parse(&options, &syntax, argc, argv);

	/* Ten seconds of looking, not one look at the tables. */
	diagnosis.once = options.once;
	if (options.once && !options.duration_ns && !options.replay)
		options.duration_ns = ONCE_S * NS_PER_S;
	options.once = false;
	if (!status)
		status = options.rules ? list_rules(&options) : session__run(&config);
	engine__free(diagnosis.engine);
	options__fini(&options);
	return status;
}
