/* Everything that a caller can get wrong: an error with its code and its words, and nothing else. */
#include "check.h"

#define BAD ONEIRO_INVALID_ARGUMENT
#define NOT_UTF8 "\xC3\x28"

static oneiro_engine *engine;
static oneiro_bundle *bundle;
static oneiro_recommender *user;

/* Outputs that must not be touched by a call that fails. */
static oneiro_engine *no_engine;
static oneiro_bundle *no_bundle;
static oneiro_parts *no_parts;
static oneiro_recommender *no_user;
static oneiro_ranking *no_ranking;
static oneiro_history *no_history;
static oneiro_memory *no_memory;
static oneiro_point *no_point;
static oneiro_text *no_text;
static oneiro_texts *no_texts;
static oneiro_items *no_items;
static uint32_t no_item = 77;
static int64_t no_integer = 77;
static int32_t no_kind = 77;
static size_t no_size = 77;

static void outputs_are_untouched(void) {
  CHECK(no_engine == NULL && no_bundle == NULL && no_parts == NULL && no_user == NULL && no_ranking == NULL);
  CHECK(no_history == NULL && no_memory == NULL && no_point == NULL && no_text == NULL && no_texts == NULL);
  CHECK(no_items == NULL && no_item == 77 && no_integer == 77 && no_kind == 77 && no_size == 77);
}

