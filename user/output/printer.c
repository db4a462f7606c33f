// SPDX-License-Identifier: BSD-2-Clause
#include "output/printer.h"

void printer__init(struct printer *printer, const struct printer_ops *ops,
		   const struct printer_config *config, uint64_t realtime_offset_ns)
{
	printer->ops = ops;
	printer->config = *config;
	strbuf__init(&printer->out);
	utc_formatter__init(&printer->utc, realtime_offset_ns);
}

void printer__fini(struct printer *printer)
{
	strbuf__fini(&printer->out);
}

const char *loss_reason__name(unsigned int reason)
{
	static const char *const names[EV_LOSS_REASON_END] = {
		[EV_LOST_RING_FULL] = "ring_full",
		[EV_LOST_RECURSION] = "recursion",
	};

	return reason < EV_LOSS_REASON_END && names[reason] ? names[reason] : "?";
}

const char *event_kind__name(unsigned int kind)
{
	switch (kind) {
	case EV_TRANSITION:
	case EV_TRANSITION_OWNED:
	case EV_BIRTH:
	case EV_CLOSE:
		return "transition";
	case EV_SYN:
		return "syn";
	default:
		return "?";
	}
}
