/* The whole of the header, used as it is meant to be, on models/tiny. */
#include "check.h"

static int text_is(oneiro_text *text, const char *expected) {
  int same = strcmp(oneiro_text_utf8(text), expected) == 0;
  oneiro_text_free(text);
  return same;
}

static int contains(const oneiro_ranking *ranking, uint32_t item) {
  for (size_t i = 0; i < oneiro_ranking_len(ranking); i++) {
    if (oneiro_ranking_items(ranking)[i] == item) {
      return 1;
    }
  }
  return 0;
}

/* `len` items of one origin, scores falling, stages with names and times; freed. */
static void check_ranking(oneiro_ranking *ranking, size_t len, int32_t origin) {
  CHECK(oneiro_ranking_len(ranking) == len);
  for (size_t i = 0; i < len; i++) {
    CHECK(oneiro_ranking_items(ranking)[i] < TINY_ITEMS);
    CHECK(oneiro_ranking_origins(ranking)[i] == origin);
    CHECK(i == 0 || oneiro_ranking_scores(ranking)[i] <= oneiro_ranking_scores(ranking)[i - 1]);
  }
  CHECK(oneiro_ranking_stage_count(ranking) > 0);
  for (size_t i = 0; i < oneiro_ranking_stage_count(ranking); i++) {
    CHECK(strlen(oneiro_ranking_stage_name(ranking, i)) > 0);
    CHECK(oneiro_ranking_stage_items(ranking, i) <= TINY_ITEMS);
    CHECK(oneiro_ranking_stage_ms(ranking, i) >= 0.0);
  }
  CHECK(oneiro_ranking_stage_name(ranking, oneiro_ranking_stage_count(ranking)) == NULL);
  oneiro_ranking_free(ranking);
}

struct heard {
  int messages;
  int loud;
  char last[256];
};

static void hear(void *user_data, int32_t level, const char *message) {
  struct heard *heard = user_data;
  heard->messages++;
  heard->loud += level < ONEIRO_LOG_INFO;
  strncat(strcpy(heard->last, ""), message, sizeof heard->last - 1);
}

struct progress {
  uint64_t done, total, stop_at;
};

static int32_t advance(void *user_data, uint64_t done_bytes, uint64_t total_bytes) {
  struct progress *progress = user_data;
  CHECK(done_bytes > progress->done && done_bytes <= total_bytes);
  progress->done = done_bytes;
  progress->total = total_bytes;
  return done_bytes >= progress->stop_at;
}

static void use_bundle(void) {
  oneiro_bundle *bundle = NULL;
  oneiro_text *name = NULL;
  struct progress progress = {0, 0, UINT64_MAX};
  SUCCEEDS(oneiro_bundle_open(TINY, &bundle, e));
  SUCCEEDS(oneiro_bundle_name(bundle, &name, e));
  CHECK(text_is(name, "tiny"));
  SUCCEEDS(oneiro_bundle_verify(bundle, NULL, NULL, NULL, e));
  SUCCEEDS(oneiro_bundle_verify(bundle, NULL, advance, &progress, e));
  CHECK(progress.done == progress.total && progress.total > 10000);

  struct progress stopped = {0, 0, 1};
  FAILS(ONEIRO_CANCELLED, "cancelled", (stopped.done = 0, oneiro_bundle_verify(bundle, NULL, advance, &stopped, e)));
  CHECK(stopped.done < stopped.total);
  struct progress at_the_end = {0, 0, progress.total};
  FAILS(ONEIRO_CANCELLED, "cancelled",
        (at_the_end.done = 0, oneiro_bundle_verify(bundle, NULL, advance, &at_the_end, e)));

  oneiro_cancel *cancel = NULL;
  SUCCEEDS(oneiro_cancel_new(&cancel, e));
  progress.done = 0;
  SUCCEEDS(oneiro_bundle_verify(bundle, cancel, advance, &progress, e));
  stopped.done = 0;
  FAILS(ONEIRO_CANCELLED, "cancelled", (stopped.done = 0, oneiro_bundle_verify(bundle, cancel, advance, &stopped, e)));
  CHECK(!oneiro_cancel_is_requested(cancel)); /* the callback stopped its own call only */
  oneiro_cancel_request(cancel);
  FAILS(ONEIRO_CANCELLED, "cancelled", oneiro_bundle_verify(bundle, cancel, NULL, NULL, e));
  oneiro_cancel_free(cancel);

  oneiro_engine_options options;
  oneiro_graph_options graph;
  oneiro_engine *engine = NULL;
  oneiro_engine_options_init(&options, sizeof options);
  oneiro_graph_options_init(&graph, sizeof graph);
  graph.name = "encoder";
  graph.threads = 2;
  graph.prepack = ONEIRO_PREPACK_OFF;
  graph.replicas = 2;
  options.graphs = &graph;
  options.graph_count = 1;
  SUCCEEDS(oneiro_engine_open_bundle(bundle, &options, &engine, e));
  oneiro_engine_free(engine);
  graph.name = "decoder";
  FAILS(ONEIRO_INVALID_ARGUMENT, "decoder", oneiro_engine_open_bundle(bundle, &options, &engine, e));
  oneiro_bundle_free(bundle);
}