static void null_handles(void) {
  const char *ids[] = {"film-1"};
  FAILS(BAD, "path", oneiro_runtime_load(NULL, e));
  FAILS(BAD, "base", oneiro_runtime_load_api(NULL, e));
  FAILS(BAD, "out", oneiro_cancel_new(NULL, e));
  FAILS(BAD, "out", oneiro_parts_new(NULL, NULL, e));
  FAILS(BAD, "parts", oneiro_parts_add_file(NULL, "a", "b", e));
  FAILS(BAD, "parts", oneiro_parts_add_descriptor(NULL, "a", 0, 0, 0, e));
  FAILS(BAD, "parts", oneiro_parts_add_bytes(NULL, "a", "", 0, e));
  FAILS(BAD, "parts", oneiro_parts_copy_files(NULL, e));
  FAILS(BAD, "path", oneiro_bundle_open(NULL, &no_bundle, e));
  FAILS(BAD, "out", oneiro_bundle_open(TINY, NULL, e));
  FAILS(BAD, "parts", oneiro_bundle_open_parts(NULL, &no_bundle, e));
  FAILS(BAD, "bundle", oneiro_bundle_verify(NULL, NULL, NULL, NULL, e));
  FAILS(BAD, "bundle", oneiro_bundle_name(NULL, &no_text, e));
  FAILS(BAD, "out", oneiro_bundle_name(bundle, NULL, e));
  FAILS(BAD, "path", oneiro_engine_open(NULL, NULL, &no_engine, e));
  FAILS(BAD, "out", oneiro_engine_open(TINY, NULL, NULL, e));
  FAILS(BAD, "bundle", oneiro_engine_open_bundle(NULL, NULL, &no_engine, e));
  FAILS(BAD, "out", oneiro_engine_open_bundle(bundle, NULL, NULL, e));
  FAILS(BAD, "engine", oneiro_engine_memory(NULL, &no_memory, e));
  FAILS(BAD, "out", oneiro_engine_memory(engine, NULL, e));
  FAILS(BAD, "engine", oneiro_engine_item_id(NULL, 0, &no_text, e));
  FAILS(BAD, "out", oneiro_engine_item_id(engine, 0, NULL, e));
  FAILS(BAD, "engine", oneiro_engine_item_title(NULL, 0, &no_text, e));
  FAILS(BAD, "out", oneiro_engine_item_title(engine, 0, NULL, e));
  FAILS(BAD, "engine", oneiro_engine_item_popularity(NULL, 0, &no_item, e));
  FAILS(BAD, "out", oneiro_engine_item_popularity(engine, 0, NULL, e));
  FAILS(BAD, "engine", oneiro_engine_item_tags(NULL, 0, "genres", &no_texts, e));
  FAILS(BAD, "attribute", oneiro_engine_item_tags(engine, 0, NULL, &no_texts, e));
  FAILS(BAD, "out", oneiro_engine_item_tags(engine, 0, "genres", NULL, e));
  FAILS(BAD, "engine", oneiro_engine_item_integer(NULL, 0, "year", &no_integer, e));
  FAILS(BAD, "attribute", oneiro_engine_item_integer(engine, 0, NULL, &no_integer, e));
  FAILS(BAD, "out", oneiro_engine_item_integer(engine, 0, "year", NULL, e));
  FAILS(BAD, "engine", oneiro_engine_attributes(NULL, &no_texts, e));
  FAILS(BAD, "out", oneiro_engine_attributes(engine, NULL, e));
  FAILS(BAD, "engine", oneiro_engine_attribute_kind(NULL, "year", &no_kind, e));
  FAILS(BAD, "attribute", oneiro_engine_attribute_kind(engine, NULL, &no_kind, e));
  FAILS(BAD, "out", oneiro_engine_attribute_kind(engine, "year", NULL, e));
  FAILS(BAD, "engine", oneiro_engine_find_item(NULL, "film-1", &no_item, e));
  FAILS(BAD, "id", oneiro_engine_find_item(engine, NULL, &no_item, e));
  FAILS(BAD, "out", oneiro_engine_find_item(engine, "film-1", NULL, e));
  FAILS(BAD, "engine", oneiro_engine_find_title(NULL, "a", &no_items, e));
  FAILS(BAD, "title", oneiro_engine_find_title(engine, NULL, &no_items, e));
  FAILS(BAD, "out", oneiro_engine_find_title(engine, "a", NULL, e));
  FAILS(BAD, "engine", oneiro_engine_resolve(NULL, "a", &no_item, e));
  FAILS(BAD, "id_or_title", oneiro_engine_resolve(engine, NULL, &no_item, e));
  FAILS(BAD, "out", oneiro_engine_resolve(engine, "a", NULL, e));
  FAILS(BAD, "engine", oneiro_recommender_new(NULL, &no_user, e));
  FAILS(BAD, "out", oneiro_recommender_new(engine, NULL, e));
  FAILS(BAD, "recommender", oneiro_recommender_observe(NULL, ids, 1, e));
  FAILS(BAD, "ids", oneiro_recommender_observe(user, NULL, 1, e));
  FAILS(BAD, "recommender", oneiro_recommender_observe_known(NULL, ids, 1, &no_texts, e));
  FAILS(BAD, "ids", oneiro_recommender_observe_known(user, NULL, 1, &no_texts, e));
  FAILS(BAD, "recommender", oneiro_recommender_observe_items(NULL, &no_item, 1, e));
  FAILS(BAD, "items", oneiro_recommender_observe_items(user, NULL, 1, e));
  FAILS(BAD, "recommender", oneiro_recommender_observe_events(NULL, NULL, 0, e));
  FAILS(BAD, "events", oneiro_recommender_observe_events(user, NULL, 1, e));
  FAILS(BAD, "recommender", oneiro_recommender_forget(NULL, e));
  FAILS(BAD, "recommender", oneiro_recommender_forget_item(NULL, 0, &no_size, e));
  FAILS(BAD, "recommender", oneiro_recommender_history(NULL, &no_history, e));
  FAILS(BAD, "out", oneiro_recommender_history(user, NULL, e));
  FAILS(BAD, "recommender", oneiro_recommender_recommend(NULL, 1, NULL, NULL, &no_ranking, e));
  FAILS(BAD, "out", oneiro_recommender_recommend(user, 1, NULL, NULL, NULL, e));
  FAILS(BAD, "recommender", oneiro_recommender_retrieve(NULL, 1, 1, NULL, NULL, &no_ranking, e));
  FAILS(BAD, "recommender", oneiro_recommender_interpret(NULL, 1, 0, 1, NULL, NULL, NULL, &no_ranking, e));
  FAILS(BAD, "out", oneiro_recommender_interpret(user, 1, 0, 1, NULL, NULL, NULL, NULL, e));
  FAILS(ONEIRO_UNSUPPORTED, "", oneiro_recommender_interpret(user, 1, 0, 1, NULL, NULL, NULL, &no_ranking, e));
  FAILS(BAD, "out", oneiro_recommender_retrieve(user, 1, 1, NULL, NULL, NULL, e));
  FAILS(BAD, "recommender", oneiro_recommender_similar(NULL, 0, 1, NULL, NULL, &no_ranking, e));
  FAILS(BAD, "out", oneiro_recommender_similar(user, 0, 1, NULL, NULL, NULL, e));
  FAILS(BAD, "recommender", oneiro_recommender_state(NULL, NULL, &no_point, e));
  FAILS(BAD, "out", oneiro_recommender_state(user, NULL, NULL, e));
  outputs_are_untouched();
}

