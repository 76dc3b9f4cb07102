/* store_sim [--kind KIND] [--seed N] [--seeds M] [--steps S] [--faults LIST] [--bound B] [-v] [--trace]
 *           [--sabotage NAME]
 *
 * Each seed runs in a process of its own, so that a crash, a sanitizer's report or an endless loop is one
 * seed's failure, and the command that replays it can be printed. */
#include "sim.h"

#include <base/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_MAX 900 /* of the machine's time for one seed */
#define BOUND 600u

static const struct {
	const char *name;
	void (*run)(struct run *r);
} kinds[] = {{"lives", run_lives}, {"small", run_small}, {"errors", run_errors}, {"memory", run_memory},
	{"space", run_space}, {"rot", run_rot}};

static const struct {
	const char *name;
	uint32_t bit;
} faults[] = {{"full", FAULT_FULL}, {"grow", FAULT_GROW}, {"latency", FAULT_LATENCY}, {"error", FAULT_ERROR},
	{"memory", FAULT_MEMORY}, {"rot", FAULT_ROT}, {"phantom", FAULT_PHANTOM},
	{"misdirect", FAULT_MISDIRECT}, {"stale", FAULT_STALE}, {"none", 0}};

static _Noreturn void usage(const char *what)
{
	fprintf(stderr, "store_sim: %s\n"
		"store_sim [--kind lives|small|errors|memory|space|rot] [--seed N] [--seeds M] [--steps S] [--bound B]\n"
		"          [--faults full,grow,latency,error,memory,rot,phantom,misdirect,stale|none]\n"
		"          [--sabotage NAME] [-v] [--trace]\n", what);
	exit(2);
}

static uint64_t number(const char *text)
{
	char *end;
	if (!text || !*text)
		usage("a number is missing");
	uint64_t n = strtoull(text, &end, 0);
	if (*end)
		usage("that is no number");
	return n;
}

static uint32_t faults_read(const char *list)
{
	uint32_t bits = 0;
	while (*list) {
		size_t len = strcspn(list, ","), i = 0;
		while (i < ARRAY_LEN(faults) && (strlen(faults[i].name) != len || memcmp(faults[i].name, list, len)))
			i++;
		if (i == ARRAY_LEN(faults))
			usage("there is no such fault");
		bits |= faults[i].bit;
		list += len + (list[len] == ',');
	}
	return bits;
}

static void child(const struct options *o, volatile struct verdict *v)
{
	struct run *r = calloc(1, sizeof *r);
	ASSERT(r);
	r->model = calloc(1, sizeof *r->model);
	ASSERT(r->model);
	r->options = o;
	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(SECONDS_MAX);
	o->run(r);
	v->hash = r->hash;
	v->points = r->points;
	v->commits = r->commits;
	v->large = r->large_commits;
	v->excused = r->excused;
	v->counted = r->counted;
	v->what = r->what;
	v->finished = true;
	fflush(stdout);
	_Exit(0);
}

static bool run_one(const struct options *o, volatile struct verdict *v)
{
	int status = 0;
	memset((void *)(uintptr_t)v, 0, sizeof *v);
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0) {
		perror("store_sim: fork");
		exit(2);
	}
	if (!pid)
		child(o, v);
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("seed %lu died of signal %d (%s)\n", (unsigned long)o->seed, WTERMSIG(status),
			WTERMSIG(status) == SIGALRM ? "it did not end" : strsignal(WTERMSIG(status)));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 && v->finished;
}

static void replay_print(const struct options *o, const char *kind, const char *list)
{
	printf("replay: ./ingot sim store --kind %s --seed %lu --trace", kind, (unsigned long)o->seed);
	if (o->steps)
		printf(" --steps %u", o->steps);
	if (list)
		printf(" --faults %s", list);
	if (o->bound != BOUND)
		printf(" --bound %u", o->bound);
	if (o->sabotage)
		printf(" --sabotage %s", o->sabotage);
	printf("\n");
}

struct request {
	uint64_t seeds;
	const char *kind, *list;
};

static void word_read(struct options *o, struct request *q, const char *word, const char *value)
{
	if (strcmp(word, "--seed") == 0) {
		o->seed = number(value);
	} else if (strcmp(word, "--seeds") == 0) {
		q->seeds = number(value);
	} else if (strcmp(word, "--steps") == 0) {
		o->steps = (uint32_t)number(value);
	} else if (strcmp(word, "--bound") == 0) {
		o->bound = (uint32_t)number(value);
	} else if (strcmp(word, "--faults") == 0 && value) {
		o->faults = faults_read(q->list = value);
	} else if (strcmp(word, "--sabotage") == 0 && value && seam_sabotage_exists(value)) {
		o->sabotage = value;
	} else if (strcmp(word, "--kind") == 0 && value) {
		o->run = NULL;
		for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
			if (!strcmp(value, kinds[i].name))
				o->run = kinds[i].run;
		q->kind = value;
		if (!o->run)
			usage("there is no such kind");
	} else {
		usage(word);
	}
}

static void options_read(struct options *o, struct request *q, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-v") == 0) {
			o->verbose = true;
		} else if (strcmp(argv[i], "--trace") == 0) {
			o->trace = true;
		} else {
			word_read(o, q, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
			i++;
		}
	}
}

static void report(const struct options *o, const volatile struct verdict *v, bool good)
{
	if (good && !o->verbose && !o->trace)
		return;
	printf("seed %lu: %s, trace hash %016lx, %lu crash points, %lu commits, %lu errors excused", (unsigned long)o->seed,
		good ? "ok" : "FAILED", (unsigned long)v->hash, (unsigned long)v->points,
		(unsigned long)v->commits, (unsigned long)v->excused);
	if (v->counted)
		printf(", N up to %lu", (unsigned long)v->counted);
	printf("%s%s\n", v->what ? ": " : "", v->what ? v->what : "");
}

int main(int argc, char **argv)
{
	struct options o = {.seed = 1, .faults = FAULTS_DRAWN, .bound = BOUND, .run = run_lives};
	struct request q = {1, "lives", NULL};
	uint64_t failures = 0, points = 0, commits = 0, large = 0, counted = 0;
	options_read(&o, &q, argc, argv);
	volatile struct verdict *v = mmap(NULL, sizeof *v, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT(v != MAP_FAILED);
	if (o.sabotage)
		seam_sabotage(o.sabotage);
	for (uint64_t i = 0; i < q.seeds; i++, o.seed++) {
		bool good = run_one(&o, v);
		report(&o, v, good);
		if (!good)
			replay_print(&o, q.kind, q.list);
		failures += !good;
		points += v->points;
		commits += v->commits;
		large += v->large;
		counted += v->counted;
	}
	if (q.seeds == 1 && !failures && !o.verbose && !o.trace)
		printf("trace hash %016lx, ", (unsigned long)v->hash);
	printf("%lu seeds, %lu failed; %lu crash points, %lu commits (%lu of them large)", (unsigned long)q.seeds,
		(unsigned long)failures, (unsigned long)points, (unsigned long)commits, (unsigned long)large);
	if (counted)
		printf(", %lu failures injected", (unsigned long)counted);
	printf("\n");
	return failures ? 1 : 0;
}
