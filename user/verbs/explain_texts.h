/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `tcpsaga explain` knows: one text for each topic.
 *
 * A text is paragraphs, separated by empty lines; one that begins with "- " is an
 * item. Braces hold what is filled in when it is told:
 *   {somaxconn}    a setting, by the last part of its name (source/netstat.h)
 *   {ports}        how many ports connect() has for one destination
 *   {#TIME_WAIT}   how many sockets are in this state now
 *   {rate60}       connections a second to one destination at which those ports
 *                  are used up by TIME_WAIT alone
 */
#ifndef TCPSAGA_VERBS_EXPLAIN_TEXTS_H
#define TCPSAGA_VERBS_EXPLAIN_TEXTS_H

#include <stddef.h>

struct explain_topic {
	const char *name;
	const char *also; /* other names, separated by blanks; NULL none */
	const char *summary;
	const char *text;
};

extern const struct explain_topic explain_topics[];
extern const size_t explain_topic_count;

#endif
