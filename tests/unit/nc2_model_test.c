// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2's events: the driver's ring.c, with a producer and a consumer
 * that sleep, in every order in which their accesses to shared memory can
 * happen.
 *
 * Both run as coroutines. At each load, barrier and sleep the explorer decides
 * who goes on. What one stores goes to a buffer of its own first, and the
 * explorer decides when an entry becomes visible to the other; entries may
 * overtake each other, but none may be overtaken by one that releases, and a
 * full barrier empties the buffer. (Loads are not reordered.) States that were
 * seen before are not entered again: a program is determined by what it has
 * read since it was at a point where struct world tells all. To go back to a
 * state, all of it is restored, stacks included. If nobody can go on and there is
 * work left, an event was lost.
 *
 * To show that it would be found, barriers are left out one at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include "nc2_pair.h"
#include "nc2_shim.h"

#define MODEL_STACK	(32 << 10)
/* What is on a stack below the frame that yields. */
#define MODEL_BELOW	1024
#define MODEL_BUFFER	12
#define MODEL_DEPTH	300
#define MODEL_STATES	(1u << 22)
/* Bytes at both ends of the ring's page; the rings are smaller than a page. */
#define MODEL_RING	128

enum who { PRODUCER, CONSUMER };

/* Where a barrier can be left out. */
enum site {
	NOWHERE,
	PRODUCER_PUBLISH_RELEASE,
	PRODUCER_PUBLISH,
	PRODUCER_ARM,
	CONSUMER_PUBLISH_1ST,
	CONSUMER_PUBLISH_2ND,
	CONSUMER_ARM,
};

struct entry {
	u32 at;
	u32 len;
	bool release;
	u8 data[32];
};

struct coroutine {
	ucontext_t context;
	u8 *low;		/* of its stack, what is in use */
	struct entry buffer[MODEL_BUFFER];
	unsigned int nr_entries;
	uint64_t seen;		/* hash of what it has read since known() */
	unsigned int steps;	/* since then */
	enum site site;		/* what it is about to do */
	unsigned int mbs;	/* full barriers of that so far */
	bool asleep;
	bool event;
	bool done;
};

/* For what a producer without room waits. */
enum wait_for {
	NEEDED,		/* what the message needs */
	HALF,		/* half of what is under way, and again if that is there */
	HALF_ONCE,	/* the same, but not again */
	ANY_BYTE,
};

struct program {
	const char *name;
	u32 ring;		/* bytes */
	u32 start;
	const u8 *len;		/* of messages, 0 ends */
	unsigned int batch;	/* messages the consumer takes before it tells */
	enum wait_for wait_for;
	enum site without;
};

/* All that changes. */
struct world {
	struct nc2_pair pair;
	struct coroutine co[2];
	unsigned int sent;
	unsigned int received;
};

struct snapshot {
	struct world world;
	struct nc2_endpoint end[2];
	u8 ring[2][MODEL_RING];
	u8 stack[2][MODEL_STACK];
	unsigned int next;	/* what to do from here */
};

static struct {
	const struct program *program;
	struct world world;
	struct coroutine *now;
	ucontext_t explorer;
	const char *wrong;
	u8 *stack[2];
	struct snapshot *way;
	unsigned int depth;
	uint64_t *visited;
	unsigned int nr_states;
	unsigned int nr_ends;
} model;

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
	const u8 *byte = data;

	while (len--)
		hash = (hash ^ *byte++) * 0x100000001b3ULL;
	return hash ^ (hash >> 29);
}

static void switch_away(void)
{
	model.now->low = (u8 *)__builtin_frame_address(0) - MODEL_BELOW;
	swapcontext(&model.now->context, &model.explorer);
}

/* Make an entry visible. */
static void flush(struct coroutine *co, unsigned int i)
{
	struct entry *e = &co->buffer[i];

	memcpy(nc2_shim_at(e->at), e->data, e->len);
	memmove(e, e + 1, (--co->nr_entries - i) * sizeof(*e));
}

