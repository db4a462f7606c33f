/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Untrusted bytes become a validated record here. Every source feeds it (ring,
 * recording, control socket); the model and the views read what comes out and
 * check nothing again.
 *
 * A kind is one row of a table: its size and where its parts lie. Each part
 * has one function that knows what is true of it, whatever kind it sits in.
 */
#include "event/decode.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "event/connection.h"

/* A part's place in its record, plus one: zero means that the kind has no such
 * part, and so that a row names only what it has. */
#define AT(type, part) (offsetof(struct type, part) + 1)
#define WHOLE 1

struct layout {
	uint16_t size; /* 0: no such kind */
	uint8_t transition;
	uint8_t place;
	uint8_t owner;
	uint8_t totals;
	uint8_t birth;
	uint8_t handshake;
	uint8_t accept;
	uint8_t timewait;
	uint8_t bind;
	uint8_t loss;
	uint8_t stop;
	uint8_t listener;
	uint8_t sampled;
	uint8_t netstat;
	uint8_t socket;
	uint8_t dump;
	uint8_t cgroup;
	uint8_t settings;
	uint8_t holder;
	uint8_t unread;
	uint8_t life;
	uint8_t queues;
	uint8_t wait_group;
	uint8_t wait;
	uint8_t known;
};

/* One row for each value of the header's byte, so that no kind is out of range. */
static const struct layout layouts[UINT8_MAX + 1] = {
	[EV_TRANSITION] = {
		.size = sizeof(struct ev_transition),
		.transition = WHOLE,
	},
	[EV_TRANSITION_OWNED] = {
		.size = sizeof(struct ev_transition_owned),
		.transition = AT(ev_transition_owned, transition),
		.owner = AT(ev_transition_owned, owner),
	},
	[EV_BIRTH] = {
		.size = sizeof(struct ev_birth),
		.transition = AT(ev_birth, transition),
		.place = AT(ev_birth, place),
		.owner = AT(ev_birth, owner),
		.birth = WHOLE,
	},
	[EV_CLOSE] = {
		.size = sizeof(struct ev_close),
		.transition = AT(ev_close, transition),
		.place = AT(ev_close, place),
		.owner = AT(ev_close, owner),
		.totals = AT(ev_close, totals),
	},
	[EV_SYN] = {
		.size = sizeof(struct ev_handshake),
		.handshake = WHOLE,
	},
	[EV_HANDSHAKE] = {
		.size = sizeof(struct ev_handshake),
		.handshake = WHOLE,
	},
	[EV_ADMITTED] = {
		.size = sizeof(struct ev_handshake),
		.handshake = WHOLE,
	},
	[EV_ACCEPT] = {
		.size = sizeof(struct ev_accept),
		.accept = WHOLE,
		.owner = AT(ev_accept, owner),
	},
	[EV_TIMEWAIT] = {
		.size = sizeof(struct ev_timewait),
		.timewait = WHOLE,
	},
	[EV_BIND] = {
		.size = sizeof(struct ev_bind),
		.bind = WHOLE,
		.owner = AT(ev_bind, owner),
	},
	[EV_LOSS] = {
		.size = sizeof(struct ev_loss),
		.loss = WHOLE,
	},
	[EV_STOP] = {
		.size = sizeof(struct ev_stop),
		.stop = WHOLE,
	},
	[EV_SOCKET] = {
		.size = sizeof(struct ev_socket),
		.socket = WHOLE,
		.owner = AT(ev_socket, owner),
	},
	[EV_DUMP] = {
		.size = sizeof(struct ev_dump),
		.dump = WHOLE,
	},
	[EV_CGROUP] = {
		.size = sizeof(struct ev_cgroup),
		.cgroup = WHOLE,
	},
	[EV_LISTENER] = {
		.size = sizeof(struct ev_listener),
		.listener = WHOLE,
		.owner = AT(ev_listener, owner),
	},
	[EV_SAMPLED] = {
		.size = sizeof(struct ev_sampled),
		.sampled = WHOLE,
	},
	[EV_NETSTAT] = {
		.size = sizeof(struct ev_netstat),
		.netstat = WHOLE,
	},
	[EV_SETTINGS] = {
		.size = sizeof(struct ev_settings),
		.settings = WHOLE,
	},
	[EV_UNREAD] = {
		.size = sizeof(struct ev_unread),
		.unread = WHOLE,
	},
	[EV_HOLDER] = {
		.size = sizeof(struct ev_holder),
		.holder = WHOLE,
		.owner = AT(ev_holder, owner),
	},
	[EV_LIFE] = {
		.size = sizeof(struct ev_life),
		.life = WHOLE,
		.owner = AT(ev_life, owner),
	},
	[EV_QUEUES] = {
		.size = sizeof(struct ev_queues),
		.queues = WHOLE,
		.owner = AT(ev_queues, owner),
	},
	[EV_WAIT_GROUP] = {
		.size = sizeof(struct ev_wait_group),
		.wait_group = WHOLE,
		.owner = AT(ev_wait_group, owner),
	},
	[EV_WAIT] = {
		.size = sizeof(struct ev_wait),
		.wait = WHOLE,
	},
	[EV_KNOWN] = {
		.size = sizeof(struct ev_known),
		.known = WHOLE,
	},
};

