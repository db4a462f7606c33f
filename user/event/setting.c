// SPDX-License-Identifier: BSD-2-Clause
#include "event/setting.h"

#include <string.h>

static const char *const names[EV_SETTING_END] = {
	[EV_SET_SOMAXCONN] = "net.core.somaxconn",
	[EV_SET_MAX_SYN_BACKLOG] = "net.ipv4.tcp_max_syn_backlog",
	[EV_SET_SYNCOOKIES] = "net.ipv4.tcp_syncookies",
	[EV_SET_SYNACK_RETRIES] = "net.ipv4.tcp_synack_retries",
	[EV_SET_SYN_RETRIES] = "net.ipv4.tcp_syn_retries",
	[EV_SET_ABORT_ON_OVERFLOW] = "net.ipv4.tcp_abort_on_overflow",
	[EV_SET_TW_REUSE] = "net.ipv4.tcp_tw_reuse",
	[EV_SET_FIN_TIMEOUT] = "net.ipv4.tcp_fin_timeout",
	[EV_SET_MAX_TW_BUCKETS] = "net.ipv4.tcp_max_tw_buckets",
	[EV_SET_PORT_LOW] = "port_low",
	[EV_SET_PORT_HIGH] = "port_high",
	[EV_SET_EPHEMERAL_PORTS] = "ephemeral_ports",
};

const char *setting__name(unsigned int setting)
{
	return setting < EV_SETTING_END && strchr(names[setting], '.') ? names[setting] : 0;
}

const char *setting__word(unsigned int setting)
{
	const char *dot = setting < EV_SETTING_END ? strrchr(names[setting], '.') : 0;

	if (setting >= EV_SETTING_END)
		return 0;
	return dot ? dot + 1 : names[setting];
}
