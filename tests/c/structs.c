/* Structs filled wrongly, and structs of callers who were compiled with another version of the header. */
#include "check.h"

#define BAD ONEIRO_INVALID_ARGUMENT
#define NOT_UTF8 "\xC3\x28"

static oneiro_recommender *user;

/* Outputs that must not be touched by a call that fails. */
static oneiro_engine *no_engine;
static oneiro_ranking *no_ranking;
static oneiro_point *no_point;

static void engine_options(void) {
  oneiro_engine_options options;
  oneiro_graph_options graphs[2];
#define ENGINE_WITH(field, value) \
  oneiro_engine_options_init(&options, sizeof options); \
  options.field = (value); \
  FAILS(BAD, #field, oneiro_engine_open(TINY, &options, &no_engine, e))
  ENGINE_WITH(threads, 0);
  ENGINE_WITH(threads, SIZE_MAX);
  ENGINE_WITH(spinning, 2);
  ENGINE_WITH(provider, 1);
  ENGINE_WITH(prepack, 4);
  ENGINE_WITH(kernels, 2);
  ENGINE_WITH(replicas, 0);
  ENGINE_WITH(replicas, 1025);
  oneiro_engine_options_init(&options, sizeof options);
  options.graph_count = 1;
  FAILS(BAD, "graphs", oneiro_engine_open(TINY, &options, &no_engine, e));
  oneiro_graph_options_init(&graphs[0], sizeof graphs[0]);
  oneiro_engine_options_init(&options, sizeof options);
  options.graphs = graphs;
  options.graph_count = 1;
  FAILS(BAD, "name", oneiro_engine_open(TINY, &options, &no_engine, e));
  graphs[0].name = "encoder";
  graphs[1] = graphs[0];
  options.graph_count = 2;
  FAILS(BAD, "twice", oneiro_engine_open(TINY, &options, &no_engine, e));
  graphs[1].size--;
  FAILS(BAD, "size", oneiro_engine_open(TINY, &options, &no_engine, e));
  CHECK(no_engine == NULL);
}

static void filters(void) {
  oneiro_filter filter;
  oneiro_condition condition;
  const char *tags[] = {"Drama"};
  const uint32_t items[] = {0, TINY_ITEMS};
#define FILTER_WITH(words, field, value) \
  oneiro_filter_init(&filter, sizeof filter); \
  filter.field = (value); \
  FAILS(BAD, words, oneiro_recommender_recommend(user, 1, &filter, NULL, &no_ranking, e)); \
  FAILS(BAD, words, oneiro_recommender_similar(user, 0, 1, &filter, NULL, &no_ranking, e))
  FILTER_WITH("seen", seen, 3);
  FILTER_WITH("only_allowed", only_allowed, -1);
  FILTER_WITH("excluded", excluded_count, 1);
  FILTER_WITH("allowed", allowed_count, 1);
  FILTER_WITH("conditions", condition_count, 1);
  oneiro_filter_init(&filter, sizeof filter);
  filter.allowed = items;
  filter.allowed_count = 1;
  FAILS(BAD, "only_allowed", oneiro_recommender_recommend(user, 1, &filter, NULL, &no_ranking, e));
  filter.only_allowed = 1;
  filter.allowed_count = 2;
  FAILS(ONEIRO_UNKNOWN_ITEM, "40", oneiro_recommender_recommend(user, 1, &filter, NULL, &no_ranking, e));

#define CONDITION_WITH(code, words, kind_, attribute_, tag, count) \
  oneiro_filter_init(&filter, sizeof filter); \
  oneiro_condition_init(&condition, sizeof condition); \
  filter.conditions = &condition; \
  filter.condition_count = 1; \
  condition.kind = (kind_); \
  condition.attribute = (attribute_); \
  condition.tags = tags; \
  tags[0] = (tag); \
  condition.tag_count = (count); \
  FAILS(code, words, oneiro_recommender_recommend(user, 1, &filter, NULL, &no_ranking, e))
  CONDITION_WITH(BAD, "kind", 0, "genres", "Drama", 1);
  CONDITION_WITH(BAD, "kind", 4, "genres", "Drama", 1);
  CONDITION_WITH(BAD, "attribute", ONEIRO_WITH_ANY_TAG, NULL, "Drama", 1);
  CONDITION_WITH(BAD, "attribute", ONEIRO_WITH_ANY_TAG, NOT_UTF8, "Drama", 1);
  CONDITION_WITH(BAD, "entry 0", ONEIRO_WITH_ANY_TAG, "genres", NULL, 1);
  CONDITION_WITH(BAD, "entry 0", ONEIRO_WITHOUT_TAGS, "genres", NOT_UTF8, 1);
  CONDITION_WITH(BAD, "Polka", ONEIRO_WITH_ANY_TAG, "genres", "Polka", 1);
  CONDITION_WITH(BAD, "year", ONEIRO_WITH_ANY_TAG, "year", "Drama", 1);
  CONDITION_WITH(BAD, "tags", ONEIRO_BETWEEN, "year", "Drama", 1);
  CONDITION_WITH(BAD, "genres", ONEIRO_BETWEEN, "genres", NULL, 0);
  CONDITION_WITH(ONEIRO_UNSUPPORTED, "colour", ONEIRO_BETWEEN, "colour", NULL, 0);
  condition.reserved = 1;
  FAILS(BAD, "reserved", oneiro_recommender_recommend(user, 1, &filter, NULL, &no_ranking, e));
  CHECK(no_ranking == NULL);
}

static void call_options_and_events(void) {
  oneiro_call_options call;
  oneiro_event event;
  oneiro_call_options_init(&call, sizeof call);
  call.threads = 0;
  FAILS(BAD, "threads", oneiro_recommender_recommend(user, 1, NULL, &call, &no_ranking, e));
  call.threads = 1025;
  FAILS(BAD, "expected 1 to 1024", oneiro_recommender_recommend(user, 1, NULL, &call, &no_ranking, e));
  oneiro_call_options_init(&call, sizeof call);
  call.encoder = "decoder";
  FAILS(ONEIRO_UNSUPPORTED, "decoder", oneiro_recommender_recommend(user, 1, NULL, &call, &no_ranking, e));
  FAILS(ONEIRO_UNSUPPORTED, "decoder", oneiro_recommender_state(user, &call, &no_point, e));
  oneiro_call_options_init(&call, sizeof call);
  call.probes = 1;
  FAILS(ONEIRO_UNSUPPORTED, "index", oneiro_recommender_similar(user, 0, 1, NULL, &call, &no_ranking, e));
  oneiro_event_init(&event, sizeof event);
  event.reserved = 1;
  FAILS(BAD, "reserved", oneiro_recommender_observe_events(user, &event, 1, e));
  CHECK(no_engine == NULL && no_ranking == NULL && no_point == NULL);
}

/* Structs of callers who were compiled with an older or a newer header. */
static void other_sizes(void) {
  struct {
    oneiro_call_options known;
    uint64_t later[2];
  } newer;
  oneiro_call_options older;
  oneiro_ranking *ranking = NULL;
  memset(&newer, 0xEE, sizeof newer);
  oneiro_call_options_init(&newer.known, sizeof newer);
  CHECK(newer.known.size == sizeof newer && newer.later[0] == 0 && newer.later[1] == 0);
  SUCCEEDS(oneiro_recommender_recommend(user, 1, NULL, &newer.known, &ranking, e));
  oneiro_ranking_free(ranking);
  newer.later[1] = (uint64_t)1 << 63;
  FAILS(BAD, "does not know", oneiro_recommender_recommend(user, 1, NULL, &newer.known, &no_ranking, e));

  memset(&older, 0xEE, sizeof older);
  oneiro_call_options_init(&older, offsetof(oneiro_call_options, encoder));
  CHECK(older.cancel == NULL && older.encoder != NULL && older.threads > 1); /* beyond its end nothing is written */
  SUCCEEDS(oneiro_recommender_recommend(user, 1, NULL, &older, &ranking, e)); /* nor read */
  oneiro_ranking_free(ranking);
  const size_t sizes[] = {0, 1, sizeof(size_t) - 1, sizeof(size_t) + 1, sizeof older - 1, 4097, SIZE_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    oneiro_call_options_init(&older, sizeof older);
    older.size = sizes[i];
    FAILS(BAD, "oneiro_call_options", oneiro_recommender_recommend(user, 1, NULL, &older, &no_ranking, e));
  }
  oneiro_filter filter;
  oneiro_engine_options options;
  oneiro_event event;
  memset(&filter, 0, sizeof filter);
  memset(&options, 0, sizeof options);
  memset(&event, 0, sizeof event);
  FAILS(BAD, "oneiro_filter", oneiro_recommender_recommend(user, 1, &filter, NULL, &no_ranking, e));
  FAILS(BAD, "oneiro_engine_options", oneiro_engine_open(TINY, &options, &no_engine, e));
  FAILS(BAD, "oneiro_event", oneiro_recommender_observe_events(user, &event, 1, e));
  oneiro_filter_init(&filter, 3);
  CHECK(filter.size == 0); /* too small for anything */
  CHECK(no_engine == NULL && no_ranking == NULL && no_point == NULL);
}

int main(void) {
  oneiro_engine *engine = NULL;
  SUCCEEDS(oneiro_engine_open(TINY, NULL, &engine, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  oneiro_engine_free(engine);
  engine_options();
  filters();
  call_options_and_events();
  other_sizes();
  oneiro_recommender_free(user);
  return 0;
}
