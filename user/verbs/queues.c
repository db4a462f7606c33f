// SPDX-License-Identifier: BSD-2-Clause
#include <string.h>

#include "base/log.h"
#include "event/control.h"
#include "verbs/samples.h"
#include "verbs/session.h"
#include "verbs/verbs.h"

static const struct verb_syntax syntax = {
	.name = "queues",
	.operands = "[FILTER]",
	.doc = "Show each listener with both its queues: depth, limit and high-water mark of the "
	       "SYN queue (half-open requests) and of the accept queue (complete, waiting for "
	       "accept()), what came, what was dropped and why.",
	.examples = "Examples:\n"
		    "  tcpsaga queues                        refreshed each second\n"
		    "  tcpsaga queues --once\n"
		    "  tcpsaga queues -o json port 443 | jq 'select(.type == \"queue\") | .dropped'\n"
		    "  tcpsaga queues --duration 60 netns /run/netns/blue\n",
	.takes_once = true,
	.takes_sockops = true,
};

static uint32_t queues_hooks(const struct options *options)
{
	uint32_t wanted = 1U << HOOK_SYN | 1U << HOOK_HANDSHAKE | 1U << HOOK_SYNACK | 1U << HOOK_ACCEPT |
			  1U << HOOK_LISTEN;

	return options->sockops ? wanted | 1U << HOOK_SOCKOPS : wanted;
}

/* Just before the table is shown. */
static void look_at_listeners(struct session *session, uint64_t now_ns, bool due)
{
	(void)now_ns;
	if (due)
		samples__listeners(session);
}

static struct queue_quality quality_of(const struct session *session)
{
	const struct model *model = session->model;

	return (struct queue_quality){
		.handshakes = session__has_hook(session, "syn") && session__has_hook(session, "handshake"),
		.synacks = session__has_hook(session, "synack"),
		.accepts = session__has_hook(session, "accept"),
		.admitted = session__has_hook(session, "sockops"),
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

	return session__wants(session, &subject);
}

/* Returns the qualities of all of them together, for the legend. */
static struct queue_quality show_listeners(struct session *session, uint64_t now_ns)
{
	const struct listeners *listeners = model__listeners(session->model);
	struct printer *printer = &session->printer;
	struct queue_quality quality = quality_of(session);
	bool shared_accepts = false;
	char accept[16];

	session__hook_kind(session, "accept", accept);
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

		if (session__wants(session, &subject))
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

static const struct view queues_view = {
	.of = OF_LISTENERS,
	.samples = CONTROL_QUEUES,
	.hooks = queues_hooks,
	.look = look_at_listeners,
	.show = show_queues,
};

int verb_queues(int argc, char **argv)
{
	struct options options;
	const struct session_config config = { .options = &options, .view = &queues_view };
	int status = options__parse(&options, &syntax, argc, argv);

	if (!status && options.once && options.replay)
		status = fail(EXIT_USAGE,
			      "queues: --once looks at the kernel's tables, which a recording has not");
	if (!status && options.sockops && (options.once || options.replay))
		status = fail(EXIT_USAGE, "queues: --sockops counts what comes from now on: not with %s",
			      options.once ? "--once" : "-r");
	if (!status)
		status = session__run(&config);
	options__fini(&options);
	return status;
}
