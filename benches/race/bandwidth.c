/* The speed of reading memory: `bandwidth THREADS` sums 1 GiB, several times, and writes the GB/s of each, 10⁹ bytes. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WORDS = 1 << 27, ROUNDS = 11, MAX_THREADS = 64 };

static uint64_t *words;
static size_t threads;
static uint64_t sums[MAX_THREADS];
static pthread_barrier_t barrier;

static void *read_share(void *at) {
  size_t share = (size_t)at, end = WORDS * (share + 1) / threads;
  /* One thread each writes what it will read: pages lie near the processor that touches them first. */
  for (size_t i = WORDS * share / threads; i < end; i++) words[i] = i;
  for (int round = 0; round < ROUNDS; round++) {
    pthread_barrier_wait(&barrier);
    uint64_t sum = 0;
    for (size_t i = WORDS * share / threads; i < end; i++) sum += words[i];
    sums[share] += sum;
    pthread_barrier_wait(&barrier);
  }
  return NULL;
}

static double now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
  threads = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
  words = aligned_alloc(4096, sizeof *words * WORDS);
  if (threads < 1 || threads > MAX_THREADS || words == NULL) return fprintf(stderr, "usage: bandwidth THREADS\n"), 1;
  pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
  for (size_t share = 0; share < threads; share++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, read_share, (void *)share) != 0) return 1;
  }
  for (int round = 0; round < ROUNDS; round++) {
    pthread_barrier_wait(&barrier);
    double start = now();
    pthread_barrier_wait(&barrier);
    printf("%.3f ", (double)WORDS * 8 / 1e9 / (now() - start));
  }
  uint64_t sum = 0;
  for (size_t share = 0; share < threads; share++) sum += sums[share];
  fprintf(stderr, "%s", sum == 0 ? "nothing was read\n" : "");
  putchar('\n');
  return 0;
}
