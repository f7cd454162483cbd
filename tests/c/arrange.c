/* Boosts, pins, caps, diversity, hidden and disliked items, candidates of one's own and deadlines, on models/tiny. */
#include "check.h"

#define BAD ONEIRO_INVALID_ARGUMENT
#define NOT_UTF8 "\xC3\x28"
#define COLD 15 /* its row was never trained */

static oneiro_engine *engine;
static oneiro_recommender *user;
static oneiro_arrangement arrangement;
static oneiro_call_options options;

/* Outputs that must not be touched by a call that fails. */
static oneiro_ranking *no_ranking;
static oneiro_items *no_items;
static float no_score = 77;
static uint32_t no_item = 77;

static void plain(void) {
  oneiro_arrangement_init(&arrangement, sizeof arrangement);
  oneiro_call_options_init(&options, sizeof options);
  CHECK(options.arrangement == NULL && options.deadline_ms == ONEIRO_NO_VALUE);
  options.arrangement = &arrangement;
}

static oneiro_ranking *recommend(size_t count) {
  oneiro_ranking *ranking = NULL;
  SUCCEEDS(oneiro_recommender_recommend(user, count, NULL, &options, &ranking, e));
  CHECK(oneiro_ranking_stopped_after(ranking) == NULL);
  return ranking;
}

static int contains(const oneiro_ranking *ranking, uint32_t item) {
  for (size_t i = 0; i < oneiro_ranking_len(ranking); i++) {
    if (oneiro_ranking_items(ranking)[i] == item) {
      return 1;
    }
  }
  return 0;
}

static int items_are(oneiro_items *items, const uint32_t *expected, size_t count) {
  int same = oneiro_items_len(items) == count &&
             (count == 0 || memcmp(oneiro_items_values(items), expected, count * sizeof *expected) == 0);
  oneiro_items_free(items);
  return same;
}

static void boosts_and_pins(void) {
  oneiro_ranking *all = NULL, *ranking = NULL;
  plain();
  all = recommend(TINY_ITEMS);
  size_t len = oneiro_ranking_len(all);
  const uint32_t *items = oneiro_ranking_items(all);
  const uint32_t boosted[] = {items[len - 1], items[0]}, pinned[] = {items[9], COLD};
  const float boosts[] = {100, -100};
  const size_t places[] = {3, 1};
  arrangement.boosted = boosted;
  arrangement.boosts = boosts;
  arrangement.boost_count = 2;
  arrangement.pinned = pinned;
  arrangement.places = places;
  arrangement.pin_count = 2;
  ranking = recommend(4);
  const uint32_t expected[] = {COLD, items[len - 1], items[9], items[1]};
  CHECK(oneiro_ranking_len(ranking) == 4 && memcmp(oneiro_ranking_items(ranking), expected, sizeof expected) == 0);
  CHECK(oneiro_ranking_origins(ranking)[0] == ONEIRO_ORIGIN_PINNED);
  CHECK(oneiro_ranking_origins(ranking)[1] == ONEIRO_ORIGIN_ENCODER);
  CHECK(oneiro_ranking_scores(ranking)[0] != oneiro_ranking_scores(ranking)[0]); /* NaN */
  CHECK(oneiro_ranking_scores(ranking)[1] == oneiro_ranking_scores(all)[len - 1] + 100);
  oneiro_ranking_free(ranking);
  oneiro_ranking_free(all);
}

