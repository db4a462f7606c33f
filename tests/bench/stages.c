/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What userspace costs per record, stage by stage, on one core and without a
 * kernel: records of its own making go through the modules that tcpsaga is
 * made of. Prints one JSON line per measurement; tests/bench/run makes a table
 * of them.
 *
 *   stages time [LIVE...]   CPU ns per record with so many connections alive
 *                           (1000 100000 1000000), over IPv4 and IPv6
 *   stages memory [LIVE]    bytes per live connection with its history, and
 *                           what is left when all have ended
 *   stages record FILE LIVE a recording of so many whole lives, for replays
 *
 * The connections are at random places in their lives and the next record is
 * that of a random one: nothing is where the cache expects it.
 */
#include <err.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "output/printer.h"
#include "source/recording.h"
#include "verbs/batch.h"
#include "verbs/select.h"

enum {
	CHUNK_RECORDS = 8192, /* made, then measured: about 0.7 MB */
	RECORD_BYTES_MAX = 144,
	STEPS_TO_FULL_HISTORY = 10,
	NETNS = 4026531840U,
	SERVER_PORT = 8080,
	PROCESSES = 64, /* owners, shared by all connections */
	ROUNDS = 5,
	RECORDS_PER_ROUND = 1000000,
	RECORDS_TO_WARM_UP = 4, /* per connection */
};

/* ---- records ------------------------------------------------------------ */

struct connection {
	uint64_t cookie;
	uint32_t number; /* of the slot's tuple */
	uint8_t step;	 /* records told of it */
};

struct world {
	struct connection *all;
	uint32_t live;
	int family;
	uint64_t next_cookie;
	uint64_t now_ns;
	uint64_t random;
	uint32_t next_number;
	size_t used; /* bytes of the chunk */
	unsigned int count;
	_Alignas(8) char chunk[CHUNK_RECORDS * RECORD_BYTES_MAX];
};

static uint64_t next_random(struct world *world)
{
	/* xorshift64: Marsaglia 2003 */
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return world->random;
}

static void put_address(uint8_t to[16], int family, uint32_t host)
{
	static const uint8_t prefix[16] = { 0x20, 0x01, 0x0d, 0xb8, 0xac, 0x10, 0xfe, 0x01,
					    0x02, 0x1b, 0x3a, 0xff };
	uint32_t in_order = htonl(family == AF_INET ? 0x0a000000U | host : 0xfe9a0000U | host);

	memcpy(to, prefix, 12);
	if (family == AF_INET)
		memcpy(to, (const uint8_t[12]){ [10] = 0xff, [11] = 0xff }, 12);
	memcpy(to + 12, &in_order, 4);
}

static bool is_server(const struct connection *c)
{
	return c->number & 1;
}

static uint16_t client_port(const struct connection *c)
{
	return (uint16_t)(32768 + (c->number >> 1) % 28000);
}

static void put_place(struct ev_place *place, const struct world *world, const struct connection *c)
{
	uint32_t client = 0x10000 + (c->number >> 1) / 28000, server = 7;

	*place = (struct ev_place){ .socket_id = c->cookie << 12,
				    .netns = NETNS,
				    .family = (__u8)world->family };
	put_address(place->local, world->family, is_server(c) ? server : client);
	put_address(place->remote, world->family, is_server(c) ? client : server);
}

static void put_owner(struct ev_owner *owner, const struct connection *c)
{
	*owner = (struct ev_owner){ .pid = 1000 + c->number % PROCESSES, .uid = 33,
				    .start_cs = 4711, .cgroup = is_server(c) ? 7 : 8 };
	owner->tid = owner->pid;
	memcpy(owner->comm, is_server(c) ? "nginx" : "php-fpm", is_server(c) ? 5 : 7);
}

static void *add_record(struct world *world, size_t size)
{
	void *record = world->chunk + world->used;

	memset(record, 0, size);
	world->used += size;
	world->count++;
	world->now_ns += 500;
	return record;
}

