// SPDX-License-Identifier: BSD-2-Clause
#include "event/capture.h"

#include <stdio.h>
#include <string.h>

void capture_info__hook_kind(const struct capture_info *info, const char *hook, char kind[16])
{
	const char *word = info->hooks;
	size_t len = strlen(hook);

	strcpy(kind, "none");
	for (; *word; word += strspn(word, " ")) {
		size_t size = strcspn(word, " ");

		if (size > len && size - len < 16 && !memcmp(word, hook, len) && word[len] == '=')
			snprintf(kind, 16, "%.*s", (int)(size - len - 1), word + len + 1);
		word += size;
	}
}

bool capture_info__has_hook(const struct capture_info *info, const char *hook)
{
	char kind[16];

	capture_info__hook_kind(info, hook, kind);
	return strcmp(kind, "none") != 0;
}