static void caps_and_diversity(void) {
  oneiro_cap caps[2];
  oneiro_ranking *all = NULL, *ranking = NULL;
  plain();
  all = recommend(10);
  oneiro_cap_init(&caps[0], sizeof caps[0]);
  oneiro_cap_init(&caps[1], sizeof caps[1]);
  caps[0].attribute = "year";
  caps[0].most = 1;
  caps[1].attribute = "genres";
  caps[1].tag = "Drama";
  caps[1].most = 1;
  arrangement.caps = caps;
  arrangement.cap_count = 2;
  arrangement.pool = 1;
  ranking = recommend(10);
  CHECK(oneiro_ranking_len(ranking) == 10);
  int dramas = 0;
  for (size_t i = 0; i < 10; i++) {
    int64_t year = 0, other = 0;
    oneiro_texts *tags = NULL;
    SUCCEEDS(oneiro_engine_item_tags(engine, oneiro_ranking_items(ranking)[i], "genres", &tags, e));
    for (size_t tag = 0; tag < oneiro_texts_len(tags); tag++) {
      dramas += strcmp(oneiro_texts_utf8(tags, tag), "Drama") == 0;
    }
    oneiro_texts_free(tags);
    SUCCEEDS(oneiro_engine_item_integer(engine, oneiro_ranking_items(ranking)[i], "year", &year, e));
    for (size_t j = 0; j < i; j++) {
      SUCCEEDS(oneiro_engine_item_integer(engine, oneiro_ranking_items(ranking)[j], "year", &other, e));
      CHECK(year != other || year == ONEIRO_NO_VALUE);
    }
  }
  CHECK(dramas <= 1);
  oneiro_ranking_free(ranking);

  plain();
  arrangement.diversity = 0.3f;
  arrangement.space = "texts";
  ranking = recommend(10);
  CHECK(oneiro_ranking_items(ranking)[0] == oneiro_ranking_items(all)[0]);
  CHECK(memcmp(oneiro_ranking_items(ranking), oneiro_ranking_items(all), 10 * sizeof(uint32_t)) != 0);
  oneiro_ranking_free(ranking);
  oneiro_ranking_free(all);
}