static void use_catalog(const oneiro_engine *engine) {
  oneiro_text *text = NULL;
  oneiro_texts *texts = NULL;
  oneiro_items *items = NULL;
  uint32_t item = 0, count = 0;
  int64_t year = 0;
  int32_t kind = 0;
  CHECK(oneiro_engine_item_count(engine) == TINY_ITEMS);
  SUCCEEDS(oneiro_engine_item_id(engine, 3, &text, e));
  CHECK(text_is(text, "film-17"));
  SUCCEEDS(oneiro_engine_item_title(engine, 3, &text, e));
  CHECK(text_is(text, "\xC3\x89" "chos d'hiver (2003)"));
  SUCCEEDS(oneiro_engine_item_popularity(engine, 3, &count, e));
  CHECK(count == 179);

  SUCCEEDS(oneiro_engine_attributes(engine, &texts, e));
  CHECK(oneiro_texts_len(texts) == 2);
  CHECK(strcmp(oneiro_texts_utf8(texts, 0), "genres") == 0 && strcmp(oneiro_texts_utf8(texts, 1), "year") == 0);
  CHECK(oneiro_texts_utf8(texts, 2) == NULL);
  oneiro_texts_free(texts);
  SUCCEEDS(oneiro_engine_attribute_kind(engine, "genres", &kind, e));
  CHECK(kind == ONEIRO_ATTRIBUTE_TAGS);
  SUCCEEDS(oneiro_engine_attribute_kind(engine, "year", &kind, e));
  CHECK(kind == ONEIRO_ATTRIBUTE_INTEGER);
  SUCCEEDS(oneiro_engine_item_tags(engine, 3, "genres", &texts, e));
  CHECK(oneiro_texts_len(texts) == 2 && strcmp(oneiro_texts_utf8(texts, 1), "Romance") == 0);
  oneiro_texts_free(texts);
  SUCCEEDS(oneiro_engine_item_tags(engine, 17, "genres", &texts, e));
  CHECK(oneiro_texts_len(texts) == 0);
  oneiro_texts_free(texts);
  SUCCEEDS(oneiro_engine_item_integer(engine, 3, "year", &year, e));
  CHECK(year == 2003);
  SUCCEEDS(oneiro_engine_item_integer(engine, 16, "year", &year, e));
  CHECK(year == ONEIRO_NO_VALUE);

  SUCCEEDS(oneiro_engine_find_item(engine, "film-17", &item, e));
  CHECK(item == 3);
  SUCCEEDS(oneiro_engine_find_title(engine, "two rivers", &items, e));
  CHECK(oneiro_items_len(items) == 3 && oneiro_items_values(items)[0] == 9);
  oneiro_items_free(items);
  SUCCEEDS(oneiro_engine_find_title(engine, "no such film", &items, e));
  CHECK(oneiro_items_len(items) == 0 && oneiro_items_values(items) == NULL);
  oneiro_items_free(items);
  SUCCEEDS(oneiro_engine_resolve(engine, "film-17", &item, e));
  CHECK(item == 3);
  SUCCEEDS(oneiro_engine_resolve(engine, "ECHOS D'HIVER", &item, e));
  CHECK(item == 3);
  FAILS(ONEIRO_UNKNOWN_ITEM, "film-25", oneiro_engine_resolve(engine, "Two Rivers", &item, e));
}

