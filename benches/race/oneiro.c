/* The race through the C ABI of oneiro. */
#include "player.h"

#include <oneiro.h>
#include <stdio.h>
#include <string.h>

static oneiro_engine *engine;
static oneiro_recommender *user, *users[USERS];
static oneiro_call_options options;
static oneiro_error *error;

static void must(oneiro_status status) {
  if (status != ONEIRO_OK) die("oneiro", oneiro_error_message(error));
}

void player_open(const char *folder, size_t threads) {
  char path[4096];
  snprintf(path, sizeof path, "%s/bundle", folder);
  oneiro_engine_options open;
  oneiro_engine_options_init(&open, sizeof open);
  open.replicas = threads; /* for the runs of a batch */
  must(oneiro_engine_open(path, &open, &engine, &error));
  must(oneiro_recommender_new(engine, &user, &error));
  oneiro_call_options_init(&options, sizeof options);
  options.threads = threads;
}

static void take(oneiro_ranking *best, ranking *out) {
  const uint32_t *items = oneiro_ranking_items(best);
  const float *scores = oneiro_ranking_scores(best);
  out->len = oneiro_ranking_len(best);
  for (size_t i = 0; i < out->len; i++) out->best[i] = (scored){items[i], scores[i]};
}

int64_t player_one(const uint32_t *history, ranking *out) {
  oneiro_ranking *best = NULL;
  must(oneiro_recommender_forget(user, &error));
  must(oneiro_recommender_observe_items(user, history, LENGTH, &error));
  must(oneiro_recommender_retrieve(user, ONEIRO_BY_ENCODER, COUNT, NULL, &options, &best, &error));
  take(best, out);
  double scan_ms = 0;
  for (size_t stage = 0; stage < oneiro_ranking_stage_count(best); stage++) {
    if (strncmp(oneiro_ranking_stage_name(best, stage), "scan ", 5) == 0) scan_ms = oneiro_ranking_stage_ms(best, stage);
  }
  oneiro_ranking_free(best);
  return (int64_t)(scan_ms * 1e6);
}

void player_many(const uint32_t *histories, ranking *out) {
  oneiro_ranking *best[USERS];
  for (size_t i = 0; i < USERS; i++) {
    if (users[i] == NULL) must(oneiro_recommender_new(engine, &users[i], &error));
    must(oneiro_recommender_forget(users[i], &error));
    must(oneiro_recommender_observe_items(users[i], histories + i * LENGTH, LENGTH, &error));
  }
  must(oneiro_engine_retrieve_batch(engine, users, USERS, ONEIRO_BY_ENCODER, COUNT, NULL, &options, best, &error));
  for (size_t i = 0; i < USERS; i++) {
    take(best[i], &out[i]);
    oneiro_ranking_free(best[i]);
  }
}

void player_graph(const uint32_t *histories, ranking *out) {
  (void)histories, (void)out;
  die("graph", "oneiro has no second way");
}
