// SPDX-License-Identifier: BSD-2-Clause
#include "verbs/agent_sinks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config.h"
#include "base/clock.h"
#include "base/log.h"
#include "verbs/options.h"

enum {
	WISH_NAME_MAX = 40,
	KEEP_DEFAULT = 5,
	KEEP_MAX = 1000,
	FILTER_MAX_BYTES = 4096,
};

/* What a section has said itself. */
enum {
	SAID_TO = 1 << 0,
	SAID_LEVEL = 1 << 1,
	SAID_SIZE = 1 << 2,
	SAID_AGE = 1 << 3,
	SAID_KEEP = 1 << 4,
	SAID_COMPRESS = 1 << 5,
};

struct sink_wish {
	char name[WISH_NAME_MAX + 1]; /* of its section; "" for --json */
	char where[CONFIG_WHERE_MAX]; /* of its place, or its first key */
	char filter_where[CONFIG_WHERE_MAX];
	struct sink_config config;
	unsigned int said;     /* SAID_* */
	bool off;	       /* to = off */
	char *own_filter;      /* owned; NULL: none */
	char *filter_text;     /* owned, with the agent's own; NULL: as the agent's */
	struct filter *filter; /* owned, with the agent's own; NULL: as the agent's */
};

const char *const sink_keys[] = { "to",		 "level",      "filter",   "rotate-size", "rotate-age",
				  "rotate-keep", "queue-size", "compress", NULL };

void sinks_wanted__init(struct sinks_wanted *wanted)
{
	*wanted = (struct sinks_wanted){ .presets.keep = KEEP_DEFAULT };
}

void sinks_wanted__fini(struct sinks_wanted *wanted)
{
	for (unsigned int i = 0; i < wanted->count; i++) {
		free(wanted->wishes[i].own_filter);
		free(wanted->wishes[i].filter_text);
		filter__free(wanted->wishes[i].filter);
	}
	free(wanted->wishes);
	*wanted = (struct sinks_wanted){ 0 };
}

/* ---- values ---- */

static int wants(const char *where, const char *key, const char *what, const char *value)
{
	return fail(EXIT_USAGE, "%s%s%s wants %s, not \"%s\"", where,
		    strcmp(where, "agent: ") ? "" : "--", key, what, value);
}

/* A whole number above 0, and what stands behind it. */
static bool parse_number(const char *value, uint64_t *number, const char **behind)
{
	char *end;

	errno = 0;
	*number = strtoull(value, &end, 10);
	*behind = end;
	return end != value && !errno && *value >= '0' && *value <= '9' && *number;
}

static int parse_size(const char *key, const char *value, const char *where, uint64_t *size)
{
	static const char units[] = "KMG";
	const char *unit;
	uint64_t bytes;
	unsigned int shift = 0;

	if (!parse_number(value, &bytes, &unit))
		return wants(where, key, "bytes above 0", value);
	if (*unit && strchr(units, *unit))
		shift = 10 * ((unsigned int)(strchr(units, *unit) - units) + 1), unit++;
	if (*unit || bytes > UINT64_MAX >> shift)
		return wants(where, key, "bytes, or bytes with K, M or G", value);
	*size = bytes << shift;
	return 0;
}

static int parse_age(const char *key, const char *value, const char *where, uint64_t *age_ns)
{
	const char *end;
	uint64_t seconds;

	if (!parse_number(value, &seconds, &end) || *end || seconds > UINT64_MAX / NS_PER_S)
		return wants(where, key, "seconds above 0", value);
	*age_ns = seconds * NS_PER_S;
	return 0;
}

static int parse_keep(const char *key, const char *value, const char *where, unsigned int *keep)
{
	const char *end = value;
	uint64_t number = 0;

	if ((!parse_number(value, &number, &end) && strcmp(value, "0") != 0) || number > KEEP_MAX ||
	    (number && *end))
		return wants(where, key, "a number up to 1000", value);
	*keep = (unsigned int)number;
	return 0;
}

static int parse_compress(const char *key, const char *value, const char *where, bool *compress)
{
	if (strcmp(value, "zstd") != 0 && strcmp(value, "off") != 0)
		return wants(where, key, "zstd or off", value);
	*compress = *value == 'z';
	return 0;
}

static int parse_queue(const char *value, const char *where, size_t *bytes)
{
	uint64_t size = 0;
	int status = parse_size("queue-size", value, where, &size);

	if (!status && (size < SINK_QUEUE_MIN || size > OUTLETS_QUEUES_BYTES / 2))
		status = wants(where, "queue-size", "64K to 64M", value);
	*bytes = (size_t)size;
	return status;
}

/* What a section says and the agent's options, too: into config, and which it was into
 * said. An exit status; -1: the key is none of these. */
