/* A bundle that is no folder: its files one after the other in a single file, at odd offsets, as in an archive; and
 * its files as bytes in memory. Both recommend what the folder recommends. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <fcntl.h>
#include <unistd.h>

#define FILES 18
static const char *const NAMES[FILES] = {
  "manifest.json",           "catalog.safetensors",       "encoder.onnx",            "encoder.weights",
  "half.safetensors",        "items.safetensors",         "small.safetensors",       "texts.safetensors",
  "caser.encoder.onnx",      "caser.encoder.weights",     "caser.items.safetensors", "caser.scores.safetensors",
  "gru4rec.encoder.onnx",    "gru4rec.encoder.weights",   "gru4rec.items.safetensors",
  "nextitnet.encoder.onnx",  "nextitnet.encoder.weights", "nextitnet.items.safetensors"};

struct content {
  uint64_t *words; /* aligned as bytes that are lent must be */
  size_t length;
};

static void path_of(size_t file, char *path, size_t size) { snprintf(path, size, "%s/%s", TINY, NAMES[file]); }

static struct content read_whole(size_t file) {
  char path[128];
  struct content content;
  path_of(file, path, sizeof path);
  FILE *stream = fopen(path, "rb");
  CHECK(stream != NULL);
  CHECK(fseek(stream, 0, SEEK_END) == 0);
  content.length = (size_t)ftell(stream);
  content.words = malloc(content.length + 8);
  CHECK(content.words != NULL && fseek(stream, 0, SEEK_SET) == 0);
  CHECK(fread(content.words, 1, content.length, stream) == content.length);
  fclose(stream);
  return content;
}

static oneiro_ranking *recommended(const oneiro_bundle *bundle) {
  const uint32_t seen[] = {3, 20, 33};
  oneiro_engine *engine = NULL;
  oneiro_recommender *user = NULL;
  oneiro_ranking *ranking = NULL;
  SUCCEEDS(oneiro_bundle_verify(bundle, NULL, NULL, NULL, e));
  SUCCEEDS(oneiro_engine_open_bundle(bundle, NULL, &engine, e));
  SUCCEEDS(oneiro_recommender_new(engine, &user, e));
  SUCCEEDS(oneiro_recommender_observe_items(user, seen, 3, e));
  oneiro_engine_free(engine);
  SUCCEEDS(oneiro_recommender_recommend(user, 20, NULL, NULL, &ranking, e));
  oneiro_recommender_free(user);
  return ranking;
}

/* The same items and scores as the folder recommends. */
static void check_bundle(oneiro_bundle *bundle) {
  oneiro_bundle *folder = NULL;
  SUCCEEDS(oneiro_bundle_open(TINY, &folder, e));
  oneiro_ranking *expected = recommended(folder), *found = recommended(bundle);
  CHECK(oneiro_ranking_len(expected) == 20 && oneiro_ranking_len(found) == 20);
  CHECK(memcmp(oneiro_ranking_items(expected), oneiro_ranking_items(found), 20 * sizeof(uint32_t)) == 0);
  CHECK(memcmp(oneiro_ranking_scores(expected), oneiro_ranking_scores(found), 20 * sizeof(float)) == 0);
  oneiro_ranking_free(expected);
  oneiro_ranking_free(found);
  oneiro_bundle_free(folder);
  oneiro_bundle_free(bundle);
}

/* All files in one, each after `gap` bytes more than a multiple of 8. */
static void from_one_file(const struct content *contents, size_t gap) {
  static const char nothing[16];
  oneiro_parts *parts = NULL;
  oneiro_bundle *bundle = NULL;
  uint64_t offset = 0;
  FILE *stream = tmpfile();
  CHECK(stream != NULL);
  SUCCEEDS(oneiro_parts_new(NULL, &parts, e));
  for (size_t i = 0; i < FILES; i++) {
    size_t padding = (size_t)((8 - offset % 8) % 8) + gap;
    CHECK(fwrite(nothing, 1, padding, stream) == padding);
    CHECK(fwrite(contents[i].words, 1, contents[i].length, stream) == contents[i].length);
    offset += padding;
    CHECK(offset % 8 == gap % 8);
    SUCCEEDS(oneiro_parts_add_descriptor(parts, NAMES[i], fileno(stream), offset, contents[i].length, e));
    offset += contents[i].length;
  }
  CHECK(fflush(stream) == 0);
  off_t position = lseek(fileno(stream), 5, SEEK_SET);
  SUCCEEDS(oneiro_bundle_open_parts(parts, &bundle, e));
  CHECK(position == 5 && lseek(fileno(stream), 0, SEEK_CUR) == 5); /* ours stays where it was */
  CHECK(fclose(stream) == 0);                                       /* and is ours to close */
  oneiro_parts_free(parts);
  check_bundle(bundle);
}