static void null_is_read_as_nothing(void) {
  CHECK(oneiro_error_status(NULL) == ONEIRO_OK && strcmp(oneiro_error_message(NULL), "") == 0);
  CHECK(!oneiro_cancel_is_requested(NULL));
  CHECK(oneiro_engine_item_count(NULL) == 0);
  CHECK(oneiro_text_utf8(NULL) == NULL);
  CHECK(oneiro_texts_len(NULL) == 0 && oneiro_texts_utf8(NULL, 0) == NULL);
  CHECK(oneiro_items_len(NULL) == 0 && oneiro_items_values(NULL) == NULL);
  CHECK(oneiro_point_width(NULL) == 0 && oneiro_point_values(NULL) == NULL);
  CHECK(oneiro_memory_len(NULL) == 0 && oneiro_memory_name(NULL, 0) == NULL);
  CHECK(oneiro_memory_mapped_bytes(NULL, 0) == 0 && oneiro_memory_private_bytes(NULL, 0) == 0);
  CHECK(oneiro_memory_cached_bytes(NULL, 0) == 0);
  CHECK(oneiro_ranking_len(NULL) == 0 && oneiro_ranking_items(NULL) == NULL);
  CHECK(oneiro_ranking_scores(NULL) == NULL && oneiro_ranking_origins(NULL) == NULL);
  CHECK(oneiro_ranking_stage_count(NULL) == 0 && oneiro_ranking_stage_name(NULL, 0) == NULL);
  CHECK(oneiro_ranking_stage_items(NULL, 0) == 0 && oneiro_ranking_stage_ms(NULL, 0) == 0.0);
  CHECK(oneiro_history_len(NULL) == 0 && oneiro_history_items(NULL) == NULL);
  CHECK(oneiro_history_times(NULL) == NULL && oneiro_history_kind(NULL, 0) == NULL);
  oneiro_cancel_retain(NULL);
  oneiro_cancel_request(NULL);
  oneiro_graph_options_init(NULL, sizeof(oneiro_graph_options));
  oneiro_engine_options_init(NULL, sizeof(oneiro_engine_options));
  oneiro_condition_init(NULL, sizeof(oneiro_condition));
  oneiro_filter_init(NULL, sizeof(oneiro_filter));
  oneiro_call_options_init(NULL, sizeof(oneiro_call_options));
  oneiro_event_init(NULL, sizeof(oneiro_event));
  oneiro_error_free(NULL);
  oneiro_cancel_free(NULL);
  oneiro_text_free(NULL);
  oneiro_texts_free(NULL);
  oneiro_items_free(NULL);
  oneiro_point_free(NULL);
  oneiro_parts_free(NULL);
  oneiro_bundle_free(NULL);
  oneiro_engine_free(NULL);
  oneiro_memory_free(NULL);
  oneiro_ranking_free(NULL);
  oneiro_recommender_free(NULL);
  oneiro_history_free(NULL);
}

