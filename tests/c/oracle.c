/* Dreams: the oracle's options, its points, what is like them, and rankings by it, on models/tiny-oracle. */
#include "check.h"

#define BAD ONEIRO_INVALID_ARGUMENT
#define BUNDLE "models/tiny-oracle"
#define NOT_UTF8 "\xC3\x28"
#define WIDTH 16
#define COUNT 8

static oneiro_engine *engine;
static oneiro_recommender *user;
static oneiro_call_options options;

/* Outputs that must not be touched by a call that fails. */
static oneiro_ranking *no_ranking;
static oneiro_point *no_point;

static void plain(const char *oracle) {
  oneiro_call_options_init(&options, sizeof options);
  CHECK(options.oracle == NULL && options.steps == 0 && options.draws == 1 && options.guidance == -1 &&
        options.sampler == ONEIRO_SAMPLER_AUTO && options.seed == 0);
  options.oracle = oracle;
}

static oneiro_point *dream(void) {
  oneiro_point *point = NULL;
  SUCCEEDS(oneiro_recommender_oracle(user, &options, 1, &point, e));
  CHECK(oneiro_point_width(point) == WIDTH);
  return point;
}

static int same(const oneiro_point *a, const oneiro_point *b) {
  return memcmp(oneiro_point_values(a), oneiro_point_values(b), WIDTH * sizeof(float)) == 0;
}

static void points(const char *oracle) {
  oneiro_point *first = NULL, *again = NULL, *other = NULL, *several[3] = {NULL, NULL, NULL};
  plain(oracle);
  first = dream();
  options.guidance = 2; /* the bundle's */
  again = dream();
  CHECK(same(first, again));
  options.guidance = 0.5f;
  other = dream();
  CHECK(!same(first, other));
  oneiro_point_free(other);
  plain(oracle);
  options.seed = UINT64_MAX;
  other = dream();
  CHECK(!same(first, other));
  oneiro_point_free(other);
  plain(oracle);
  options.draws = 3;
  SUCCEEDS(oneiro_recommender_oracle(user, &options, 3, several, e));
  CHECK(same(several[0], first) && !same(several[1], first) && !same(several[2], several[1]));
  for (size_t i = 0; i < 3; i++) {
    oneiro_point_free(several[i]);
  }
  plain(oracle);
  const int32_t samplers[] = {ONEIRO_SAMPLER_CHAIN, ONEIRO_SAMPLER_GRAPH, ONEIRO_SAMPLER_MEAN};
  for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++) {
    options.sampler = samplers[i];
    options.steps = 5;
    oneiro_point_free(dream());
  }
  oneiro_point_free(first);
  oneiro_point_free(again);
}

static void rankings(const char *oracle) {
  oneiro_ranking *ranking = NULL, *like = NULL;
  oneiro_point *point = NULL;
  plain(oracle);
  options.seed = 7;
  SUCCEEDS(oneiro_recommender_retrieve(user, ONEIRO_BY_ORACLE, COUNT, NULL, &options, &ranking, e));
  CHECK(oneiro_ranking_len(ranking) == COUNT);
  for (size_t i = 0; i < COUNT; i++) {
    CHECK(oneiro_ranking_origins(ranking)[i] == ONEIRO_ORIGIN_ORACLE);
    CHECK(i == 0 || oneiro_ranking_scores(ranking)[i] <= oneiro_ranking_scores(ranking)[i - 1]);
  }
  oneiro_ranking_free(ranking);
  options.draws = 2;
  SUCCEEDS(oneiro_engine_retrieve_batch(engine, &user, 1, ONEIRO_BY_ORACLE, COUNT, NULL, &options, &ranking, e));
  CHECK(oneiro_ranking_scores(ranking)[0] == 1 && oneiro_ranking_scores(ranking)[1] == 0.5f);
  oneiro_ranking_free(ranking);
  options.draws = 1;
  point = dream();
  const float *values = oneiro_point_values(point);
  SUCCEEDS(oneiro_recommender_similar_to(user, values, WIDTH, COUNT, NULL, NULL, &like, e));
  CHECK(oneiro_ranking_len(like) == COUNT);
  CHECK(oneiro_ranking_origins(like)[0] == ONEIRO_ORIGIN_SIMILAR);
  oneiro_ranking_free(like);
  FAILS(BAD, "point", oneiro_recommender_similar_to(user, values, WIDTH - 1, COUNT, NULL, NULL, &no_ranking, e));
  FAILS(BAD, "point", oneiro_recommender_similar_to(user, NULL, WIDTH, COUNT, NULL, NULL, &no_ranking, e));
  FAILS(BAD, "point", oneiro_recommender_similar_to(user, NULL, 0, COUNT, NULL, NULL, &no_ranking, e));
  FAILS(BAD, "count", oneiro_recommender_similar_to(user, values, WIDTH, 0, NULL, NULL, &no_ranking, e));
  FAILS(BAD, "out", oneiro_recommender_similar_to(user, values, WIDTH, COUNT, NULL, NULL, NULL, e));
  FAILS(BAD, "recommender", oneiro_recommender_similar_to(NULL, values, WIDTH, COUNT, NULL, NULL, &no_ranking, e));
  oneiro_point_free(point);
}

