/* The same work against ONNX Runtime's C API, as one would write it by hand for one bundle: the tables mapped, inputs
 * and outputs bound once, the model optimised ahead, the scan left to the compiler's vectors.
 *
 * Build with -O3 -march=native -ffast-math and -DWIDTH=… */
#define _GNU_SOURCE
#include "player.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ort.h"

enum { MAX_THREADS = 64 };

static const OrtApi *ort;
static OrtEnv *env;
static OrtMemoryInfo *memory;
static const char *folder;
static size_t threads;

static const float *table;
static size_t items;

static void must(OrtStatus *status) {
  if (status != NULL) die("ONNX Runtime", ort->GetErrorMessage(status));
}

/* A model with its inputs and outputs bound to fixed memory. */
typedef struct {
  OrtSession *session;
  OrtIoBinding *binding;
} graph;

static graph open_graph(const char *name, int optimisation, size_t graph_threads) {
  char path[4096];
  graph graph;
  OrtSessionOptions *options;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  must(ort->CreateSessionOptions(&options));
  must(ort->SetIntraOpNumThreads(options, (int)graph_threads));
  must(ort->SetSessionGraphOptimizationLevel(options, optimisation));
  must(ort->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"));
  must(ort->CreateSession(env, path, options, &graph.session));
  must(ort->CreateIoBinding(graph.session, &graph.binding));
  return graph;
}

static OrtValue *tensor(void *data, int type, size_t rank, const int64_t *shape) {
  OrtValue *value;
  size_t bytes = type == ORT_FLOAT ? sizeof(float) : sizeof(int64_t);
  for (size_t i = 0; i < rank; i++) bytes *= (size_t)shape[i];
  must(ort->CreateTensorWithDataAsOrtValue(memory, data, bytes, shape, rank, type, &value));
  return value;
}

static void bind_input(graph *graph, const char *name, void *data, int type, size_t rank, const int64_t *shape) {
  must(ort->BindInput(graph->binding, name, tensor(data, type, rank, shape)));
}

static void bind_output(graph *graph, const char *name, void *data, int type, size_t rank, const int64_t *shape) {
  must(ort->BindOutput(graph->binding, name, tensor(data, type, rank, shape)));
}

/* ---- The encoder, for one user and for all ---- */

typedef struct {
  graph graph;
  size_t users;
  float *rows;     /* [users, LENGTH, WIDTH] */
  float *state;    /* [users, WIDTH] */
  int64_t *length; /* [users] */
} encoder;

static encoder one, many;

static void *aligned(size_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (memory == NULL) die("memory", "not enough");
  return memory;
}

static void open_encoder(encoder *encoder, size_t users) {
  encoder->graph = open_graph("encoder.optimised.onnx", ORT_DISABLE_ALL, users > 1 ? threads : 1);
  encoder->users = users;
  encoder->rows = aligned(sizeof(float) * users * LENGTH * WIDTH);
  encoder->state = aligned(sizeof(float) * users * WIDTH);
  encoder->length = aligned(sizeof(int64_t) * users);
  for (size_t user = 0; user < users; user++) encoder->length[user] = LENGTH;
  int64_t batch = (int64_t)users;
  bind_input(&encoder->graph, "rows", encoder->rows, ORT_FLOAT, 3, (int64_t[]){batch, LENGTH, WIDTH});
  bind_input(&encoder->graph, "length", encoder->length, ORT_INT64, 1, &batch);
  bind_output(&encoder->graph, "state", encoder->state, ORT_FLOAT, 2, (int64_t[]){batch, WIDTH});
}

static void encode(encoder *encoder, const uint32_t *histories) {
  for (size_t i = 0; i < encoder->users * LENGTH; i++) {
    memcpy(encoder->rows + i * WIDTH, table + (size_t)histories[i] * WIDTH, sizeof(float) * WIDTH);
  }
  must(ort->RunWithBinding(encoder->graph.session, NULL, encoder->graph.binding));
}

/* ---- The best of what was seen: a heap with the worst on top; ties go to the lower item ---- */

static int worse(scored a, scored b) {
  return a.score < b.score || (a.score == b.score && a.item > b.item);
}

static void sink(ranking *heap, size_t at) {
  for (;;) {
    size_t worst = at, left = 2 * at + 1, right = left + 1;
    if (left < heap->len && worse(heap->best[left], heap->best[worst])) worst = left;
    if (right < heap->len && worse(heap->best[right], heap->best[worst])) worst = right;
    if (worst == at) return;
    scored other = heap->best[at];
    heap->best[at] = heap->best[worst];
    heap->best[worst] = other;
    at = worst;
  }
}

static void push(ranking *heap, scored candidate) {
  if (heap->len < COUNT) {
    heap->best[heap->len++] = candidate;
    if (heap->len == COUNT) {
      for (size_t at = COUNT / 2; at-- > 0;) sink(heap, at);
    }
  } else if (worse(heap->best[0], candidate)) {
    heap->best[0] = candidate;
    sink(heap, 0);
  }
}

static float threshold(const ranking *heap) { return heap->len < COUNT ? -3e38f : heap->best[0].score; }

static int by_rank(const void *a, const void *b) { return worse(*(const scored *)a, *(const scored *)b) ? 1 : -1; }

static void sort(ranking *heap) { qsort(heap->best, heap->len, sizeof *heap->best, by_rank); }

static int is_seen(const uint32_t *history, uint32_t item) {
  for (size_t i = 0; i < LENGTH; i++) {
    if (history[i] == item) return 1;
  }
  return 0;
}

/* ---- The scans: a share of the rows each, the first on the calling thread, the others on threads that wait ---- */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t begin, end;
  size_t round, running;
  void (*work)(size_t share);
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .begin = PTHREAD_COND_INITIALIZER, .end = PTHREAD_COND_INITIALIZER};

