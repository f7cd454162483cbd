/* What a bundle's language model makes of the best 20, for tests/taste.rs: taste [BUNDLE] < histories
 *
 * In: a history per line, item numbers with spaces between. Out: for each, a line with the best 20 by the recipe, ranked anew
 * by the language model, as item:score. Without input there is nothing to answer, which is no failure. */
#include "check.h"

#define LONGEST 512

int main(int argc, char **argv) {
  static char line[16 * LONGEST];
  oneiro_engine *engine = NULL;
  oneiro_recommender *user = NULL;
  oneiro_call_options options;
  oneiro_call_options_init(&options, sizeof options);
  options.rank = ONEIRO_JUDGE_LANGUAGE_MODEL;
  options.candidates = 20;
  SUCCEEDS(oneiro_engine_open(argc > 1 ? argv[1] : "models/tiny-lm", NULL, &engine, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  while (fgets(line, sizeof line, stdin) != NULL) {
    oneiro_ranking *best = NULL;
    SUCCEEDS(oneiro_recommender_forget(user, e));
    for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) {
      uint32_t item = (uint32_t)strtoul(word, NULL, 10);
      SUCCEEDS(oneiro_recommender_observe_items(user, &item, 1, e));
    }
    SUCCEEDS(oneiro_recommender_recommend(user, 20, NULL, &options, &best, e));
    for (size_t i = 0; i < oneiro_ranking_len(best); i++) {
      CHECK(oneiro_ranking_origins(best)[i] == ONEIRO_ORIGIN_LANGUAGE_MODEL);
      printf("%u:%.9g ", (unsigned)oneiro_ranking_items(best)[i], oneiro_ranking_scores(best)[i]);
    }
    printf("\n");
    oneiro_ranking_free(best);
  }
  oneiro_recommender_free(user);
  oneiro_engine_free(engine);
  return 0;
}
