/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names and texts of what a connection is made of. Addresses are formatted for
 * every event that is shown, so that is done here without inet_ntop(): it asks
 * for the family first, copies twice, and writes ::ffff:10.0.0.1 where an
 * operator looks for 10.0.0.1.
 */
#include "event/connection.h"

#include <stddef.h>
#include <string.h>

static const char role_names[ROLE_END][NAME_TEXT_ROOM] = {
	[ROLE_CLIENT] = "client",
	[ROLE_SERVER] = "server",
	[ROLE_BOTH] = "both",
	[ROLE_LISTENER] = "listener",
};

const char *role__name(enum role role)
{
	return (unsigned int)role < ROLE_END && role_names[role][0] ? role_names[role] : NULL;
}

/* A copy of fixed length is two instructions; one of the name's is a call. */
static char *write_name(char *at, const char name[NAME_TEXT_ROOM])
{
	memcpy(at, name, NAME_TEXT_ROOM);
	return at + strlen(name);
}

char *role__write(char *at, enum role role)
{
	return write_name(at, role_names[(unsigned int)role < ROLE_END ? role : 0]);
}

static const char state_names[EV_STATE_END][NAME_TEXT_ROOM] = {
	[0] = "?",
	[EV_ESTABLISHED] = "ESTABLISHED",
	[EV_SYN_SENT] = "SYN_SENT",
	[EV_SYN_RECV] = "SYN_RECV",
	[EV_FIN_WAIT1] = "FIN_WAIT1",
	[EV_FIN_WAIT2] = "FIN_WAIT2",
	[EV_TIME_WAIT] = "TIME_WAIT",
	[EV_STATE_CLOSE] = "CLOSE",
	[EV_CLOSE_WAIT] = "CLOSE_WAIT",
	[EV_LAST_ACK] = "LAST_ACK",
	[EV_LISTEN] = "LISTEN",
	[EV_CLOSING] = "CLOSING",
};

const char *state__name(unsigned int state)
{
	return state_names[state < EV_STATE_END ? state : 0];
}

char *state__write(char *at, unsigned int state)
{
	return write_name(at, state__name(state));
}

/* Not tolower(), which asks the locale. */
static char to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Where the spelling has a '-', the text may have '-', '_' or nothing. */
static bool is_spelled(const char *spelling, const char *text, unsigned int len)
{
	const char *end = text + len;

	for (; *spelling; spelling++) {
		if (*spelling == '-') {
			text += text < end && (*text == '-' || *text == '_');
			continue;
		}
		if (text == end || to_lower(*text) != *spelling)
			return false;
		text++;
	}
	return text == end;
}

