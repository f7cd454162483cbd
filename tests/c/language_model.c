/* Language models: prompts, texts as they are written, titles that are judged, calls that are stopped, on models/tiny-lm. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <math.h>
#include <pthread.h>
#include <time.h>

#define BAD ONEIRO_INVALID_ARGUMENT
#define BUNDLE "models/tiny-lm"
#define NOT_UTF8 "\xC3\x28"
#define CONTEXT 128
#define WIDTH 32
#define TOKENS 24

static oneiro_engine *engine;
static oneiro_language_model *model;
static oneiro_prompt *prompt;
static oneiro_generate_options options;
static oneiro_score_options judging;

/* Outputs that must not be touched by a call that fails. */
static oneiro_language_model *no_model;
static oneiro_prompt *no_prompt;
static oneiro_generated *no_generated;
static oneiro_tokens *no_tokens;
static oneiro_text *no_text;
static float no_scores[3] = {77, 77, 77};

/* What on_text was given, a NUL as oneiro_generated_utf8 has it, and what on_text does. */
static struct {
  char text[4096];
  size_t length;
  size_t pieces;
  size_t stop_at; /* The piece that it stops at; 0 for none. */
  long sleep_ms;
  oneiro_cancel *cancel;
} seen;

static void plain(void) {
  oneiro_generate_options_init(&options, sizeof options);
  oneiro_score_options_init(&judging, sizeof judging);
  options.tokens = TOKENS;
}

static void *request(void *cancel) {
  oneiro_cancel_request(cancel);
  return NULL;
}

/* How many bytes the character has that starts with `byte`; 0 if none does. */
static size_t character(unsigned char byte) {
  return byte < 0x80 ? 1 : byte < 0xC2 ? 0 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : byte < 0xF5 ? 4 : 0;
}