static int take_rotation(struct sink_config *config, unsigned int *said, const char *key,
			 const char *value, const char *where)
{
	if (!strcmp(key, "rotate-size")) {
		*said |= SAID_SIZE;
		return parse_size(key, value, where, &config->rotate_bytes);
	}
	if (!strcmp(key, "rotate-age")) {
		*said |= SAID_AGE;
		return parse_age(key, value, where, &config->rotate_ns);
	}
	if (!strcmp(key, "rotate-keep")) {
		*said |= SAID_KEEP;
		return parse_keep(key, value, where, &config->keep);
	}
	if (strcmp(key, "compress") != 0)
		return -1;
	*said |= SAID_COMPRESS;
	return parse_compress(key, value, where, &config->compress);
}

int sinks_wanted__preset(struct sinks_wanted *wanted, const char *key, const char *value, const char *where)
{
	unsigned int said = 0;
	int status = take_rotation(&wanted->presets, &said, key, value, where);

	return status < 0 ? fail(EXIT_USAGE, "%sunknown key \"%s\"", where, key) : status;
}

/* ---- wishes ---- */

/* NULL after a line, with *status. */
static struct sink_wish *new_wish(struct sinks_wanted *wanted, const char *name, const char *where,
				  int *status)
{
	struct sink_wish *wishes;

	if (wanted->count == OUTLETS_MAX) {
		*status = fail(EXIT_USAGE, "%smore than %d sinks", where, OUTLETS_MAX);
		return NULL;
	}
	wishes = reallocarray(wanted->wishes, wanted->count + 1, sizeof(*wishes));
	if (!wishes) {
		*status = fail(EXIT_FAILED, "out of memory");
		return NULL;
	}
	wanted->wishes = wishes;
	wishes += wanted->count++;
	*wishes = (struct sink_wish){ .config.level = LEVEL_CONNECTIONS };
	snprintf(wishes->name, sizeof(wishes->name), "%s", name);
	snprintf(wishes->where, sizeof(wishes->where), "%s", where);
	return wishes;
}

/* Where it goes. A level behind it yields to the key. */
static int take_place(struct sink_wish *wish, const char *key, const char *value, const char *where)
{
	struct sink_config parsed;
	char message[160];

	snprintf(wish->where, sizeof(wish->where), "%s", where);
	wish->said |= SAID_TO;
	wish->off = *wish->name && !strcmp(value, "off");
	if (wish->off)
		return 0;
	if (sink_config__parse(&parsed, value, message, sizeof(message)))
		return fail(EXIT_USAGE, "%s%s \"%s\": %s", where, key, value, message);
	wish->config.kind = parsed.kind;
	memcpy(wish->config.path, parsed.path, sizeof(parsed.path));
	if (!(wish->said & SAID_LEVEL))
		wish->config.level = parsed.level;
	return 0;
}

int sinks_wanted__add(struct sinks_wanted *wanted, const char *text, const char *where)
{
	int status = 0;
	struct sink_wish *wish = new_wish(wanted, "", where, &status);

	return wish ? take_place(wish, "--json", text, where) : status;
}

static int take_level(struct sink_wish *wish, const char *value, const char *where)
{
	char message[160];
	int level = sink_level__parse(value, message, sizeof(message));

	if (level < 0)
		return fail(EXIT_USAGE, "%s%s", where, message);
	wish->config.level = (enum sink_level)level;
	wish->said |= SAID_LEVEL;
	return 0;
}

/* One that stands in several lines is read as one. */
static int take_filter(struct sink_wish *wish, const char *value, const char *where)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", wish->own_filter ? wish->own_filter : "",
		     wish->own_filter ? " " : "", value) < 0)
		return fail(EXIT_FAILED, "out of memory");
	free(wish->own_filter);
	wish->own_filter = joined;
	snprintf(wish->filter_where, sizeof(wish->filter_where), "%s", where);
	if (strlen(joined) > FILTER_MAX_BYTES)
		return fail(EXIT_USAGE, "%sthe filter is longer than %d bytes", where, FILTER_MAX_BYTES);
	return 0;
}

static int unknown_key(const char *key, const char *where)
{
	const char *nearest = options__nearest(key, sink_keys);

	if (nearest)
		return fail(EXIT_USAGE, "%sunknown key \"%s\": did you mean %s?", where, key, nearest);
	return fail(EXIT_USAGE, "%sunknown key \"%s\" of a sink; see tcpsaga agent --help", where, key);
}

static struct sink_wish *find_wish(struct sinks_wanted *wanted, const char *name)
{
	for (unsigned int i = 0; i < wanted->count; i++)
		if (!strcmp(wanted->wishes[i].name, name))
			return &wanted->wishes[i];
	return NULL;
}