static void put_transition(struct ev_transition *t, const struct world *world, enum ev_kind kind,
			   size_t size, const struct connection *c, int old_state, int new_state)
{
	bool port_known = old_state != EV_STATE_CLOSE;
	uint16_t port = port_known || is_server(c) ? client_port(c) : 0;

	*t = (struct ev_transition){
		.header = { .len = (__u16)size, .version = EV_VERSION, .kind = (__u8)kind,
			    .time_ns = world->now_ns },
		.conn_id = c->cookie,
		.old_state = (__u8)old_state,
		.new_state = (__u8)new_state,
		.local_port = is_server(c) ? SERVER_PORT : port,
		.remote_port = is_server(c) ? port : SERVER_PORT,
	};
}

static void add_compact(struct world *world, const struct connection *c, int old_state, int new_state)
{
	struct ev_transition *r = add_record(world, sizeof(*r));

	put_transition(r, world, EV_TRANSITION, sizeof(*r), c, old_state, new_state);
}

static void add_owned(struct world *world, const struct connection *c, int old_state, int new_state)
{
	struct ev_transition_owned *r = add_record(world, sizeof(*r));

	put_transition(&r->transition, world, EV_TRANSITION_OWNED, sizeof(*r), c, old_state, new_state);
	r->transition.flags = EV_F_IN_SYSCALL | EV_F_FILE_CLOSED;
	put_owner(&r->owner, c);
}

static void add_birth(struct world *world, const struct connection *c, int old_state, int new_state)
{
	struct ev_birth *r = add_record(world, sizeof(*r));

	put_transition(&r->transition, world, EV_BIRTH, sizeof(*r), c, old_state, new_state);
	put_place(&r->place, world, c);
	if (!is_server(c))
		put_owner(&r->owner, c);
}

static void add_close(struct world *world, const struct connection *c, int old_state)
{
	struct ev_close *r = add_record(world, sizeof(*r));

	put_transition(&r->transition, world, EV_CLOSE, sizeof(*r), c, old_state, EV_STATE_CLOSE);
	put_place(&r->place, world, c);
	r->totals = (struct ev_totals){ .bytes_sent = 120, .bytes_received = 4096 };
}

/* A child's first record has the clone's id only (user/model/children.h). */
static void add_first_of_child(struct world *world, const struct connection *c)
{
	struct connection clone = { .cookie = c->cookie << 12, .number = c->number };

	add_compact(world, &clone, EV_LISTEN, EV_SYN_RECV);
}

static void begin(struct world *world, struct connection *c)
{
	c->cookie = world->next_cookie++;
	c->step = 0;
}

static void step_client(struct world *world, struct connection *c)
{
	switch (c->step++) {
	case 0:
		add_birth(world, c, EV_STATE_CLOSE, EV_SYN_SENT);
		break;
	case 1:
		add_compact(world, c, EV_SYN_SENT, EV_ESTABLISHED);
		break;
	case 2:
		add_owned(world, c, EV_ESTABLISHED, EV_FIN_WAIT1);
		break;
	case 3:
		add_compact(world, c, EV_FIN_WAIT1, EV_FIN_WAIT2);
		break;
	default:
		add_close(world, c, EV_FIN_WAIT2);
		begin(world, c);
	}
}

static void step_server(struct world *world, struct connection *c)
{
	switch (c->step++) {
	case 0:
		add_first_of_child(world, c);
		add_birth(world, c, EV_SYN_RECV, EV_ESTABLISHED);
		break;
	case 1:
		add_compact(world, c, EV_ESTABLISHED, EV_CLOSE_WAIT);
		break;
	case 2:
		add_owned(world, c, EV_CLOSE_WAIT, EV_LAST_ACK);
		break;
	default:
		add_close(world, c, EV_LAST_ACK);
		begin(world, c);
	}
}

static void step(struct world *world, struct connection *c)
{
	if (is_server(c))
		step_server(world, c);
	else
		step_client(world, c);
}

static void clear_chunk(struct world *world)
{
	world->used = 0;
	world->count = 0;
}

static void make_chunk(struct world *world)
{
	clear_chunk(world);
	while (world->count < CHUNK_RECORDS - 1)
		step(world, &world->all[next_random(world) % world->live]);
}

static struct world *new_world(uint32_t live, int family)
{
	struct world *world = calloc(1, sizeof(*world));

