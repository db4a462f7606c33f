// SPDX-License-Identifier: BSD-2-Clause
#include "agent/onlooker.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "model/export.h"

enum {
	WRITE_BYTES = 1 << 20,	/* at a time, so that the ring is looked at in between */
	KEEP_BYTES = 256 << 10, /* an empty queue that has grown beyond this is given back */
};

void onlooker__init(struct onlooker *onlooker, int fd, const struct control_request *request,
		    uint64_t now_ns)
{
	*onlooker = (struct onlooker){ .fd = fd, .request = *request, .since_ns = now_ns };
}

void onlooker__fini(struct onlooker *onlooker)
{
	if (onlooker->fd >= 0)
		close(onlooker->fd);
	strbuf__fini(&onlooker->known);
	strbuf__fini(&onlooker->queue);
	onlooker->fd = -1;
}

/* ---- what is known ---- */

static void put_frame(struct onlooker *onlooker, struct strbuf *buf, const void *record, size_t len)
{
	char *at = strbuf__grow(buf, RECORDING_FRAME_BYTES + len);

	if (!at)
		return;
	recording_seal__frame(&onlooker->seal, record, len, at);
	buf->len += RECORDING_FRAME_BYTES + len;
}

static void put_known(void *context, const void *record, size_t len)
{
	struct onlooker *onlooker = context;
	const struct ev_header *header = record;

	onlooker->attempted += header->kind < LEDGER_KINDS;
	put_frame(onlooker, &onlooker->known, record, len);
}

static void put_head(struct onlooker *onlooker, const struct capture_info *info)
{
	const struct control_reply reply = { .status = CONTROL_OK };
	char *at = strbuf__grow(&onlooker->known, CONTROL_REPLY_BYTES + RECORDING_HEAD_BYTES);

	if (!at)
		return;
	control_reply__encode(&reply, (uint8_t *)at);
	recording_seal__head(&onlooker->seal, info, at + CONTROL_REPLY_BYTES);
	onlooker->known.len += CONTROL_REPLY_BYTES + RECORDING_HEAD_BYTES;
}

int onlooker__tell(struct onlooker *onlooker, const struct capture_info *info, const struct model *model,
		   bool narrowed, uint64_t now_ns)
{
	struct capture_info ours = *info;

	/* To its reader the stream begins now, and this is where it comes from. */
	ours.start_ns = now_ns;
	memset(ours.source, 0, sizeof(ours.source));
	memcpy(ours.source, "agent", sizeof("agent"));
	put_head(onlooker, &ours);
	model__export(model, now_ns, narrowed, put_known, onlooker);
	onlooker->told = true;
	onlooker->since_ns = now_ns;
	return onlooker->known.failed ? -ENOMEM : 0;
}

int onlooker__tell_holders(struct onlooker *onlooker, const struct holders *holders, int error,
			   uint64_t now_ns)
{
	const struct control_reply reply = { .status = CONTROL_OK };
	struct control_head head = { .error = error };
	size_t size = CONTROL_REPLY_BYTES + CONTROL_HEAD_BYTES;
	uint8_t *at;

	if (!error && holders->count > CONTROL_HOLDERS_MAX)
		head.error = -E2BIG;
	if (!head.error)
		head = (struct control_head){ .taken_ns = holders->taken_ns,
					      .count = (uint32_t)holders->count,
					      .unseen = holders->unseen,
					      .options_error = holders->options_error,
					      .netns_visited = holders->netns_visited };
	size += (size_t)head.count * CONTROL_HOLDER_BYTES;
	onlooker->told = onlooker->ending = true;
	onlooker->since_ns = now_ns;
	at = (uint8_t *)strbuf__grow(&onlooker->known, size);
	if (!at)
		return -ENOMEM;
	control_reply__encode(&reply, at);
	control_head__encode(&head, at + CONTROL_REPLY_BYTES);
	at += CONTROL_REPLY_BYTES + CONTROL_HEAD_BYTES;
	for (uint32_t i = 0; i < head.count; i++)
		control_holder__encode(&holders->list[i], at + (size_t)i * CONTROL_HOLDER_BYTES);
	onlooker->known.len += size;
	return 0;
}

/* ---- the queue ---- */

size_t onlooker__queued(const struct onlooker *onlooker)
{
	return onlooker->known.len - onlooker->known_done + onlooker->queue.len - onlooker->queue_done;
}

static size_t room_of(const struct onlooker *onlooker, size_t limit)
{
	size_t used = onlooker->queue.len - onlooker->queue_done;

	return used < limit ? limit - used : 0;
}

/* Into a queue that has room for it. */
static bool enqueue(struct onlooker *onlooker, const void *record, size_t len)
{
	struct strbuf *queue = &onlooker->queue;
	size_t before;

	if (queue->len + RECORDING_FRAME_BYTES + len > ONLOOKER_QUEUE_BYTES + ONLOOKER_RESERVE_BYTES &&
	    onlooker->queue_done) {
		queue->len -= onlooker->queue_done;
		memmove(queue->data, queue->data + onlooker->queue_done, queue->len);
		onlooker->queue_done = 0;
	}
	before = queue->len;
	put_frame(onlooker, queue, record, len);
	queue->failed = false; /* no memory: as if it was full */
	return queue->len > before;
}

static void add_gap(struct onlooker *onlooker, unsigned int reason, unsigned int kind, uint64_t count,
		    uint64_t since_ns)
{
	struct onlooker_gap *gap = &onlooker->gaps[reason][kind < LEDGER_KINDS ? kind : 0];

	if (!gap->count || since_ns < gap->since_ns)
		gap->since_ns = since_ns;
	gap->count += count;
	onlooker->lost[reason] += count;
	onlooker->has_gaps = true;
}

