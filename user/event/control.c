// SPDX-License-Identifier: BSD-2-Clause
#include "event/control.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* Zero behind what there is: room for later versions. */
struct wire_request {
	char magic[8];
	uint16_t version;
	uint16_t length;
	uint32_t wants;
	uint8_t zero[16];
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
_Static_assert(sizeof(struct wire_reply) == CONTROL_REPLY_BYTES, "replies changed their size");

static const char ask[8] = { '\x89', 't', 's', 'a', 'g', 'a', '?', '\n' };
static const char answer[8] = { '\x89', 't', 's', 'a', 'g', 'a', '!', '\n' };

void control_request__encode(const struct control_request *request, uint8_t bytes[CONTROL_REQUEST_BYTES])
{
	struct wire_request wire = { .version = htole16(CONTROL_VERSION),
				     .length = htole16(sizeof(wire)),
				     .wants = htole32(request->wants) };

	memcpy(wire.magic, ask, sizeof(ask));
	memcpy(bytes, &wire, sizeof(wire));
}

int control_request__decode(struct control_request *request, const uint8_t *bytes, size_t len)
{
	static const uint8_t zero[16];
	struct wire_request wire;

	if (memcmp(bytes, ask, len < sizeof(ask) ? len : sizeof(ask)) || len > sizeof(wire))
		return -EBADMSG;
	if (len < sizeof(wire))
		return 1;
	memcpy(&wire, bytes, sizeof(wire));
	if (le16toh(wire.version) > CONTROL_VERSION)
		return -ENOTSUP;
	if (!wire.version || le16toh(wire.length) != sizeof(wire) || memcmp(wire.zero, zero, sizeof(zero)))
		return -EBADMSG;
	request->wants = le32toh(wire.wants);
	return request->wants & ~(uint32_t)CONTROL_WANTS ? -EBADMSG : 0;
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