static void bad_text(void) {
  const char *null_inside[] = {"film-1", NULL};
  const char *bad_inside[] = {"film-1", NOT_UTF8};
  oneiro_call_options options;
  oneiro_event event;
  oneiro_parts *parts = NULL;
  oneiro_call_options_init(&options, sizeof options);
  oneiro_event_init(&event, sizeof event);
  options.encoder = NOT_UTF8;
  event.kind = NOT_UTF8;
  FAILS(BAD, "UTF-8", oneiro_runtime_load(NOT_UTF8, e));
  FAILS(BAD, "UTF-8", oneiro_parts_new(NOT_UTF8, &no_parts, e));
  SUCCEEDS(oneiro_parts_new(NULL, &parts, e));
  FAILS(BAD, "UTF-8", oneiro_parts_add_file(parts, NOT_UTF8, "a", e));
  FAILS(BAD, "UTF-8", oneiro_parts_add_file(parts, "a", NOT_UTF8, e));
  FAILS(BAD, "UTF-8", oneiro_parts_add_descriptor(parts, NOT_UTF8, 0, 0, 0, e));
  FAILS(BAD, "UTF-8", oneiro_parts_add_bytes(parts, NOT_UTF8, NULL, 0, e));
  FAILS(BAD, "NULL", oneiro_parts_add_file(parts, NULL, "a", e));
  FAILS(BAD, "NULL", oneiro_parts_add_file(parts, "a", NULL, e));
  FAILS(BAD, "NULL", oneiro_parts_add_descriptor(parts, NULL, 0, 0, 0, e));
  FAILS(BAD, "NULL", oneiro_parts_add_bytes(parts, NULL, NULL, 0, e));
  FAILS(BAD, "out", oneiro_bundle_open_parts(parts, NULL, e));
  oneiro_parts_free(parts);
  FAILS(BAD, "UTF-8", oneiro_bundle_open(NOT_UTF8, &no_bundle, e));
  FAILS(BAD, "UTF-8", oneiro_engine_open(NOT_UTF8, NULL, &no_engine, e));
  FAILS(BAD, "UTF-8", oneiro_engine_item_tags(engine, 0, NOT_UTF8, &no_texts, e));
  FAILS(BAD, "UTF-8", oneiro_engine_item_integer(engine, 0, NOT_UTF8, &no_integer, e));
  FAILS(BAD, "UTF-8", oneiro_engine_attribute_kind(engine, NOT_UTF8, &no_kind, e));
  FAILS(BAD, "UTF-8", oneiro_engine_find_item(engine, NOT_UTF8, &no_item, e));
  FAILS(BAD, "UTF-8", oneiro_engine_find_title(engine, NOT_UTF8, &no_items, e));
  FAILS(BAD, "UTF-8", oneiro_engine_resolve(engine, NOT_UTF8, &no_item, e));
  FAILS(BAD, "entry 1 is NULL", oneiro_recommender_observe(user, null_inside, 2, e));
  FAILS(BAD, "entry 1 is not UTF-8", oneiro_recommender_observe(user, bad_inside, 2, e));
  FAILS(BAD, "entry 1", oneiro_recommender_observe_known(user, null_inside, 2, &no_texts, e));
  FAILS(BAD, "entry 1", oneiro_recommender_observe_known(user, bad_inside, 2, &no_texts, e));
  FAILS(BAD, "UTF-8", oneiro_recommender_observe_events(user, &event, 1, e));
  FAILS(BAD, "encoder", oneiro_recommender_recommend(user, 1, NULL, &options, &no_ranking, e));
  FAILS(BAD, "encoder", oneiro_recommender_state(user, &options, &no_point, e));
  outputs_are_untouched();
}

