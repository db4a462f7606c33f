// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "verbs/verbs.h"

/* user/output/schema.json, linked in as it is. */
extern const char _binary_schema_json_start[];
extern const char _binary_schema_json_end[];

int verb_schema(int argc, char **argv)
{
	/* cppcheck-suppress comparePointers ; one object, as the linker sees it */
	size_t len = (size_t)(_binary_schema_json_end - _binary_schema_json_start);

	if (argc > 1 && !strcmp(argv[1], "--help")) {
		printf("Usage: tcpsaga schema\nPrint the JSON Schema (draft 2020-12) of everything "
		       "-o json prints.\n\nExamples:\n"
		       "  tcpsaga schema > tcpsaga.schema.json\n"
		       "  tcpsaga schema | jq '.\"$defs\" | keys'\n");
	} else if (argc > 1) {
		return fail(EXIT_USAGE, "schema takes no arguments, not \"%s\"", argv[1]);
	} else {
		fwrite(_binary_schema_json_start, 1, len, stdout);
	}
	if (fflush(stdout) || ferror(stdout))
		return errno == EPIPE ? EXIT_DONE : fail(EXIT_FAILED, "cannot write standard output: %m");
	return EXIT_DONE;
}