static const void *part(const void *data, uint8_t at)
{
	return at ? (const char *)data + at - 1 : NULL;
}

static bool is_zero(const void *data, size_t words)
{
	uint64_t word, any = 0;

	for (size_t i = 0; i < words; i++) {
		memcpy(&word, (const char *)data + i * sizeof(word), sizeof(word));
		any |= word;
	}
	return !any;
}

static bool is_mapped(const uint8_t address[16])
{
	uint64_t zero;
	uint32_t prefix;

	memcpy(&zero, address, sizeof(zero));
	memcpy(&prefix, address + 8, sizeof(prefix));
	return !zero && prefix == htonl(0xffff);
}

static bool is_wildcard(const uint8_t address[16])
{
	static const uint8_t mapped_any[16] = { [10] = 0xff, [11] = 0xff };

	return is_zero(address, 2) || memcmp(address, mapped_any, sizeof(mapped_any)) == 0;
}

static bool address_ok(uint8_t family, const uint8_t address[16])
{
	return family == AF_INET6 || (family == AF_INET && is_mapped(address));
}

static bool state_ok(uint8_t state)
{
	return state != 0 && state < EV_STATE_END;
}

/* Any pair of states is let through, even an equal one: the kernel's hook runs
 * before tcp_set_state() looks whether anything changes. */
static bool transition_ok(const struct ev_transition *transition)
{
	return state_ok(transition->old_state) && state_ok(transition->new_state) &&
	       !(transition->flags & ~EV_F_ALL);
}

static bool place_ok(const struct ev_place *place)
{
	return !(place->pad[0] | place->pad[1] | place->pad[2]) &&
	       address_ok(place->family, place->local) && address_ok(place->family, place->remote);
}

/* The name is arbitrary bytes, but it ends: a reader may take it as a string. */
static bool owner_ok(const struct ev_owner *owner, unsigned int version)
{
	if (owner->pid == 0)
		return is_zero(owner, sizeof(*owner) / 8);
	return (version > 1 || owner->start_cs == 0) && owner->comm[EV_COMM_BYTES - 1] == '\0';
}

/* Which outcomes a kind may have, and what their detail means. */
static bool outcome_ok(const struct ev_handshake *handshake)
{
	bool of_syn = handshake->outcome <= EV_SYN_DROPPED;

	if (handshake->header.kind == EV_ADMITTED)
		return handshake->outcome == EV_SYN_QUEUED && handshake->detail == 0;
	if (handshake->outcome >= EV_OUTCOME_END || of_syn != (handshake->header.kind == EV_SYN))
		return false;
	if (handshake->outcome == EV_SYN_DROPPED)
		return handshake->detail < EV_DROP_END;
	if (handshake->outcome == EV_REQUEST_COMPLETED)
		return handshake->detail < EV_VIA_END;
	if (handshake->outcome == EV_REQUEST_RESET)
		return handshake->detail < EV_RESET_BY_END;
	return handshake->detail == 0;
}

/* An unknown peer (port 0) is the wildcard in the listener's family: a reader
 * that forgets to look shows no address, never a stale one. */