static void misuse(void) {
  oneiro_cancel *cancel = NULL;
  const float zero = 0, nan_value = zero / zero;
#define WITH(code, words, field, value) \
  plain("affine"); \
  options.field = (value); \
  FAILS(code, words, oneiro_recommender_oracle(user, &options, options.draws, &no_point, e)); \
  FAILS(code, words, oneiro_recommender_retrieve(user, ONEIRO_BY_ORACLE, 1, NULL, &options, &no_ranking, e))
  WITH(BAD, "guidance", guidance, -2);
  WITH(BAD, "guidance", guidance, nan_value);
  WITH(BAD, "sampler", sampler, 5);
  WITH(BAD, "sampler", sampler, -1);
  WITH(BAD, "steps", steps, 501);
  WITH(BAD, "draws", draws, 0);
  WITH(ONEIRO_UNSUPPORTED, "none", oracle, "none");
  WITH(BAD, "oracle", oracle, NOT_UTF8);
  plain("affine");
  options.draws = 65;
  FAILS(BAD, "draws", oneiro_recommender_retrieve(user, ONEIRO_BY_ORACLE, 1, NULL, &options, &no_ranking, e));
  plain("mlp2");
  options.sampler = ONEIRO_SAMPLER_COLLAPSED;
  FAILS(ONEIRO_UNSUPPORTED, "collapsed", oneiro_recommender_oracle(user, &options, 1, &no_point, e));
  plain("mlp2");
  SUCCEEDS(oneiro_cancel_new(&cancel, e));
  options.cancel = cancel;
  oneiro_cancel_request(cancel);
  FAILS(ONEIRO_CANCELLED, "cancelled", oneiro_recommender_oracle(user, &options, 1, &no_point, e));
  FAILS(ONEIRO_CANCELLED, "cancelled",
        oneiro_recommender_retrieve(user, ONEIRO_BY_ORACLE, 1, NULL, &options, &no_ranking, e));
  oneiro_cancel_free(cancel);
  plain("mlp2");
  options.deadline_ms = 0;
  FAILS(ONEIRO_DEADLINE_EXCEEDED, "", oneiro_recommender_oracle(user, &options, 1, &no_point, e));
  FAILS(BAD, "count", oneiro_recommender_oracle(user, NULL, 2, (oneiro_point *[]){NULL, NULL}, e));
  FAILS(BAD, "out", oneiro_recommender_oracle(user, NULL, 1, NULL, e));
  FAILS(BAD, "recommender", oneiro_recommender_oracle(NULL, NULL, 1, &no_point, e));
  CHECK(no_point == NULL && no_ranking == NULL);
}

int main(void) {
  const uint32_t seen[] = {3, 7};
  oneiro_recommender *tiny_user = NULL;
  oneiro_engine *tiny = NULL;
  SUCCEEDS(oneiro_engine_open(BUNDLE, NULL, &engine, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, seen, 2, e));
  points("affine");
  points("mlp2");
  rankings("affine");
  rankings("mlp2");
  misuse();
  SUCCEEDS(oneiro_engine_open(TINY, NULL, &tiny, e));
  SUCCEEDS(oneiro_recommender_new(tiny, &tiny_user, e));
  FAILS(ONEIRO_UNSUPPORTED, "oracle", oneiro_recommender_oracle(tiny_user, NULL, 1, &no_point, e));
  FAILS(ONEIRO_UNSUPPORTED, "oracle",
        oneiro_recommender_retrieve(tiny_user, ONEIRO_BY_ORACLE, 1, NULL, NULL, &no_ranking, e));
  oneiro_recommender_free(tiny_user);
  oneiro_engine_free(tiny);
  oneiro_recommender_free(user);
  oneiro_engine_free(engine);
  return 0;
}
