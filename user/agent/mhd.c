// SPDX-License-Identifier: BSD-2-Clause
#include "agent/mhd.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>

/* dlsym() returns an object's address where ISO C knows no way from that to a function. */
static bool find(void *library, const char *name, void *function)
{
	void **place = function;

	*place = dlsym(library, name);
	return *place != NULL;
}

static bool find_all(void *library, struct mhd *mhd)
{
	return find(library, "MHD_start_daemon", &mhd->start_daemon) &&
	       find(library, "MHD_stop_daemon", &mhd->stop_daemon) &&
	       find(library, "MHD_run", &mhd->run) &&
	       find(library, "MHD_get_timeout", &mhd->get_timeout) &&
	       find(library, "MHD_get_daemon_info", &mhd->get_daemon_info) &&
	       find(library, "MHD_create_response_from_buffer", &mhd->create_response_from_buffer) &&
	       find(library, "MHD_destroy_response", &mhd->destroy_response) &&
	       find(library, "MHD_add_response_header", &mhd->add_response_header) &&
	       find(library, "MHD_queue_response", &mhd->queue_response);
}

/* It stays: libraries behind it do not expect to be unloaded. */
const struct mhd *mhd__load(char *message, size_t size)
{
	static struct mhd mhd;
	void *library;

	if (mhd.queue_response)
		return &mhd;
	library = dlopen(LIBMICROHTTPD, RTLD_NOW | RTLD_LOCAL);
	if (library && find_all(library, &mhd))
		return &mhd;
	snprintf(message, size, "cannot load libmicrohttpd: %s; install it, or serve no metrics",
		 dlerror());
	return NULL;
}
