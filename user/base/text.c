// SPDX-License-Identifier: BSD-2-Clause
#include "base/text.h"

#include <stdint.h>

static bool is_tail(unsigned char byte)
{
	return (byte & 0xc0) == 0x80;
}

unsigned int utf8__sequence(const unsigned char *s, size_t len)
{
	if (len >= 1 && s[0] < 0x80)
		return 1;
	if (len >= 2 && s[0] >= 0xc2 && s[0] <= 0xdf && is_tail(s[1]))
		return 2;
	if (len >= 3 && (s[0] & 0xf0) == 0xe0 && is_tail(s[1]) && is_tail(s[2])) {
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
			return 0;
		return 3;
	}
	if (len >= 4 && s[0] >= 0xf0 && s[0] <= 0xf4 && is_tail(s[1]) && is_tail(s[2]) && is_tail(s[3])) {
		if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

static void json_escape(struct strbuf *buf, unsigned char code)
{
	static const char hex[] = "0123456789abcdef";

	strbuf__str(buf, "\\u00");
	strbuf__char(buf, hex[code >> 4]);
	strbuf__char(buf, hex[code & 15]);
}

static void json_ascii(struct strbuf *buf, unsigned char c)
{
	if (c == '"' || c == '\\') {
		strbuf__char(buf, '\\');
		strbuf__char(buf, (char)c);
	} else if (c < ' ' || c == 0x7f) {
		json_escape(buf, c);
	} else {
		strbuf__char(buf, (char)c);
	}
}

/* U+0080 to U+009F: a terminal takes them for control characters, and JSON does
 * get printed on one. */
static bool is_c1_sequence(const unsigned char *s, unsigned int n)
{
	return n == 2 && s[0] == 0xc2 && s[1] < 0xa0;
}

bool text__json(struct strbuf *buf, const char *bytes, size_t len)
{
	const unsigned char *s = (const unsigned char *)bytes;
	bool whole = true;

	strbuf__char(buf, '"');
	for (size_t i = 0; i < len;) {
		unsigned int n = utf8__sequence(s + i, len - i);

		if (n == 1) {
			json_ascii(buf, s[i]);
		} else if (is_c1_sequence(s + i, n)) {
			json_escape(buf, s[i + 1]);
		} else if (n) {
			strbuf__append(buf, s + i, n);
		} else {
			strbuf__str(buf, "\xef\xbf\xbd");
			whole = false;
			n = 1;
		}
		i += n;
	}
	strbuf__char(buf, '"');
	return whole;
}

static uint32_t code_point(const unsigned char *s, unsigned int n)
{
	static const unsigned char first[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t code = s[0] & first[n];

	for (unsigned int i = 1; i < n; i++)
		code = code << 6 | (s[i] & 0x3f);
	return code;
}

/* C0, DEL, C1 (a terminal takes U+009B for CSI), and what reorders or hides
 * text: zero-width and directional formatting, line separators, BOM. */
static bool is_hostile(uint32_t code)
{
	return code < ' ' || (code >= 0x7f && code <= 0x9f) || code == 0x061c ||
	       (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

unsigned int utf8__harmless(const unsigned char *s, size_t len)
{
	unsigned int n = utf8__sequence(s, len);

	return n && !is_hostile(code_point(s, n)) ? n : 0;
}

unsigned int text__plain(struct strbuf *buf, const char *bytes, size_t len)
{
	const unsigned char *s = (const unsigned char *)bytes;
	unsigned int columns = 0;

	for (size_t i = 0; i < len; columns++) {
		unsigned int n = utf8__harmless(s + i, len - i);

		if (n)
			strbuf__append(buf, s + i, n);
		else
			strbuf__char(buf, '?');
		if (!n)
			n = utf8__sequence(s + i, len - i);
		i += n ? n : 1;
	}
	return columns;
}