static void hidden_and_disliked(void) {
  oneiro_ranking *all = NULL, *ranking = NULL;
  oneiro_items *items = NULL;
  plain();
  all = recommend(TINY_ITEMS);
  const uint32_t first = oneiro_ranking_items(all)[0], seen[] = {3, 3}, unknown[] = {1, TINY_ITEMS};
  SUCCEEDS(oneiro_recommender_hide(user, &first, 1, e));
  SUCCEEDS(oneiro_recommender_dislike(user, seen, 2, e));
  SUCCEEDS(oneiro_recommender_hidden(user, &items, e));
  CHECK(items_are(items, &first, 1));
  SUCCEEDS(oneiro_recommender_disliked(user, &items, e));
  CHECK(items_are(items, seen, 1));
  ranking = recommend(TINY_ITEMS);
  CHECK(oneiro_ranking_len(ranking) == oneiro_ranking_len(all) - 1 && !contains(ranking, first));
  oneiro_ranking_free(ranking);
  FAILS(ONEIRO_UNKNOWN_ITEM, "40", oneiro_recommender_hide(user, unknown, 2, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "40", oneiro_recommender_dislike(user, unknown, 2, e));
  SUCCEEDS(oneiro_recommender_unhide(user, unknown, 2, e));
  SUCCEEDS(oneiro_recommender_unhide(user, &first, 1, e));
  SUCCEEDS(oneiro_recommender_undislike(user, seen, 1, e));
  SUCCEEDS(oneiro_recommender_hidden(user, &items, e));
  CHECK(items_are(items, NULL, 0));
  SUCCEEDS(oneiro_recommender_disliked(user, &items, e));
  CHECK(items_are(items, NULL, 0));
  ranking = recommend(TINY_ITEMS);
  CHECK(oneiro_ranking_items(ranking)[0] == first);
  oneiro_ranking_free(ranking);
  oneiro_ranking_free(all);
  FAILS(BAD, "recommender", oneiro_recommender_hide(NULL, seen, 1, e));
  FAILS(BAD, "recommender", oneiro_recommender_unhide(NULL, seen, 1, e));
  FAILS(BAD, "recommender", oneiro_recommender_dislike(NULL, seen, 1, e));
  FAILS(BAD, "recommender", oneiro_recommender_undislike(NULL, seen, 1, e));
  FAILS(BAD, "items", oneiro_recommender_hide(user, NULL, 1, e));
  FAILS(BAD, "items", oneiro_recommender_unhide(user, NULL, 1, e));
  FAILS(BAD, "items", oneiro_recommender_dislike(user, NULL, 1, e));
  FAILS(BAD, "items", oneiro_recommender_undislike(user, NULL, 1, e));
  FAILS(BAD, "recommender", oneiro_recommender_hidden(NULL, &no_items, e));
  FAILS(BAD, "out", oneiro_recommender_hidden(user, NULL, e));
  FAILS(BAD, "recommender", oneiro_recommender_disliked(NULL, &no_items, e));
  FAILS(BAD, "out", oneiro_recommender_disliked(user, NULL, e));
  CHECK(no_items == NULL);
}

static void items_of_ones_own(void) {
  const char *ids[] = {"film-5", "film-17", "film-2"}, *wrong[] = {"film-5", "film-99"};
  uint32_t items[3] = {0, 0, 0};
  const uint32_t twice[] = {5, 6, 5}, unknown[] = {5, TINY_ITEMS}, with_cold[] = {5, COLD, 5};
  float scores[3] = {0, 0, 0};
  oneiro_ranking *ranking = NULL;
  SUCCEEDS(oneiro_engine_find_items(engine, ids, 3, items, e));
  CHECK(items[0] == 5 && items[1] == 3 && items[2] == 6);
  SUCCEEDS(oneiro_engine_find_items(engine, NULL, 0, NULL, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "film-99", oneiro_engine_find_items(engine, wrong, 2, &no_item, e));
  FAILS(BAD, "engine", oneiro_engine_find_items(NULL, ids, 1, &no_item, e));
  FAILS(BAD, "ids", oneiro_engine_find_items(engine, NULL, 1, &no_item, e));
  FAILS(BAD, "out", oneiro_engine_find_items(engine, ids, 1, NULL, e));

  /* Item 3 is in the history, so two are left. */
  SUCCEEDS(oneiro_recommender_rank(user, ONEIRO_JUDGE_ENCODER, items, 3, 3, NULL, NULL, &ranking, e));
  CHECK(oneiro_ranking_len(ranking) == 2 && contains(ranking, 5) && contains(ranking, 6));
  const uint32_t best = oneiro_ranking_items(ranking)[0];
  const float score = oneiro_ranking_scores(ranking)[0];
  oneiro_ranking_free(ranking);
  SUCCEEDS(oneiro_recommender_score(user, ONEIRO_JUDGE_ENCODER, &best, 1, NULL, scores, e));
  CHECK(scores[0] == score && scores[1] == 0);
  SUCCEEDS(oneiro_recommender_score(user, ONEIRO_JUDGE_ENCODER, with_cold, 3, NULL, scores, e));
  CHECK(scores[0] == scores[2] && scores[1] != scores[1]);
  SUCCEEDS(oneiro_recommender_score(user, ONEIRO_JUDGE_POPULARITY, items + 1, 1, NULL, scores, e));
  CHECK(scores[0] == 179);
  SUCCEEDS(oneiro_recommender_score(user, ONEIRO_JUDGE_POPULARITY, NULL, 0, NULL, NULL, e));

#define RANK(judge, items, len, count, out) \
  oneiro_recommender_rank(user, judge, items, len, count, NULL, NULL, out, e)
  FAILS(BAD, "twice", RANK(ONEIRO_JUDGE_ENCODER, twice, 3, 3, &no_ranking));
  FAILS(ONEIRO_UNKNOWN_ITEM, "40", RANK(ONEIRO_JUDGE_ENCODER, unknown, 2, 2, &no_ranking));
  FAILS(BAD, "judge", RANK(0, items, 3, 3, &no_ranking));
  FAILS(BAD, "count", RANK(ONEIRO_JUDGE_ENCODER, items, 3, 0, &no_ranking));
  FAILS(BAD, "candidates", RANK(ONEIRO_JUDGE_ENCODER, NULL, 3, 3, &no_ranking));
  FAILS(BAD, "out", RANK(ONEIRO_JUDGE_ENCODER, items, 3, 3, NULL));
  FAILS(BAD, "recommender", oneiro_recommender_rank(NULL, 1, items, 3, 3, NULL, NULL, &no_ranking, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "40", oneiro_recommender_score(user, 1, unknown, 2, NULL, &no_score, e));
  FAILS(BAD, "judge", oneiro_recommender_score(user, 99, items, 1, NULL, &no_score, e));
  FAILS(BAD, "items", oneiro_recommender_score(user, 1, NULL, 1, NULL, &no_score, e));
  FAILS(BAD, "out", oneiro_recommender_score(user, 1, items, 1, NULL, NULL, e));
  FAILS(BAD, "recommender", oneiro_recommender_score(NULL, 1, items, 1, NULL, &no_score, e));
  CHECK(no_ranking == NULL && no_score == 77 && no_item == 77);
}

static void deadlines(void) {
  oneiro_ranking *ranking = NULL;
  const uint32_t item = 5;
  plain();
  options.deadline_ms = INT64_MAX;
  ranking = recommend(5);
  CHECK(oneiro_ranking_len(ranking) == 5);
  oneiro_ranking_free(ranking);
  options.deadline_ms = 0;
#define LATE(call) FAILS(ONEIRO_DEADLINE_EXCEEDED, "deadline", call)
  LATE(oneiro_recommender_recommend(user, 5, NULL, &options, &no_ranking, e));
  LATE(oneiro_recommender_retrieve(user, ONEIRO_BY_POPULARITY, 5, NULL, &options, &no_ranking, e));
  LATE(oneiro_recommender_similar(user, 1, 5, NULL, &options, &no_ranking, e));
  LATE(oneiro_recommender_rank(user, ONEIRO_JUDGE_ENCODER, &item, 1, 1, NULL, &options, &no_ranking, e));
  LATE(oneiro_recommender_score(user, ONEIRO_JUDGE_ENCODER, &item, 1, &options, &no_score, e));
  options.deadline_ms = -1;
  FAILS(BAD, "deadline_ms", oneiro_recommender_recommend(user, 5, NULL, &options, &no_ranking, e));
  CHECK(oneiro_ranking_stopped_after(NULL) == NULL);
  CHECK(no_ranking == NULL && no_score == 77);
}

static void wrong_arrangements(void) {
  const uint32_t items[] = {4, 4}, unknown = TINY_ITEMS;
  const float amount = 1;
  const size_t places[] = {2, 2};
  oneiro_cap cap;
  plain();
#define REFUSED(code, words) FAILS(code, words, oneiro_recommender_recommend(user, 5, NULL, &options, &no_ranking, e))
#define ARRANGED(code, words, field, value) \
  plain(); \
  arrangement.field = (value); \
  REFUSED(code, words)
  ARRANGED(BAD, "boosted", boost_count, 1);
  ARRANGED(BAD, "pinned", pin_count, 1);
  ARRANGED(BAD, "caps", cap_count, 1);
  ARRANGED(BAD, "pool", pool, 0);
  ARRANGED(BAD, "diversity", diversity, -0.5f);
  ARRANGED(BAD, "dislike_weight", dislike_weight, -1);
  ARRANGED(BAD, "space", space, NOT_UTF8);
  ARRANGED(ONEIRO_UNSUPPORTED, "moods", space, "moods");
  ARRANGED(BAD, "oneiro_arrangement", size, 1);
  plain();
  arrangement.boosted = &unknown;
  arrangement.boost_count = 1;
  REFUSED(BAD, "boosts");
  arrangement.boosts = &amount;
  REFUSED(ONEIRO_UNKNOWN_ITEM, "40");
  plain();
  arrangement.pinned = items;
  arrangement.pin_count = 2;
  REFUSED(BAD, "places");
  arrangement.places = places;
  REFUSED(BAD, "place 2");
#define CAPPED(code, words, attribute_, tag_, most_) \
  plain(); \
  oneiro_cap_init(&cap, sizeof cap); \
  arrangement.caps = &cap; \
  arrangement.cap_count = 1; \
  cap.attribute = (attribute_); \
  cap.tag = (tag_); \
  cap.most = (most_); \
  REFUSED(code, words)
  CAPPED(BAD, "genres", "genres", NULL, 0);
  CAPPED(BAD, "attribute", NULL, NULL, 1);
  CAPPED(BAD, "tag", "genres", NOT_UTF8, 1);
  CAPPED(BAD, "Polka", "genres", "Polka", 1);
  CAPPED(BAD, "year", "year", "Drama", 1);
  CAPPED(ONEIRO_UNSUPPORTED, "colour", "colour", NULL, 1);
  cap.size = 2;
  REFUSED(BAD, "oneiro_cap");
  oneiro_cap_init(NULL, sizeof cap);
  oneiro_arrangement_init(NULL, sizeof arrangement);
  CHECK(no_ranking == NULL);
}

/* A caller from before arrangements and deadlines: its options end where theirs begin. */
static void older_callers(void) {
  oneiro_ranking *ranking = NULL;
  memset(&options, 0xEE, sizeof options);
  oneiro_call_options_init(&options, offsetof(oneiro_call_options, arrangement));
  SUCCEEDS(oneiro_recommender_recommend(user, 5, NULL, &options, &ranking, e));
  CHECK(oneiro_ranking_len(ranking) == 5);
  oneiro_ranking_free(ranking);
}

int main(void) {
  const uint32_t seen[] = {3, 7, 12};
  SUCCEEDS(oneiro_engine_open(TINY, NULL, &engine, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, seen, 3, e));
  boosts_and_pins();
  caps_and_diversity();
  hidden_and_disliked();
  items_of_ones_own();
  deadlines();
  wrong_arrangements();
  older_callers();
  oneiro_recommender_free(user);
  oneiro_engine_free(engine);
  return 0;
}
