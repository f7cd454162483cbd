/* Ten films for a history, dreamt of and then ranked by what they are worth in the long run: chain [BUNDLE [TITLE-OR-ID]...]
 *
 * An oracle retrieves 200 films, a Q-network ranks them. Ctrl-C stops it between two denoising steps. */
#define _POSIX_C_SOURCE 200809L

#include <oneiro.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

static int fail(oneiro_error *error) {
  fprintf(stderr, "chain: %s\n", oneiro_error_message(error));
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

/* Of another thread: waits for Ctrl-C and stops the call, whatever it is at. */
static void *watch(void *cancel) {
  sigset_t interrupt;
  int signal = 0;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  if (sigwait(&interrupt, &signal) == 0) {
    oneiro_cancel_request(cancel);
  }
  oneiro_cancel_free(cancel);
  return NULL;
}

/* A cancel that Ctrl-C requests; it may come before, during or after the call. */
static oneiro_status watched(oneiro_cancel **cancel, oneiro_error **error) {
  sigset_t interrupt;
  pthread_t thread;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, NULL);
  oneiro_status status = oneiro_cancel_new(cancel, error);
  if (status == ONEIRO_OK) {
    oneiro_cancel_retain(*cancel);
    if (pthread_create(&thread, NULL, watch, *cancel) == 0) {
      pthread_detach(thread);
    } else {
      oneiro_cancel_free(*cancel);
    }
  }
  return status;
}

/* Both steps: what the oracle's candidates come with counts half, their Q the other half. */
static oneiro_status chain(oneiro_recommender *user, const oneiro_cancel *cancel, oneiro_ranking **best,
                           oneiro_error **error) {
  oneiro_ranking *dreamt = NULL;
  oneiro_call_options options;
  oneiro_call_options_init(&options, sizeof options);
  options.cancel = cancel;
  oneiro_status status = oneiro_recommender_retrieve(user, ONEIRO_BY_ORACLE, 200, NULL, &options, &dreamt, error);
  if (status == ONEIRO_OK) {
    options.candidate_scores = oneiro_ranking_scores(dreamt);
    options.weight = 0.5f;
    status = oneiro_recommender_rank(user, ONEIRO_JUDGE_Q_NETWORK, oneiro_ranking_items(dreamt), oneiro_ranking_len(dreamt),
                                     10, NULL, &options, best, error);
  }
  oneiro_ranking_free(dreamt);
  return status;
}

int main(int argc, char **argv) {
  static const char *const films[] = {"film-29", "film-34", "film-38"};
  const char *bundle = argc > 1 ? argv[1] : "models/tiny-oracle";
  const char *const *seen = argc > 2 ? (const char *const *)argv + 2 : films;
  size_t count = argc > 2 ? (size_t)argc - 2 : sizeof films / sizeof *films;
  oneiro_error *error = NULL;
  oneiro_cancel *cancel = NULL;
  oneiro_engine *engine = NULL;
  oneiro_recommender *user = NULL;
  oneiro_ranking *best = NULL;

  int failed = watched(&cancel, &error) != ONEIRO_OK ||
               oneiro_engine_open(bundle, NULL, &engine, &error) != ONEIRO_OK ||
               oneiro_recommender_new(engine, &user, &error) != ONEIRO_OK;
  for (size_t i = 0; i < count && !failed; i++) {
    uint32_t item = 0;
    failed = oneiro_engine_resolve(engine, seen[i], &item, &error) != ONEIRO_OK ||
             oneiro_recommender_observe_items(user, &item, 1, &error) != ONEIRO_OK;
  }
  failed = failed || chain(user, cancel, &best, &error) != ONEIRO_OK;
  failed = failed ? fail(error) : show(engine, best);
  oneiro_ranking_free(best);
  oneiro_recommender_free(user);
  oneiro_engine_free(engine);
  oneiro_cancel_free(cancel);
  return failed;
}
