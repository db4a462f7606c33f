/* SPDX-License-Identifier: BSD-2-Clause */
/* What the agent shows of itself: the metrics, over HTTP and in a file for the
 * node exporter's textfile collector, and its health. */
#ifndef TCPSAGA_AGENT_BOARD_H
#define TCPSAGA_AGENT_BOARD_H

#include "agent/feed.h"
#include "agent/http.h"

struct board {
	struct feed *feed;     /* borrowed */
	const struct gap *gap; /* borrowed; NULL: none */
	struct watched ring;
	struct watched tables;
};

void board__init(struct board *board, struct feed *feed);

/* Once a second: remembers what has risen. */
void board__watch(struct board *board, uint64_t now_ns);

/* For http__new(), with a struct board as context. */
extern const struct http_page agent_pages[];

/* The metrics. */
void board__metrics(struct board *board, struct strbuf *out);

/* Writes the metrics to a file that is there whole or not at all. 0 or -errno. */
int board__write_textfile(struct board *board, const char *path);

#endif