static int32_t on_text(void *user_data, const char *piece, size_t length) {
  pthread_t thread;
  struct timespec pause = {seen.sleep_ms / 1000, seen.sleep_ms % 1000 * 1000000};
  CHECK(user_data == &seen && length > 0);
  for (size_t at = 0; at < length;) {
    const char *from = piece[at] == '\0' ? "\xE2\x90\x80" : piece + at;
    size_t bytes = character((unsigned char)piece[at]), copied = piece[at] == '\0' ? 3 : bytes;
    CHECK(bytes > 0 && at + bytes <= length && seen.length + copied < sizeof seen.text);
    memcpy(seen.text + seen.length, from, copied);
    seen.length += copied;
    at += bytes;
  }
  seen.text[seen.length] = '\0';
  seen.pieces++;
  CHECK(seen.stop_at == 0 || seen.pieces <= seen.stop_at);
  if (seen.sleep_ms > 0) {
    nanosleep(&pause, NULL);
  }
  if (seen.cancel != NULL) {
    CHECK(pthread_create(&thread, NULL, request, seen.cancel) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
  }
  return seen.pieces == seen.stop_at ? 7 : 0;
}

static oneiro_status write_to(oneiro_generated **out, oneiro_error **error) {
  seen.length = seen.pieces = 0;
  seen.text[0] = '\0';
  return oneiro_language_model_generate(model, prompt, &options, on_text, &seen, out, error);
}

static oneiro_generated *written(void) {
  oneiro_generated *generated = NULL;
  SUCCEEDS(write_to(&generated, e));
  CHECK(strcmp(oneiro_generated_utf8(generated), seen.text) == 0 && seen.pieces > 0);
  CHECK(oneiro_generated_len(generated) > 0 && oneiro_generated_len(generated) <= options.tokens);
  return generated;
}

static int same(const oneiro_generated *a, const oneiro_generated *b) {
  size_t length = oneiro_generated_len(a);
  return length == oneiro_generated_len(b) && strcmp(oneiro_generated_utf8(a), oneiro_generated_utf8(b)) == 0 &&
         memcmp(oneiro_generated_tokens(a), oneiro_generated_tokens(b), length * sizeof(uint32_t)) == 0;
}

static void prompt_is(const char *text) {
  SUCCEEDS(oneiro_prompt_clear(prompt, e));
  SUCCEEDS(oneiro_prompt_add_text(prompt, text, e));
}

static void models(void) {
  oneiro_language_model *other = NULL;
  oneiro_tokens *tokens = NULL;
  oneiro_text *name = NULL;
  CHECK(oneiro_language_model_context(model) == CONTEXT);
  SUCCEEDS(oneiro_language_model_name(model, &name, e));
  CHECK(strcmp(oneiro_text_utf8(name), "lm") == 0);
  oneiro_text_free(name);
  SUCCEEDS(oneiro_language_model_new(engine, "plain", &other, e));
  SUCCEEDS(oneiro_language_model_name(other, &name, e));
  CHECK(strcmp(oneiro_text_utf8(name), "plain") == 0);
  oneiro_text_free(name);
  SUCCEEDS(oneiro_language_model_encode(other, "The Lantern", &tokens, e));
  CHECK(oneiro_tokens_len(tokens) > 1 && oneiro_tokens_values(tokens)[0] != oneiro_tokens_values(tokens)[1]);
  oneiro_tokens_free(tokens);
  SUCCEEDS(oneiro_language_model_encode(other, "", &tokens, e));
  CHECK(oneiro_tokens_len(tokens) == 0 && oneiro_tokens_values(tokens) == NULL);
  oneiro_tokens_free(tokens);
  oneiro_language_model_free(other);
}

/* The text of an encoded title is the title: line breaks are spaces. A token and a row are read as what they are. */
static void prompts(void) {
  const float row[WIDTH] = {0.25f};
  oneiro_generated *first = NULL, *again = NULL;
  oneiro_tokens *tokens = NULL;
  plain();
  SUCCEEDS(oneiro_prompt_clear(prompt, e));
  first = written(); /* the begin token alone */
  oneiro_generated_free(first);
  prompt_is("The  Lantern");
  first = written();
  SUCCEEDS(oneiro_prompt_clear(prompt, e));
  SUCCEEDS(oneiro_prompt_add_title(prompt, "The\r\nLantern", e));
  again = written();
  CHECK(same(first, again));
  oneiro_generated_free(again);
  SUCCEEDS(oneiro_language_model_encode(model, "The  Lantern", &tokens, e));
  SUCCEEDS(oneiro_prompt_clear(prompt, e));
  for (size_t i = 0; i < oneiro_tokens_len(tokens); i++) {
    SUCCEEDS(oneiro_prompt_add_token(prompt, oneiro_tokens_values(tokens)[i], e));
  }
  oneiro_tokens_free(tokens);
  again = written();
  CHECK(same(first, again));
  oneiro_generated_free(again);
  SUCCEEDS(oneiro_prompt_add_row(prompt, row, WIDTH, e));
  again = written();
  CHECK(!same(first, again));
  oneiro_generated_free(again);
  oneiro_generated_free(first);
}

static void texts(void) {
  char stop[8] = "";
  const char *stops[] = {"never in it", stop};
  oneiro_generated *first = NULL, *again = NULL;
  plain();
  prompt_is("After ");
  first = written();
  CHECK(oneiro_generated_ended(first) == ONEIRO_ENDED_COUNT && oneiro_generated_len(first) == TOKENS);
  CHECK(oneiro_language_model_cached_bytes(model) > 0);
  SUCCEEDS(oneiro_language_model_forget(model, e));
  CHECK(oneiro_language_model_cached_bytes(model) == 0);
  again = written();
  CHECK(same(first, again));
  oneiro_generated_free(again);
  SUCCEEDS(oneiro_language_model_generate(model, prompt, &options, NULL, NULL, &again, e));
  CHECK(same(first, again));
  oneiro_generated_free(again);
  SUCCEEDS(write_to(NULL, e));
  CHECK(strcmp(oneiro_generated_utf8(first), seen.text) == 0);

  /* A stop text: the character in the middle. */
  const char *middle = oneiro_generated_utf8(first) + strlen(oneiro_generated_utf8(first)) / 2;
  while (character((unsigned char)*middle) == 0) {
    middle++;
  }
  memcpy(stop, middle, character((unsigned char)*middle));
  options.stop = stops;
  options.stop_count = 2;
  again = written();
  size_t end = (size_t)(strstr(oneiro_generated_utf8(first), stop) - oneiro_generated_utf8(first));
  CHECK(oneiro_generated_ended(again) == ONEIRO_ENDED_TEXT && strlen(oneiro_generated_utf8(again)) == end);
  CHECK(memcmp(oneiro_generated_utf8(first), oneiro_generated_utf8(again), end) == 0);
  oneiro_generated_free(again);
  oneiro_generated_free(first);

  plain();
  options.tokens = SIZE_MAX;
  first = written();
  CHECK(oneiro_generated_ended(first) == ONEIRO_ENDED_CONTEXT);
  oneiro_generated_free(first);

  /* Drawn: by the seed. */
  plain();
  options.temperature = 1;
  options.top_k = 100;
  options.top_p = 0.95f;
  options.seed = UINT64_MAX;
  first = written();
  again = written();
  CHECK(same(first, again));
  oneiro_generated_free(again);
  options.seed = 1;
  again = written();
  CHECK(!same(first, again));
  oneiro_generated_free(again);
  oneiro_generated_free(first);
}

static void scores(void) {
  const char *titles[] = {"The Lantern", "The\nLantern", "The", "The Lantern", ""};
  float all[5] = {0}, two[2] = {0};
  plain();
  prompt_is("After ");
  SUCCEEDS(oneiro_language_model_score(model, prompt, titles, 5, NULL, all, e));
  for (size_t i = 0; i < 5; i++) {
    CHECK(all[i] < 0 && all[i] > -1e6f);
  }
  CHECK(all[0] == all[1] && all[0] == all[3] && all[2] > all[0]);
  SUCCEEDS(oneiro_language_model_score(model, prompt, titles, 2, &judging, two, e));
  CHECK(two[0] - all[0] < 1e-4f && all[0] - two[0] < 1e-4f);
  SUCCEEDS(oneiro_language_model_score(model, prompt, NULL, 0, &judging, NULL, e));
}

/* Writes until somebody else stops it; gives up its ownership of the cancel object by itself. */
static void *until_stopped(void *cancel) {
  oneiro_status status = ONEIRO_OK;
  oneiro_generate_options stoppable;
  oneiro_generate_options_init(&stoppable, sizeof stoppable);
  stoppable.cancel = cancel;
  while (status == ONEIRO_OK) {
    status = oneiro_language_model_generate(model, prompt, &stoppable, NULL, NULL, NULL, NULL);
  }
  CHECK(status == ONEIRO_CANCELLED);
  oneiro_cancel_free(cancel);
  return NULL;
}

static void stopped(void) {
  const char *titles[] = {"The Lantern"};
  oneiro_cancel *cancel = NULL;
  oneiro_generated *whole = NULL, *again = NULL;
  pthread_t thread;
  struct timespec pause = {0, 20000000};
  plain();
  prompt_is("After ");
  whole = written();
  size_t pieces = seen.pieces;

  /* By the callback: at its first piece, and at its last, behind which nothing was left to do. */
  seen.stop_at = 1;
  FAILS(ONEIRO_CANCELLED, "cancelled", write_to(&no_generated, e));
  CHECK(seen.pieces == 1);
  seen.stop_at = pieces;
  FAILS(ONEIRO_CANCELLED, "cancelled", write_to(&no_generated, e));
  CHECK(seen.pieces == pieces && strcmp(oneiro_generated_utf8(whole), seen.text) == 0);
  seen.stop_at = 0;
  again = written();
  CHECK(same(whole, again));
  oneiro_generated_free(again);

  /* A callback's wish is not the object's. */
  SUCCEEDS(oneiro_cancel_new(&cancel, e));
  options.cancel = cancel;
  seen.stop_at = 1;
  FAILS(ONEIRO_CANCELLED, "cancelled", write_to(&no_generated, e));
  CHECK(!oneiro_cancel_is_requested(cancel));
  seen.stop_at = 0;

  /* From another thread, between two pieces; then before the call. */
  seen.cancel = cancel;
  SUCCEEDS(oneiro_language_model_forget(model, e));
  CHECK(write_to(&no_generated, NULL) == ONEIRO_CANCELLED && seen.pieces == 1);
  seen.cancel = NULL;
  FAILS(ONEIRO_CANCELLED, "cancelled", write_to(&no_generated, e));
  CHECK(seen.pieces == 0);
  judging.cancel = cancel;
  FAILS(ONEIRO_CANCELLED, "cancelled",
        oneiro_language_model_score(model, prompt, titles, 1, &judging, no_scores, e));
  oneiro_cancel_free(cancel);

  /* At any moment. */
  SUCCEEDS(oneiro_cancel_new(&cancel, e));
  oneiro_cancel_retain(cancel);
  CHECK(pthread_create(&thread, NULL, until_stopped, cancel) == 0);
  nanosleep(&pause, NULL);
  oneiro_cancel_request(cancel);
  oneiro_cancel_free(cancel);
  CHECK(pthread_join(thread, NULL) == 0);

  plain();
  again = written();
  CHECK(same(whole, again));
  oneiro_generated_free(again);

  /* The time is up: before the first token, and behind it. */
  options.deadline_ms = 0;
  FAILS(ONEIRO_DEADLINE_EXCEEDED, "", write_to(&no_generated, e));
  judging.deadline_ms = 0;
  FAILS(ONEIRO_DEADLINE_EXCEEDED, "",
        oneiro_language_model_score(model, prompt, titles, 1, &judging, no_scores, e));
  options.deadline_ms = 1500;
  seen.sleep_ms = 1600;
  again = written();
  seen.sleep_ms = 0;
  CHECK(oneiro_generated_ended(again) == ONEIRO_ENDED_DEADLINE && oneiro_generated_len(again) < TOKENS);
  oneiro_generated_free(again);
  oneiro_generated_free(whole);
}

static void null_is_read_as_nothing(void) {
  CHECK(oneiro_tokens_len(NULL) == 0 && oneiro_tokens_values(NULL) == NULL);
  CHECK(oneiro_generated_len(NULL) == 0 && oneiro_generated_tokens(NULL) == NULL);
  CHECK(oneiro_generated_utf8(NULL) == NULL && oneiro_generated_ended(NULL) == 0);
  CHECK(oneiro_language_model_context(NULL) == 0 && oneiro_language_model_cached_bytes(NULL) == 0);
  oneiro_generate_options_init(NULL, sizeof options);
  oneiro_score_options_init(NULL, sizeof judging);
  oneiro_tokens_free(NULL);
  oneiro_generated_free(NULL);
  oneiro_prompt_free(NULL);
  oneiro_language_model_free(NULL);
}

static void null_handles(void) {
  const char *titles[] = {"The", NULL};
  const float row[WIDTH] = {0};
  plain();
  FAILS(BAD, "out", oneiro_prompt_new(NULL, e));
  FAILS(BAD, "prompt", oneiro_prompt_add_text(NULL, "a", e));
  FAILS(BAD, "text", oneiro_prompt_add_text(prompt, NULL, e));
  FAILS(BAD, "prompt", oneiro_prompt_add_title(NULL, "a", e));
  FAILS(BAD, "title", oneiro_prompt_add_title(prompt, NULL, e));
  FAILS(BAD, "prompt", oneiro_prompt_add_token(NULL, 1, e));
  FAILS(BAD, "prompt", oneiro_prompt_add_row(NULL, row, WIDTH, e));
  FAILS(BAD, "row", oneiro_prompt_add_row(prompt, NULL, WIDTH, e));
  FAILS(BAD, "prompt", oneiro_prompt_clear(NULL, e));
  FAILS(BAD, "engine", oneiro_language_model_new(NULL, NULL, &no_model, e));
  FAILS(BAD, "out", oneiro_language_model_new(engine, NULL, NULL, e));
  FAILS(BAD, "model", oneiro_language_model_name(NULL, &no_text, e));
  FAILS(BAD, "out", oneiro_language_model_name(model, NULL, e));
  FAILS(BAD, "model", oneiro_language_model_encode(NULL, "a", &no_tokens, e));
  FAILS(BAD, "text", oneiro_language_model_encode(model, NULL, &no_tokens, e));
  FAILS(BAD, "out", oneiro_language_model_encode(model, "a", NULL, e));
  FAILS(BAD, "model", oneiro_language_model_generate(NULL, prompt, NULL, NULL, NULL, &no_generated, e));
  FAILS(BAD, "prompt", oneiro_language_model_generate(model, NULL, NULL, NULL, NULL, &no_generated, e));
  FAILS(BAD, "model", oneiro_language_model_score(NULL, prompt, titles, 1, NULL, no_scores, e));
  FAILS(BAD, "prompt", oneiro_language_model_score(model, NULL, titles, 1, NULL, no_scores, e));
  FAILS(BAD, "titles", oneiro_language_model_score(model, prompt, NULL, 1, NULL, no_scores, e));
  FAILS(BAD, "entry 1 is NULL", oneiro_language_model_score(model, prompt, titles, 2, NULL, no_scores, e));
  FAILS(BAD, "out", oneiro_language_model_score(model, prompt, titles, 1, NULL, NULL, e));
  FAILS(BAD, "model", oneiro_language_model_forget(NULL, e));
}

static void misuse(void) {
  static char long_text[(1 << 20) + 2];
  const char *bad[] = {"The", NOT_UTF8};
  const char *with_nothing[] = {"The", ""};
  const float zero = 0, row[WIDTH + 1] = {0};
  float not_finite[WIDTH] = {0};
  memset(long_text, 'a', sizeof long_text - 1);
  FAILS(BAD, "UTF-8", oneiro_prompt_add_text(prompt, NOT_UTF8, e));
  FAILS(BAD, "UTF-8", oneiro_prompt_add_title(prompt, NOT_UTF8, e));
  FAILS(BAD, "memory", oneiro_prompt_add_row(prompt, row, SIZE_MAX, e));
  FAILS(BAD, "UTF-8", oneiro_language_model_new(engine, NOT_UTF8, &no_model, e));
  FAILS(ONEIRO_UNSUPPORTED, "none", oneiro_language_model_new(engine, "none", &no_model, e));
  FAILS(BAD, "UTF-8", oneiro_language_model_encode(model, NOT_UTF8, &no_tokens, e));
  FAILS(BAD, "text", oneiro_language_model_encode(model, long_text, &no_tokens, e));
  FAILS(BAD, "entry 1 is not UTF-8", oneiro_language_model_score(model, prompt, bad, 2, NULL, no_scores, e));
  FAILS(BAD, "memory", oneiro_language_model_score(model, prompt, bad, SIZE_MAX, NULL, no_scores, e));
#define WITH(words, field, value) \
  plain(); \
  options.field = (value); \
  FAILS(BAD, words, write_to(&no_generated, e))
  WITH("tokens", tokens, 0);
  WITH("temperature", temperature, -1);
  WITH("temperature", temperature, zero / zero);
  WITH("top_p", top_p, 0);
  WITH("top_p", top_p, 1.5f);
  WITH("deadline_ms", deadline_ms, -1);
  WITH("stop", stop_count, 1);
  plain();
  options.stop = bad;
  options.stop_count = 2;
  FAILS(BAD, "entry 1 is not UTF-8", write_to(&no_generated, e));
  options.stop = with_nothing;
  FAILS(BAD, "empty", write_to(&no_generated, e));
  plain();
  judging.deadline_ms = -1;
  FAILS(BAD, "deadline_ms", oneiro_language_model_score(model, prompt, with_nothing, 1, &judging, no_scores, e));

  /* Pieces of another model's, which only this one can refuse. */
#define PIECE(code, words, add) \
  prompt_is("a"); \
  SUCCEEDS(add); \
  FAILS(code, words, write_to(&no_generated, e)); \
  FAILS(code, words, oneiro_language_model_score(model, prompt, with_nothing, 2, NULL, no_scores, e))
  PIECE(BAD, "token 388", oneiro_prompt_add_token(prompt, 388, e));
  PIECE(BAD, "33 numbers", oneiro_prompt_add_row(prompt, row, WIDTH + 1, e));
  PIECE(BAD, "0 numbers", oneiro_prompt_add_row(prompt, NULL, 0, e));
  not_finite[3] = zero / zero;
  PIECE(BAD, "row with", oneiro_prompt_add_row(prompt, not_finite, WIDTH, e));
  SUCCEEDS(oneiro_prompt_clear(prompt, e));
  for (size_t i = 0; i < CONTEXT; i++) {
    SUCCEEDS(oneiro_prompt_add_token(prompt, 50, e));
  }
  FAILS(ONEIRO_TOO_LONG, "129", write_to(&no_generated, e));
  FAILS(ONEIRO_TOO_LONG, "", oneiro_language_model_score(model, prompt, with_nothing, 2, NULL, no_scores, e));
}

/* Structs of callers who were compiled with an older or a newer header. */
static void other_sizes(void) {
  const char *titles[] = {"The"};
  struct {
    oneiro_generate_options known;
    uint64_t later[2];
  } newer;
  oneiro_generate_options older;
  float score = 0;
  prompt_is("After ");
  memset(&newer, 0xEE, sizeof newer);
  oneiro_generate_options_init(&newer.known, sizeof newer);
  CHECK(newer.known.size == sizeof newer && newer.later[0] == 0 && newer.later[1] == 0);
  newer.known.tokens = 1;
  SUCCEEDS(oneiro_language_model_generate(model, prompt, &newer.known, NULL, NULL, NULL, e));
  newer.later[1] = 1;
  FAILS(BAD, "does not know", oneiro_language_model_generate(model, prompt, &newer.known, NULL, NULL, &no_generated, e));

  memset(&older, 0xEE, sizeof older);
  oneiro_generate_options_init(&older, offsetof(oneiro_generate_options, top_k));
  CHECK(older.tokens == 256 && older.top_k > 1); /* beyond its end nothing is written */
  older.tokens = 1;
  SUCCEEDS(oneiro_language_model_generate(model, prompt, &older, NULL, NULL, NULL, e)); /* nor read */
  memset(&older, 0, sizeof older);
  FAILS(BAD, "oneiro_generate_options",
        oneiro_language_model_generate(model, prompt, &older, NULL, NULL, &no_generated, e));
  memset(&judging, 0xEE, sizeof judging);
  oneiro_score_options_init(&judging, offsetof(oneiro_score_options, deadline_ms));
  SUCCEEDS(oneiro_language_model_score(model, prompt, titles, 1, &judging, &score, e));
  judging.size = sizeof judging - 1;
  FAILS(BAD, "oneiro_score_options",
        oneiro_language_model_score(model, prompt, titles, 1, &judging, no_scores, e));
}

/* What the probability of a token is one of, an adapter, and a beginning that all share. */
static void ways_to_score(void) {
  const char *two[] = {"Nightjar", "Two Rivers (1998)"};
  float among_all[2], among_two[2], with_taste[2], again[2];
  SUCCEEDS(oneiro_prompt_clear(prompt, e));
  SUCCEEDS(oneiro_prompt_add_text(prompt, "After ", e));
  oneiro_score_options_init(&judging, sizeof judging);
  SUCCEEDS(oneiro_language_model_score(model, prompt, two, 2, &judging, among_all, e));
  judging.among = ONEIRO_AMONG_TITLES;
  SUCCEEDS(oneiro_language_model_score(model, prompt, two, 2, &judging, among_two, e));
  /* One of two ways, once they part. */
  CHECK(among_two[0] > among_all[0] && among_two[1] > among_all[1] && among_two[0] < 0 && among_two[1] < 0);
  judging.among = 7;
  FAILS(BAD, "among", oneiro_language_model_score(model, prompt, two, 2, &judging, no_scores, e));
  oneiro_score_options_init(&judging, sizeof judging);
  SUCCEEDS(oneiro_prompt_share(prompt, e));
  SUCCEEDS(oneiro_language_model_adapt(model, "taste", e));
  SUCCEEDS(oneiro_language_model_score(model, prompt, two, 2, &judging, with_taste, e));
  CHECK(with_taste[0] != among_all[0]);
  FAILS(ONEIRO_UNSUPPORTED, "other", oneiro_language_model_adapt(model, "other", e));
  SUCCEEDS(oneiro_language_model_adapt(model, NULL, e));
  SUCCEEDS(oneiro_language_model_score(model, prompt, two, 2, &judging, again, e));
  CHECK(fabsf(again[0] - among_all[0]) < 1e-4f && fabsf(again[1] - among_all[1]) < 1e-4f);
  FAILS(BAD, "prompt", oneiro_prompt_share(NULL, e));
  FAILS(BAD, "model", oneiro_language_model_adapt(NULL, NULL, e));
}

/* A language model that judges: alone, after a way to retrieve, and what it cannot do. */
static void judge(void) {
  const uint32_t history[] = {3, 7}, candidates[] = {1, 12, 20};
  oneiro_recommender *user = NULL;
  oneiro_ranking *ranking = NULL, *call = NULL, *no_ranking = NULL;
  oneiro_cancel *cancel = NULL;
  oneiro_call_options asking;
  float found[3], among[3], text[3], best;
  oneiro_call_options_init(&asking, sizeof asking);
  SUCCEEDS(oneiro_cancel_new(&cancel, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, history, 2, e));
#define SCORE(out) oneiro_recommender_score(user, ONEIRO_JUDGE_LANGUAGE_MODEL, candidates, 3, &asking, out, e)
  SUCCEEDS(SCORE(found));
  asking.among = ONEIRO_AMONG_TITLES;
  SUCCEEDS(SCORE(among));
  asking.among = ONEIRO_AMONG_VOCABULARY;
  asking.prompt = "text";
  SUCCEEDS(SCORE(text));
  CHECK(found[0] < among[0] && among[0] < 0 && found[0] != text[0]);
  asking.prompt = "other";
  FAILS(ONEIRO_UNSUPPORTED, "prompt `other`", SCORE(no_scores));
  asking.prompt = NOT_UTF8;
  FAILS(BAD, "prompt", SCORE(no_scores));
  asking.prompt = NULL;
  asking.among = 2;
  FAILS(BAD, "among", SCORE(no_scores));
  asking.among = ONEIRO_AMONG_VOCABULARY;
  asking.cancel = cancel;
  SUCCEEDS(oneiro_recommender_rank(user, ONEIRO_JUDGE_LANGUAGE_MODEL, candidates, 3, 3, NULL, &asking, &ranking, e));
  best = fmaxf(found[0], fmaxf(found[1], found[2]));
  CHECK(oneiro_ranking_len(ranking) == 3 && fabsf(oneiro_ranking_scores(ranking)[0] - best) < 1e-4f);
  CHECK(oneiro_ranking_origins(ranking)[2] == ONEIRO_ORIGIN_LANGUAGE_MODEL);
  oneiro_ranking_free(ranking);

  asking.rank = ONEIRO_JUDGE_LANGUAGE_MODEL;
#define RETRIEVE(out) oneiro_recommender_retrieve(user, ONEIRO_BY_POPULARITY, 2, NULL, &asking, out, e)
  FAILS(BAD, "rank", RETRIEVE(&no_ranking));
  asking.candidates = 3;
  SUCCEEDS(RETRIEVE(&call));
  CHECK(oneiro_ranking_len(call) == 2 && oneiro_ranking_origins(call)[0] == ONEIRO_ORIGIN_LANGUAGE_MODEL);
  oneiro_ranking_free(call);
  FAILS(BAD, "rank",
        oneiro_recommender_rank(user, ONEIRO_JUDGE_ENCODER, candidates, 3, 3, NULL, &asking, &no_ranking, e));
  asking.rank = 9;
  FAILS(BAD, "rank", RETRIEVE(&no_ranking));
  asking.rank = ONEIRO_JUDGE_LANGUAGE_MODEL;
  asking.candidates = 40;
  FAILS(ONEIRO_TOO_LONG, "128", RETRIEVE(&no_ranking));
  asking.candidates = 3;
  oneiro_cancel_request(cancel);
  FAILS(ONEIRO_CANCELLED, "cancelled", RETRIEVE(&no_ranking));
  asking.cancel = NULL;
  SUCCEEDS(RETRIEVE(&call));
  CHECK(no_ranking == NULL && oneiro_recommender_cached_bytes(user) > 0);
  SUCCEEDS(oneiro_recommender_trim(user, e));
  CHECK(oneiro_recommender_cached_bytes(user) == 0 && oneiro_recommender_cached_bytes(NULL) == 0);
  FAILS(BAD, "recommender", oneiro_recommender_trim(NULL, e));
  oneiro_ranking_free(call);
  oneiro_cancel_free(cancel);
  oneiro_recommender_free(user);
}

/* What a language model writes, as items; and what cannot be. */
static void generate_items(void) {
  const uint32_t history[] = {3, 9};
  oneiro_recommender *user = NULL;
  oneiro_ranking *near = NULL, *weighed = NULL, *title = NULL, *no_ranking = NULL;
  oneiro_cancel *cancel = NULL;
  oneiro_call_options options;
  oneiro_call_options_init(&options, sizeof options);
  CHECK(options.gamma == -1.0f && options.weigh == 0 && options.generator == NULL);
  SUCCEEDS(oneiro_cancel_new(&cancel, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, history, 2, e));
#define GENERATE(out) oneiro_recommender_retrieve(user, ONEIRO_BY_GENERATE, 5, NULL, &options, out, e)
  options.cancel = cancel;
  SUCCEEDS(GENERATE(&weighed));
  CHECK(oneiro_ranking_len(weighed) == 5 && oneiro_ranking_origins(weighed)[4] == ONEIRO_ORIGIN_GENERATE);
  options.on_text = on_text;
  options.user_data = &seen;
  memset(&seen, 0, sizeof seen);
  SUCCEEDS(GENERATE(&near));
  CHECK(seen.pieces > 0 && oneiro_ranking_items(near)[0] == oneiro_ranking_items(weighed)[0]);
  oneiro_ranking_free(near);
  seen.pieces = seen.length = 0;
  seen.stop_at = 1;
  FAILS(ONEIRO_CANCELLED, "cancelled", (seen.pieces = seen.length = 0, GENERATE(&no_ranking)));
  options.on_text = NULL;
  options.user_data = NULL;
  SUCCEEDS(GENERATE(&near));
  oneiro_ranking_free(near);
  options.gamma = 0;
  options.generator = "bigrec";
  SUCCEEDS(GENERATE(&near));
  CHECK(oneiro_ranking_scores(near)[0] < oneiro_ranking_scores(weighed)[0] && oneiro_ranking_scores(weighed)[4] > -1);
  options.grounding = ONEIRO_GROUNDING_TITLE;
  SUCCEEDS(GENERATE(&title));
  CHECK(oneiro_ranking_scores(title)[0] <= 0);
  options.grounding = 3;
  FAILS(BAD, "grounding", GENERATE(&no_ranking));
  options.grounding = ONEIRO_GROUNDING_ALL;
  options.weigh = ONEIRO_JUDGE_LANGUAGE_MODEL;
  FAILS(BAD, "weigh", GENERATE(&no_ranking));
  options.weigh = 99;
  FAILS(BAD, "weigh", GENERATE(&no_ranking));
  options.weigh = ONEIRO_JUDGE_POPULARITY;
  options.gamma = -3;
  FAILS(BAD, "gamma", GENERATE(&no_ranking));
  options.gamma = 2;
  options.generator = "other";
  FAILS(ONEIRO_UNSUPPORTED, "generator `other`", GENERATE(&no_ranking));
  options.generator = NULL;
  oneiro_cancel_request(cancel);
  FAILS(ONEIRO_CANCELLED, "cancelled", GENERATE(&no_ranking));
  CHECK(no_ranking == NULL);
  oneiro_ranking_free(near);
  oneiro_ranking_free(weighed);
  oneiro_ranking_free(title);
  oneiro_cancel_free(cancel);
  oneiro_recommender_free(user);
}

/* What a recommender knows, in titles: the text is streamed, the items are ranked; and what cannot be. */
static void interpret(void) {
  const uint32_t history[] = {3, 9};
  oneiro_recommender *user = NULL;
  oneiro_ranking *named = NULL, *no_ranking = NULL;
  oneiro_cancel *cancel = NULL;
  oneiro_text *title = NULL;
  oneiro_call_options options;
  oneiro_call_options_init(&options, sizeof options);
  SUCCEEDS(oneiro_cancel_new(&cancel, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, history, 2, e));
#define INTERPRET(question, item, count, out) \
  oneiro_recommender_interpret(user, question, item, count, &options, on_text, &seen, out, e)
  SUCCEEDS(oneiro_recommender_interpret(user, ONEIRO_QUESTION_RECOVER, 0, 1, NULL, NULL, NULL, &named, e));
  CHECK(oneiro_ranking_len(named) == 1);
  oneiro_ranking_free(named);
  memset(&seen, 0, sizeof seen);
  SUCCEEDS(INTERPRET(ONEIRO_QUESTION_RECOVER, 0, 3, &named));
  CHECK(oneiro_ranking_len(named) == 3 && oneiro_ranking_origins(named)[2] == ONEIRO_ORIGIN_INTERPRETATION);
  CHECK(seen.pieces == 5);
  SUCCEEDS(oneiro_engine_item_title(engine, oneiro_ranking_items(named)[0], &title, e));
  CHECK(strncmp(seen.text, oneiro_text_utf8(title), strlen(oneiro_text_utf8(title))) == 0);
  oneiro_text_free(title);
  oneiro_ranking_free(named);
  options.interpreter = "films";
  options.sampler = ONEIRO_SAMPLER_MEAN;
  for (int32_t question = ONEIRO_QUESTION_RESIDUAL; question <= ONEIRO_QUESTION_DREAM_AS_ITEM; question++) {
    memset(&seen, 0, sizeof seen);
    SUCCEEDS(INTERPRET(question, 5, 2, &named));
    CHECK(seen.pieces == 1 && oneiro_ranking_len(named) >= 2);
    CHECK(oneiro_ranking_scores(named)[0] >= oneiro_ranking_scores(named)[1]);
    oneiro_ranking_free(named);
  }
  memset(&seen, 0, sizeof seen);
  options.interpreter = "why";
  SUCCEEDS(INTERPRET(ONEIRO_QUESTION_EXPLAIN, 34, 2, &named));
  CHECK(seen.pieces == 1 && oneiro_ranking_len(named) == 2 && oneiro_ranking_origins(named)[0] == ONEIRO_ORIGIN_ATTRIBUTION);
  oneiro_ranking_free(named);
  options.interpreter = NULL;
  memset(&seen, 0, sizeof seen);
  seen.stop_at = 2;
  FAILS(ONEIRO_CANCELLED, "cancelled", (seen.pieces = seen.length = 0, INTERPRET(ONEIRO_QUESTION_RECOVER, 0, 3, &no_ranking)));
  memset(&seen, 0, sizeof seen);
  FAILS(BAD, "question", INTERPRET(0, 0, 3, &no_ranking));
  FAILS(BAD, "count", INTERPRET(ONEIRO_QUESTION_RECOVER, 0, 0, &no_ranking));
  FAILS(BAD, "item", INTERPRET(ONEIRO_QUESTION_RESIDUAL, 15, 3, &no_ranking));
  FAILS(ONEIRO_UNKNOWN_ITEM, "40", INTERPRET(ONEIRO_QUESTION_RESIDUAL, 40, 3, &no_ranking));
  options.interpreter = "other";
  FAILS(ONEIRO_UNSUPPORTED, "interpreter `other`", INTERPRET(ONEIRO_QUESTION_RECOVER, 0, 3, &no_ranking));
  options.interpreter = NOT_UTF8;
  FAILS(BAD, "interpreter", INTERPRET(ONEIRO_QUESTION_RECOVER, 0, 3, &no_ranking));
  options.interpreter = NULL;
  FAILS(BAD, "out", INTERPRET(ONEIRO_QUESTION_RECOVER, 0, 3, NULL));
  options.cancel = cancel;
  oneiro_cancel_request(cancel);
  FAILS(ONEIRO_CANCELLED, "cancelled", INTERPRET(ONEIRO_QUESTION_RECOVER, 0, 3, &no_ranking));
  CHECK(no_ranking == NULL && seen.pieces == 0);
  oneiro_cancel_free(cancel);
  oneiro_recommender_free(user);
}

/* Whatever is freed first, the rest lives. */
static void any_order(void) {
  for (int order = 0; order < 6; order++) {
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    oneiro_engine *g = NULL;
    oneiro_language_model *m = NULL;
    oneiro_prompt *p = NULL;
    oneiro_generated *generated = NULL;
    SUCCEEDS(oneiro_engine_open(BUNDLE, NULL, &g, e));
    SUCCEEDS(oneiro_language_model_new(g, NULL, &m, e));
    SUCCEEDS(oneiro_prompt_new(&p, e));
    plain();
    options.tokens = 1;
    for (int step = 0; step < 3; step++) {
      switch (orders[order][step]) {
        case 0: oneiro_engine_free(g), g = NULL; break;
        case 1: oneiro_language_model_free(m), m = NULL; break;
        default: oneiro_prompt_free(p), p = NULL; break;
      }
      if (m != NULL && p != NULL) {
        SUCCEEDS(oneiro_language_model_generate(m, p, &options, NULL, NULL, &generated, e));
      }
    }
    CHECK(generated == NULL || oneiro_generated_len(generated) == 1);
    oneiro_generated_free(generated);
  }
}

int main(void) {
  oneiro_engine *tiny = NULL;
  null_is_read_as_nothing();
  SUCCEEDS(oneiro_engine_open(BUNDLE, NULL, &engine, e));
  SUCCEEDS(oneiro_language_model_new(engine, NULL, &model, e));
  SUCCEEDS(oneiro_prompt_new(&prompt, e));
  models();
  prompts();
  texts();
  scores();
  stopped();
  null_handles();
  misuse();
  other_sizes();
  ways_to_score();
  judge();
  generate_items();
  interpret();
  any_order();
  SUCCEEDS(oneiro_engine_open(TINY, NULL, &tiny, e));
  FAILS(ONEIRO_UNSUPPORTED, "language model", oneiro_language_model_new(tiny, NULL, &no_model, e));
  CHECK(no_model == NULL && no_prompt == NULL && no_generated == NULL && no_tokens == NULL && no_text == NULL);
  CHECK(no_scores[0] == 77 && no_scores[1] == 77);
  oneiro_engine_free(tiny);
  oneiro_prompt_free(prompt);
  oneiro_language_model_free(model);
  oneiro_engine_free(engine);
  return 0;
}
