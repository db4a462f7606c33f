/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libmicrohttpd, which is loaded when it is needed: with gnutls and ten more libraries
 * behind it the loader takes 6 ms, a tenth of the time in which a capture starts, and none
 * but an agent that serves metrics has a use for it.
 */
#ifndef TCPSAGA_AGENT_MHD_H
#define TCPSAGA_AGENT_MHD_H

#include <microhttpd.h>
#include <stddef.h>

/* Its functions, each by its name without MHD_. */
struct mhd {
	__typeof__(&MHD_start_daemon) start_daemon;
	__typeof__(&MHD_stop_daemon) stop_daemon;
	__typeof__(&MHD_run) run;
	__typeof__(&MHD_get_timeout) get_timeout;
	__typeof__(&MHD_get_daemon_info) get_daemon_info;
	__typeof__(&MHD_create_response_from_buffer) create_response_from_buffer;
	__typeof__(&MHD_destroy_response) destroy_response;
	__typeof__(&MHD_add_response_header) add_response_header;
	__typeof__(&MHD_queue_response) queue_response;
};

/* The same at each call, and for good: to be called by one thread, and before the process
 * gives up its right to open files. NULL, with one sentence in message, where it is missing. */
const struct mhd *mhd__load(char *message, size_t size);

#endif
