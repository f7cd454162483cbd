/* One engine and many threads: a recommender each, calls stopped from elsewhere, frees while others live. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>
#include <time.h>

#define THREADS 4
#define ROUNDS 25

static oneiro_engine *engine;
static uint32_t expected[10];

static void *recommend(void *argument) {
  const uint32_t seen[] = {3, 20, 33};
  (void)argument;
  for (int round = 0; round < ROUNDS; round++) {
    oneiro_recommender *user = NULL;
    oneiro_ranking *ranking = NULL;
    oneiro_text *title = NULL;
    SUCCEEDS(oneiro_recommender_new(engine, &user, e));
    SUCCEEDS(oneiro_recommender_observe_items(user, seen, 3, e));
    SUCCEEDS(oneiro_recommender_recommend(user, 10, NULL, NULL, &ranking, e));
    CHECK(memcmp(oneiro_ranking_items(ranking), expected, sizeof expected) == 0);
    SUCCEEDS(oneiro_engine_item_title(engine, expected[0], &title, e));
    oneiro_text_free(title);
    oneiro_recommender_free(user);
    oneiro_ranking_free(ranking);
  }
  return NULL;
}

struct stoppable {
  oneiro_recommender *user;
  oneiro_cancel *cancel;
};

/* Calls until it is stopped; gives up its ownership of the cancel object by itself. */
static void *until_stopped(void *argument) {
  struct stoppable *own = argument;
  oneiro_call_options options;
  oneiro_status status = ONEIRO_OK;
  oneiro_call_options_init(&options, sizeof options);
  options.cancel = own->cancel;
  for (uint32_t item = 0; status == ONEIRO_OK; item = (item + 1) % TINY_ITEMS) {
    oneiro_ranking *ranking = NULL;
    oneiro_error *error = NULL;
    SUCCEEDS(oneiro_recommender_forget(own->user, e));
    SUCCEEDS(oneiro_recommender_observe_items(own->user, &item, 1, e));
    status = oneiro_recommender_retrieve(own->user, ONEIRO_BY_ENCODER, 10, NULL, &options, &ranking, &error);
    CHECK((status == ONEIRO_OK) == (ranking != NULL) && (status == ONEIRO_OK) == (error == NULL));
    oneiro_ranking_free(ranking);
    oneiro_error_free(error);
  }
  CHECK(status == ONEIRO_CANCELLED);
  oneiro_cancel_free(own->cancel);
  return NULL;
}

static void stop_from_another_thread(void) {
  struct stoppable own = {NULL, NULL};
  oneiro_ranking *ranking = NULL;
  pthread_t thread;
  struct timespec pause = {0, 20000000};
  SUCCEEDS(oneiro_recommender_new(engine, &own.user, e));
  SUCCEEDS(oneiro_cancel_new(&own.cancel, e));
  oneiro_cancel *ours = own.cancel;
  oneiro_cancel_retain(ours);
  CHECK(pthread_create(&thread, NULL, until_stopped, &own) == 0);
  nanosleep(&pause, NULL);
  oneiro_cancel_request(ours);
  oneiro_cancel_request(ours);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(oneiro_cancel_is_requested(ours));
  oneiro_cancel_free(ours);
  /* The recommender is as usable as before. */
  SUCCEEDS(oneiro_recommender_retrieve(own.user, ONEIRO_BY_ENCODER, 10, NULL, NULL, &ranking, e));
  CHECK(oneiro_ranking_len(ranking) == 10);
  oneiro_ranking_free(ranking);
  oneiro_recommender_free(own.user);
}

/* A user that outlives the engine, on another thread than the one that made it. */
static void *use_orphan(void *user) {
  oneiro_ranking *ranking = NULL;
  SUCCEEDS(oneiro_recommender_recommend(user, 10, NULL, NULL, &ranking, e));
  CHECK(memcmp(oneiro_ranking_items(ranking), expected, sizeof expected) == 0);
  oneiro_recommender_free(user);
  return ranking;
}

int main(void) {
  const uint32_t seen[] = {3, 20, 33};
  pthread_t threads[THREADS];
  oneiro_recommender *user = NULL;
  oneiro_ranking *ranking = NULL;
  void *result = NULL;
  SUCCEEDS(oneiro_engine_open(TINY, NULL, &engine, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, seen, 3, e));
  SUCCEEDS(oneiro_recommender_recommend(user, 10, NULL, NULL, &ranking, e));
  CHECK(oneiro_ranking_len(ranking) == 10);
  memcpy(expected, oneiro_ranking_items(ranking), sizeof expected);
  oneiro_ranking_free(ranking);

  for (int i = 0; i < THREADS; i++) {
    CHECK(pthread_create(&threads[i], NULL, recommend, NULL) == 0);
  }
  stop_from_another_thread();
  for (int i = 0; i < THREADS; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }

  CHECK(pthread_create(&threads[0], NULL, use_orphan, user) == 0);
  oneiro_engine_free(engine); /* while the other thread may be in its call */
  CHECK(pthread_join(threads[0], &result) == 0);
  CHECK(memcmp(oneiro_ranking_items(result), expected, sizeof expected) == 0);
  oneiro_ranking_free(result);
  return 0;
}
