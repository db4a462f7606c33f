// SPDX-License-Identifier: BSD-2-Clause
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "event/control.h"
#include "verbs/events.h"
#include "verbs/holdups.h"
#include "verbs/samples.h"
#include "verbs/session.h"
#include "verbs/unread.h"
#include "verbs/verbs.h"

static const struct verb_syntax syntax = {
	.name = "record",
	.operands = "FILE [FILTER]",
	.doc = "Keep the events in FILE, to be looked at later with any verb and -r FILE. The "
	       "filter narrows what is kept as far as the kernel can apply it (ports, "
	       "addresses, family, network namespace).",
	.examples = "Examples:\n"
		    "  tcpsaga record night.saga             until Ctrl-C\n"
		    "  tcpsaga record minute.saga --duration 60 port 443\n"
		    "  tcpsaga record all.saga --print -o json > all.json\n"
		    "  tcpsaga record - | ssh host 'cat > night.saga'\n",
	.takes_events = true,
	.takes_file = true,
	.takes_print = true,
};

static bool same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return !stat(a, &sa) && !stat(b, &sb) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino &&
	       S_ISREG(sa.st_mode);
}

enum { SAMPLE_EVERY_S = 10 };

struct looks {
	struct holdups holdups;
	struct unread unread;
};

/* What a diagnosis of the recording needs and no event tells: the listeners that
 * were there before, and how their namespaces are set. */
static void sample(struct session *session, uint64_t now_ns, bool due)
{
	struct looks *looks = session->context;

	(void)due;
	if (session->fed)
		return;
	holdups__look(&looks->holdups, session__take_rest, session, now_ns);
	unread__look(&looks->unread, session->model, &session->terms, session__take_rest, session, now_ns);
	if (now_ns < session->next_dump_ns)
		return;
	samples__listeners(session);
	session->next_dump_ns = now_ns + SAMPLE_EVERY_S * NS_PER_S;
}

static void see(struct session *session, const struct change *change)
{
	struct looks *looks = session->context;

	holdups__see(&looks->holdups, change);
}

static int run(const struct options *options)
{
	struct view view = events_view;
	struct looks looks = { 0 };
	const struct session_config config = {
		.options = options,
		.view = &view,
		.context = &looks,
		.record_to = options->file,
		.silent = !options->print,
	};

	if (options->print && !strcmp(options->file, "-"))
		return fail(EXIT_USAGE, "record: --print and a recording cannot both go to standard output: "
					"name a FILE");
	if (!strcmp(options->file, "-") && isatty(STDOUT_FILENO))
		return fail(EXIT_USAGE,
			    "record: a recording is not for a terminal: name a FILE, or pipe it on");
	if (options->replay && same_file(options->replay, options->file))
		return fail(EXIT_USAGE, "record: %s would be read and written at once: name another FILE",
			    options->file);
	view.look = sample;
	view.samples = CONTROL_WAITS | CONTROL_QUEUES;
	view.see = see;
	return session__run(&config);
}

int verb_record(int argc, char **argv)
{
	struct options options;
	int status = options__parse(&options, &syntax, argc, argv);

	if (!status)
		status = run(&options);
	options__fini(&options);
	return status;
}
