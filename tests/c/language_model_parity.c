/* What language models answer, for tests/language_model_parity.rs: language_model_parity [BUNDLE [MODEL]] < prompts
 *
 * In: a text per line. Out: for each, its tokens; what is written after it and a title, a token and a row, once the likeliest
 * and once drawn, as why it ended with its tokens, and as bytes in hexadecimal; and the score of every title of the catalog
 * behind the same prompt. Without input there is nothing to answer, which is no failure. */
#include "check.h"

#define LONGEST 512
#define WIDTH 32

static oneiro_engine *engine;
static oneiro_language_model *model;

static void print_tokens(const uint32_t *tokens, size_t count) {
  for (size_t i = 0; i < count; i++) {
    printf("%u ", (unsigned)tokens[i]);
  }
  printf("\n");
}

static void print_written(const oneiro_prompt *prompt, const oneiro_generate_options *options) {
  oneiro_generated *written = NULL;
  SUCCEEDS(oneiro_language_model_generate(model, prompt, options, NULL, NULL, &written, e));
  printf("%d ", (int)oneiro_generated_ended(written));
  print_tokens(oneiro_generated_tokens(written), oneiro_generated_len(written));
  for (const char *byte = oneiro_generated_utf8(written); *byte != '\0'; byte++) {
    printf("%02x", (unsigned)(unsigned char)*byte);
  }
  printf("\n");
  oneiro_generated_free(written);
}

static void print_scores(const oneiro_prompt *prompt) {
  static oneiro_text *texts[LONGEST];
  static const char *titles[LONGEST];
  static float scores[LONGEST];
  size_t count = oneiro_engine_item_count(engine);
  CHECK(count <= LONGEST);
  for (size_t i = 0; i < count; i++) {
    SUCCEEDS(oneiro_engine_item_title(engine, (uint32_t)i, &texts[i], e));
    titles[i] = oneiro_text_utf8(texts[i]);
  }
  SUCCEEDS(oneiro_language_model_score(model, prompt, titles, count, NULL, scores, e));
  for (size_t i = 0; i < count; i++) {
    printf("%.9g ", scores[i]);
    oneiro_text_free(texts[i]);
  }
  printf("\n");
}

int main(int argc, char **argv) {
  static char line[LONGEST];
  const char *stop[] = {"th", "\n\n"};
  float row[WIDTH];
  oneiro_prompt *prompt = NULL;
  oneiro_generate_options likeliest, drawn;
  oneiro_generate_options_init(&likeliest, sizeof likeliest);
  likeliest.tokens = 24;
  oneiro_generate_options_init(&drawn, sizeof drawn);
  drawn.tokens = 40;
  drawn.temperature = 0.75f;
  drawn.top_k = 200;
  drawn.top_p = 0.9f;
  drawn.seed = 7;
  drawn.stop = stop;
  drawn.stop_count = 2;
  for (size_t i = 0; i < WIDTH; i++) {
    row[i] = (float)i / 16 - 1;
  }
  SUCCEEDS(oneiro_engine_open(argc > 1 ? argv[1] : "models/tiny-lm", NULL, &engine, e));
  SUCCEEDS(oneiro_language_model_new(engine, argc > 2 ? argv[2] : NULL, &model, e));
  SUCCEEDS(oneiro_prompt_new(&prompt, e));
  while (fgets(line, sizeof line, stdin) != NULL) {
    oneiro_tokens *tokens = NULL;
    line[strcspn(line, "\n")] = '\0';
    SUCCEEDS(oneiro_language_model_encode(model, line, &tokens, e));
    print_tokens(oneiro_tokens_values(tokens), oneiro_tokens_len(tokens));
    oneiro_tokens_free(tokens);
    SUCCEEDS(oneiro_prompt_clear(prompt, e));
    SUCCEEDS(oneiro_prompt_add_text(prompt, line, e));
    SUCCEEDS(oneiro_prompt_add_title(prompt, "The\nLantern", e));
    SUCCEEDS(oneiro_prompt_add_token(prompt, 77, e));
    SUCCEEDS(oneiro_prompt_add_row(prompt, row, WIDTH, e));
    print_written(prompt, &likeliest);
    print_written(prompt, &drawn);
    print_scores(prompt);
  }
  oneiro_prompt_free(prompt);
  oneiro_language_model_free(model);
  oneiro_engine_free(engine);
  return 0;
}