/* May it become visible before those that are older? */
static bool may_flush(const struct coroutine *co, unsigned int i)
{
	unsigned int j;

	for (j = 0; j < i; j++)
		if (co->buffer[i].release ||
		    (co->buffer[j].at < co->buffer[i].at + co->buffer[i].len &&
		     co->buffer[i].at < co->buffer[j].at + co->buffer[j].len))
			return false;
	return true;
}

static void model_load(u32 at, void *to, u32 len)
{
	struct coroutine *co = model.now;
	unsigned int i, j;

	/* Messages do not change, but for becoming visible too late. */
	if (at < NC2_PAGE_SIZE)
		switch_away();
	memcpy(to, nc2_shim_at(at), len);
	for (i = 0; i < co->nr_entries; i++)
		for (j = 0; j < co->buffer[i].len; j++)
			if (co->buffer[i].at + j - at < len)
				((u8 *)to)[co->buffer[i].at + j - at] =
					co->buffer[i].data[j];
	co->seen = mix(mix(co->seen, &at, sizeof(at)), to, len);
}

static void model_store(u32 at, const void *from, u32 len, bool release)
{
	struct coroutine *co = model.now;
	struct entry *e = &co->buffer[co->nr_entries];

	if (co->nr_entries == MODEL_BUFFER || len > sizeof(e->data)) {
		model.wrong = "the test's buffer is too small";
		return;
	}
	co->nr_entries++;
	e->at = at;
	e->len = len;
	e->release = release &&
		     !(co->site == PRODUCER_PUBLISH &&
		       model.program->without == PRODUCER_PUBLISH_RELEASE);
	memcpy(e->data, from, len);
}

static void model_mb(void)
{
	struct coroutine *co = model.now;
	enum site site = co->site + co->mbs++;

	if (site == model.program->without || !co->nr_entries)
		return;
	/* What was to happen before only in part has had its chance. */
	switch_away();
	while (co->nr_entries)
		flush(co, 0);
}

static void notify(enum who who)
{
	model.world.co[who].event = true;
}

static void sleep_for_event(void)
{
	model.now->asleep = true;
	switch_away();
	model.now->asleep = false;
	model.now->event = false;
}

static void about_to(enum site site)
{
	model.now->site = site;
	model.now->mbs = 0;
}

/* Whatever it has in its variables now is told by the place and by world. */
static void known(unsigned int place)
{
	model.now->seen = place;
	model.now->steps = 0;
}

static void fault(const char *what)
{
	if (!model.wrong)
		model.wrong = what;
}

/* Ask for an event, and see whether it has been passed meanwhile. */
static bool ask(struct nc2_producer *p, u32 len)
{
	u32 used = p->prod - p->cons, consumed;

	switch (model.program->wait_for) {
	case NEEDED:
		consumed = 2 * len - (p->area.size - used);
		break;
	case ANY_BYTE:
		consumed = 1;
		break;
	default:
		consumed = (used + 1) / 2;
	}
	about_to(PRODUCER_ARM);
	nc2_producer_arm(p, consumed);
	used = p->cons;
	if (nc2_producer_refresh(p))
		fault("what cannot be is seen");
	return p->cons - used < consumed;
}

static void wait_for_room(struct nc2_producer *p, u32 len)
{
	bool asked;

	while (!nc2_producer_room(p, len, 0) && !model.wrong) {
		known(1);
		asked = ask(p, len);
		if (nc2_producer_room(p, len, 0))
			return;
		if (asked || model.program->wait_for != HALF)
			sleep_for_event();
	}
}

static void producer(void)
{
	struct nc2_producer *p = &model.world.pair.p;
	u32 len;

	while ((len = model.program->len[model.world.sent]) && !model.wrong) {
		struct nc2_msg_hdr msg[4] = { { .type = ++model.world.sent,
						.size = len } };

		wait_for_room(p, len);
		known(2);
		nc2_producer_put(p, msg, len, NULL, 0);
		about_to(PRODUCER_PUBLISH);
		if (nc2_producer_publish(p))
			notify(CONSUMER);
	}
	known(3);
	model.now->done = true;
	switch_away();
}