static void unknown_names(void) {
  const int32_t ways[] = {0, 99, -1, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    FAILS(BAD, "by", oneiro_recommender_retrieve(user, ways[i], 1, NULL, NULL, &no_ranking, e));
  }
  FAILS(BAD, "level", oneiro_log_set(NULL, NULL, 6, e));
  FAILS(BAD, "level", oneiro_log_set(NULL, NULL, -1, e));
  outputs_are_untouched();
}

static void counts_and_items(void) {
  const uint32_t item = 3, far = UINT32_MAX;
  const char *ids[] = {"film-1"};
  const char *nobody[] = {""};
  oneiro_event event;
  oneiro_ranking *ranking = NULL;
  oneiro_texts *texts = NULL;
  oneiro_event_init(&event, sizeof event);
  FAILS(BAD, "count", oneiro_recommender_recommend(user, 0, NULL, NULL, &no_ranking, e));
  FAILS(BAD, "count", oneiro_recommender_retrieve(user, ONEIRO_BY_POPULARITY, 0, NULL, NULL, &no_ranking, e));
  FAILS(BAD, "count", oneiro_recommender_similar(user, 0, 0, NULL, NULL, &no_ranking, e));
  FAILS(BAD, "memory", oneiro_recommender_observe(user, ids, SIZE_MAX, e));
  FAILS(BAD, "memory", oneiro_recommender_observe_known(user, ids, SIZE_MAX / 8, &no_texts, e));
  FAILS(BAD, "memory", oneiro_recommender_observe_items(user, &item, SIZE_MAX, e));
  FAILS(BAD, "memory", oneiro_recommender_observe_events(user, &event, SIZE_MAX / 2, e));
#if SIZE_MAX == UINT64_MAX
  FAILS(ONEIRO_OUT_OF_MEMORY, "ids", oneiro_recommender_observe(user, ids, (size_t)1 << 48, e));
  FAILS(ONEIRO_OUT_OF_MEMORY, "events", oneiro_recommender_observe_events(user, &event, (size_t)1 << 48, e));
#endif
  FAILS(BAD, "multiple of 4",
        oneiro_recommender_observe_items(user, (const uint32_t *)(const void *)((const char *)&item + 1), 1, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "", oneiro_recommender_observe_items(user, &far, 1, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "", oneiro_recommender_observe(user, nobody, 1, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "", oneiro_recommender_similar(user, TINY_ITEMS, 1, NULL, NULL, &no_ranking, e));
  FAILS(ONEIRO_UNSUPPORTED, "film-14", oneiro_recommender_similar(user, 15, 1, NULL, NULL, &no_ranking, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "40", oneiro_engine_item_id(engine, TINY_ITEMS, &no_text, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "40", oneiro_engine_item_title(engine, TINY_ITEMS, &no_text, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "40", oneiro_engine_item_popularity(engine, TINY_ITEMS, &no_item, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "40", oneiro_engine_item_tags(engine, TINY_ITEMS, "genres", &no_texts, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "40", oneiro_engine_item_integer(engine, TINY_ITEMS, "year", &no_integer, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "nothing", oneiro_engine_find_item(engine, "nothing", &no_item, e));
  FAILS(ONEIRO_UNKNOWN_ITEM, "nothing", oneiro_engine_resolve(engine, "nothing", &no_item, e));
  FAILS(ONEIRO_UNSUPPORTED, "colour", oneiro_engine_item_tags(engine, 0, "colour", &no_texts, e));
  FAILS(ONEIRO_UNSUPPORTED, "colour", oneiro_engine_attribute_kind(engine, "colour", &no_kind, e));
  FAILS(BAD, "year", oneiro_engine_item_tags(engine, 0, "year", &no_texts, e));
  FAILS(BAD, "genres", oneiro_engine_item_integer(engine, 0, "genres", &no_integer, e));
  outputs_are_untouched();
  /* None is a number too. */
  SUCCEEDS(oneiro_recommender_observe(user, NULL, 0, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, NULL, 0, e));
  SUCCEEDS(oneiro_recommender_observe_events(user, NULL, 0, e));
  SUCCEEDS(oneiro_recommender_observe_known(user, NULL, 0, &texts, e));
  CHECK(oneiro_texts_len(texts) == 0);
  oneiro_texts_free(texts);
  SUCCEEDS(oneiro_recommender_retrieve(user, ONEIRO_BY_POPULARITY, SIZE_MAX, NULL, NULL, &ranking, e));
  CHECK(oneiro_ranking_len(ranking) == 38);
  CHECK(oneiro_ranking_stage_name(ranking, SIZE_MAX) == NULL && oneiro_ranking_stage_ms(ranking, SIZE_MAX) == 0.0);
  oneiro_ranking_free(ranking);
}

static void batches(void) {
  oneiro_engine *other = NULL;
  oneiro_recommender *second = NULL, *stranger = NULL;
  oneiro_ranking *none[3] = {NULL, NULL, NULL};
  SUCCEEDS(oneiro_engine_open(TINY, NULL, &other, e));
  SUCCEEDS(oneiro_recommender_new(other, &stranger, e));
  SUCCEEDS(oneiro_recommender_new(engine, &second, e));
  oneiro_recommender *users[] = {user, second, user};
  oneiro_recommender *gap[] = {user, NULL};
  oneiro_recommender *mixed[] = {user, stranger};
#define BATCH(words, engine_, users_, user_count, count, out) \
  FAILS(BAD, words, oneiro_engine_recommend_batch(engine_, users_, user_count, count, NULL, NULL, out, e)); \
  FAILS(BAD, words, oneiro_engine_retrieve_batch(engine_, users_, user_count, 1, count, NULL, NULL, out, e))
  BATCH("engine", NULL, users, 2, 1, none);
  BATCH("users", engine, NULL, 2, 1, none);
  BATCH("users", engine, users, SIZE_MAX, 1, none);
  BATCH("is empty", engine, users, 0, 1, none);
  BATCH("is empty", engine, NULL, 0, 1, none);
  BATCH("entry 1 is NULL", engine, gap, 2, 1, none);
  BATCH("entry 2 is entry 0 again", engine, users, 3, 1, none);
  BATCH("entry 1 is a user of another engine", engine, mixed, 2, 1, none);
  BATCH("entry 0 is a user of another engine", other, users, 2, 1, none);
  BATCH("count", engine, users, 2, 0, none);
  BATCH("out", engine, users, 2, 1, NULL);
  FAILS(BAD, "by", oneiro_engine_retrieve_batch(engine, users, 2, 99, 1, NULL, NULL, none, e));
  CHECK(none[0] == NULL && none[1] == NULL && none[2] == NULL);
  oneiro_recommender_free(second);
  oneiro_recommender_free(stranger);
  oneiro_engine_free(other);
}

static void bundles_that_are_not_there(void) {
  FAILS(ONEIRO_IO, "no-such-bundle", oneiro_bundle_open("no-such-bundle", &no_bundle, e));
  FAILS(ONEIRO_IO, "no-such-bundle", oneiro_engine_open("no-such-bundle", NULL, &no_engine, e));
  FAILS(ONEIRO_IO, "manifest.json", oneiro_engine_open("tests", NULL, &no_engine, e));
  FAILS(ONEIRO_IO, "", oneiro_engine_open("", NULL, &no_engine, e));
  FAILS(ONEIRO_IO, "Cargo.toml", oneiro_engine_open("Cargo.toml", NULL, &no_engine, e));
  FAILS(ONEIRO_RUNTIME, "final for the process", oneiro_runtime_load("no-such-library", e));
  outputs_are_untouched();
}

static void cancelled_before(void) {
  oneiro_cancel *cancel = NULL;
  oneiro_call_options options;
  oneiro_ranking *ranking = NULL;
  SUCCEEDS(oneiro_cancel_new(&cancel, e));
  oneiro_cancel_retain(cancel);
  oneiro_call_options_init(&options, sizeof options);
  options.cancel = cancel;
  SUCCEEDS(oneiro_recommender_recommend(user, 1, NULL, &options, &ranking, e));
  oneiro_ranking_free(ranking);
  oneiro_cancel_request(cancel);
  oneiro_cancel_request(cancel);
  CHECK(oneiro_cancel_is_requested(cancel));
  FAILS(ONEIRO_CANCELLED, "cancelled", oneiro_recommender_recommend(user, 1, NULL, &options, &no_ranking, e));
  FAILS(ONEIRO_CANCELLED, "cancelled", oneiro_recommender_retrieve(user, 1, 1, NULL, &options, &no_ranking, e));
  FAILS(ONEIRO_CANCELLED, "cancelled",
        oneiro_engine_recommend_batch(engine, &user, 1, 1, NULL, &options, &no_ranking, e));
  FAILS(ONEIRO_CANCELLED, "cancelled", oneiro_recommender_similar(user, 0, 1, NULL, &options, &no_ranking, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, &(uint32_t){1}, 1, e)); /* no state is kept for this history */
  FAILS(ONEIRO_CANCELLED, "cancelled", oneiro_recommender_state(user, &options, &no_point, e));
  FAILS(ONEIRO_CANCELLED, "cancelled", oneiro_bundle_verify(bundle, cancel, NULL, NULL, e));
  oneiro_cancel_free(cancel);
  CHECK(oneiro_cancel_is_requested(cancel)); /* one owner is left */
  oneiro_cancel_free(cancel);
  SUCCEEDS(oneiro_recommender_recommend(user, 1, NULL, NULL, &ranking, e));
  oneiro_ranking_free(ranking);
  outputs_are_untouched();
}

/* Whatever is freed first, the rest lives. */
static void any_order(void) {
  for (int order = 0; order < 6; order++) {
    oneiro_bundle *b = NULL;
    oneiro_engine *g = NULL;
    oneiro_recommender *r = NULL;
    oneiro_ranking *ranking = NULL;
    const char *title = NULL;
    oneiro_text *text = NULL;
    SUCCEEDS(oneiro_bundle_open(TINY, &b, e));
    SUCCEEDS(oneiro_engine_open_bundle(b, NULL, &g, e));
    SUCCEEDS(oneiro_recommender_new(g, &r, e));
    SUCCEEDS(oneiro_engine_item_title(g, 33, &text, e));
    title = oneiro_text_utf8(text);
    for (int step = 0; step < 3; step++) {
      static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
      switch (orders[order][step]) {
        case 0: oneiro_bundle_free(b), b = NULL; break;
        case 1: oneiro_engine_free(g), g = NULL; break;
        default: oneiro_recommender_free(r), r = NULL; break;
      }
      if (b != NULL) {
        SUCCEEDS(oneiro_bundle_verify(b, NULL, NULL, NULL, e));
      }
      if (g != NULL) {
        CHECK(oneiro_engine_item_count(g) == TINY_ITEMS);
      }
      if (r != NULL) {
        oneiro_ranking_free(ranking);
        SUCCEEDS(oneiro_recommender_recommend(r, 5, NULL, NULL, &ranking, e));
      }
    }
    CHECK(strcmp(title, "Kites (2007)") == 0 && (ranking == NULL || oneiro_ranking_len(ranking) == 5));
    oneiro_text_free(text);
    oneiro_ranking_free(ranking);
  }
}

int main(void) {
  null_is_read_as_nothing();
  SUCCEEDS(oneiro_bundle_open(TINY, &bundle, e));
  SUCCEEDS(oneiro_engine_open_bundle(bundle, NULL, &engine, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  null_handles();
  bad_text();
  unknown_names();
  counts_and_items();
  batches();
  bundles_that_are_not_there();
  cancelled_before();
  any_order();
  oneiro_recommender_free(user);
  oneiro_engine_free(engine);
  oneiro_bundle_free(bundle);
  return 0;
}
