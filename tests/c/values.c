/* What items are worth in the long run: Q-networks retrieve, judge and blend, on models/tiny-values. */
#include "check.h"

#define BAD ONEIRO_INVALID_ARGUMENT
#define BUNDLE "models/tiny-values"
#define NOT_UTF8 "\xC3\x28"
#define COUNT 8

static oneiro_recommender *user;
static oneiro_call_options options;

/* Output that must not be touched by a call that fails. */
static oneiro_ranking *no_ranking;

static void plain(const char *network) {
  oneiro_call_options_init(&options, sizeof options);
  options.q_network = network;
}

static void ranks(const char *network) {
  oneiro_ranking *whole = NULL, *alone = NULL, *blended = NULL;
  float scores[COUNT];
  plain(network);
  SUCCEEDS(oneiro_recommender_retrieve(user, ONEIRO_BY_Q_NETWORK, COUNT, NULL, &options, &whole, e));
  CHECK(oneiro_ranking_len(whole) == COUNT);
  const uint32_t *items = oneiro_ranking_items(whole);
  for (size_t i = 0; i < COUNT; i++) {
    CHECK(oneiro_ranking_origins(whole)[i] == ONEIRO_ORIGIN_Q_NETWORK);
  }
  SUCCEEDS(oneiro_recommender_score(user, ONEIRO_JUDGE_Q_NETWORK, items, COUNT, &options, scores, e));
  CHECK(memcmp(scores, oneiro_ranking_scores(whole), sizeof scores) == 0);
  SUCCEEDS(oneiro_recommender_rank(user, ONEIRO_JUDGE_Q_NETWORK, items, COUNT, COUNT, NULL, &options, &alone, e));
  CHECK(memcmp(oneiro_ranking_items(alone), items, sizeof scores) == 0);
  CHECK(memcmp(oneiro_ranking_scores(alone), scores, sizeof scores) == 0);
  /* By the scores that they come with alone, backwards. */
  for (size_t i = 0; i < COUNT; i++) {
    scores[i] = (float)i;
  }
  options.candidate_scores = scores;
  options.weight = 0;
  SUCCEEDS(oneiro_recommender_rank(user, ONEIRO_JUDGE_Q_NETWORK, items, COUNT, COUNT, NULL, &options, &blended, e));
  for (size_t i = 0; i < COUNT; i++) {
    CHECK(oneiro_ranking_items(blended)[i] == items[COUNT - 1 - i]);
  }
  oneiro_ranking_free(whole);
  oneiro_ranking_free(alone);
  oneiro_ranking_free(blended);
}

static void misuse(void) {
  const uint32_t items[] = {1, 2};
  const float scores[] = {0.5f, 0.25f};
#define WITH(code, words, field, value) \
  plain("mcrl"); \
  options.candidate_scores = scores; \
  options.field = (value); \
  FAILS(code, words, \
        oneiro_recommender_rank(user, ONEIRO_JUDGE_Q_NETWORK, items, 2, 1, NULL, &options, &no_ranking, e))
  WITH(BAD, "weight", weight, 2);
  WITH(BAD, "weight", weight, -2);
  WITH(BAD, "q_network", q_network, NOT_UTF8);
  WITH(ONEIRO_UNSUPPORTED, "none", q_network, "none");
  plain("mcrl");
  options.weight = 0.5f;
  FAILS(BAD, "without scores",
        oneiro_recommender_rank(user, ONEIRO_JUDGE_Q_NETWORK, items, 2, 1, NULL, &options, &no_ranking, e));
  CHECK(no_ranking == NULL);
}

int main(void) {
  const uint32_t seen[] = {3, 7};
  oneiro_ranking *best = NULL;
  oneiro_engine *engine = NULL;
  SUCCEEDS(oneiro_engine_open(BUNDLE, NULL, &engine, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, seen, 2, e));
  ranks("mcrl");
  ranks("separate");
  ranks("direct");
  misuse();
  SUCCEEDS(oneiro_recommender_recommend(user, COUNT, NULL, NULL, &best, e));
  CHECK(oneiro_ranking_origins(best)[0] == ONEIRO_ORIGIN_Q_NETWORK);
  oneiro_ranking_free(best);
  oneiro_recommender_free(user);
  oneiro_engine_free(engine);
  return 0;
}