/* Take at most a batch. False: there is no more. */
static bool consume(struct nc2_consumer *c)
{
	struct nc2_msg_hdr hdr;
	unsigned int n;
	int ret;

	for (n = 0; n < model.program->batch; n++) {
		ret = nc2_consumer_next(c, &hdr);
		if (ret < 0)
			fault("what cannot be is seen");
		if (ret <= 0)
			return false;
		if (hdr.type != NC2_MSG_PAD && hdr.type != ++model.world.received)
			fault("another message is seen");
		nc2_consumer_done(c, &hdr);
	}
	return true;
}

static void consumer(void)
{
	struct nc2_consumer *c = &model.world.pair.c;
	bool more;
	int ret;

	while (model.program->len[model.world.received] && !model.wrong) {
		known(1);
		more = consume(c);
		about_to(CONSUMER_PUBLISH_1ST);
		if (nc2_consumer_publish(c))
			notify(PRODUCER);
		if (more || !model.program->len[model.world.received])
			continue;
		about_to(CONSUMER_ARM);
		ret = nc2_consumer_arm(c);
		if (ret < 0)
			fault("what cannot be is seen");
		if (!ret)
			sleep_for_event();
	}
	known(2);
	model.now->done = true;
	switch_away();
}

static void reset(void)
{
	static void (*const run[])(void) = { producer, consumer };
	struct world *w = &model.world;
	unsigned int i;

	memset(w, 0, sizeof(*w));
	nc2_pair_init(&w->pair, 1, 0, model.program->start);
	w->pair.p.area.size = model.program->ring;
	w->pair.c.area.size = model.program->ring;
	nc2_shim_hooks.load = model_load;
	nc2_shim_hooks.store = model_store;
	nc2_shim_hooks.full_barrier = model_mb;
	model.wrong = NULL;
	for (i = 0; i < 2; i++) {
		getcontext(&w->co[i].context);
		w->co[i].context.uc_stack.ss_sp = model.stack[i];
		w->co[i].context.uc_stack.ss_size = MODEL_STACK;
		w->co[i].low = model.stack[i] + MODEL_STACK - MODEL_BELOW;
		makecontext(&w->co[i].context, run[i], 0);
	}
}

/* Of a stack, what is between variables, too. */
__attribute__((no_sanitize("address", "undefined")))
static void copy_stack(u8 *to, const u8 *from, size_t len)
{
	uint64_t *t = (uint64_t *)to;
	const uint64_t *f = (const uint64_t *)from;

	for (len /= sizeof(*t); len--;)
		*t++ = *f++;
}

/* From the top, as much as is in use, rounded up. */
static size_t stack_used(unsigned int i)
{
	return (model.stack[i] + MODEL_STACK - model.world.co[i].low + 7) & ~7ul;
}

static void save(struct snapshot *s)
{
	unsigned int i;

	s->world = model.world;
	memcpy(s->end, nc2_shim_at(0), sizeof(s->end));
	/* Counters near 2^32 are at the end of the page. */
	memcpy(s->ring[0], nc2_shim_at(4096), MODEL_RING);
	memcpy(s->ring[1], nc2_shim_at(8192 - MODEL_RING), MODEL_RING);
	for (i = 0; i < 2; i++)
		copy_stack(s->stack[i], model.stack[i] + MODEL_STACK - stack_used(i),
			   stack_used(i));
	s->next = 0;
}

