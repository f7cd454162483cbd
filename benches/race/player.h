/* A player of the race: opens what lies in a folder, then answers questions on its standard input.
 *
 * `player FOLDER THREADS` opens, recommends to the first user and writes `ready`. Then, line by line:
 *
 *   one N      N times, for one user after the other: history in, ranking out    N times in ns
 *   scan N     the same, but only the scan of the catalog is timed               N times in ns
 *   many N     N times, for all users at once                                    N times in ns
 *   graph N    the same by another way, where the player has one                 N times in ns
 *   answers    a user's ranking by `one`, a line a user                          item:score item:score …
 *   answers many, answers graph                                                  the same by that way
 *
 * FOLDER/bundle is a made-up bundle, FOLDER/histories u32 [USERS, LENGTH]. */
#ifndef PLAYER_H
#define PLAYER_H

#include <stddef.h>
#include <stdint.h>

enum { USERS = 64, LENGTH = 50, COUNT = 100 };

typedef struct {
  uint32_t item;
  float score;
} scored;

typedef struct {
  size_t len;
  scored best[COUNT];
} ranking;

/* What a player does. A failure ends the program with a message. */
void player_open(const char *folder, size_t threads);
/* Recommends COUNT items after a history of LENGTH; gives back how long the scan of the catalog took, in ns. */
int64_t player_one(const uint32_t *history, ranking *out);
/* Recommends to USERS users at once: `histories` [USERS, LENGTH], `out` [USERS]. */
void player_many(const uint32_t *histories, ranking *out);
/* The same by another way. */
void player_graph(const uint32_t *histories, ranking *out);

/* For players: time in ns, and the end. */
int64_t now_ns(void);
_Noreturn void die(const char *what, const char *why);
/* The bytes of a file, mapped. */
const void *map_file(const char *folder, const char *name, size_t *bytes);

#endif