unsigned int state__parse(const char *text, unsigned int len)
{
	static const struct {
		const char *spelling;
		unsigned int state;
	} states[] = {
		{ "established", EV_ESTABLISHED },
		{ "estab", EV_ESTABLISHED },
		{ "syn-sent", EV_SYN_SENT },
		{ "syn-recv", EV_SYN_RECV },
		{ "syn-rcvd", EV_SYN_RECV },
		{ "syn-received", EV_SYN_RECV }, /* RFC 9293 */
		{ "fin-wait-1", EV_FIN_WAIT1 },
		{ "fin-wait-2", EV_FIN_WAIT2 },
		{ "time-wait", EV_TIME_WAIT },
		{ "close", EV_STATE_CLOSE },
		{ "closed", EV_STATE_CLOSE },
		{ "unconn", EV_STATE_CLOSE }, /* ss, of a socket with no peer */
		{ "close-wait", EV_CLOSE_WAIT },
		{ "last-ack", EV_LAST_ACK },
		{ "listen", EV_LISTEN },
		{ "listening", EV_LISTEN },
		{ "closing", EV_CLOSING },
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (is_spelled(states[i].spelling, text, len))
			return states[i].state;
	return 0;
}

unsigned int addr__family(const uint8_t addr[16])
{
	return addr__is_v4(addr) ? 4 : 6;
}

/*
 * The writers below have no branches on the digits: random addresses make one for
 * each digit cost more than the digits. What is written too much of a byte, or of a
 * leading zero, the next one goes over.
 */
#define FIRST_OF(n) ((n) >= 100 ? '0' + (n) / 100 : (n) >= 10 ? '0' + (n) / 10 : '0' + (n))
#define SECOND_OF(n) ((n) >= 100 ? '0' + (n) / 10 % 10 : (n) >= 10 ? '0' + (n) % 10 : '.')
#define THIRD_OF(n) ((n) >= 100 ? '0' + (n) % 10 : '.')
#define BYTE(n)                                             \
	{                                                   \
		FIRST_OF(n), SECOND_OF(n), THIRD_OF(n), '.' \
	}
#define BYTES_4(n) BYTE(n), BYTE((n) + 1), BYTE((n) + 2), BYTE((n) + 3)
#define BYTES_16(n) BYTES_4(n), BYTES_4((n) + 4), BYTES_4((n) + 8), BYTES_4((n) + 12)
#define BYTES_64(n) BYTES_16(n), BYTES_16((n) + 16), BYTES_16((n) + 32), BYTES_16((n) + 48)

/* Each byte of an IPv4 address with the dot behind it. */
static const char byte_texts[256][4] = { BYTES_64(0), BYTES_64(64), BYTES_64(128), BYTES_64(192) };

static char *put_byte(char *at, unsigned int byte)
{
	memcpy(at, byte_texts[byte], sizeof(byte_texts[byte]));
	return at + 2 + (byte >= 10) + (byte >= 100);
}

static char *put_hex(char *at, unsigned int group)
{
	static const char digits[] = "0123456789abcdef";

	*at = digits[group >> 12];
	at += group >= 0x1000;
	*at = digits[group >> 8 & 15];
	at += group >= 0x100;
	*at = digits[group >> 4 & 15];
	at += group >= 0x10;
	*at++ = digits[group & 15];
	return at;
}

static unsigned int format_v4(const uint8_t byte[4], char *out)
{
	char *at = out;

	for (int i = 0; i < 4; i++)
		at = put_byte(at, byte[i]);
	return (unsigned int)(at - 1 - out);
}

/* The first of the longest runs of set bits in groups, its length in *len.
 * Each round shortens every run by one at its end, so that what is left last
 * are the beginnings of the longest. */
static unsigned int longest_run(unsigned int groups, unsigned int *len)
{
	unsigned int left = 0;

	for (*len = 0; groups; groups &= groups >> 1) {
		left = groups;
		(*len)++;
	}
	return left ? (unsigned int)__builtin_ctz(left) : 0;
}

/* RFC 5952, section 4: no leading zeros, lower case, and "::" for the longest
 * run of zero groups, the first of equals, but never for a single group.
 * Eight times four digits and a ':' are ADDR_TEXT_MAX bytes. */
static unsigned int format_v6(const uint8_t addr[16], char *out)
{
	unsigned int group[8], zeros = 0, first, len;
	char *at = out;

	for (unsigned int i = 0; i < 8; i++) {
		group[i] = (unsigned int)addr[2 * i] << 8 | addr[2 * i + 1];
		zeros |= (unsigned int)!group[i] << i;
	}
	first = longest_run(zeros, &len);
	if (len < 2)
		first = 8;
	for (unsigned int i = 0; i < 8; i++) {
		if (i == first) {
			if (i == 0)
				*at++ = ':';
			*at++ = ':';
			i += len - 1;
			continue;
		}
		at = put_hex(at, group[i]);
		*at++ = ':';
	}
	if (first == 8 || first + len < 8)
		at--; /* the ':' after the last group */
	return (unsigned int)(at - out);
}

unsigned int addr__format(const uint8_t addr[16], char *out)
{
	return addr__is_v4(addr) ? format_v4(addr + 12, out) : format_v6(addr, out);
}