static void restore(const struct snapshot *s)
{
	unsigned int i;

	model.world = s->world;
	memcpy(nc2_shim_at(0), s->end, sizeof(s->end));
	memcpy(nc2_shim_at(4096), s->ring[0], MODEL_RING);
	memcpy(nc2_shim_at(8192 - MODEL_RING), s->ring[1], MODEL_RING);
	for (i = 0; i < 2; i++) {
#ifdef __SANITIZE_ADDRESS__
		__asan_unpoison_memory_region(model.stack[i], MODEL_STACK);
#endif
		copy_stack(model.stack[i] + MODEL_STACK - stack_used(i), s->stack[i],
			   stack_used(i));
	}
}

/* Have we been here? */
static bool visited(void)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	unsigned int i;

	hash = mix(hash, nc2_shim_at(0), 2 * sizeof(struct nc2_endpoint));
	hash = mix(hash, nc2_shim_at(4096), MODEL_RING);
	hash = mix(hash, nc2_shim_at(8192 - MODEL_RING), MODEL_RING);
	hash = mix(hash, &model.world.pair.p, sizeof(model.world.pair.p));
	hash = mix(hash, &model.world.pair.c, sizeof(model.world.pair.c));
	hash = mix(hash, &model.world.sent, sizeof(model.world.sent));
	hash = mix(hash, &model.world.received, sizeof(model.world.received));
	for (i = 0; i < 2; i++) {
		struct coroutine *co = &model.world.co[i];
		u8 flags = co->asleep | co->event << 1 | co->done << 2;
		unsigned int j;

		hash = mix(mix(hash, &co->seen, sizeof(co->seen)), &flags, 1);
		hash = mix(hash, &co->steps, sizeof(co->steps));
		for (j = 0; j < co->nr_entries; j++) {
			struct entry *e = &co->buffer[j];

			hash = mix(mix(hash, &e->at, 4), e->data, e->len);
		}
	}
	for (i = hash % MODEL_STATES; model.visited[i]; i = (i + 1) % MODEL_STATES)
		if (model.visited[i] == hash)
			return true;
	model.visited[i] = hash;
	model.nr_states++;
	return false;
}

/* Do the n-th of what can happen next; how many there are if n is -1. */
static unsigned int action(unsigned int n)
{
	unsigned int i, j, nr = 0;

	for (i = 0; i < 2; i++) {
		struct coroutine *co = &model.world.co[i];

		if (!co->done && (!co->asleep || co->event) && nr++ == n) {
			model.now = co;
			co->steps++;
			swapcontext(&model.explorer, &co->context);
			return 0;
		}
		for (j = 0; j < co->nr_entries; j++) {
			if (may_flush(co, j) && nr++ == n) {
				flush(co, j);
				return 0;
			}
		}
	}
	return nr;
}

/* All ways. NULL, or what went wrong on one of them. */
static const char *explore(const struct program *program)
{
	struct snapshot *s;

	model.program = program;
	model.depth = 0;
	model.nr_states = 0;
	model.nr_ends = 0;
	memset(model.visited, 0, MODEL_STATES * sizeof(model.visited[0]));
	reset();
	save(&model.way[0]);
	for (;;) {
		s = &model.way[model.depth];
		if (s->next == action(-1)) {
			/* From here all has been done, or there is nothing to do. */
			if (!s->next) {
				model.nr_ends++;
				if (!model.world.co[PRODUCER].done ||
				    !model.world.co[CONSUMER].done)
					return "both sleep, an event was lost";
			}
			if (!model.depth--)
				return NULL;
			restore(&model.way[model.depth]);
			continue;
		}
		action(s->next++);
		if (model.wrong)
			return model.wrong;
		if (visited()) {
			restore(s);
			continue;
		}
		if (model.nr_states > MODEL_STATES / 2)
			return "more states than the test can keep";
		if (++model.depth == MODEL_DEPTH)
			return "the test's way is too short";
		save(&model.way[model.depth]);
	}
}

static const u8 three[] = { 8, 8, 8, 0 };
static const u8 four[] = { 8, 8, 8, 8, 0 };
static const u8 five[] = { 8, 8, 8, 8, 8, 0 };
/* With PADs, and one that needs what two others have. */
static const u8 mixed[] = { 8, 8, 16, 8, 16, 0 };

