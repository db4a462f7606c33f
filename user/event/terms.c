// SPDX-License-Identifier: BSD-2-Clause
#include "event/terms.h"

#include <string.h>
#include <sys/socket.h>

#include "event/connection.h"

static bool listed(const struct kernel_filter_ports *ports, uint16_t port)
{
	for (uint32_t i = 0; i < ports->count; i++)
		if (ports->port[i] == port)
			return true;
	return !ports->count;
}

static bool within(const struct kernel_filter_net *net, const uint8_t address[16])
{
	for (int i = 0; i < 16; i++)
		if ((address[i] & net->mask[i]) != net->address[i])
			return false;
	return true;
}

bool terms__pass(const struct kernel_filter *terms, const struct ev_socket *socket)
{
	bool v4 = addr__is_v4(socket->remote);

	if (terms->netns && socket->netns != terms->netns)
		return false;
	if (terms->family && v4 != (terms->family == AF_INET))
		return false;
	return listed(&terms->local_ports, socket->local_port) &&
	       listed(&terms->remote_ports, socket->remote_port) &&
	       (listed(&terms->either_ports, socket->local_port) ||
		listed(&terms->either_ports, socket->remote_port)) &&
	       within(&terms->local_net, socket->local) && within(&terms->remote_net, socket->remote) &&
	       (within(&terms->either_net, socket->local) || within(&terms->either_net, socket->remote));
}
