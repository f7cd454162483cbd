/* A text that a language model continues, shown as it comes: generate [BUNDLE [TEXT]]. Ctrl-C stops it. */
#include <oneiro.h>

#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t interrupted;

static void interrupt(int signal) {
  (void)signal;
  interrupted = 1;
}

static int32_t show(void *user_data, const char *piece, size_t length) {
  (void)user_data;
  fwrite(piece, 1, length, stdout);
  fflush(stdout);
  return interrupted;
}

int main(int argc, char **argv) {
  oneiro_error *error = NULL;
  oneiro_engine *engine = NULL;
  oneiro_language_model *model = NULL;
  oneiro_prompt *prompt = NULL;
  signal(SIGINT, interrupt);
  int failed = oneiro_engine_open(argc > 1 ? argv[1] : "models/tiny-lm", NULL, &engine, &error) != ONEIRO_OK ||
               oneiro_language_model_new(engine, NULL, &model, &error) != ONEIRO_OK ||
               oneiro_prompt_new(&prompt, &error) != ONEIRO_OK ||
               oneiro_prompt_add_text(prompt, argc > 2 ? argv[2] : "After Nightjar people like ", &error) != ONEIRO_OK ||
               oneiro_language_model_generate(model, prompt, NULL, show, NULL, NULL, &error) != ONEIRO_OK;
  fprintf(stderr, "\n%s%s", oneiro_error_message(error), failed ? "\n" : "");
  oneiro_error_free(error);
  oneiro_prompt_free(prompt);
  oneiro_language_model_free(model);
  oneiro_engine_free(engine);
  return failed;
}
