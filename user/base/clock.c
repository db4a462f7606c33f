// SPDX-License-Identifier: BSD-2-Clause
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/decimal.h"

static uint64_t read_clock(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock__boot_ns(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

uint64_t clock__realtime_offset_ns(void)
{
	return read_clock(CLOCK_REALTIME) - read_clock(CLOCK_BOOTTIME);
}

void utc_formatter__init(struct utc_formatter *formatter, uint64_t offset_ns)
{
	*formatter = (struct utc_formatter){ .offset_ns = offset_ns, .second = UINT64_MAX };
}

static void format_second(struct utc_formatter *formatter, uint64_t second)
{
	time_t seconds = (time_t)second;
	char text[UTC_TEXT_LEN + 1];
	struct tm tm;

	/* A recording may claim any time; one that has no date is shown as 0. */
	if (!gmtime_r(&seconds, &tm) || tm.tm_year > 9999 - 1900 ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.000000Z", &tm) != UTC_TEXT_LEN)
		memcpy(text, "0000-00-00T00:00:00.000000Z", UTC_TEXT_LEN);
	memcpy(formatter->text, text, UTC_TEXT_LEN);
	formatter->second = second;
}

/* In its place at once, the digits last: to copy what was just written in pieces would have
 * the processor wait for them. */
char *utc_formatter__write(struct utc_formatter *formatter, char *at, uint64_t boot_ns)
{
	uint64_t ns = boot_ns + formatter->offset_ns;
	uint64_t second = ns / NS_PER_S;

	if (second != formatter->second)
		format_second(formatter, second);
	memcpy(at, formatter->text, UTC_TEXT_LEN);
	decimal__write_6(at + 20, (uint32_t)(ns % NS_PER_S / NS_PER_US));
	return at + UTC_TEXT_LEN;
}

const char *utc_formatter__format(struct utc_formatter *formatter, uint64_t boot_ns)
{
	utc_formatter__write(formatter, formatter->shown, boot_ns);
	return formatter->shown;
}
