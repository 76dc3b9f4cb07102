/* net_sim [--seed N] [--seeds M] [-v] [--trace] [--pcap FILE] [--counters] [--sabotage NAME]
 *
 * Each seed runs in a process of its own, so that a crash, a sanitizer's report or an endless loop is one
 * seed's failure, and the command that replays it can be printed. */
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <base/assert.h>

#define SECONDS_MAX 120 /* of the machine's time for one seed */

static _Noreturn void usage(const char *what)
{
	fprintf(stderr, "net_sim: %s\n"
		"net_sim [--seed N] [--seeds M] [-v] [--trace] [--pcap FILE] [--counters] [--sabotage NAME]\n", what);
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

static void child(const struct options *o, volatile struct verdict *v)
{
	struct run *r = calloc(1, sizeof *r);
	ASSERT(r);
	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(SECONDS_MAX);
	run_seed(r, o, v);
	free(r);
	if (o->pcap)
		fflush(o->pcap);
	fflush(stdout);
	exit(0);
}

static bool run_one(const struct options *o, volatile struct verdict *v)
{
	int status = 0;
	memset((void *)(uintptr_t)v, 0, sizeof *v);
	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0) {
		perror("net_sim: fork");
		exit(2);
	}
	if (!pid)
		child(o, v);
	waitpid(pid, &status, 0);
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0 && v->finished;
	if (WIFSIGNALED(status))
		printf("seed %lu died of signal %d (%s)\n", (unsigned long)o->seed, WTERMSIG(status),
			WTERMSIG(status) == SIGALRM ? "it did not end" : strsignal(WTERMSIG(status)));
	return good;
}

static void report(const struct options *o, const volatile struct verdict *v, bool good)
{
	if (good && !o->verbose && !o->trace)
		return;
	printf("seed %lu: %s, trace hash %016lx, %.3f s, %lu frames, %lu bytes, %lu connections"
		" (%lu whole, %lu excused)\n",
		(unsigned long)o->seed, good ? "ok" : "FAILED", (unsigned long)v->hash,
		(double)(v->now_ns - START_NS) / 1e9, (unsigned long)v->frames, (unsigned long)v->bytes,
		(unsigned long)v->flows, (unsigned long)v->completed, (unsigned long)v->excused);
	if (!good)
		printf("replay: ./ingot sim net --seed %lu --trace%s%s\n", (unsigned long)o->seed,
			o->sabotage ? " --sabotage " : "", o->sabotage ? o->sabotage : "");
}

/* Names come from any engine. */
static void counters_print(const uint64_t *sum)
{
	static uint8_t seed[32];
	struct random random;
	random_init(&random);
	random_mix(&random, slice_of(seed, sizeof seed));
	struct net_config config = {.mac = {2}, .address = 0x0a000001, .mask = 0xffffff00, .random = &random};
	void *memory = aligned_alloc(64, (net_memory_size(&config) + 63) & ~(size_t)63);
	struct net_counter c;
	struct net *net;
	ASSERT(memory);
	err e = net_init(&net, &config, memory);
	ASSERT(!failed(e));
	for (uint32_t i = 0; i < COUNTERS_MAX && net_counter_at(net, i, &c); i++)
		printf("%-32s %lu\n", c.name, (unsigned long)sum[i]);
	free(memory);
}

static uint64_t options_read(struct options *o, int argc, char **argv)
{
	uint64_t seeds = 1;
	o->seed = 1;
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
		if (strcmp(word, "-v") == 0) {
			o->verbose = true;
		} else if (strcmp(word, "--counters") == 0) {
			o->counters = true;
		} else if (strcmp(word, "--trace") == 0) {
			o->trace = true;
		} else if (strcmp(word, "--seed") == 0) {
			o->seed = number(next);
			i++;
		} else if (strcmp(word, "--seeds") == 0) {
			seeds = number(next);
			i++;
		} else if (strcmp(word, "--sabotage") == 0 && next && sabotage_exists(next)) {
			o->sabotage = next;
			i++;
		} else if (strcmp(word, "--pcap") == 0 && next) {
			o->pcap = fopen(next, "wb");
			if (!o->pcap) {
				perror(next);
				exit(2);
			}
			sim_pcap_begin(o->pcap);
			fflush(o->pcap);
			i++;
		} else {
			usage(word);
		}
	}
	return seeds;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	uint64_t seeds = options_read(&o, argc, argv), failed = 0, whole = 0, excused = 0, bytes = 0;
	uint64_t counter[COUNTERS_MAX] = {0};
	volatile struct verdict *v = mmap(NULL, sizeof *v, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT(v != MAP_FAILED);
	for (uint64_t i = 0; i < seeds; i++, o.seed++) {
		bool good = run_one(&o, v);
		report(&o, v, good);
		failed += !good;
		whole += v->completed;
		excused += v->excused;
		bytes += v->bytes;
		for (uint32_t k = 0; k < COUNTERS_MAX; k++)
			counter[k] += v->counter[k];
	}
	if (seeds == 1 && !failed && !o.verbose && !o.trace)
		printf("trace hash %016lx\n", (unsigned long)v->hash);
	if (seeds > 1)
		printf("%lu seeds, %lu failed; %lu connections whole, %lu excused; %lu bytes\n",
			(unsigned long)seeds, (unsigned long)failed, (unsigned long)whole, (unsigned long)excused,
			(unsigned long)bytes);
	if (o.counters)
		counters_print(counter);
	return failed ? 1 : 0;
}
