// SPDX-License-Identifier: BSD-2-Clause
#include "event/control.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* Zero behind what there is: room for later versions. */
struct wire_request {
	char magic[8];
	uint16_t version;
	uint16_t length;
	uint32_t wants;
	uint32_t netns;
	uint16_t port;
	uint8_t zero[10];
};

struct wire_reply {
	char magic[8];
	uint16_t version;
	uint16_t length;
	uint32_t status;
	char text[192];
	uint8_t zero[48];
};

_Static_assert(sizeof(struct wire_request) == CONTROL_REQUEST_BYTES, "requests changed their size");
struct wire_head {
	uint64_t taken_ns;
	uint32_t count;
	uint32_t unseen;
	uint32_t error; /* positive */
	uint32_t options_error;
	uint32_t netns_visited;
	uint16_t row_bytes;
	uint8_t zero[2];
};

struct wire_holder {
	uint64_t cookie;
	uint64_t cgroup;
	uint32_t netns;
	uint32_t ifindex;
	uint32_t uid;
	uint32_t inode;
	uint32_t expires_ms;
	uint32_t others;
	uint32_t pid;
	uint32_t tid;
	uint32_t owner_uid;
	uint32_t start_cs;
	uint8_t local[16];
	uint8_t remote[16];
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t protocol;
	uint8_t family;
	uint8_t state;
	uint8_t mini;
	uint8_t reuseaddr;
	uint8_t reuseport;
	uint8_t v6only;
	uint8_t zero[13];
	char comm[16];
};

_Static_assert(sizeof(struct wire_head) == CONTROL_HEAD_BYTES, "heads changed their size");
_Static_assert(sizeof(struct wire_holder) == CONTROL_HOLDER_BYTES, "holders changed their size");
_Static_assert(sizeof(struct wire_reply) == CONTROL_REPLY_BYTES, "replies changed their size");

static const char ask[8] = { '\x89', 't', 's', 'a', 'g', 'a', '?', '\n' };
static const char answer[8] = { '\x89', 't', 's', 'a', 'g', 'a', '!', '\n' };

void control_request__encode(const struct control_request *request, uint8_t bytes[CONTROL_REQUEST_BYTES])
{
	const bool holders = request->wants & CONTROL_HOLDERS;
	struct wire_request wire = { .version =
					     htole16(holders ? CONTROL_VERSION_HOLDERS : CONTROL_VERSION),
				     .length = htole16(sizeof(wire)),
				     .wants = htole32(request->wants),
				     .netns = htole32(request->netns),
				     .port = htole16(request->port) };

	memcpy(wire.magic, ask, sizeof(ask));
	memcpy(bytes, &wire, sizeof(wire));
}

/* Each version knows its own wishes, and a port is asked about by one only. */
static bool is_sound(const struct control_request *request, uint16_t version)
{
	if (version == CONTROL_VERSION_HOLDERS)
		return request->wants == CONTROL_HOLDERS && request->port;
	return !(request->wants & ~(uint32_t)(CONTROL_WANTS & ~CONTROL_HOLDERS)) && !request->port &&
	       !request->netns;
}

int control_request__decode(struct control_request *request, const uint8_t *bytes, size_t len)
{
	static const uint8_t zero[sizeof(((struct wire_request *)NULL)->zero)];
	struct wire_request wire;

	if (memcmp(bytes, ask, len < sizeof(ask) ? len : sizeof(ask)) || len > sizeof(wire))
		return -EBADMSG;
	if (len < sizeof(wire))
		return 1;
	memcpy(&wire, bytes, sizeof(wire));
	if (le16toh(wire.version) > CONTROL_VERSION_HOLDERS)
		return -ENOTSUP;
	if (!wire.version || le16toh(wire.length) != sizeof(wire) || memcmp(wire.zero, zero, sizeof(zero)))
		return -EBADMSG;
	request->wants = le32toh(wire.wants);
	request->netns = le32toh(wire.netns);
	request->port = le16toh(wire.port);
	return is_sound(request, le16toh(wire.version)) ? 0 : -EBADMSG;
}

void control_reply__encode(const struct control_reply *reply, uint8_t bytes[CONTROL_REPLY_BYTES])
{
	struct wire_reply wire = { .version = htole16(CONTROL_VERSION),
				   .length = htole16(sizeof(wire)),
				   .status = htole32(reply->status) };

	memcpy(wire.magic, answer, sizeof(answer));
	memcpy(wire.text, reply->text, strnlen(reply->text, sizeof(wire.text) - 1));
	memcpy(bytes, &wire, sizeof(wire));
}

int control_reply__decode(struct control_reply *reply, const uint8_t bytes[CONTROL_REPLY_BYTES])
{
	struct wire_reply wire;

	memcpy(&wire, bytes, sizeof(wire));
	if (memcmp(wire.magic, answer, sizeof(answer)) || !wire.version)
		return -EBADMSG;
	if (le16toh(wire.version) > CONTROL_VERSION)
		return -ENOTSUP;
	if (le16toh(wire.length) != sizeof(wire) || le32toh(wire.status) >= CONTROL_STATUS_END ||
	    wire.text[sizeof(wire.text) - 1])
		return -EBADMSG;
	reply->status = (enum control_status)le32toh(wire.status);
	memcpy(reply->text, wire.text, sizeof(reply->text));
	return 0;
}