int sinks_wanted__take(struct sinks_wanted *wanted, const char *name, const char *key, const char *value,
		       const char *where)
{
	struct sink_wish *wish;
	int status = 0;

	if (!*name || strlen(name) > WISH_NAME_MAX)
		return fail(EXIT_USAGE, "%s[sink NAME] wants a name of up to %d bytes", where,
			    WISH_NAME_MAX);
	wish = find_wish(wanted, name);
	if (!wish)
		wish = new_wish(wanted, name, where, &status);
	if (!wish)
		return status;
	if (!strcmp(key, "to"))
		return take_place(wish, key, value, where);
	if (!strcmp(key, "level"))
		return take_level(wish, value, where);
	if (!strcmp(key, "filter"))
		return take_filter(wish, value, where);
	if (!strcmp(key, "queue-size"))
		return parse_queue(value, where, &wish->config.queue_bytes);
	status = take_rotation(&wish->config, &wish->said, key, value, where);
	return status < 0 ? unknown_key(key, where) : status;
}

/* ---- settling ---- */

static void take_presets(struct sink_wish *wish, const struct sink_config *presets)
{
	struct sink_config *config = &wish->config;

	if (!(wish->said & SAID_SIZE))
		config->rotate_bytes = presets->rotate_bytes;
	if (!(wish->said & SAID_AGE))
		config->rotate_ns = presets->rotate_ns;
	if (!(wish->said & SAID_KEEP))
		config->keep = presets->keep;
	if (!(wish->said & SAID_COMPRESS))
		config->compress = presets->compress;
	if (!config->queue_bytes)
		config->queue_bytes = SINK_QUEUE_BYTES;
}

static char *join_words(const char *const *words, size_t count)
{
	struct strbuf text;
	char *joined;

	strbuf__init(&text);
	for (size_t i = 0; i < count; i++)
		strbuf__printf(&text, "%s%s", i ? " " : "", words[i]);
	joined = text.failed ? NULL : strdup(strbuf__text(&text));
	strbuf__fini(&text);
	return joined;
}

/* The agent's filter and the sink's own, which must both hold; as text the one above the
 * other, which no two filters have in common that differ. */
static int settle_filter(struct sink_wish *wish, const char *const *words, size_t word_count)
{
	const char *own = wish->own_filter ? wish->own_filter : "";
	char where[CONFIG_WHERE_MAX], *common = join_words(words, word_count);
	struct filter *theirs, *mine = NULL;
	int status, got = common ? asprintf(&wish->filter_text, "%s\n%s", common, own) : -1;

	free(common);
	if (got < 0) {
		wish->filter_text = NULL;
		return fail(EXIT_FAILED, "out of memory");
	}
	snprintf(where, sizeof(where), "%.*s", (int)strlen(wish->filter_where) - 2, wish->filter_where);
	status = wish->own_filter ? options__filter(where, &own, 1, &mine) : 0;
	if (!status)
		status = options__filter("agent", words, word_count, &theirs);
	if (status) {
		filter__free(mine);
		return status;
	}
	wish->filter = filter__and(theirs, mine);
	return wish->filter ? 0 : fail(EXIT_FAILED, "out of memory");
}

static int refuse_twice(const struct sink_wish *wish, const struct agent_config *config)
{
	char name[SINK_NAME_MAX];

	sink_config__name(&wish->config, name);
	for (unsigned int i = 0; i < config->outlet_count; i++)
		if (sink_config__same_place(&config->outlets[i].sink, &wish->config))
			return fail(EXIT_USAGE, "%sanother sink writes to %s already", wish->where, name);
	return 0;
}

/* Each has its queue twice: what waits, and what is being written. */
static int refuse_greed(const struct sink_wish *wish, const struct agent_config *config)
{
	size_t bytes = wish->config.queue_bytes;

	for (unsigned int i = 0; i < config->outlet_count; i++)
		bytes += config->outlets[i].sink.queue_bytes;
	if (bytes * 2 <= OUTLETS_QUEUES_BYTES)
		return 0;
	return fail(EXIT_USAGE,
		    "%sthe queues of %u sinks come to %zu MiB, of %d that there may be: give some a smaller "
		    "queue-size",
		    wish->where, config->outlet_count + 1, bytes * 2 >> 20, OUTLETS_QUEUES_BYTES >> 20);
}

static int settle(struct sinks_wanted *wanted, struct sink_wish *wish, const char *const *words,
		  size_t word_count, struct agent_config *config)
{
	int status;

	if (!(wish->said & SAID_TO))
		return fail(EXIT_USAGE, "%s[sink %s] does not say where to: \"to = FILE\"", wish->where,
			    wish->name);
	if (wish->off)
		return 0;
	take_presets(wish, &wanted->presets);
	status = refuse_twice(wish, config);
	if (!status)
		status = refuse_greed(wish, config);
	if (!status)
		status = settle_filter(wish, words, word_count);
	if (status)
		return status;
	config->outlets[config->outlet_count++] = (struct outlet_config){
		.sink = wish->config,
		.filter = wish->filter,
		.filter_text = wish->filter_text,
	};
	return 0;
}

int sinks_wanted__settle(struct sinks_wanted *wanted, const char *const *words, size_t word_count,
			 struct agent_config *config)
{
	int status = 0;

	for (unsigned int i = 0; i < wanted->count && !status; i++)
		status = settle(wanted, &wanted->wishes[i], words, word_count, config);
	return status;
}
