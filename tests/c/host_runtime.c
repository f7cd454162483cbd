/* A program that has loaded ONNX Runtime by itself lends it: no second copy is opened, and none is taken later. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <dlfcn.h>

/* The program's own ONNX Runtime, from where the tests keep it: a library, or the folder that holds it. */
static void *own_runtime(void) {
  static const char *const names[] = {"", "/libonnxruntime.so", "/libonnxruntime.dylib"};
  const char *folder = getenv("ORT_DYLIB_PATH");
  CHECK(folder != NULL);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[4096];
    CHECK(snprintf(path, sizeof path, "%s%s", folder, names[i]) < (int)sizeof path);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library != NULL) {
      return library;
    }
  }
  return NULL;
}

int main(void) {
  void *library = own_runtime();
  const struct OrtApiBase *(*base)(void) = NULL;
  oneiro_engine *engine = NULL;
  oneiro_recommender *user = NULL;
  oneiro_ranking *ranking = NULL;
  const uint32_t seen[] = {3, 20, 33};
  CHECK(library != NULL);
  *(void **)&base = dlsym(library, "OrtGetApiBase");
  CHECK(base != NULL);
  SUCCEEDS(oneiro_runtime_load_api(base(), e));
  CHECK(oneiro_runtime_path() == NULL);
  FAILS(ONEIRO_RUNTIME, "the host", oneiro_runtime_load_api(base(), e));
  FAILS(ONEIRO_RUNTIME, "the host", oneiro_runtime_load(getenv("ORT_DYLIB_PATH"), e));
  SUCCEEDS(oneiro_engine_open(TINY, NULL, &engine, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, seen, 3, e));
  SUCCEEDS(oneiro_recommender_recommend(user, 10, NULL, NULL, &ranking, e));
  CHECK(oneiro_ranking_len(ranking) == 10 && oneiro_ranking_origins(ranking)[0] == ONEIRO_ORIGIN_ENCODER);
  oneiro_ranking_free(ranking);
  oneiro_recommender_free(user);
  oneiro_engine_free(engine);
  return 0;
}
