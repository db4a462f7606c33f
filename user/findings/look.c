// SPDX-License-Identifier: BSD-2-Clause
/* What several rules show as evidence. */
#include "findings/rules.h"

#include "event/setting.h"

void finding__of_service(struct finding *finding, const struct service *service)
{
	finding->role = service->role;
	if (service->role == ROLE_SERVER) {
		finding->local = service->end;
		finding->local_known = true;
	} else {
		finding->remote = service->end;
		finding->remote_known = true;
	}
	finding__endpoint(finding, "service", &service->end);
}

void finding__of_listener(struct finding *finding, const struct look *look, const struct listener *listener)
{
	finding->role = ROLE_SERVER;
	finding->local = listener->local;
	finding->local_known = true;
	finding__endpoint(finding, "service", &listener->local);
	finding__owner(finding, model__owner_at(look->model, listener->owner));
}

void finding__crowd(struct finding *finding, const struct crowd *crowd)
{
	const struct member *first = crowd__first(crowd);

	finding__owner(finding, first ? &first->owner : NULL);
}

bool look__setting(const struct look *look, struct finding *finding, enum ev_setting which, int64_t *value)
{
	const struct ev_settings *settings = model__settings(look->model, finding->netns);

	*value = 0;
	if (!settings || !(settings->known >> which & 1))
		return false;
	*value = settings->values[which];
	finding__count(finding, setting__word(which), (uint64_t)*value);
	return true;
}

uint32_t look__ports(const struct look *look, uint32_t netns)
{
	const struct ev_settings *settings = model__settings(look->model, netns);
	const struct ev_dump *dump = model__dump_of(look->model, netns);

	if (settings && settings->known >> EV_SET_EPHEMERAL_PORTS & 1)
		return (uint32_t)settings->values[EV_SET_EPHEMERAL_PORTS];
	return dump ? dump->ephemeral_ports : 0;
}
