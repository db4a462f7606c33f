/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is wrong with a filter, shown to whoever wrote it: the message, the
 * words, and a caret under the place. filter_parse.c finds the mistake; the
 * verbs' options print what comes out of here. The words may hold a stranger's
 * data, so none of them reaches the terminal without a look at every byte.
 */
#include "event/filter_tree.h"

#include <string.h>

/*
 * The bytes of the character at text that may go to a terminal, 0 if it may
 * not: control characters (C0, DEL, C1) and whatever is not UTF-8, since a
 * terminal may take a stray byte for a C1 control.
 */
static size_t printable_bytes(const char *text, size_t len)
{
	/* By length: the lowest code point that needs it, above the controls. */
	static const uint32_t lowest[] = { 0, 0x20, 0xa0, 0x800, 0x10000 };
	unsigned char first = (unsigned char)text[0];
	size_t bytes = first < 0x80	? 1 :
		       first >> 5 == 6	? 2 :
		       first >> 4 == 14 ? 3 :
		       first >> 3 == 30 ? 4 :
					  0;
	uint32_t code = bytes < 2 ? first : first & 0x7fU >> bytes;

	if (!bytes || bytes > len)
		return 0;
	for (size_t i = 1; i < bytes; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < lowest[bytes] || code == 0x7f || code > 0x10ffff || code >> 11 == 0x1b)
		return 0;
	return bytes;
}

void filter_error__hide_controls(struct filter_error *error)
{
	char *text = error->message;
	size_t len = strlen(text), bytes;

	for (size_t at = 0; at < len; at += bytes ? bytes : 1) {
		bytes = printable_bytes(text + at, len - at);
		if (!bytes)
			text[at] = '?';
	}
}

/* Where filter__explain() writes: counts on when the room is used up. */
struct output {
	char *text;
	size_t size;
	size_t len;
};

static void put(struct output *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++, out->len++)
		if (out->len < out->size)
			out->text[out->len] = text[i];
}

/* One character of the joined text, which is at byte `at`, in either line. */
static size_t put_character(struct output *out, const char *text, size_t len, size_t at,
			    const struct filter_error *carets)
{
	size_t bytes = printable_bytes(text, len);

	if (!carets)
		put(out, bytes ? text : "?", bytes ? bytes : 1);
	else if (at == carets->begin)
		put(out, "^", 1);
	else if (at < carets->end)
		put(out, at > carets->begin ? "~" : " ", 1);
	return bytes ? bytes : 1;
}

/* The joined text, or with carets the line under it. */
static void put_line(struct output *out, const char *const *words, size_t count,
		     const struct filter_error *carets)
{
	size_t at = 0; /* in the joined text */

	put(out, "  ", 2);
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(words[i]), done = 0;

		if (i)
			at += put_character(out, " ", 1, at, carets);
		while (done < len)
			done += put_character(out, words[i] + done, len - done, at + done, carets);
		at += len;
	}
	put(out, "\n", 1);
}

int filter__explain(const struct filter_error *error, const char *const *words, size_t count, char *out,
		    size_t size)
{
	struct output output = { .text = out, .size = size };

	put(&output, error->message, strlen(error->message));
	put(&output, "\n", 1);
	put_line(&output, words, count, NULL);
	put_line(&output, words, count, error);
	if (size)
		out[output.len < size ? output.len : size - 1] = '\0';
	return (int)output.len;
}