	if (!world)
		err(1, "world");
	*world = (struct world){ .live = live, .family = family, .next_cookie = 1,
				 .now_ns = 3600 * NS_PER_S, .random = 0x9e3779b97f4a7c15ULL };
	world->all = calloc(live, sizeof(*world->all));
	if (!world->all)
		err(1, "connections");
	for (uint32_t i = 0; i < live; i++) {
		world->all[i].number = i;
		begin(world, &world->all[i]);
	}
	return world;
}

static void free_world(struct world *world)
{
	free(world->all);
	free(world);
}

/* ---- stages ------------------------------------------------------------- */

struct bench {
	struct model *model;
	struct select select;
	struct filter *filter;
	struct printer printer;
	struct batch batch;
	struct record records[CHUNK_RECORDS];
};

static void show(void *context, const struct change *change)
{
	struct printer *printer = context;

	printer__change(printer, change);
	if (printer->out.len >= 128 * 1024)
		strbuf__clear(&printer->out);
}

static void tell_nobody(void *context, const struct changes *changes)
{
	(void)context;
	(void)changes;
}

/* As systemd names them. */
static void tell_cgroup(struct bench *bench, uint64_t id, const char *path)
{
	struct ev_cgroup cgroup = { .header = { .len = sizeof(cgroup), .version = EV_VERSION,
						.kind = EV_CGROUP }, .id = id };
	struct record record;

	strcpy(cgroup.path, path);
	if (record__decode(&record, &cgroup, sizeof(cgroup)) ||
	    model__apply(bench->model, &record, tell_nobody, NULL))
		errx(1, "a cgroup was refused");
}

static struct bench *new_bench(uint32_t live, const struct printer_ops *ops, enum subject_matter of)
{
	const struct model_config config = { .seed = 1, .max_lives = live * 2,
					     .max_ended = MODEL_MAX_ENDED };
	const struct printer_config layout = { .of = of };
	struct filter_error error;
	struct bench *bench = calloc(1, sizeof(*bench));

	if (!bench)
		err(1, "bench");
	bench->model = model__new(&config);
	bench->filter = filter__parse(NULL, 0, &error);
	if (!bench->model || !bench->filter || select__init(&bench->select, bench->filter, bench->model))
		err(1, "model");
	bench->select.kinds = 1U << (of == OF_EVENTS ? CHANGE_TRANSITION : CHANGE_LIFE);
	printer__init(&bench->printer, ops, &layout, 1700000000ULL * NS_PER_S);
	tell_cgroup(bench, 7, "/system.slice/nginx.service");
	tell_cgroup(bench, 8, "/system.slice/php8.2-fpm.service");
	bench->printer.cgroups = model__cgroups(bench->model);
	bench->printer.flows = model__flows(bench->model);
	return bench;
}

static void free_bench(struct bench *bench)
{
	select__fini(&bench->select);
	printer__fini(&bench->printer);
	model__free(bench->model);
	filter__free(bench->filter);
	free(bench);
}

static void decode_chunk(struct bench *bench, const struct world *world)
{
	const char *at = world->chunk;

	for (unsigned int i = 0; i < world->count; i++) {
		size_t len = ((const struct ev_header *)at)->len;

		if (record__decode(&bench->records[i], at, len))
			errx(1, "record %u was refused", i);
		at += len;
	}
}

static void apply_chunk(struct bench *bench, const struct world *world)
{
	for (unsigned int i = 0; i < world->count; i++)
		if (model__apply(bench->model, &bench->records[i], tell_nobody, NULL))
			errx(1, "out of memory");
}

static void show_changes(void *context, const struct changes *changes)
{
	struct bench *bench = context;

	for (unsigned int n = 0; n < changes->count; n++)
		select__change(&bench->select, &changes->change[n], show, &bench->printer);
}

static int take(void *context, const void *data, size_t len)
{
	struct bench *bench = context;
	struct record record;

	if (record__decode(&record, data, len) ||
	    model__apply(bench->model, &record, show_changes, bench))
		errx(1, "a record was refused");
	return 0;
}

