/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer entry: whatever is sent to the control socket, in pieces of any size, is
 * one request, not yet one, or refused for good; and what is accepted is what we would
 * have sent. The same for the agent's reply.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "event/control.c"

static void require(bool truth)
{
	if (!truth)
		abort();
}

static void check_request(const uint8_t *bytes, size_t len)
{
	struct control_request request = { 0 };
	uint8_t again[CONTROL_REQUEST_BYTES];
	int before = 1, now;

	for (size_t got = 1; got <= len; got++) {
		now = control_request__decode(&request, bytes, got);
		require(now == 0 || now == 1 || now == -EBADMSG || now == -ENOTSUP);
		require(now != 0 || got == CONTROL_REQUEST_BYTES);
		require(before != -EBADMSG || now == -EBADMSG);
		before = now;
		if (now)
			continue;
		control_request__encode(&request, again);
		require(request.wants <= CONTROL_WANTS);
		require(bytes[8] != CONTROL_VERSION || !memcmp(bytes, again, sizeof(again)));
	}
}

static void check_reply(const uint8_t *bytes)
{
	struct control_reply reply;
	int err = control_reply__decode(&reply, bytes);

	require(err == 0 || err == -EBADMSG || err == -ENOTSUP);
	if (!err)
		require(reply.status < CONTROL_STATUS_END && memchr(reply.text, 0, sizeof(reply.text)));
}

/* An answer about a port: what is accepted comes through another round as it is. */
static void check_head(const uint8_t *bytes)
{
	uint8_t first[CONTROL_HEAD_BYTES], second[CONTROL_HEAD_BYTES];
	struct control_head head;

	if (control_head__decode(&head, bytes))
		return;
	require(head.count <= (head.error ? 0 : CONTROL_HOLDERS_MAX) && head.error <= 0 && head.options_error <= 0);
	control_head__encode(&head, first);
	require(!control_head__decode(&head, first));
	control_head__encode(&head, second);
	require(!memcmp(first, bytes, sizeof(first)) && !memcmp(first, second, sizeof(first)));
}

static void check_holder(const uint8_t *bytes)
{
	uint8_t first[CONTROL_HOLDER_BYTES], second[CONTROL_HOLDER_BYTES];
	struct holder holder;

	if (control_holder__decode(&holder, bytes))
		return;
	require(memchr(holder.owner.comm, 0, sizeof(holder.owner.comm)));
	control_holder__encode(&holder, first);
	require(!control_holder__decode(&holder, first));
	control_holder__encode(&holder, second);
	require(!memcmp(first, second, sizeof(first)));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1); /* exact, for the sanitizer */

	if (!copy)
		return 0;
	memcpy(copy, input, size);
	check_request(copy, size);
	if (size >= CONTROL_REPLY_BYTES)
		check_reply(copy);
	if (size >= CONTROL_HEAD_BYTES)
		check_head(copy);
	if (size >= CONTROL_HOLDER_BYTES)
		check_holder(copy);
	free(copy);
	return 0;
}