static void use_history(oneiro_recommender *user) {
  const char *known[] = {"film-17", "film-29"};
  const char *mixed[] = {"film-5", "film-99", "film-2", "nothing"};
  const uint32_t items[] = {7, 7};
  oneiro_texts *unknown = NULL;
  oneiro_history *history = NULL;
  oneiro_event events[2];
  size_t removed = 9;
  SUCCEEDS(oneiro_recommender_observe(user, known, 2, e));
  SUCCEEDS(oneiro_recommender_observe_known(user, mixed, 4, &unknown, e));
  CHECK(oneiro_texts_len(unknown) == 2 && strcmp(oneiro_texts_utf8(unknown, 0), "film-99") == 0);
  oneiro_texts_free(unknown);
  SUCCEEDS(oneiro_recommender_observe_known(user, mixed, 1, NULL, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, items, 2, e));
  oneiro_event_init(&events[0], sizeof events[0]);
  oneiro_event_init(&events[1], sizeof events[1]);
  events[0].item = 11;
  events[0].kind = "watched";
  events[0].time = 1385000000;
  events[1].item = 12;
  SUCCEEDS(oneiro_recommender_observe_events(user, events, 2, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "film-99", oneiro_recommender_observe(user, mixed, 4, e));
  events[1].item = TINY_ITEMS;
  FAILS(ONEIRO_UNKNOWN_ITEM, "40", oneiro_recommender_observe_events(user, events, 2, e));

  const uint32_t expected[] = {3, 0, 5, 6, 5, 7, 7, 11, 12};
  SUCCEEDS(oneiro_recommender_history(user, &history, e));
  CHECK(oneiro_history_len(history) == 9);
  CHECK(memcmp(oneiro_history_items(history), expected, sizeof expected) == 0);
  CHECK(oneiro_history_times(history)[7] == 1385000000);
  CHECK(oneiro_history_times(history)[8] == ONEIRO_NO_VALUE);
  CHECK(strcmp(oneiro_history_kind(history, 7), "watched") == 0);
  CHECK(oneiro_history_kind(history, 8) == NULL && oneiro_history_kind(history, 9) == NULL);
  SUCCEEDS(oneiro_recommender_forget_item(user, 7, &removed, e));
  CHECK(removed == 2);
  SUCCEEDS(oneiro_recommender_forget_item(user, 7, NULL, e));
  CHECK(oneiro_history_len(history) == 9); /* it is what was, at one moment */
  oneiro_history_free(history);
  SUCCEEDS(oneiro_recommender_history(user, &history, e));
  CHECK(oneiro_history_len(history) == 7);
  oneiro_history_free(history);
}

static void use_rankings(oneiro_recommender *user) {
  oneiro_ranking *ranking = NULL;
  oneiro_call_options options;
  oneiro_point *state = NULL;
  SUCCEEDS(oneiro_recommender_recommend(user, 10, NULL, NULL, &ranking, e));
  CHECK(!contains(ranking, 12) && !contains(ranking, 15));
  check_ranking(ranking, 10, ONEIRO_ORIGIN_ENCODER);
  SUCCEEDS(oneiro_recommender_retrieve(user, ONEIRO_BY_POPULARITY, 1, NULL, NULL, &ranking, e));
  CHECK(oneiro_ranking_items(ranking)[0] == 33 && oneiro_ranking_scores(ranking)[0] == 199.0f);
  check_ranking(ranking, 1, ONEIRO_ORIGIN_POPULARITY);
  oneiro_call_options_init(&options, sizeof options);
  options.encoder = "sasrec";
  options.threads = 3;
  SUCCEEDS(oneiro_recommender_retrieve(user, ONEIRO_BY_ENCODER, SIZE_MAX, NULL, &options, &ranking, e));
  check_ranking(ranking, 32, ONEIRO_ORIGIN_ENCODER); /* 40 less 6 seen and 2 cold */
  SUCCEEDS(oneiro_recommender_similar(user, 3, 5, NULL, NULL, &ranking, e));
  CHECK(!contains(ranking, 3));
  check_ranking(ranking, 5, ONEIRO_ORIGIN_SIMILAR);
  SUCCEEDS(oneiro_recommender_state(user, &options, &state, e));
  CHECK(oneiro_point_width(state) == 16 && oneiro_point_values(state)[0] == oneiro_point_values(state)[0]);
  oneiro_point_free(state);
  SUCCEEDS(oneiro_recommender_forget(user, e));
  SUCCEEDS(oneiro_recommender_recommend(user, 10, NULL, NULL, &ranking, e));
  check_ranking(ranking, 10, ONEIRO_ORIGIN_POPULARITY);
}

/* Three users at once get what each gets alone: a history, none, and one that is only a cold item. */
static void use_batches(const oneiro_engine *engine) {
  enum { USERS = 3 };
  const uint32_t items[USERS][2] = {{3, 20}, {0, 0}, {15, 15}};
  const size_t counts[USERS] = {2, 0, 1};
  const int32_t origins[USERS] = {ONEIRO_ORIGIN_ENCODER, ONEIRO_ORIGIN_POPULARITY, ONEIRO_ORIGIN_POPULARITY};
  oneiro_recommender *users[USERS] = {NULL, NULL, NULL};
  oneiro_ranking *rankings[USERS] = {NULL, NULL, NULL};
  for (int i = 0; i < USERS; i++) {
    SUCCEEDS(oneiro_recommender_new(engine, &users[i], e));
    SUCCEEDS(oneiro_recommender_observe_items(users[i], items[i], counts[i], e));
  }
  SUCCEEDS(oneiro_engine_recommend_batch(engine, users, USERS, 5, NULL, NULL, rankings, e));
  for (int i = 0; i < USERS; i++) {
    oneiro_ranking *alone = NULL;
    SUCCEEDS(oneiro_recommender_recommend(users[i], 5, NULL, NULL, &alone, e));
    CHECK(memcmp(oneiro_ranking_items(rankings[i]), oneiro_ranking_items(alone), 5 * sizeof(uint32_t)) == 0);
    CHECK(memcmp(oneiro_ranking_scores(rankings[i]), oneiro_ranking_scores(alone), 5 * sizeof(float)) == 0);
    check_ranking(rankings[i], 5, origins[i]);
    check_ranking(alone, 5, origins[i]);
  }
  SUCCEEDS(oneiro_engine_retrieve_batch(engine, users, USERS, ONEIRO_BY_ENCODER, 40, NULL, NULL, rankings, e));
  CHECK(!contains(rankings[0], 20) && contains(rankings[1], 20));
  check_ranking(rankings[0], 36, ONEIRO_ORIGIN_ENCODER); /* 40 less 2 seen and 2 cold */
  check_ranking(rankings[1], 38, ONEIRO_ORIGIN_ENCODER);
  check_ranking(rankings[2], 38, ONEIRO_ORIGIN_ENCODER);
  for (int i = 0; i < USERS; i++) {
    oneiro_recommender_free(users[i]);
  }
}

/* The items that `filter` leaves, by popularity for a user who has seen item 33. */
static oneiro_ranking *left_by(oneiro_recommender *user, const oneiro_filter *filter) {
  oneiro_ranking *ranking = NULL;
  SUCCEEDS(oneiro_recommender_retrieve(user, ONEIRO_BY_POPULARITY, TINY_ITEMS, filter, NULL, &ranking, e));
  return ranking;
}

static void use_filters(oneiro_recommender *user) {
  const uint32_t items[] = {33, 26, 0};
  const char *drama[] = {"Drama", "Western"};
  oneiro_filter filter;
  oneiro_condition conditions[2];
  oneiro_ranking *ranking = NULL;
  SUCCEEDS(oneiro_recommender_forget(user, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, items, 1, e));
  oneiro_filter_init(&filter, sizeof filter);
  check_ranking(left_by(user, &filter), 37, ONEIRO_ORIGIN_POPULARITY); /* 40 less 1 seen and 2 without a count */
  filter.seen = ONEIRO_SEEN_ALLOW;
  check_ranking(left_by(user, &filter), 38, ONEIRO_ORIGIN_POPULARITY);
  filter.excluded = items;
  filter.excluded_count = 2;
  ranking = left_by(user, &filter);
  CHECK(!contains(ranking, 33) && !contains(ranking, 26));
  check_ranking(ranking, 36, ONEIRO_ORIGIN_POPULARITY);
  filter.only_allowed = 1;
  check_ranking(left_by(user, &filter), 0, 0); /* only those in a list of none */
  filter.allowed = items;
  filter.allowed_count = 3;
  ranking = left_by(user, &filter);
  CHECK(contains(ranking, 0));
  check_ranking(ranking, 1, ONEIRO_ORIGIN_POPULARITY);

  oneiro_filter_init(&filter, sizeof filter);
  oneiro_condition_init(&conditions[0], sizeof conditions[0]);
  oneiro_condition_init(&conditions[1], sizeof conditions[1]);
  filter.conditions = conditions;
  filter.condition_count = 1;
  conditions[0].kind = ONEIRO_WITH_ANY_TAG;
  conditions[0].attribute = "genres";
  conditions[0].tags = drama + 1;
  conditions[0].tag_count = 1;
  check_ranking(left_by(user, &filter), 3, ONEIRO_ORIGIN_POPULARITY);
  conditions[1].kind = ONEIRO_BETWEEN;
  conditions[1].attribute = "year";
  conditions[1].least = 1998;
  filter.condition_count = 2;
  ranking = left_by(user, &filter);
  CHECK(contains(ranking, 8) && contains(ranking, 9));
  check_ranking(ranking, 2, ONEIRO_ORIGIN_POPULARITY);
  conditions[0].kind = ONEIRO_WITHOUT_TAGS;
  conditions[0].tags = drama;
  conditions[0].tag_count = 2;
  conditions[1].greatest = 1999;
  ranking = left_by(user, &filter);
  CHECK(contains(ranking, 5));
  check_ranking(ranking, 1, ONEIRO_ORIGIN_POPULARITY);
}

int main(void) {
  static struct heard heard;
  oneiro_engine *engine = NULL;
  oneiro_recommender *user = NULL;
  oneiro_memory *memory = NULL;
  size_t bytes = 0;
  CHECK(oneiro_runtime_path() == NULL);
  SUCCEEDS(oneiro_log_set(hear, &heard, ONEIRO_LOG_INFO, e));
  SUCCEEDS(oneiro_engine_open(TINY, NULL, &engine, e));
  CHECK(heard.messages > 0 && heard.loud == 0 && strstr(heard.last, "tiny") != NULL);
  SUCCEEDS(oneiro_log_set(NULL, NULL, ONEIRO_LOG_OFF, e));
  heard.messages = 0;
  CHECK(oneiro_runtime_path() != NULL && strstr(oneiro_runtime_path(), "onnxruntime") != NULL);
  SUCCEEDS(oneiro_runtime_load(oneiro_runtime_path(), e));

  SUCCEEDS(oneiro_engine_memory(engine, &memory, e));
  CHECK(oneiro_memory_len(memory) == 17);
  for (size_t i = 0; i < oneiro_memory_len(memory); i++) {
    CHECK(strlen(oneiro_memory_name(memory, i)) > 0);
    bytes += oneiro_memory_mapped_bytes(memory, i);
    CHECK(oneiro_memory_private_bytes(memory, i) <= 2 * 13056);
    CHECK(oneiro_memory_cached_bytes(memory, i) == 0);
  }
  CHECK(bytes > 10000 && oneiro_memory_name(memory, 17) == NULL);
  oneiro_memory_free(memory);

  use_catalog(engine);
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  use_history(user);
  use_rankings(user);
  use_filters(user);
  use_batches(engine);
  oneiro_recommender_free(user);
  oneiro_engine_free(engine);
  use_bundle();
  CHECK(heard.messages == 0); /* nobody listens any more */
  return 0;
}