static bool handshake_ok(const struct ev_handshake *handshake)
{
	return address_ok(handshake->family, handshake->local) &&
	       address_ok(handshake->family, handshake->remote) &&
	       (handshake->remote_port || is_wildcard(handshake->remote)) && outcome_ok(handshake);
}

static bool accept_ok(const struct ev_accept *accept)
{
	return address_ok(accept->family, accept->local) && address_ok(accept->family, accept->remote) &&
	       accept->by_address <= 1 && !(accept->pad[0] | accept->pad[1]) && accept->pad2 == 0;
}

static bool timewait_ok(const struct ev_timewait *wait)
{
	bool ended = wait->phase == EV_WAIT_END;

	return address_ok(wait->family, wait->local) && address_ok(wait->family, wait->remote) &&
	       wait->phase && wait->phase < EV_WAIT_PHASE_END &&
	       (wait->substate == EV_FIN_WAIT2 || wait->substate == EV_TIME_WAIT) &&
	       wait->end < EV_WAIT_END_END && ended == (wait->end != EV_WAIT_END_NONE) &&
	       wait->by_address <= 1 && !(wait->pad[0] | wait->pad[1] | wait->pad[2]);
}

static bool bind_ok(const struct ev_bind *bind)
{
	return address_ok(bind->family, bind->local) && bind->call && bind->call < EV_CALL_END &&
	       (bind->protocol == IPPROTO_TCP ||
		(bind->protocol == IPPROTO_UDP && bind->call == EV_CALL_BIND)) &&
	       (bind->error == EADDRINUSE || bind->error == EADDRNOTAVAIL || bind->error == EACCES) &&
	       !(bind->options & ~EV_BIND_OPTIONS) && !bind->pad;
}

/* Of nobody only the question is told. */
static bool is_nobody(const struct ev_holder *holder)
{
	const struct ev_holder nobody = {
		.header = holder->header,
		.refused_ns = holder->refused_ns,
		.netns = holder->netns,
		.local_port = holder->local_port,
		.protocol = holder->protocol,
	};

	return !memcmp(holder, &nobody, offsetof(struct ev_holder, asked)) &&
	       is_zero(holder->local, (sizeof(*holder) - offsetof(struct ev_holder, local)) / 8);
}

static bool unread_ok(const struct ev_unread *unread)
{
	static const uint8_t no_pad[sizeof(unread->pad)];

	return unread->netns && unread->local_port && unread->remote_port &&
	       address_ok(unread->family, unread->local) && address_ok(unread->family, unread->remote) &&
	       !memcmp(unread->pad, no_pad, sizeof(no_pad));
}

static bool holder_ok(const struct ev_holder *holder)
{
	static const uint8_t no_pad[sizeof(holder->pad)];

	if (holder->refused_ns > holder->header.time_ns || !holder->netns || !holder->local_port ||
	    (holder->protocol != IPPROTO_TCP && holder->protocol != IPPROTO_UDP))
		return false;
	if (!holder->count)
		return is_nobody(holder);
	return address_ok(holder->family, holder->local) && address_ok(holder->family, holder->remote) &&
	       state_ok(holder->state) && holder->mini <= 1 && holder->reuseaddr < EV_ANSWER_END &&
	       holder->reuseport < EV_ANSWER_END && !memcmp(holder->pad, no_pad, sizeof(no_pad));
}

static bool listener_ok(const struct ev_listener *listener)
{
	return address_ok(listener->family, listener->local) && listener->local_port &&
	       !(listener->pad[0] | listener->pad[1] | listener->pad[2] | listener->pad2);
}

static bool socket_ok(const struct ev_socket *socket)
{
	bool mini = socket->state == EV_FIN_WAIT2 || socket->state == EV_TIME_WAIT;

	return address_ok(socket->family, socket->local) && address_ok(socket->family, socket->remote) &&
	       state_ok(socket->state) && !socket->pad &&
	       (socket->kind == EV_SOCKET_FULL || (socket->kind == EV_SOCKET_MINI && mini) ||
		(socket->kind == EV_SOCKET_REQUEST && socket->state == EV_SYN_RECV));
}

static bool dump_ok(const struct ev_dump *dump)
{
	return dump->began_ns <= dump->header.time_ns && !dump->pad;
}