/* As a session does it. */
static void pass_chunk(struct bench *bench, const struct world *world)
{
	const char *at = world->chunk;

	for (unsigned int i = 0; i < world->count; i++) {
		size_t len = ((const struct ev_header *)at)->len;

		batch__add(&bench->batch, bench->model, at, len, take, bench);
		at += len;
	}
	batch__release(&bench->batch, bench->model, take, bench);
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(const char *stage, const struct world *world, double ns[ROUNDS])
{
	qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
	printf("{\"name\":\"stage\",\"stage\":\"%s\",\"live\":%u,\"family\":%d,\"ns\":%.1f,\"least\":%.1f,"
	       "\"most\":%.1f}\n",
	       stage, world->live, world->family == AF_INET ? 4 : 6, ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1]);
	fflush(stdout);
}

typedef void (*pass_fn)(struct bench *bench, const struct world *world);

static void warm_up(struct bench *bench, struct world *world)
{
	for (uint64_t done = 0; done < (uint64_t)world->live * RECORDS_TO_WARM_UP; done += world->count) {
		make_chunk(world);
		pass_chunk(bench, world);
	}
}

static void time_pipeline(const char *name, uint32_t live, int family, const struct printer_ops *ops,
			  enum subject_matter of)
{
	struct world *world = new_world(live, family);
	struct bench *bench = new_bench(live, ops, of);
	double ns[ROUNDS];

	warm_up(bench, world);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t spent = 0, records = 0;

		while (records < RECORDS_PER_ROUND) {
			uint64_t before;

			make_chunk(world);
			before = cpu_ns();
			pass_chunk(bench, world);
			spent += cpu_ns() - before;
			records += world->count;
		}
		ns[round] = (double)spent / (double)records;
	}
	report(name, world, ns);
	free_bench(bench);
	free_world(world);
}

/* Decoding alone, and the model alone on what is decoded. */
static void time_parts(uint32_t live, int family)
{
	struct world *world = new_world(live, family);
	struct bench *bench = new_bench(live, &json_printer, OF_EVENTS);
	double decode_ns[ROUNDS], model_ns[ROUNDS];

	warm_up(bench, world);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t decode = 0, model = 0, records = 0;

		while (records < RECORDS_PER_ROUND) {
			uint64_t t0, t1;

			make_chunk(world);
			t0 = cpu_ns();
			decode_chunk(bench, world);
			t1 = cpu_ns();
			apply_chunk(bench, world);
			model += cpu_ns() - t1;
			decode += t1 - t0;
			records += world->count;
		}
		decode_ns[round] = (double)decode / (double)records;
		model_ns[round] = (double)model / (double)records;
	}
	report("decode", world, decode_ns);
	report("model", world, model_ns);
	free_bench(bench);
	free_world(world);
}

/* An output alone: changes of lives that are there, in random order. */
static void time_output(const char *name, uint32_t live, int family, const struct printer_ops *ops,
			enum change_kind kind)
{
	struct world *world = new_world(live, family);
	struct bench *bench = new_bench(live, ops, kind == CHANGE_LIFE ? OF_LIVES : OF_EVENTS);
	const struct flow_table *flows = model__flows(bench->model);
	double ns[ROUNDS];

	warm_up(bench, world);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t spent, printed = 0, before = cpu_ns();

		while (printed < RECORDS_PER_ROUND / 4) {
			const struct life *life =
				flow_table__open_at(flows, (uint32_t)(next_random(world) % flows->used));
			const struct change change = { .kind = kind,
						       .old_state = EV_SYN_SENT,
						       .new_state = EV_ESTABLISHED,
						       .time_ns = world->now_ns++,
						       .in_old_ns = 412000,
						       .took_ns = UNKNOWN_NS,
						       .life = life,
						       .owner = life ? model__owner(bench->model, life) : NULL };

			if (!life)
				continue;
			show(&bench->printer, &change);
			printed++;
		}
		spent = cpu_ns() - before;
		ns[round] = (double)spent / (double)printed;
	}
	report(name, world, ns);
	free_bench(bench);
	free_world(world);
}

