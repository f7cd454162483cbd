/* What the library answers to histories, for tests/parity.rs: parity BUNDLE ENCODER < histories
 *
 * In: a history per line, item numbers with spaces between. Out: for each, a line with the 20 best items by that encoder
 * (the bundle's own choice if none is named) as item:score, and a line with its state. Without input there is nothing to answer, which is no failure. */
#include "check.h"

#define LONGEST 512

/* The numbers of a line. */
static size_t parse(const char *line, uint32_t *items) {
  size_t count = 0;
  for (;;) {
    char *end = NULL;
    unsigned long item = strtoul(line, &end, 10);
    if (end == line) {
      CHECK(*line == '\n' || *line == '\0');
      return count;
    }
    CHECK(count < LONGEST);
    items[count++] = (uint32_t)item;
    line = end;
    while (*line == ' ') {
      line++;
    }
  }
}

int main(int argc, char **argv) {
  static char line[16 * LONGEST];
  static uint32_t items[LONGEST];
  oneiro_engine *engine = NULL;
  oneiro_recommender *user = NULL;
  oneiro_call_options options;
  oneiro_call_options_init(&options, sizeof options);
  options.encoder = argc > 2 ? argv[2] : NULL;
  SUCCEEDS(oneiro_engine_open(argc > 1 ? argv[1] : TINY, NULL, &engine, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  while (fgets(line, sizeof line, stdin) != NULL) {
    oneiro_ranking *best = NULL;
    oneiro_point *state = NULL;
    size_t count = parse(line, items);
    SUCCEEDS(oneiro_recommender_forget(user, e));
    SUCCEEDS(oneiro_recommender_observe_items(user, items, count, e));
    SUCCEEDS(oneiro_recommender_retrieve(user, ONEIRO_BY_ENCODER, 20, NULL, &options, &best, e));
    SUCCEEDS(oneiro_recommender_state(user, &options, &state, e));
    for (size_t i = 0; i < oneiro_ranking_len(best); i++) {
      printf("%u:%.9g ", (unsigned)oneiro_ranking_items(best)[i], oneiro_ranking_scores(best)[i]);
    }
    printf("\n");
    for (size_t i = 0; i < oneiro_point_width(state); i++) {
      printf("%.9g ", oneiro_point_values(state)[i]);
    }
    printf("\n");
    oneiro_ranking_free(best);
    oneiro_point_free(state);
  }
  oneiro_recommender_free(user);
  oneiro_engine_free(engine);
  return 0;
}
