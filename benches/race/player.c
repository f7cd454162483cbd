/* The questions and answers of a player: see player.h. */
#define _GNU_SOURCE
#include "player.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

_Noreturn void die(const char *what, const char *why) {
  fprintf(stderr, "player: %s: %s\n", what, why);
  exit(1);
}

const void *map_file(const char *folder, const char *name, size_t *bytes) {
  char path[4096];
  struct stat status;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || fstat(file, &status) != 0) die(path, "cannot be opened");
  void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, file, 0);
  if (map == MAP_FAILED) die(path, "cannot be mapped");
  close(file);
  *bytes = (size_t)status.st_size;
  return map;
}

static ranking rankings[USERS];

static void show(size_t users) {
  for (size_t user = 0; user < users; user++) {
    for (size_t i = 0; i < rankings[user].len; i++) {
      printf("%s%u:%.9g", i ? " " : "", rankings[user].best[i].item, (double)rankings[user].best[i].score);
    }
    putchar('\n');
  }
}

static void all(const uint32_t *histories, const char *way) {
  if (strcmp(way, "many") == 0) {
    player_many(histories, rankings);
  } else if (strcmp(way, "graph") == 0) {
    player_graph(histories, rankings);
  } else {
    for (size_t user = 0; user < USERS; user++) player_one(histories + user * LENGTH, &rankings[user]);
  }
}

int main(int argc, char **argv) {
  if (argc != 3) die("usage", "player FOLDER THREADS");
  player_open(argv[1], strtoul(argv[2], NULL, 10));
  size_t bytes;
  const uint32_t *histories = map_file(argv[1], "histories", &bytes);
  if (bytes != sizeof *histories * USERS * LENGTH) die("histories", "of another length");
  player_one(histories, &rankings[0]);
  puts("ready");
  fflush(stdout);

  char line[256], verb[64], word[64];
  size_t user = 0;
  while (fgets(line, sizeof line, stdin) != NULL) {
    *word = '\0';
    if (sscanf(line, "%63s %63s", verb, word) < 1) continue;
    if (strcmp(verb, "answers") == 0) {
      all(histories, word);
      show(USERS);
    } else {
      for (unsigned long n = strtoul(word, NULL, 10); n > 0; n--) {
        int64_t start = now_ns(), time = 0;
        if (strcmp(verb, "one") == 0 || strcmp(verb, "scan") == 0) {
          user = (user + 1) % USERS;
          time = player_one(histories + user * LENGTH, &rankings[0]);
        } else {
          all(histories, verb);
        }
        if (strcmp(verb, "scan") != 0) time = now_ns() - start;
        printf("%lld ", (long long)time);
      }
      putchar('\n');
    }
    fflush(stdout);
  }
  return 0;
}