void control_head__encode(const struct control_head *head, uint8_t bytes[CONTROL_HEAD_BYTES])
{
	const struct wire_head wire = {
		.taken_ns = htole64(head->taken_ns),
		.count = htole32(head->count),
		.unseen = htole32(head->unseen),
		.error = htole32((uint32_t)-head->error),
		.options_error = htole32((uint32_t)-head->options_error),
		.netns_visited = htole32(head->netns_visited),
		.row_bytes = htole16(CONTROL_HOLDER_BYTES),
	};

	memcpy(bytes, &wire, sizeof(wire));
}

static bool is_errno(uint32_t error)
{
	return error < 4096; /* MAX_ERRNO of the kernel */
}

int control_head__decode(struct control_head *head, const uint8_t bytes[CONTROL_HEAD_BYTES])
{
	struct wire_head wire;

	memcpy(&wire, bytes, sizeof(wire));
	if (le16toh(wire.row_bytes) != CONTROL_HOLDER_BYTES || wire.zero[0] || wire.zero[1] ||
	    !is_errno(le32toh(wire.error)) || !is_errno(le32toh(wire.options_error)) ||
	    le32toh(wire.count) > (wire.error ? 0 : CONTROL_HOLDERS_MAX))
		return -EBADMSG;
	*head = (struct control_head){
		.taken_ns = le64toh(wire.taken_ns),
		.count = le32toh(wire.count),
		.unseen = le32toh(wire.unseen),
		.error = -(int32_t)le32toh(wire.error),
		.options_error = -(int32_t)le32toh(wire.options_error),
		.netns_visited = le32toh(wire.netns_visited),
	};
	return 0;
}

void control_holder__encode(const struct holder *holder, uint8_t bytes[CONTROL_HOLDER_BYTES])
{
	const struct ev_owner *owner = &holder->owner;
	struct wire_holder wire = {
		.cookie = htole64(holder->cookie),
		.cgroup = htole64(owner->cgroup),
		.netns = htole32(holder->netns),
		.ifindex = htole32(holder->ifindex),
		.uid = htole32(holder->uid),
		.inode = htole32(holder->inode),
		.expires_ms = htole32(holder->expires_ms),
		.others = htole32(holder->others),
		.pid = htole32(owner->pid),
		.tid = htole32(owner->tid),
		.owner_uid = htole32(owner->uid),
		.start_cs = htole32(owner->start_cs),
		.local_port = htole16(holder->local.port),
		.remote_port = htole16(holder->remote.port),
		.protocol = holder->protocol,
		.family = holder->family,
		.state = holder->state,
		.mini = holder->mini,
		.reuseaddr = holder->reuseaddr,
		.reuseport = holder->reuseport,
		.v6only = holder->v6only,
	};

	memcpy(wire.local, holder->local.addr, sizeof(wire.local));
	memcpy(wire.remote, holder->remote.addr, sizeof(wire.remote));
	memcpy(wire.comm, owner->comm, strnlen(owner->comm, sizeof(wire.comm) - 1));
	memcpy(bytes, &wire, sizeof(wire));
}

static bool is_holder(const struct wire_holder *wire)
{
	static const uint8_t zero[sizeof(wire->zero)];

	return (wire->protocol == IPPROTO_TCP || wire->protocol == IPPROTO_UDP) &&
	       (wire->family == AF_INET || wire->family == AF_INET6) && wire->state < EV_STATE_END &&
	       wire->mini <= 1 && wire->reuseaddr <= ANSWER_YES && wire->reuseport <= ANSWER_YES &&
	       wire->v6only <= ANSWER_YES && !memcmp(wire->zero, zero, sizeof(zero)) &&
	       !wire->comm[sizeof(wire->comm) - 1];
}

int control_holder__decode(struct holder *holder, const uint8_t bytes[CONTROL_HOLDER_BYTES])
{
	struct wire_holder wire;

	memcpy(&wire, bytes, sizeof(wire));
	if (!is_holder(&wire))
		return -EBADMSG;
	*holder = (struct holder){
		.local.port = le16toh(wire.local_port),
		.remote.port = le16toh(wire.remote_port),
		.cookie = le64toh(wire.cookie),
		.netns = le32toh(wire.netns),
		.protocol = wire.protocol,
		.family = wire.family,
		.state = wire.state,
		.mini = wire.mini,
		.reuseaddr = wire.reuseaddr,
		.reuseport = wire.reuseport,
		.v6only = wire.v6only,
		.ifindex = le32toh(wire.ifindex),
		.uid = le32toh(wire.uid),
		.inode = le32toh(wire.inode),
		.expires_ms = le32toh(wire.expires_ms),
		.others = le32toh(wire.others),
		.owner = { .pid = le32toh(wire.pid),
			   .tid = le32toh(wire.tid),
			   .uid = le32toh(wire.owner_uid),
			   .start_cs = le32toh(wire.start_cs),
			   .cgroup = le64toh(wire.cgroup) },
	};
	memcpy(holder->local.addr, wire.local, sizeof(wire.local));
	memcpy(holder->remote.addr, wire.remote, sizeof(wire.remote));
	memcpy(holder->owner.comm, wire.comm, sizeof(wire.comm));
	return 0;
}