static bool put_gap(struct onlooker *onlooker, unsigned int reason, unsigned int kind, uint64_t now_ns)
{
	struct onlooker_gap *gap = &onlooker->gaps[reason][kind];
	const struct ev_loss loss = {
		.header = { .len = sizeof(loss),
			    .version = EV_VERSION,
			    .kind = EV_LOSS,
			    .time_ns = now_ns > gap->since_ns ? now_ns : gap->since_ns },
		.since_ns = gap->since_ns,
		.count = gap->count,
		.reason = reason,
		.of_kind = kind,
	};

	if (!gap->count)
		return true;
	if (!enqueue(onlooker, &loss, sizeof(loss)))
		return false;
	*gap = (struct onlooker_gap){ 0 };
	return true;
}

static void put_gaps(struct onlooker *onlooker, uint64_t now_ns)
{
	bool all = true;

	for (unsigned int reason = 1; reason < EV_LOSS_REASON_END; reason++)
		for (unsigned int kind = 0; kind < LEDGER_KINDS; kind++)
			all &= put_gap(onlooker, reason, kind, now_ns);
	onlooker->has_gaps = !all;
	onlooker->dropped &= !all;
}

static void drop(struct onlooker *onlooker, const struct ev_header *record)
{
	if (record->kind < LEDGER_KINDS) {
		add_gap(onlooker, EV_LOST_QUEUE_FULL, record->kind, 1, record->time_ns);
		onlooker->dropped = true;
	} else if (record->kind == EV_SOCKET) {
		onlooker->torn_dump = true;
	} else if (record->kind == EV_LISTENER) {
		onlooker->torn_sample_ns = record->time_ns;
	}
}

/* The end of a sample that did not come whole. */
static bool ends_torn(struct onlooker *onlooker, const struct ev_header *record)
{
	if (record->kind == EV_SAMPLED)
		return onlooker->torn_sample_ns && onlooker->torn_sample_ns == record->time_ns;
	if (record->kind != EV_DUMP)
		return false;
	if (!((const struct ev_dump *)record)->states) {
		onlooker->torn_dump = false;
		return false;
	}
	return onlooker->torn_dump;
}

/* What the kernel lost is lost to this reader, too. */
static void take_loss(struct onlooker *onlooker, const struct ev_loss *loss)
{
	onlooker->attempted += loss->count;
	add_gap(onlooker, loss->reason, loss->of_kind, loss->count, loss->since_ns);
}

void onlooker__offer(struct onlooker *onlooker, const struct ev_header *record)
{
	size_t limit = ONLOOKER_QUEUE_BYTES, need = RECORDING_FRAME_BYTES + record->len;

	if (!onlooker->told || onlooker->ending || record->kind == EV_STOP)
		return;
	if (record->kind == EV_LOSS)
		take_loss(onlooker, (const struct ev_loss *)record);
	/* Behind records that were dropped some room is asked for, lest a queue that is
	 * full is told one by one. */
	if (onlooker->has_gaps &&
	    room_of(onlooker, limit) >= (onlooker->dropped ? ONLOOKER_QUEUE_BYTES / 2 : 1))
		put_gaps(onlooker, record->time_ns);
	if (record->kind == EV_LOSS || ends_torn(onlooker, record))
		return;
	onlooker->attempted += record->kind < LEDGER_KINDS;
	/* The name of a cgroup is told once. */
	if (record->kind == EV_CGROUP)
		limit += ONLOOKER_RESERVE_BYTES / 2;
	if ((onlooker->dropped && record->kind < LEDGER_KINDS) || room_of(onlooker, limit) < need ||
	    !enqueue(onlooker, record, record->len))
		drop(onlooker, record);
}

void onlooker__end(struct onlooker *onlooker, uint64_t now_ns)
{
	struct ev_stop stop = {
		.header = { .len = sizeof(stop), .version = EV_VERSION, .kind = EV_STOP, .time_ns = now_ns },
		.attempted = onlooker->attempted
	};

	if (onlooker->ending)
		return;
	onlooker->ending = true;
	if (onlooker->has_gaps)
		put_gaps(onlooker, now_ns);
	memcpy(stop.lost, onlooker->lost, sizeof(stop.lost));
	enqueue(onlooker, &stop, sizeof(stop));
}

uint64_t onlooker__dropped(const struct onlooker *onlooker)
{
	return onlooker->lost[EV_LOST_QUEUE_FULL];
}

/* ---- writing ---- */

/* One write of buf. 1: all of it is written; 0: not yet; -errno. */
static int write_some(struct onlooker *onlooker, struct strbuf *buf, size_t *done, uint64_t now_ns)
{
	size_t len = buf->len - *done;
	ssize_t n;

	if (!len)
		return 1;
	n = send(onlooker->fd, buf->data + *done, len < WRITE_BYTES ? len : WRITE_BYTES,
		 MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0) {
		onlooker->blocked = errno == EAGAIN;
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	onlooker->since_ns = now_ns;
	*done += (size_t)n;
	return *done == buf->len;
}

int onlooker__write(struct onlooker *onlooker, uint64_t now_ns)
{
	int written = write_some(onlooker, &onlooker->known, &onlooker->known_done, now_ns);

	if (written <= 0)
		return written;
	if (onlooker->known.capacity) {
		strbuf__fini(&onlooker->known);
		onlooker->known_done = 0;
	}
	written = write_some(onlooker, &onlooker->queue, &onlooker->queue_done, now_ns);
	if (written <= 0)
		return written;
	onlooker->queue_done = 0;
	if (onlooker->queue.capacity > KEEP_BYTES)
		strbuf__fini(&onlooker->queue);
	else
		strbuf__clear(&onlooker->queue);
	return 1;
}
