/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of user/source/agent_source.c: what an agent answers about a port, whole,
 * cut in every place, or refused. The agent is a double in a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.c"
#include "base/decimal.c"
#include "event/control.c"

#define ask ask_agent /* control.c has one of its own */
#include "source/agent_source.c"

/* The stream of records is not for here. */
struct recording_reader *recording_reader__of(int fd, struct capture_info *info)
{
	(void)fd, (void)info;
	return NULL;
}

int recording_reader__next(struct recording_reader *reader, const void **data, size_t *len)
{
	(void)reader, (void)data, (void)len;
	return 0;
}

bool recording_reader__has_next(const struct recording_reader *reader)
{
	(void)reader;
	return false;
}

void recording_reader__free(struct recording_reader *reader)
{
	(void)reader;
}

void holders__fini(struct holders *holders)
{
	free(holders->list);
	*holders = (struct holders){ 0 };
}

enum { ROWS = 2, ANSWER_BYTES = CONTROL_REPLY_BYTES + CONTROL_HEAD_BYTES + ROWS * CONTROL_HOLDER_BYTES };

static const struct control_head two = { .taken_ns = 5, .count = ROWS, .netns_visited = 3 };

static void write_answer(uint8_t bytes[ANSWER_BYTES], const struct control_head *head)
{
	struct holder holder = {
		.protocol = IPPROTO_TCP, .family = AF_INET, .state = EV_LISTEN, .local.port = 8080, .owner.pid = 7
	};

	control_reply__encode(&(struct control_reply){ .status = CONTROL_OK }, bytes);
	bytes += CONTROL_REPLY_BYTES;
	control_head__encode(head, bytes);
	bytes += CONTROL_HEAD_BYTES;
	for (int i = 0; i < ROWS; i++, holder.owner.pid++)
		control_holder__encode(&holder, bytes + i * CONTROL_HOLDER_BYTES);
}

/* Whoever asks gets these bytes, and then the end. */
static pid_t serve(struct sockaddr_un *address, const uint8_t *bytes, size_t len)
{
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	uint8_t request[CONTROL_REQUEST_BYTES];
	pid_t pid;

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof(address->sun_path), "/tmp/test_agent_source.%d", (int)getpid());
	unlink(address->sun_path);
	assert_int_equal(bind(listener, (const struct sockaddr *)address, sizeof(*address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	pid = fork();
	if (!pid) {
		int fd = accept(listener, NULL, NULL);

		recv(fd, request, sizeof(request), MSG_WAITALL);
		_exit(send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len);
	}
	close(listener);
	return pid;
}

/* What becomes of the first len bytes of the answer with this head. */
static int answered(const struct control_head *head, size_t len, struct holders *holders, char message[256])
{
	uint8_t bytes[ANSWER_BYTES];
	struct sockaddr_un address;
	int status, err;
	pid_t pid;

	write_answer(bytes, head);
	pid = serve(&address, bytes, len);
	*message = 0;
	err = agent_source__holders(holders, address.sun_path, 8080, 1, message, 256);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	unlink(address.sun_path);
	return err;
}

static void a_whole_answer_is_taken(void **state)
{
	struct holders holders;
	char message[256];

	(void)state;
	assert_int_equal(answered(&two, ANSWER_BYTES, &holders, message), 0);
	assert_string_equal(message, "");
	assert_int_equal(holders.count, ROWS);
	assert_int_equal(holders.list[0].owner.pid, 7);
	assert_int_equal(holders.list[1].owner.pid, 8);
	assert_int_equal(holders.list[1].local.port, 8080);
	assert_int_equal(holders.netns_visited, 3);
	holders__fini(&holders);
}

/* Nothing of it is told: who would read it takes it for all there is. */
static void a_cut_answer_is_none(void **state)
{
	struct holders holders;
	char message[256];

	(void)state;
	for (size_t len = 1; len < ANSWER_BYTES; len += 13) {
		assert_int_equal(answered(&two, len, &holders, message), -EBADMSG);
		assert_null(holders.list);
		assert_int_equal(holders.count, 0);
		assert_non_null(strstr(message, len < CONTROL_REPLY_BYTES ? "does not answer as an agent does" :
									  "damaged, or cut"));
	}
}

static void what_the_agent_cannot_do_is_said(void **state)
{
	static const struct {
		int error;
		const char *says;
	} cases[] = { { -EOPNOTSUPP, "it reads a recording" },
		      { -ESRCH, "no such network namespace" },
		      { -EPERM, "Operation not permitted" } };
	struct holders holders;
	char message[256];

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		const struct control_head head = { .error = cases[i].error };

		assert_int_equal(answered(&head, CONTROL_REPLY_BYTES + CONTROL_HEAD_BYTES, &holders, message),
				 cases[i].error);
		assert_non_null(strstr(message, cases[i].says));
	}
}

static void nobody_listens(void **state)
{
	struct holders holders;
	char message[256];

	(void)state;
	assert_int_equal(agent_source__holders(&holders, "/nowhere/control.sock", 1, 1, message, sizeof(message)), -ENOENT);
	assert_non_null(strstr(message, "no agent listens at /nowhere/control.sock"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_answer_is_taken),
		cmocka_unit_test(a_cut_answer_is_none),
		cmocka_unit_test(what_the_agent_cannot_do_is_said),
		cmocka_unit_test(nobody_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