/* The path is arbitrary bytes as well, and zero behind its end. */
static bool cgroup_ok(const struct ev_cgroup *cgroup)
{
	size_t len = strnlen(cgroup->path, sizeof(cgroup->path));

	for (size_t i = len; i < sizeof(cgroup->path); i++)
		if (cgroup->path[i])
			return false;
	return cgroup->id && cgroup->cut <= 1 && !cgroup->pad && len && len < sizeof(cgroup->path) &&
	       (cgroup->cut || cgroup->path[0] == '/');
}

static bool loss_ok(const struct ev_loss *loss)
{
	return loss->since_ns <= loss->header.time_ns && loss->count > 0 && loss->reason > 0 &&
	       loss->reason < EV_LOSS_REASON_END &&
	       (loss->of_kind == 0 || record__size(loss->of_kind) > 0);
}

static bool stop_ok(const struct ev_stop *stop)
{
	return stop->lost[0] == 0 &&
	       is_zero(&stop->lost[EV_LOSS_REASON_END], EV_LOSS_REASONS_MAX - EV_LOSS_REASON_END);
}

/* What is not known is zero, so that nobody takes an old value for a count. */
static bool netstat_ok(const struct ev_netstat *netstat)
{
	if (netstat->netns == 0 || netstat->known >> EV_COUNTER_END)
		return false;
	for (unsigned int i = 0; i < EV_COUNTERS_MAX; i++)
		if (!(netstat->known >> i & 1) && netstat->counters[i])
			return false;
	return true;
}

static bool settings_ok(const struct ev_settings *settings)
{
	if (settings->netns == 0 || settings->known >> EV_SETTING_END)
		return false;
	for (unsigned int i = 0; i < EV_SETTINGS_MAX; i++)
		if (!(settings->known >> i & 1) && settings->values[i])
			return false;
	return true;
}

static bool history_ok(const struct ev_life *life)
{
	if (life->history_count > EV_HISTORY_MAX)
		return false;
	for (unsigned int i = 0; i < life->history_count; i++)
		if (!state_ok((uint8_t)(life->history[i] >> EV_HISTORY_TIME_BITS)))
			return false;
	return true;
}

/* Its addresses come together with its family. */
static bool life_ok(const struct ev_life *life)
{
	return (!life->family ||
		(address_ok(life->family, life->local) && address_ok(life->family, life->remote))) &&
	       state_ok(life->state) && life->role < ROLE_END &&
	       life->closed_first < EV_CLOSED_FIRST_END && life->how < EV_HOW_END &&
	       life->named_by < EV_NAMED_BY_END && life->first_old < EV_STATE_END &&
	       life->wait_state < EV_STATE_END && life->wait_end < EV_WAIT_END_END &&
	       life->wait_estimated <= 1 && !(life->pad[0] | life->pad[1]) && history_ok(life);
}

static bool queues_ok(const struct ev_queues *queues)
{
	return !queues->family || address_ok(queues->family, queues->local);
}

static bool wait_group_ok(const struct ev_wait_group *group)
{
	return group->role < ROLE_END && !group->pad && !group->pad2;
}

static bool wait_ok(const struct ev_wait *wait)
{
	static const uint8_t no_pad[sizeof(wait->pad)];

	return (wait->substate == EV_FIN_WAIT2 || wait->substate == EV_TIME_WAIT) &&
	       !memcmp(wait->pad, no_pad, sizeof(no_pad));
}

static bool told_parts_ok(const struct record *record)
{
	return (!record->life || life_ok(record->life)) &&
	       (!record->queues || queues_ok(record->queues)) &&
	       (!record->wait_group || wait_group_ok(record->wait_group)) &&
	       (!record->wait || wait_ok(record->wait)) &&
	       (!record->known || !(record->known->flags & ~EV_KNOWN_FLAGS));
}

static bool owner_part_ok(const struct record *record)
{
	return !record->owner || owner_ok(record->owner, record->header->version);
}

static void forget_nobody(struct record *record)
{
	if (record->owner && record->owner->pid == 0)
		record->owner = NULL;
}

/* Nine of ten records are transitions: each of their kinds has a copy of this, in which what
 * its row says is constant. */
