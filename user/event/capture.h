/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TCPSAGA_EVENT_CAPTURE_H
#define TCPSAGA_EVENT_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

/* What a capture says of itself, kept in the file's head so that a replay
 * prints the same start line as the live run. */
struct capture_info {
	uint64_t realtime_offset_ns; /* CLOCK_REALTIME - CLOCK_BOOTTIME */
	uint64_t start_ns;	     /* boot time when the probes were attached */
	char kernel[64];	     /* uname -r, NUL-terminated */
	char tool[32];		     /* version of tcpsaga that captured */
	char source[16];	     /* "live" */
	char hooks[512];	     /* "state=tp_btf syn=fentry ...": space-separated pairs */
};

/* The kind of a hook, as in the start line: "fentry"; "none" when it does not
 * work or was not wanted. */
void capture_info__hook_kind(const struct capture_info *info, const char *hook, char kind[16]);
bool capture_info__has_hook(const struct capture_info *info, const char *hook);

#endif
