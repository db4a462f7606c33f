/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts that the JSON of every view is made of (json.c). */
#ifndef TCPSAGA_OUTPUT_JSON_PARTS_H
#define TCPSAGA_OUTPUT_JSON_PARTS_H

#include "base/clock.h"
#include "base/strbuf.h"
#include "event/connection.h"
#include "model/owners.h"

/* {"addr":"10.0.0.1","port":80} */
void json__end(struct strbuf *out, const struct endpoint *end);

/* ,"process":{...}, without its cgroup */
void json__process(struct strbuf *out, const struct owner *owner, struct utc_formatter *starts);

/* 0x1f3a, without quotes */
void json__hex(struct strbuf *out, uint64_t value);

#endif