static void *wait_for_work(void *share) {
  for (size_t round = 1;; round++) {
    pthread_mutex_lock(&pool.lock);
    while (pool.round < round) pthread_cond_wait(&pool.begin, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    pool.work((size_t)share);
    pthread_mutex_lock(&pool.lock);
    if (--pool.running == 0) pthread_cond_signal(&pool.end);
    pthread_mutex_unlock(&pool.lock);
  }
  return NULL;
}

static void open_pool(void) {
  for (size_t share = 1; share < threads; share++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_for_work, (void *)share) != 0) die("threads", "not granted");
  }
}

static void on_all(void (*work)(size_t share)) {
  if (threads > 1) {
    pthread_mutex_lock(&pool.lock);
    pool.work = work;
    pool.running = threads - 1;
    pool.round++;
    pthread_cond_broadcast(&pool.begin);
    pthread_mutex_unlock(&pool.lock);
  }
  work(0);
  if (threads > 1) {
    pthread_mutex_lock(&pool.lock);
    while (pool.running > 0) pthread_cond_wait(&pool.end, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
  }
}

static size_t first_row(size_t share) { return items * share / threads; }

static const uint32_t *seen; /* [LENGTH] or [USERS, LENGTH] */
static ranking found[MAX_THREADS][USERS];

static void scan_for_one(size_t share) {
  ranking *best = &found[share][0];
  const float *state = one.state;
  best->len = 0;
  for (size_t row = first_row(share); row < first_row(share + 1); row++) {
    const float *values = table + row * WIDTH;
    float score = 0;
    for (size_t i = 0; i < WIDTH; i++) score += values[i] * state[i];
    if (score > threshold(best) && !is_seen(seen, (uint32_t)row)) push(best, (scored){(uint32_t)row, score});
  }
}

static float columns[WIDTH][USERS]; /* the states of all users, one user a column */

static void scan_for_many(size_t share) {
  ranking *best = found[share];
  float least[USERS];
  for (size_t user = 0; user < USERS; user++) {
    best[user].len = 0;
    least[user] = threshold(&best[user]);
  }
  for (size_t row = first_row(share); row < first_row(share + 1); row++) {
    const float *values = table + row * WIDTH;
    float scores[USERS] = {0};
    for (size_t i = 0; i < WIDTH; i++) {
      for (size_t user = 0; user < USERS; user++) scores[user] += values[i] * columns[i][user];
    }
    int any = 0;
    for (size_t user = 0; user < USERS; user++) any |= scores[user] > least[user];
    if (!any) continue;
    for (size_t user = 0; user < USERS; user++) {
      if (scores[user] > least[user] && !is_seen(seen + user * LENGTH, (uint32_t)row)) {
        push(&best[user], (scored){(uint32_t)row, scores[user]});
        least[user] = threshold(&best[user]);
      }
    }
  }
}

static void merge(size_t user, ranking *out) {
  *out = found[0][user];
  for (size_t share = 1; share < threads; share++) {
    for (size_t i = 0; i < found[share][user].len; i++) push(out, found[share][user].best[i]);
  }
  sort(out);
}

/* ---- The player ---- */

/* Where the rows lie in the item table, a safetensors file: the end of `"rows":{"data_offsets":[begin,end],…}`. */
static void open_table(void) {
  size_t bytes, begin, end;
  const char *file = map_file(folder, "bundle/items.safetensors", &bytes);
  uint64_t header;
  memcpy(&header, file, sizeof header);
  const char *entry = memmem(file + 8, header, "\"rows\":{", 8);
  const char *offsets = entry == NULL ? NULL : strstr(entry, "\"data_offsets\":[");
  if (offsets == NULL || sscanf(offsets, "\"data_offsets\":[%zu,%zu]", &begin, &end) != 2) die("items", "no rows");
  table = (const float *)(file + 8 + header + begin);
  items = (end - begin) / (sizeof(float) * WIDTH);
}

void player_open(const char *path, size_t count) {
  folder = path;
  threads = count;
  if (threads < 1 || threads > MAX_THREADS) die("threads", "too many or none");
  ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (ort == NULL) die("ONNX Runtime", "too old");
  must(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "by_hand", &env));
  must(ort->CreateCpuMemoryInfo(ORT_ARENA_ALLOCATOR, ORT_MEM_TYPE_DEFAULT, &memory));
  open_table();
  open_encoder(&one, 1);
  open_pool();
}