static void from_bytes(const struct content *contents, int copied) {
  oneiro_parts *parts = NULL;
  oneiro_bundle *bundle = NULL;
  SUCCEEDS(oneiro_parts_new(NULL, &parts, e));
  for (size_t i = 0; i < FILES; i++) {
    SUCCEEDS(oneiro_parts_add_bytes(parts, NAMES[i], contents[i].words, contents[i].length, e));
  }
  if (copied) {
    SUCCEEDS(oneiro_parts_copy_files(parts, e));
  }
  SUCCEEDS(oneiro_bundle_open_parts(parts, &bundle, e));
  oneiro_parts_free(parts);
  check_bundle(bundle);
}

/* A folder, with one file from elsewhere; and every file by its path. */
static void from_paths(int copied) {
  oneiro_parts *parts = NULL;
  oneiro_bundle *bundle = NULL;
  SUCCEEDS(oneiro_parts_new(TINY, &parts, e));
  SUCCEEDS(oneiro_parts_add_file(parts, "items.safetensors", TINY "/items.safetensors", e));
  SUCCEEDS(oneiro_bundle_open_parts(parts, &bundle, e));
  oneiro_parts_free(parts);
  check_bundle(bundle);

  SUCCEEDS(oneiro_parts_new(NULL, &parts, e));
  for (size_t i = 0; i < FILES; i++) {
    char path[128];
    path_of(i, path, sizeof path);
    SUCCEEDS(oneiro_parts_add_file(parts, NAMES[i], path, e));
  }
  if (copied) {
    SUCCEEDS(oneiro_parts_copy_files(parts, e));
  }
  SUCCEEDS(oneiro_bundle_open_parts(parts, &bundle, e));
  oneiro_parts_free(parts);
  check_bundle(bundle);
}

static void refused(const struct content *contents) {
  oneiro_parts *parts = NULL;
  oneiro_bundle *bundle = NULL;
  const char *bytes = (const char *)contents[0].words;
  SUCCEEDS(oneiro_parts_new(NULL, &parts, e));
  FAILS(ONEIRO_IO, "manifest.json", oneiro_bundle_open_parts(parts, &bundle, e));
  FAILS(ONEIRO_INVALID_ARGUMENT, "multiple of 8", oneiro_parts_add_bytes(parts, "a", bytes + 1, 7, e));
  FAILS(ONEIRO_INVALID_ARGUMENT, "NULL", oneiro_parts_add_bytes(parts, "a", NULL, 7, e));
  FAILS(ONEIRO_INVALID_ARGUMENT, "descriptor", oneiro_parts_add_descriptor(parts, "a", -1, 0, 1, e));
  FAILS(ONEIRO_IO, "", oneiro_parts_add_descriptor(parts, "a", 9999, 0, 1, e));
  FAILS(ONEIRO_IO, "no-such-file", oneiro_parts_add_file(parts, "a", "no-such-file", e));
  SUCCEEDS(oneiro_parts_add_bytes(parts, "a", NULL, 0, e));
  FAILS(ONEIRO_INVALID_ARGUMENT, "twice", oneiro_parts_add_bytes(parts, "a", NULL, 0, e));

  int descriptor = open(TINY "/items.safetensors", O_RDONLY);
  CHECK(descriptor >= 0);
  FAILS(ONEIRO_INVALID_ARGUMENT, "overflows",
        oneiro_parts_add_descriptor(parts, "b", descriptor, UINT64_MAX, 1, e));
  SUCCEEDS(oneiro_parts_add_bytes(parts, "manifest.json", contents[0].words, contents[0].length, e));
  SUCCEEDS(oneiro_parts_add_descriptor(parts, NAMES[1], descriptor, 0, 1 << 20, e));
  for (size_t i = 2; i < FILES; i++) {
    SUCCEEDS(oneiro_parts_add_bytes(parts, NAMES[i], contents[i].words, contents[i].length, e));
  }
  CHECK(close(descriptor) == 0);
  FAILS(ONEIRO_BAD_BUNDLE, "catalog", oneiro_bundle_open_parts(parts, &bundle, e));
  CHECK(bundle == NULL);
  oneiro_parts_free(parts);
}

int main(void) {
  struct content contents[FILES];
  for (size_t i = 0; i < FILES; i++) {
    contents[i] = read_whole(i);
  }
  for (size_t gap = 0; gap < 8; gap++) {
    from_one_file(contents, gap);
  }
  from_bytes(contents, 0);
  from_bytes(contents, 1);
  from_paths(0);
  from_paths(1);
  refused(contents);
  for (size_t i = 0; i < FILES; i++) {
    free(contents[i].words);
  }
  return 0;
}
