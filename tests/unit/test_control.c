/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/event/control.c: what is not exactly a request is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event/control.c"

static void a_request_comes_in_pieces(void **state)
{
	const struct control_request sent = {.wants = CONTROL_ONCE | CONTROL_QUEUES};
	uint8_t bytes[CONTROL_REQUEST_BYTES + 1] = {0};
	struct control_request got = {0};

	(void)state;
	control_request__encode(&sent, bytes);
	for (size_t len = 1; len < CONTROL_REQUEST_BYTES; len++)
		assert_int_equal(control_request__decode(&got, bytes, len), 1);
	assert_int_equal(control_request__decode(&got, bytes, CONTROL_REQUEST_BYTES), 0);
	assert_int_equal(got.wants, sent.wants);
	assert_int_equal(control_request__decode(&got, bytes, CONTROL_REQUEST_BYTES + 1), -EBADMSG);
}

/* The first byte that is wrong ends it, where the magic is concerned. */
static void garbage_is_known_at_once(void **state)
{
	uint8_t bytes[CONTROL_REQUEST_BYTES];
	struct control_request got;

	(void)state;
	for (size_t i = 0; i < sizeof(ask); i++) {
		control_request__encode(&(struct control_request){.wants = 0}, bytes);
		bytes[i] ^= 1;
		assert_int_equal(control_request__decode(&got, bytes, i + 1), -EBADMSG);
	}
	assert_int_equal(control_request__decode(&got, (const uint8_t *)"GET / HTTP/1.1", 14), -EBADMSG);
}

static void each_other_field_is_checked(void **state)
{
	struct control_request got;

	(void)state;
	for (size_t i = sizeof(ask); i < CONTROL_REQUEST_BYTES; i++) {
		uint8_t bytes[CONTROL_REQUEST_BYTES];

		control_request__encode(&(struct control_request){.wants = 0}, bytes);
		bytes[i] ^= 0x80;
		/* A version of the future is told apart, for the answer. */
		assert_int_equal(control_request__decode(&got, bytes, sizeof(bytes)),
				 i == 8 || i == 9 ? -ENOTSUP : -EBADMSG);
	}
}

static void a_reply_comes_back(void **state)
{
	const struct control_reply sent = {.status = CONTROL_BUSY, .text = "too many"};
	uint8_t bytes[CONTROL_REPLY_BYTES];
	struct control_reply got;

	(void)state;
	control_reply__encode(&sent, bytes);
	assert_int_equal(control_reply__decode(&got, bytes), 0);
	assert_int_equal(got.status, CONTROL_BUSY);
	assert_string_equal(got.text, "too many");
	bytes[12] = CONTROL_STATUS_END;
	assert_int_equal(control_reply__decode(&got, bytes), -EBADMSG);
	bytes[8] = CONTROL_VERSION + 1;
	assert_int_equal(control_reply__decode(&got, bytes), -ENOTSUP);
	bytes[0] = 0;
	assert_int_equal(control_reply__decode(&got, bytes), -EBADMSG);
}

static void a_port_is_asked_about_by_a_version_of_its_own(void **state)
{
	const struct control_request sent = {.wants = CONTROL_HOLDERS, .port = 8080, .netns = 0xf0000001};
	uint8_t bytes[CONTROL_REQUEST_BYTES];
	struct control_request got;

	(void)state;
	control_request__encode(&(struct control_request){.wants = CONTROL_ONCE}, bytes);
	assert_int_equal(bytes[8], CONTROL_VERSION);
	bytes[20] = 1; /* port and namespace are for holders only */
	assert_int_equal(control_request__decode(&got, bytes, sizeof(bytes)), -EBADMSG);
	control_request__encode(&sent, bytes);
	assert_int_equal(bytes[8], CONTROL_VERSION_HOLDERS);
	assert_int_equal(control_request__decode(&got, bytes, sizeof(bytes)), 0);
	assert_int_equal(got.wants, CONTROL_HOLDERS);
	assert_int_equal(got.port, 8080);
	assert_int_equal(got.netns, 0xf0000001);
	bytes[8] = CONTROL_VERSION;
	assert_int_equal(control_request__decode(&got, bytes, sizeof(bytes)), -EBADMSG);
	control_request__encode(&(struct control_request){.wants = CONTROL_HOLDERS}, bytes);
	assert_int_equal(control_request__decode(&got, bytes, sizeof(bytes)), -EBADMSG);
	for (size_t i = 22; i < sizeof(bytes); i++) {
		control_request__encode(&sent, bytes);
		bytes[i] = 1;
		assert_int_equal(control_request__decode(&got, bytes, sizeof(bytes)), -EBADMSG);
	}
}