int64_t player_one(const uint32_t *history, ranking *out) {
  encode(&one, history);
  int64_t start = now_ns();
  seen = history;
  on_all(scan_for_one);
  merge(0, out);
  return now_ns() - start;
}

static void encode_many(const uint32_t *histories) {
  if (many.users == 0) open_encoder(&many, USERS);
  encode(&many, histories);
}

void player_many(const uint32_t *histories, ranking *out) {
  encode_many(histories);
  for (size_t user = 0; user < USERS; user++) {
    for (size_t i = 0; i < WIDTH; i++) columns[i][user] = many.state[user * WIDTH + i];
  }
  seen = histories;
  on_all(scan_for_many);
  for (size_t user = 0; user < USERS; user++) merge(user, &out[user]);
}

/* The scan as a graph, MatMul and TopK, over the transposed table as a constant: as many more as may be seen. */
void player_graph(const uint32_t *histories, ranking *out) {
  enum { MORE = COUNT + LENGTH };
  static graph topk;
  static float *scores;
  static int64_t *indices;
  encode_many(histories);
  if (topk.session == NULL) {
    topk = open_graph("topk.onnx", ORT_ENABLE_ALL, threads);
    scores = aligned(sizeof(float) * USERS * MORE);
    indices = aligned(sizeof(int64_t) * USERS * MORE);
    bind_input(&topk, "states", many.state, ORT_FLOAT, 2, (int64_t[]){USERS, WIDTH});
    bind_output(&topk, "scores", scores, ORT_FLOAT, 2, (int64_t[]){USERS, MORE});
    bind_output(&topk, "items", indices, ORT_INT64, 2, (int64_t[]){USERS, MORE});
  }
  must(ort->RunWithBinding(topk.session, NULL, topk.binding));
  for (size_t user = 0; user < USERS; user++) {
    out[user].len = 0;
    for (size_t i = user * MORE; i < (user + 1) * MORE && out[user].len < COUNT; i++) {
      if (!is_seen(histories + user * LENGTH, (uint32_t)indices[i])) {
        out[user].best[out[user].len++] = (scored){(uint32_t)indices[i], scores[i]};
      }
    }
  }
}
