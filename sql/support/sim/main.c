/* sql_sim [--kind lives|memory] [--seed N] [--seeds M] [--steps S] [--each N] [--no-errors] [--sabotage S] [-v]
 *         [--trace]
 *
 * lives: power cuts, and errors of the device. memory: of each transaction the Nth allocation fails, in SQLite or in the
 * store below it, for every N up to --each and for some beyond; then the next transaction.
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

#define SECONDS_MAX 600

static _Noreturn void usage(const char *what)
{
	fprintf(stderr, "sql_sim: %s\nsql_sim [--kind lives|memory] [--seed N] [--seeds M] [--steps S] [--each N] "
		"[--no-errors] [--sabotage swallow|keep|leak] [-v] [--trace]\n", what);
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

static bool run_one(const struct options *o, volatile struct verdict *v)
{
	int status = 0;
	memset((void *)(uintptr_t)v, 0, sizeof *v);
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0) {
		perror("sql_sim: fork");
		exit(2);
	}
	if (!pid) {
		setvbuf(stdout, NULL, _IOLBF, 0);
		alarm(SECONDS_MAX);
		run_seed(o, v);
		v->finished = true;
		fflush(stdout);
		_Exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("seed %lu died of signal %d (%s)\n", (unsigned long)o->seed, WTERMSIG(status),
			WTERMSIG(status) == SIGALRM ? "it did not end" : strsignal(WTERMSIG(status)));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 && v->finished;
}

static uint64_t options_read(struct options *o, int argc, char **argv)
{
	uint64_t seeds = 1;
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
		if (strcmp(word, "-v") == 0)
			o->verbose = true;
		else if (strcmp(word, "--trace") == 0)
			o->trace = true;
		else if (strcmp(word, "--no-errors") == 0)
			o->no_errors = true;
		else if (strcmp(word, "--kind") == 0 && next && (!strcmp(next, "memory") || !strcmp(next, "lives")) && ++i)
			o->memory = !strcmp(next, "memory");
		else if (strcmp(word, "--sabotage") == 0 && next && seam_sabotage(next) && ++i)
			o->sabotage = next;
		else if (strcmp(word, "--seed") == 0 && ++i)
			o->seed = number(next);
		else if (strcmp(word, "--seeds") == 0 && ++i)
			seeds = number(next);
		else if (strcmp(word, "--each") == 0 && ++i)
			o->each = number(next);
		else if (strcmp(word, "--steps") == 0 && ++i)
			o->steps = (uint32_t)number(next);
		else
			usage(word);
	}
	return seeds;
}

int main(int argc, char **argv)
{
	struct options o = {.seed = 1, .each = 400};
	uint64_t seeds = options_read(&o, argc, argv), failures = 0, points = 0, commits = 0, counted = 0, exhausted = 0;
	volatile struct verdict *v = mmap(NULL, sizeof *v, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT(v != MAP_FAILED);
	for (uint64_t i = 0; i < seeds; i++, o.seed++) {
		bool good = run_one(&o, v);
		if (!good || o.verbose || o.trace)
			printf("seed %lu: %s, trace hash %016lx, %lu crash points, %lu commits, %lu errors excused\n",
				(unsigned long)o.seed, good ? "ok" : "FAILED", (unsigned long)v->hash,
				(unsigned long)v->points, (unsigned long)v->commits, (unsigned long)v->excused);
		if (!good) {
			printf("replay: ./ingot sim sql%s --seed %lu --trace%s", o.memory ? " --kind memory" : "",
				(unsigned long)o.seed, o.no_errors ? " --no-errors" : "");
			if (o.memory)
				printf(" --each %lu", (unsigned long)o.each);
			if (o.sabotage)
				printf(" --sabotage %s", o.sabotage);
			printf(o.steps ? " --steps %u\n" : "\n", o.steps);
		}
		failures += !good;
		points += v->points;
		commits += v->commits;
		counted += v->counted;
		exhausted += v->exhausted;
	}
	if (seeds == 1 && !failures && !o.verbose && !o.trace)
		printf("trace hash %016lx, ", (unsigned long)v->hash);
	printf("%lu seeds, %lu failed; %lu crash points, %lu commits", (unsigned long)seeds, (unsigned long)failures,
		(unsigned long)points, (unsigned long)commits);
	if (o.memory)
		printf(", %lu allocations failed, each of %lu transactions", (unsigned long)counted,
			(unsigned long)exhausted);
	printf("\n");
	return failures ? 1 : 0;
}
