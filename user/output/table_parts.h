/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tables of every view are made of (table.c), and the views that have files of
 * their own. */
#ifndef TCPSAGA_OUTPUT_TABLE_PARTS_H
#define TCPSAGA_OUTPUT_TABLE_PARTS_H

#include "base/text.h"
#include "base/wrap.h"
#include "output/printer.h"

/* Columns; a word that is longer pushes the rest of its line. */
enum {
	END_WIDTH = 21, /* 255.255.255.255:65535 */
	END_WIDTH_NARROW = 17,
	END_WIDTH_IPV6 = 45,
	INDENT = 4,
};

/* Whether the terminal has no room for all columns of trace. */
bool table__is_narrow(const struct printer *printer);

void table__pad_to(struct strbuf *out, size_t line_start, size_t column);

/* Behind a column of which so much is used: pads it to its width, and adds a gap. */
void table__end_column(struct strbuf *out, unsigned int used, unsigned int width);

void table__heading(struct strbuf *out, const char *text, unsigned int width);

/* Without the blanks behind its last column. */
void table__finish_line(struct strbuf *out);

void table__clock(struct printer *printer, uint64_t time_ns);
unsigned int table__clock_width(const struct printer *printer);

/* "10.0.0.1:80 ", "[::1]:* ", "?:80 " */
void table__end(struct strbuf *out, const uint8_t addr[16], uint16_t port, bool known, unsigned int width);

/* "nginx/4711"; returns how many columns that takes. */
unsigned int table__process(struct strbuf *out, const struct owner *owner);

/* The same as a column, with --wide also where systemd or a container runtime has put it. */
void table__process_column(struct printer *printer, const struct owner *owner);
void table__process_heading(struct printer *printer);

/* Three significant figures at most: "412us", "3.12ms", "60.0s", "2h03m". As a column
 * where width is not 0. */
void table__duration(struct strbuf *out, uint64_t ns, unsigned int width);

/* Broken behind each mark where the terminal is narrow. */
void table__pieces(struct wrap *wrap, struct strbuf *out, const struct strbuf *line, char mark);

/* ---- the views; see struct printer_ops ---- */

void table__lives_heading(struct printer *printer);
void table__life(struct printer *printer, const struct change *change);

void table__listeners_heading(struct printer *printer);
void table__listener(struct printer *printer, const struct listener *listener, const struct owner *owner,
		     const struct queue_quality *quality, uint64_t time_ns);
void table__netns(struct printer *printer, const struct namespace *ns, uint64_t time_ns);
void table__queues_end(struct printer *printer, const struct queue_quality *quality,
		       const struct not_kept *not_kept, uint64_t time_ns);

void table__waits_heading(struct printer *printer);
void table__waits(struct printer *printer, const struct wait_group *group, const struct owner *owner,
		  uint64_t time_ns);
void table__ports(struct printer *printer, const struct port_use *use, const struct ev_dump *settings,
		  uint64_t time_ns);
void table__census(struct printer *printer, const struct census_row *row, bool estimated,
		   uint64_t time_ns);

#endif