static void time_all(uint32_t live)
{
	for (int family = AF_INET; family; family = family == AF_INET ? AF_INET6 : 0) {
		time_parts(live, family);
		time_output("json transition", live, family, &json_printer, CHANGE_TRANSITION);
		time_output("json connection", live, family, &json_printer, CHANGE_LIFE);
		time_output("table transition", live, family, &table_printer, CHANGE_TRANSITION);
		time_pipeline("all, trace json", live, family, &json_printer, OF_EVENTS);
		time_pipeline("all, flows json", live, family, &json_printer, OF_LIVES);
	}
}

/* ---- memory ------------------------------------------------------------- */

/* Resident, the heap's spare room given back first. */
static int64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long total, resident;

	malloc_trim(0);
	if (!file || fscanf(file, "%ld %ld", &total, &resident) != 2)
		err(1, "/proc/self/statm");
	fclose(file);
	return resident * sysconf(_SC_PAGESIZE);
}

/* Every connection to its last state but CLOSE: its history is as long as a
 * life of its kind has. */
static void fill(struct bench *bench, struct world *world)
{
	for (uint32_t i = 0; i < world->live; i++) {
		struct connection *c = &world->all[i];

		clear_chunk(world);
		while (c->step < (is_server(c) ? 3 : 4))
			step(world, c);
		pass_chunk(bench, world);
	}
}

static void end_all(struct bench *bench, struct world *world)
{
	for (uint32_t i = 0; i < world->live; i++) {
		clear_chunk(world);
		step(world, &world->all[i]);
		pass_chunk(bench, world);
	}
}

/* One run before, lest what the C library keeps for itself is counted. */
static void measure_memory(uint32_t live)
{
	int64_t before = 0, full = 0, after = 0;

	for (int run = 0; run < 2; run++) {
		struct world *world = new_world(live, AF_INET);
		struct bench *bench;

		before = resident_bytes();
		bench = new_bench(live, &json_printer, OF_LIVES);
		fill(bench, world);
		full = resident_bytes();
		if (model__flows(bench->model)->open != live)
			errx(1, "%u lives are open, not %u", model__flows(bench->model)->open, live);
		end_all(bench, world);
		free_bench(bench);
		after = resident_bytes();
		free_world(world);
	}
	printf("{\"name\":\"memory\",\"live\":%u,\"bytes_per_life\":%.1f,\"life_bytes\":%zu,\"left_bytes\":%lld}\n",
	       live, (double)(full - before) / live, sizeof(struct life), (long long)(after - before));
}

/* ---- a recording -------------------------------------------------------- */

static void append_chunk(struct recording_writer *writer, struct world *world)
{
	const char *at = world->chunk;

	for (unsigned int i = 0; i < world->count; i++) {
		size_t len = ((const struct ev_header *)at)->len;

		if (recording_writer__append(writer, at, len))
			err(1, "the recording");
		at += len;
	}
	clear_chunk(world);
}

/* All are born before the first one ends. */
static void write_recording(const char *path, uint32_t live)
{
	const struct capture_info info = { .kernel = "bench", .tool = TCPSAGA_VERSION, .source = "bench",
					   .hooks = "state=tp_btf", .start_ns = 3600 * NS_PER_S };
	struct world *world = new_world(live, AF_INET);
	struct recording_writer *writer = recording_writer__new(path, &info);

	if (!writer)
		err(1, "%s", path);
	for (int round = 0; round < 5; round++) {
		for (uint32_t i = 0; i < live; i++) {
			struct connection *c = &world->all[i];

			if (c->cookie <= live) /* not its successor's */
				step(world, c);
			append_chunk(writer, world);
		}
	}
	if (recording_writer__free(writer))
		err(1, "%s", path);
	free_world(world);
}

/* ---- the command line --------------------------------------------------- */

static uint32_t number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (!*text || *end || value < 1 || value > 4000000)
		errx(2, "%s is not a number of connections from 1 to 4000000", text);
	return (uint32_t)value;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "time") && argc > 2) {
		for (int i = 2; i < argc; i++)
			time_all(number(argv[i]));
	} else if (!strcmp(what, "memory") && argc == 3) {
		measure_memory(number(argv[2]));
	} else if (!strcmp(what, "record") && argc == 4) {
		write_recording(argv[2], number(argv[3]));
	} else {
		errx(2, "usage: stages time LIVE... | memory LIVE | record FILE LIVE");
	}
	return 0;
}
