/* Ten films for a history: recommend [BUNDLE [TITLE-OR-ID]...] */
#include <oneiro.h>

#include <stdio.h>

static int fail(oneiro_error *error) {
  fprintf(stderr, "recommend: %s\n", oneiro_error_message(error));
  oneiro_error_free(error);
  return 1;
}

static int show(const oneiro_engine *engine, const oneiro_ranking *best) {
  oneiro_error *error = NULL;
  for (size_t i = 0; i < oneiro_ranking_len(best); i++) {
    oneiro_text *title = NULL;
    if (oneiro_engine_item_title(engine, oneiro_ranking_items(best)[i], &title, &error) != ONEIRO_OK) {
      return fail(error);
    }
    printf("%s  %.4f\n", oneiro_text_utf8(title), oneiro_ranking_scores(best)[i]);
    oneiro_text_free(title);
  }
  return 0;
}

int main(int argc, char **argv) {
  static const char *const films[] = {"Inception", "The Dark Knight", "The Matrix", "Fight Club", "The Prestige"};
  const char *bundle = argc > 1 ? argv[1] : "models/demo";
  const char *const *seen = argc > 2 ? (const char *const *)argv + 2 : films;
  size_t count = argc > 2 ? (size_t)argc - 2 : sizeof films / sizeof *films;
  oneiro_error *error = NULL;
  oneiro_engine *engine = NULL;
  oneiro_recommender *user = NULL;
  oneiro_ranking *best = NULL;

  if (oneiro_engine_open(bundle, NULL, &engine, &error) != ONEIRO_OK ||
      oneiro_recommender_new(engine, &user, &error) != ONEIRO_OK) {
    oneiro_engine_free(engine);
    return fail(error);
  }
  int failed = 0;
  for (size_t i = 0; i < count && !failed; i++) {
    uint32_t item = 0;
    failed = oneiro_engine_resolve(engine, seen[i], &item, &error) != ONEIRO_OK ||
             oneiro_recommender_observe_items(user, &item, 1, &error) != ONEIRO_OK;
  }
  failed = failed || oneiro_recommender_recommend(user, 10, NULL, NULL, &best, &error) != ONEIRO_OK;
  failed = failed ? fail(error) : show(engine, best);
  oneiro_ranking_free(best);
  oneiro_recommender_free(user);
  oneiro_engine_free(engine);
  return failed;
}