static const struct program programs[] = {
	{ "there is always room", 64, 0, three, 99, NEEDED, NOWHERE },
	{ "room for one", 16, 0, four, 1, NEEDED, NOWHERE },
	{ "room for one, at 2^32", 16, (u32)-16, four, 99, NEEDED, NOWHERE },
	{ "room for three", 32, 0, five, 1, NEEDED, NOWHERE },
	{ "room for three, all at once", 32, (u32)-16, five, 99, NEEDED, NOWHERE },
	{ "two sizes", 32, 0, mixed, 1, NEEDED, NOWHERE },
	{ "two sizes, two at once", 32, (u32)-32, mixed, 2, NEEDED, NOWHERE },
	{ "two sizes, wait for half", 32, 0, mixed, 1, HALF, NOWHERE },
	{ "two sizes, wait for half, all at once", 32, (u32)-8, mixed, 99, HALF, NOWHERE },
	{ "room for one, wait for half", 16, 8, four, 1, HALF, NOWHERE },
};

static void nc2_model_no_event_is_lost(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		const char *wrong = explore(&programs[i]);

		if (wrong)
			fail_msg("%s: %s", programs[i].name, wrong);
		print_message("# %s: %u states, %u ends\n", programs[i].name,
			      model.nr_states, model.nr_ends);
	}
}

/* Programs that are wrong, and what happens then. */
static const struct {
	struct program program;
	const char *wrong;
} defects[] = {
	{ { "no barrier in nc2_producer_publish()", 64, 0, three, 99, NEEDED,
	    PRODUCER_PUBLISH }, "both sleep, an event was lost" },
	{ { "no release in nc2_producer_publish()", 64, 0, three, 99, NEEDED,
	    PRODUCER_PUBLISH_RELEASE }, "what cannot be is seen" },
	{ { "no barrier in nc2_producer_arm()", 16, 0, four, 1, NEEDED,
	    PRODUCER_ARM }, "both sleep, an event was lost" },
	{ { "no second barrier in nc2_consumer_publish()", 16, 0, four, 1, NEEDED,
	    CONSUMER_PUBLISH_2ND }, "both sleep, an event was lost" },
	{ { "no barrier in nc2_consumer_arm()", 64, 0, three, 99, NEEDED,
	    CONSUMER_ARM }, "both sleep, an event was lost" },
	{ { "the producer waits for half, once", 32, 0, mixed, 1, HALF_ONCE,
	    NOWHERE }, "both sleep, an event was lost" },
	{ { "the producer waits for less than it needs", 32, 0, mixed, 1, ANY_BYTE,
	    NOWHERE }, "both sleep, an event was lost" },
};

static void nc2_model_defects_are_found(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(defects) / sizeof(defects[0]); i++) {
		const char *wrong = explore(&defects[i].program);

		if (!wrong || strcmp(wrong, defects[i].wrong))
			fail_msg("%s: %s", defects[i].program.name,
				 wrong ? wrong : "not found");
	}
}

static int model_setup(void **state)
{
	unsigned int i;

	(void)state;
	model.visited = malloc(MODEL_STATES * sizeof(model.visited[0]));
	model.way = malloc(MODEL_DEPTH * sizeof(model.way[0]));
	for (i = 0; i < 2; i++)
		model.stack[i] = malloc(MODEL_STACK);
	return !model.visited || !model.way || !model.stack[0] || !model.stack[1];
}

static int model_teardown(void **state)
{
	(void)state;
	free(model.visited);
	free(model.way);
	free(model.stack[0]);
	free(model.stack[1]);
	nc2_shim_exit();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nc2_model_no_event_is_lost),
		cmocka_unit_test(nc2_model_defects_are_found),
	};

	return cmocka_run_group_tests_name("nc2_model", tests, model_setup,
					   model_teardown);
}