static inline __attribute__((always_inline)) int
decode_transition(struct record *record, const struct layout *layout, const void *data)
{
	record->owner = part(data, layout->owner);
	record->transition = part(data, layout->transition);
	record->place = part(data, layout->place);
	record->totals = part(data, layout->totals);
	record->birth = part(data, layout->birth);
	if (!transition_ok(record->transition) || (record->place && !place_ok(record->place)) ||
	    !owner_part_ok(record))
		return -EBADMSG;
	forget_nobody(record);
	return 0;
}

static void find_others(struct record *record, const struct layout *layout, const void *data)
{
	record->owner = part(data, layout->owner);
	record->handshake = part(data, layout->handshake);
	record->accept = part(data, layout->accept);
	record->timewait = part(data, layout->timewait);
	record->bind = part(data, layout->bind);
	record->loss = part(data, layout->loss);
	record->stop = part(data, layout->stop);
	record->listener = part(data, layout->listener);
	record->sampled = part(data, layout->sampled);
	record->netstat = part(data, layout->netstat);
	record->socket = part(data, layout->socket);
	record->dump = part(data, layout->dump);
	record->cgroup = part(data, layout->cgroup);
	record->settings = part(data, layout->settings);
	record->holder = part(data, layout->holder);
	record->unread = part(data, layout->unread);
	record->life = part(data, layout->life);
	record->queues = part(data, layout->queues);
	record->wait_group = part(data, layout->wait_group);
	record->wait = part(data, layout->wait);
	record->known = part(data, layout->known);
}

static bool other_parts_ok(const struct record *record)
{
	return (!record->handshake || handshake_ok(record->handshake)) &&
	       (!record->accept || accept_ok(record->accept)) &&
	       (!record->timewait || timewait_ok(record->timewait)) &&
	       (!record->bind || bind_ok(record->bind)) &&
	       (!record->listener || listener_ok(record->listener)) &&
	       (!record->sampled || record->sampled->pad == 0) &&
	       (!record->netstat || netstat_ok(record->netstat)) &&
	       (!record->settings || settings_ok(record->settings)) &&
	       (!record->holder || holder_ok(record->holder)) &&
	       (!record->unread || unread_ok(record->unread)) &&
	       (!record->socket || socket_ok(record->socket)) &&
	       (!record->dump || dump_ok(record->dump)) &&
	       (!record->cgroup || cgroup_ok(record->cgroup)) &&
	       (!record->loss || loss_ok(record->loss)) && (!record->stop || stop_ok(record->stop)) &&
	       told_parts_ok(record);
}

static int decode_other(struct record *record, const struct layout *layout, const void *data)
{
	find_others(record, layout, data);
	if (!owner_part_ok(record) || !other_parts_ok(record))
		return -EBADMSG;
	forget_nobody(record);
	return 0;
}

/* The length first: nothing else of a record may be read before it is known
 * that there is one. */
static int check_header(const struct ev_header *header, size_t len)
{
	if ((uintptr_t)header % 8 || len < sizeof(*header) || len % 8)
		return -EBADMSG;
	if (header->len != len || header->version == 0 || header->kind == 0)
		return -EBADMSG;
	return 0;
}

int record__decode(struct record *record, const void *data, size_t len)
{
	const struct ev_header *header = data;
	const struct layout *layout;

	*record = (struct record){ 0 };
	if (check_header(header, len))
		return -EBADMSG;
	record->header = header;
	layout = &layouts[header->kind];
	if (header->version > EV_VERSION || !layout->size)
		return -ENOTSUP;
	if (layout->size != len)
		return -EBADMSG;

	switch (header->kind) {
	case EV_TRANSITION:
		return decode_transition(record, &layouts[EV_TRANSITION], data);
	case EV_TRANSITION_OWNED:
		return decode_transition(record, &layouts[EV_TRANSITION_OWNED], data);
	case EV_BIRTH:
		return decode_transition(record, &layouts[EV_BIRTH], data);
	case EV_CLOSE:
		return decode_transition(record, &layouts[EV_CLOSE], data);
	default:
		return decode_other(record, layout, data);
	}
}

size_t record__size(unsigned int kind)
{
	return kind <= UINT8_MAX ? layouts[kind].size : 0;
}
