/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The agent's configuration files: INI, read by libinih. In the section [agent] each
 * key is named as the long option of the command line, whose value it takes. Later
 * files win, and the command line over all of them.
 */
#ifndef TCPSAGA_AGENT_CONFIG_H
#define TCPSAGA_AGENT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

enum { CONFIG_KEYS_MAX = 1024, CONFIG_WHERE_MAX = 512 };

struct config_files {
	char *values[CONFIG_KEYS_MAX]; /* owned: what was read stays valid until fini */
	unsigned int count;
	unsigned int files; /* that were there and read */
};

/* A key of a section with its value; where is "FILE:LINE: ", for what is said of it.
 * value is valid until config_files__fini(). 0 or an exit status, after one line. */
typedef int (*config_take_fn)(void *context, const char *section, const char *key, const char *value,
			      const char *where);

/*
 * Reads the file at path, or with NULL those of the system:
 * /usr/lib/tcpsaga/agent.conf, /etc/tcpsaga/agent.conf, and /etc/tcpsaga/agent.conf.d
 * (*.conf, by name), each of which may be missing. 0 or an exit status, after one line.
 */
int config_files__read(struct config_files *files, const char *path, config_take_fn take, void *context);
void config_files__fini(struct config_files *files);

#endif
