/* SPDX-License-Identifier: BSD-2-Clause */
/* What the JSON of every view is made of (json.c), and the views that have files of
 * their own. Where they take a printer they append to its buffer. */
#ifndef TCPSAGA_OUTPUT_JSON_PARTS_H
#define TCPSAGA_OUTPUT_JSON_PARTS_H

#include "base/clock.h"
#include "base/strbuf.h"
#include "event/connection.h"
#include "model/owners.h"
#include "output/printer.h"

#define LITERAL(buf, text) strbuf__append(buf, text, sizeof(text) - 1)

/* {"v":1,"type":"TYPE","ts":"...", and the end of the line. */
void json__open(struct printer *printer, const char *type, uint64_t time_ns);
void json__close(struct printer *printer);

/* "2026-11-23T21:57:23.320665Z", with quotes. boot_ns: boot time. */
void json__time(struct printer *printer, uint64_t boot_ns);

/* {"addr":"10.0.0.1","port":80} */
void json__end(struct strbuf *out, const struct endpoint *end);

/* ,"process":{...}, with its cgroup; kept for the lines to come. */
void json__owner(struct printer *printer, const struct owner *owner);

/* The same without its cgroup, and without a printer. */
void json__process(struct strbuf *out, const struct owner *owner, struct utc_formatter *starts);

/* 0x1f3a, without quotes */
void json__hex(struct strbuf *out, uint64_t value);

/* A key with all of its punctuation, as ,"role":" and ,"syns": are, and what stands
 * behind it. word: one of our own, NULL for none at all. */
void json__word(struct strbuf *out, const char *key, const char *word);
void json__count(struct strbuf *out, const char *key, uint64_t count);

/* The place of a step at a listener: listener (id 0: not known), netns, both ends (remote_port 0: one). */
void json__place_at_listener(struct strbuf *out, uint64_t listener, uint32_t netns,
			     const uint8_t local[16], uint16_t local_port, const uint8_t remote[16],
			     uint16_t remote_port);

/* ---- the views; see struct printer_ops ---- */

void json__listener(struct printer *printer, const struct listener *listener, const struct owner *owner,
		    const struct queue_quality *quality, uint64_t time_ns);
void json__netns(struct printer *printer, const struct namespace *ns, uint64_t time_ns);
void json__queues_end(struct printer *printer, const struct queue_quality *quality,
		      const struct not_kept *not_kept, uint64_t time_ns);
void json__waits(struct printer *printer, const struct wait_group *group, const struct owner *owner,
		 uint64_t time_ns);
void json__ports(struct printer *printer, const struct port_use *use, const struct ev_dump *settings,
		 uint64_t time_ns);
void json__census(struct printer *printer, const struct census_row *row, bool estimated, uint64_t time_ns);
void json__finding(struct printer *printer, const struct finding *finding);

#endif