static void a_head_comes_back(void **state)
{
	const struct control_head sent = {.taken_ns = 1ULL << 40, .count = 7, .unseen = 5,
					  .options_error = -EPERM, .netns_visited = 3};
	uint8_t bytes[CONTROL_HEAD_BYTES];
	struct control_head got;

	(void)state;
	control_head__encode(&sent, bytes);
	assert_int_equal(control_head__decode(&got, bytes), 0);
	assert_int_equal(got.taken_ns, sent.taken_ns);
	assert_int_equal(got.count, sent.count);
	assert_int_equal(got.unseen, sent.unseen);
	assert_int_equal(got.error, sent.error);
	assert_int_equal(got.options_error, sent.options_error);
	assert_int_equal(got.netns_visited, sent.netns_visited);
	control_head__encode(&(struct control_head){.count = 1, .error = -ESRCH}, bytes);
	assert_int_equal(control_head__decode(&got, bytes), -EBADMSG);
	control_head__encode(&(struct control_head){.count = CONTROL_HOLDERS_MAX + 1}, bytes);
	assert_int_equal(control_head__decode(&got, bytes), -EBADMSG);
	for (size_t i = 28; i < sizeof(bytes); i++) {
		control_head__encode(&sent, bytes);
		bytes[i] ^= 1;
		assert_int_equal(control_head__decode(&got, bytes), -EBADMSG);
	}
}

static void a_holder_comes_back(void **state)
{
	struct holder sent = {.cookie = 1ULL << 50, .netns = 2, .protocol = IPPROTO_UDP, .family = AF_INET6,
			      .state = EV_LISTEN, .mini = true, .reuseaddr = ANSWER_YES,
			      .reuseport = ANSWER_NO, .v6only = ANSWER_YES, .ifindex = 3, .uid = 4, .inode = 5,
			      .expires_ms = 6, .others = 7,
			      .owner = {.pid = 8, .tid = 9, .uid = 10, .start_cs = 11, .cgroup = 12,
					.comm = "holder"}};
	uint8_t bytes[CONTROL_HOLDER_BYTES];
	struct holder got;

	(void)state;
	memset(sent.local.addr, 0x11, sizeof(sent.local.addr));
	memset(sent.remote.addr, 0x22, sizeof(sent.remote.addr));
	sent.local.port = 80;
	sent.remote.port = 40000;
	control_holder__encode(&sent, bytes);
	assert_int_equal(control_holder__decode(&got, bytes), 0);
	assert_memory_equal(&got, &sent, sizeof(got));
	/* From the protocol on each byte is one of few; the last of comm is its end. */
	for (size_t i = offsetof(struct wire_holder, protocol); i < sizeof(bytes); i++) {
		if (i >= offsetof(struct wire_holder, comm) && i < sizeof(bytes) - 1)
			continue;
		control_holder__encode(&sent, bytes);
		bytes[i] = 0xee;
		assert_int_equal(control_holder__decode(&got, bytes), -EBADMSG);
	}
}

/* Whatever is in memory behind it, a text ends. */
static void a_text_without_an_end_is_refused(void **state)
{
	uint8_t bytes[CONTROL_REPLY_BYTES];
	struct control_reply reply;

	(void)state;
	memset(reply.text, 'x', sizeof(reply.text));
	reply.status = CONTROL_FORBIDDEN;
	control_reply__encode(&reply, bytes);
	assert_int_equal(control_reply__decode(&reply, bytes), 0);
	assert_int_equal(strlen(reply.text), sizeof(reply.text) - 1);
	memset(bytes + 16, 'x', sizeof(reply.text));
	assert_int_equal(control_reply__decode(&reply, bytes), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_comes_in_pieces),
		cmocka_unit_test(garbage_is_known_at_once),
		cmocka_unit_test(each_other_field_is_checked),
		cmocka_unit_test(a_reply_comes_back),
		cmocka_unit_test(a_port_is_asked_about_by_a_version_of_its_own),
		cmocka_unit_test(a_head_comes_back),
		cmocka_unit_test(a_holder_comes_back),
		cmocka_unit_test(a_text_without_an_end_is_refused),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
