/* oneiro: the next item a person will like, predicted on their own device.
 *
 * Made by `ONEIRO_BLESS=1 cargo test --test header` from src/capi, checked by every test run; do not edit.
 *
 * An app opens a bundle (a catalog and its trained networks) as an engine, gives each user a recommender, tells it
 * what the user did, and gets a ranking:
 *
 *   oneiro_engine *engine = NULL;
 *   oneiro_recommender *user = NULL;
 *   oneiro_ranking *best = NULL;
 *   oneiro_error *error = NULL;
 *   const char *seen[] = {"tt1375666", "tt0468569"};
 *   if (oneiro_engine_open("models/demo", NULL, &engine, &error) == ONEIRO_OK &&
 *       oneiro_recommender_new(engine, &user, &error) == ONEIRO_OK &&
 *       oneiro_recommender_observe(user, seen, 2, &error) == ONEIRO_OK &&
 *       oneiro_recommender_recommend(user, 10, NULL, NULL, &best, &error) == ONEIRO_OK) {
 *     for (size_t i = 0; i < oneiro_ranking_len(best); i++) {
 *       printf("%u  %.4f\n", (unsigned)oneiro_ranking_items(best)[i], oneiro_ranking_scores(best)[i]);
 *     }
 *   } else {
 *     fprintf(stderr, "%s\n", oneiro_error_message(error));
 *   }
 *   oneiro_error_free(error);
 *   oneiro_ranking_free(best);
 *   oneiro_recommender_free(user);
 *   oneiro_engine_free(engine);
 *
 * Linking
 *   Shared:  cc app.c -loneiro. The loader looks for liboneiro.so.0 on Linux, @rpath/liboneiro.0.dylib on
 *            Apple systems, liboneiro.so on Android, oneiro.dll on Windows: install the library under that name too.
 *   Static:  cc app.c -DONEIRO_STATIC liboneiro.a -lpthread -ldl -lm on Linux; for other platforms
 *            `cargo rustc --lib -- --print native-static-libs` lists the system's libraries.
 *   ONNX Runtime is never linked but loaded when the first engine opens: from oneiro_runtime_load, else from where
 *   ORT_DYLIB_PATH says (the library, or its folder), else from beside this library or the program. Its telemetry is
 *   kept from starting by ORT_DISABLE_TELEMETRY=1, set in the environment at that moment: a program with threads that
 *   may be in getenv just then sets the variable itself before it starts them.
 *
 * Ownership
 *   A pointer is borrowed for the call, borrowed until something is freed, or yours; the comments say which. The
 *   library never frees your memory, never returns memory for free(), and keeps nothing past the call unless the
 *   comment says so. What is made from a handle keeps what it needs, so handles may be freed in any order.
 *
 * Errors
 *   A fallible function returns ONEIRO_OK or what went wrong, and then writes an error object to its last parameter,
 *   unless that is NULL. Errors are written on failure only and are yours; other outputs are written on success only.
 *   Where a pointer is NULL that must not be, the function fails with ONEIRO_INVALID_ARGUMENT (or, if it cannot fail,
 *   returns 0 or NULL). Any fallible function may also fail with ONEIRO_OUT_OF_MEMORY and ONEIRO_INTERNAL.
 *
 * Text
 *   UTF-8 everywhere, paths too. In: NUL-terminated, checked. Out: NUL-terminated, valid. A text that is being written
 *   comes in pieces: pointer and length, whole characters only.
 *
 * Structs
 *   Structs that begin with their size may grow at their end. Fill them with their _init function, which takes the
 *   size that you were compiled with, and change what you want. In an array of them all have the same size.
 *
 * Threads
 *   const X * may be used by any number of threads at once; X * only by one, with no other call on it.
 *
 *   | object                           | share between threads                       | free                         |
 *   |----------------------------------|---------------------------------------------|------------------------------|
 *   | engine, bundle                   | yes; runs of one network take turns, or as  | when no call is running on   |
 *   |                                  |                                             | it; live recommenders and    |
 *   |                                  |                                             | models keep what they need   |
 *   | recommender, language model,     | no; may move between threads                | when no call is running on it|
 *   | prompt, parts                    |                                             |                              |
 *   | ranking, history, generated,     | yes                                         | once, any thread             |
 *   | text, texts, items, tokens,      |                                             |                              |
 *   | point, memory, error             |                                             |                              |
 *   | cancel                           | yes, every function                         | any time, by each owner      |
 *   | options, filter and such structs | the caller's memory                         | by the caller                |
 *
 *   Calls block. Callbacks run on the calling thread and never after the function returns; they must not unwind,
 *   longjmp, or use the same recommender or language model. Only the log callback may come from any thread.
 *
 * Builds
 *   A library that was built without language models (the feature `llm`, on by default) has every function of this header
 *   too, makes prompts, and answers oneiro_language_model_new with ONEIRO_UNSUPPORTED.
 *
 * Versions
 *   Functions, codes and fields may be added: that raises ONEIRO_ABI_MINOR. Anything else raises ONEIRO_ABI_MAJOR.
 *   Numbers in the header never change their meaning; treat a status that you do not know as a failure.
 */
#ifndef ONEIRO_H
#define ONEIRO_H

#include <stddef.h>
#include <stdint.h>

/* This header's version of the library, and of its ABI (as oneiro_abi_version gives it). */
#define ONEIRO_VERSION_MAJOR 0
#define ONEIRO_VERSION_MINOR 1
#define ONEIRO_VERSION_PATCH 0
#define ONEIRO_VERSION "0.1.0"
#define ONEIRO_ABI_MAJOR 0
#define ONEIRO_ABI_MINOR 1
#define ONEIRO_ABI_VERSION ((uint32_t)ONEIRO_ABI_MAJOR << 16 | (uint32_t)ONEIRO_ABI_MINOR)

#if defined(_WIN32) && !defined(ONEIRO_STATIC)
#define ONEIRO_API __declspec(dllimport)
#elif defined(__GNUC__)
#define ONEIRO_API __attribute__((visibility("default")))
#else
#define ONEIRO_API
#endif

/* Stands for an integer that is not there: an item without a value, an event without a time. */
#define ONEIRO_NO_VALUE INT64_MIN

/* ONNX Runtime's own table of functions, from its header. */
struct OrtApiBase;

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status and error -------------------------------------------------------------------------- */

/** The call did what it should. */
#define ONEIRO_OK 0

/** The caller's mistake; the message names the parameter. */
#define ONEIRO_INVALID_ARGUMENT 1

/** No such item, id or title, or a title that fits several items. */
#define ONEIRO_UNKNOWN_ITEM 2

/** The bundle carries no such network, table or attribute. */
#define ONEIRO_UNSUPPORTED 3

/** The prompt exceeds the model's context. */
#define ONEIRO_TOO_LONG 4

/** A file could not be read. */
#define ONEIRO_IO 10

/** The bundle is damaged or wrong; the message says where. */
#define ONEIRO_BAD_BUNDLE 11

/** The bundle needs a newer version of the library. */
#define ONEIRO_BUNDLE_VERSION 12

/** ONNX Runtime is missing or failed; the message says what was tried. */
#define ONEIRO_RUNTIME 20

/** Not enough memory. */
#define ONEIRO_OUT_OF_MEMORY 21

/** Stopped by an oneiro_cancel or by a callback. */
#define ONEIRO_CANCELLED 30

/** The call's deadline struck before there was anything to give back. */
#define ONEIRO_DEADLINE_EXCEEDED 31

/** A bug of the library; the handle of that call may then only be freed. */
#define ONEIRO_INTERNAL 99

/** What went wrong, as a code and as words. Yours; free with oneiro_error_free. */
typedef struct oneiro_error oneiro_error;

/** 0 (`ONEIRO_OK`) or what went wrong. Codes are never renumbered; treat one you do not know as a failure. */
typedef int32_t oneiro_status;

/**
 * The same code that the function returned; ONEIRO_OK for NULL.
 *
 * Threads: any number at once.
 */
ONEIRO_API oneiro_status oneiro_error_status(const oneiro_error *error);

/**
 * What went wrong, in English, for a log or a developer; an empty string for NULL.
 *
 * Returns: borrowed until `error` is freed.
 * Threads: any number at once.
 */
ONEIRO_API const char *oneiro_error_message(const oneiro_error *error);

/** Frees an error. NULL is nothing. */
ONEIRO_API void oneiro_error_free(oneiro_error *error);

/* ---- Version and ONNX Runtime ------------------------------------------------------------------ */

/**
 * The library's version, as in ONEIRO_VERSION.
 *
 * Returns: borrowed for ever.
 * Threads: any number at once.
 */
ONEIRO_API const char *oneiro_version(void);

/**
 * The library's ABI, major << 16 | minor. It fits a program that was compiled with this header if its major is
 * ONEIRO_ABI_MAJOR and its minor at least ONEIRO_ABI_MINOR; a wrapper checks that when it loads the library.
 *
 * Threads: any number at once.
 */
ONEIRO_API
uint32_t oneiro_abi_version(void);

/**
 * Loads ONNX Runtime from `path`: the library, or a folder that holds it. Needed only if it lies neither where
 * ORT_DYLIB_PATH says nor beside this library or the program; otherwise the first engine loads it. The first success
 * is final for the process; the same file again does nothing.
 *
 * path:    borrowed for the call.
 * Errors:  ONEIRO_RUNTIME (the message lists what was tried; another call may succeed), ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_runtime_load(const char *path,
                                  oneiro_error **error);

/**
 * Uses the ONNX Runtime that the program has loaded or linked itself.
 *
 * base:    what its OrtGetApiBase() returned; that library must stay loaded for ever.
 * Errors:  ONEIRO_RUNTIME (too old, or another one is in use), ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_runtime_load_api(const struct OrtApiBase *base,
                                      oneiro_error **error);

/**
 * The file that ONNX Runtime was loaded from; NULL before that, or if the program supplied it.
 *
 * Returns: borrowed for ever.
 * Threads: any number at once.
 */
ONEIRO_API const char *oneiro_runtime_path(void);

/* ---- Log --------------------------------------------------------------------------------------- */

/** Nothing. */
#define ONEIRO_LOG_OFF 0

/** A bug of the library. */
#define ONEIRO_LOG_ERROR 1

/** Something that the program should know of. */
#define ONEIRO_LOG_WARN 2

/** What happens once: libraries and bundles that are opened. */
#define ONEIRO_LOG_INFO 3

/** What happens in a call; may name items and titles. */
#define ONEIRO_LOG_DEBUG 4

/** Everything. */
#define ONEIRO_LOG_TRACE 5

/**
 * Takes one message of a level (ONEIRO_LOG_ERROR and up). The message is borrowed for the call. The one callback that
 * may come from any thread; it must not unwind or longjmp, nor call the library, and should return soon.
 */
typedef void (*oneiro_log_fn)(void *user_data, int32_t level, const char *message);

/**
 * Sends messages up to `level` to `callback`; NULL or ONEIRO_LOG_OFF stops that. The library is silent otherwise.
 * Histories and titles never occur above ONEIRO_LOG_DEBUG.
 *
 * callback, user_data: kept until the next oneiro_log_set returns; a message that is under way on another thread may
 *          still arrive shortly after that, so let user_data live as long as the process.
 * Errors:  ONEIRO_INVALID_ARGUMENT (an unknown level; a logger of the program's own Rust code is in the way).
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_log_set(oneiro_log_fn callback,
                             void *user_data,
                             int32_t level,
                             oneiro_error **error);

/* ---- Cancel ------------------------------------------------------------------------------------ */

/**
 * A request to stop, for any number of calls. Reference-counted; every function takes it from any thread, before,
 * during and after the call that it stops. A request is not taken back: make a new object for the next call.
 */
typedef struct oneiro_cancel oneiro_cancel;

/**
 * A new object with one owner. Nobody has asked to stop yet.
 *
 * out:     yours; free with oneiro_cancel_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 */
ONEIRO_API oneiro_status oneiro_cancel_new(oneiro_cancel **out, oneiro_error **error);

/**
 * Adds an owner, who calls oneiro_cancel_free too. NULL is nothing.
 *
 * Threads: any number at once.
 */
ONEIRO_API void oneiro_cancel_retain(const oneiro_cancel *cancel);

/**
 * Stops every call that was given this object, now and later: each returns ONEIRO_CANCELLED, and its handles stay
 * usable. A second request does nothing. NULL is nothing.
 *
 * Threads: any number at once, also while the call is running.
 */
ONEIRO_API
void oneiro_cancel_request(const oneiro_cancel *cancel);

/**
 * 1 if somebody has asked to stop, 0 if not or for NULL.
 *
 * Threads: any number at once.
 */
ONEIRO_API int32_t oneiro_cancel_is_requested(const oneiro_cancel *cancel);

/**
 * Gives up one ownership; the last frees the object. A call that it was given to is not stopped. NULL is nothing.
 *
 * Threads: any number at once, also while a call that it was given to is running.
 */
ONEIRO_API
void oneiro_cancel_free(oneiro_cancel *cancel);

/* ---- Results: text, lists, vectors ------------------------------------------------------------- */

/** A list of items. Yours; free with oneiro_items_free. */
typedef struct oneiro_items oneiro_items;

/** A vector that rows are scored against. Yours; free with oneiro_point_free. */
typedef struct oneiro_point oneiro_point;

/** One string. Yours; free with oneiro_text_free. */
typedef struct oneiro_text oneiro_text;

/** A list of strings. Yours; free with oneiro_texts_free. */
typedef struct oneiro_texts oneiro_texts;

/** A list of tokens. Yours; free with oneiro_tokens_free. */
typedef struct oneiro_tokens oneiro_tokens;

/**
 * The string, UTF-8 and NUL-terminated; NULL for NULL.
 *
 * Returns: borrowed until `text` is freed.
 * Threads: any number at once.
 */
ONEIRO_API const char *oneiro_text_utf8(const oneiro_text *text);

/** Frees a text. NULL is nothing. */
ONEIRO_API void oneiro_text_free(oneiro_text *text);

/**
 * How many strings there are; 0 for NULL.
 *
 * Threads: any number at once.
 */
ONEIRO_API size_t oneiro_texts_len(const oneiro_texts *texts);

/**
 * The string at `index`, UTF-8 and NUL-terminated; NULL at the end of the list and beyond.
 *
 * Returns: borrowed until `texts` is freed.
 * Threads: any number at once.
 */
ONEIRO_API const char *oneiro_texts_utf8(const oneiro_texts *texts, size_t index);

/** Frees a list of strings. NULL is nothing. */
ONEIRO_API void oneiro_texts_free(oneiro_texts *texts);

/**
 * How many items there are; 0 for NULL.
 *
 * Threads: any number at once.
 */
ONEIRO_API size_t oneiro_items_len(const oneiro_items *items);

/**
 * The items, oneiro_items_len of them; NULL if there are none.
 *
 * Returns: borrowed until `items` is freed.
 * Threads: any number at once.
 */
ONEIRO_API const uint32_t *oneiro_items_values(const oneiro_items *items);

/** Frees a list of items. NULL is nothing. */
ONEIRO_API void oneiro_items_free(oneiro_items *items);

/**
 * How many tokens there are; 0 for NULL.
 *
 * Threads: any number at once.
 */
ONEIRO_API size_t oneiro_tokens_len(const oneiro_tokens *tokens);

/**
 * The tokens, oneiro_tokens_len of them; NULL if there are none.
 *
 * Returns: borrowed until `tokens` is freed.
 * Threads: any number at once.
 */
ONEIRO_API const uint32_t *oneiro_tokens_values(const oneiro_tokens *tokens);

/** Frees a list of tokens. NULL is nothing. */
ONEIRO_API void oneiro_tokens_free(oneiro_tokens *tokens);

/**
 * How many numbers it has; 0 for NULL.
 *
 * Threads: any number at once.
 */
ONEIRO_API size_t oneiro_point_width(const oneiro_point *point);

/**
 * The numbers, oneiro_point_width of them; NULL for NULL.
 *
 * Returns: borrowed until `point` is freed.
 * Threads: any number at once.
 */
ONEIRO_API const float *oneiro_point_values(const oneiro_point *point);

/** Frees a vector. NULL is nothing. */
ONEIRO_API void oneiro_point_free(oneiro_point *point);

/* ---- Parts: where a bundle's files are --------------------------------------------------------- */

/**
 * A bundle's files, named one by one, for bundles that are no folder: assets inside an archive, bytes in memory.
 * Yours; free with oneiro_parts_free, at any time after the bundle is open.
 */
typedef struct oneiro_parts oneiro_parts;

/**
 * No files yet: add manifest.json and every file that it names.
 *
 * folder:  borrowed for the call; where to look for files that are not added; NULL if all of them are.
 * out:     yours; free with oneiro_parts_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 */
ONEIRO_API
oneiro_status oneiro_parts_new(const char *folder,
                               oneiro_parts **out,
                               oneiro_error **error);

/**
 * Adds the file `name` of the bundle, which lies at `path`.
 *
 * name, path: borrowed for the call. The file is opened now and must not shrink or change while it is in use.
 * Errors:  ONEIRO_IO, ONEIRO_INVALID_ARGUMENT (the name was added before).
 * Threads: alone on these parts.
 */
ONEIRO_API
oneiro_status oneiro_parts_add_file(oneiro_parts *parts,
                                    const char *name,
                                    const char *path,
                                    oneiro_error **error);

/**
 * Adds the file `name` of the bundle as `length` bytes from `offset` of an open file, such as an Android asset.
 * At an offset that is not a multiple of 8 the bytes are copied; at any other they are mapped. Not on Windows.
 *
 * descriptor: duplicated; yours to close, and its position stays where it is.
 * Errors:  ONEIRO_IO (not an open file), ONEIRO_INVALID_ARGUMENT (the name was added before), ONEIRO_UNSUPPORTED.
 * Threads: alone on these parts.
 */
ONEIRO_API
oneiro_status oneiro_parts_add_descriptor(oneiro_parts *parts,
                                          const char *name,
                                          int32_t descriptor,
                                          uint64_t offset,
                                          uint64_t length,
                                          oneiro_error **error);

/**
 * Adds the file `name` of the bundle as bytes in memory.
 *
 * bytes:   borrowed until every bundle, engine and recommender made from these parts is freed, and the parts too;
 *          its address must be a multiple of 8.
 * Errors:  ONEIRO_INVALID_ARGUMENT (the name was added before, the address).
 * Threads: alone on these parts.
 */
ONEIRO_API
oneiro_status oneiro_parts_add_bytes(oneiro_parts *parts,
                                     const char *name,
                                     const void *bytes,
                                     size_t length,
                                     oneiro_error **error);

/**
 * Has the files copied to private memory when the bundle is opened instead of mapped: slower and larger, but safe if
 * somebody may truncate them, which kills a process that maps them.
 *
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on these parts.
 */
ONEIRO_API
oneiro_status oneiro_parts_copy_files(oneiro_parts *parts,
                                      oneiro_error **error);

/** Frees parts. Bundles made from them live on. NULL is nothing. */
ONEIRO_API void oneiro_parts_free(oneiro_parts *parts);

/* ---- Bundle ------------------------------------------------------------------------------------ */

/** A catalog and its networks, mapped and checked, not yet running. Yours; free with oneiro_bundle_free. */
typedef struct oneiro_bundle oneiro_bundle;

/** Told how many of all bytes are done. 0 to go on; anything else stops the call. Must not unwind or longjmp. */
typedef int32_t (*oneiro_progress_fn)(void *user_data, uint64_t done_bytes, uint64_t total_bytes);

/**
 * Opens the bundle in a folder: the manifest, and the header of every file that it names.
 *
 * path:    borrowed for the call. The files must not shrink or change while anything made from them lives.
 * out:     yours; free with oneiro_bundle_free.
 * Errors:  ONEIRO_IO, ONEIRO_BAD_BUNDLE, ONEIRO_BUNDLE_VERSION, ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_bundle_open(const char *path,
                                 oneiro_bundle **out,
                                 oneiro_error **error);

/**
 * Opens the bundle in files named one by one.
 *
 * parts:   borrowed for the call; bytes added to them are borrowed for longer, see oneiro_parts_add_bytes.
 * out:     yours; free with oneiro_bundle_free.
 * Errors:  as oneiro_bundle_open.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_bundle_open_parts(const oneiro_parts *parts,
                                       oneiro_bundle **out,
                                       oneiro_error **error);

/**
 * Reads everything: each file's digest, each string, each order, each number, each graph's structure. Opening checks
 * what it can without that.
 *
 * cancel:  borrowed for the call; NULL if nobody will stop it.
 * progress, user_data: borrowed for the call, on this thread; NULL for none.
 * Errors:  ONEIRO_BAD_BUNDLE (the first defect), ONEIRO_CANCELLED, ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_bundle_verify(const oneiro_bundle *bundle,
                                   const oneiro_cancel *cancel,
                                   oneiro_progress_fn progress,
                                   void *user_data,
                                   oneiro_error **error);

/**
 * The bundle's name in its manifest.
 *
 * out:     yours; free with oneiro_text_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_bundle_name(const oneiro_bundle *bundle,
                                 oneiro_text **out,
                                 oneiro_error **error);

/** Frees a bundle. Engines made from it live on. NULL is nothing. */
ONEIRO_API void oneiro_bundle_free(oneiro_bundle *bundle);

/* ---- Engine ------------------------------------------------------------------------------------ */

/** The processor computes. */
#define ONEIRO_PROVIDER_CPU 0

/** The bundle says whether weights are prepacked. */
#define ONEIRO_PREPACK_BUNDLE 0

/** Small weights are prepacked, large ones stay mapped. */
#define ONEIRO_PREPACK_AUTO 1

/** Weights are copied to private memory in the order that computes fastest. */
#define ONEIRO_PREPACK_ON 2

/** Weights stay mapped. */
#define ONEIRO_PREPACK_OFF 3

/**
 * oneiro's own kernels multiply with weights of 4 and 8 bits, straight from the mapped files, where the processor has
 * AVX2 or AVX-512 with VNNI; elsewhere, and what they do not know, ONNX Runtime's.
 */
#define ONEIRO_KERNELS_OWN 0

/** ONNX Runtime's kernels multiply with weights of 4 and 8 bits: these have to be prepacked. */
#define ONEIRO_KERNELS_RUNTIME 1

/** A bundle with its graphs, ready to recommend, shared by every user. Yours; free with oneiro_engine_free. */
typedef struct oneiro_engine oneiro_engine;

/** Where an engine's memory is, part by part, at one moment. Yours; free with oneiro_memory_free. */
typedef struct oneiro_memory oneiro_memory;

/** How one graph runs. Fill it with oneiro_graph_options_init first. Yours; borrowed for the call. */
typedef struct oneiro_graph_options {
  /** sizeof(oneiro_graph_options). */
  size_t size;
  /** The graph's name in the manifest. */
  const char *name;
  /** Threads that share one run; 1 by default, at least 1. */
  size_t threads;
  /**
   * 1: ONNX Runtime's waiting threads spin, which wakes them sooner and burns a core; 0 by default. Those that share
   * products with weights of 4 and 8 bits stay awake for half a millisecond after each, whatever this says.
   */
  int32_t spinning;
  /** ONEIRO_PROVIDER_…; the processor by default. */
  int32_t provider;
  /** ONEIRO_PREPACK_…; as the bundle says by default. */
  int32_t prepack;
  /** ONEIRO_KERNELS_…; oneiro's own by default. */
  int32_t kernels;
  /**
   * How many runs of the graph may go at once; 1 by default, at least 1, at most 1024. Mapped weights are shared
   * between them, prepacked ones are copied for each.
   */
  size_t replicas;
} oneiro_graph_options;

/** How an engine runs its graphs. Fill it with oneiro_engine_options_init first. Yours; borrowed for the call. */
typedef struct oneiro_engine_options {
  /** sizeof(oneiro_engine_options). */
  size_t size;
  /**
   * Threads that share one run; 1 by default, at least 1. This and the next three are for every graph that `graphs`
   * does not name.
   */
  size_t threads;
  /**
   * 1: ONNX Runtime's waiting threads spin, which wakes them sooner and burns a core; 0 by default. Those that share
   * products with weights of 4 and 8 bits stay awake for half a millisecond after each, whatever this says.
   */
  int32_t spinning;
  /** ONEIRO_PROVIDER_…; the processor by default. */
  int32_t provider;
  /** ONEIRO_PREPACK_…; as the bundle says by default. */
  int32_t prepack;
  /** ONEIRO_KERNELS_…; oneiro's own by default. */
  int32_t kernels;
  /** Options of single graphs, `graph_count` of them, one after the other; NULL if 0. */
  const oneiro_graph_options *graphs;
  /** How many graphs have options of their own; 0 by default. */
  size_t graph_count;
  /**
   * How many runs of one graph may go at once, for every graph that `graphs` does not name: for servers, whose threads
   * would otherwise take turns. 1 by default, at least 1, at most 1024. Mapped weights are shared between them,
   * prepacked ones are copied for each.
   */
  size_t replicas;
} oneiro_engine_options;

/** Fills `options` with defaults; `size` is sizeof(oneiro_graph_options). NULL is nothing. */
ONEIRO_API void oneiro_graph_options_init(oneiro_graph_options *options, size_t size);

/** Fills `options` with defaults; `size` is sizeof(oneiro_engine_options). NULL is nothing. */
ONEIRO_API void oneiro_engine_options_init(oneiro_engine_options *options, size_t size);

/**
 * Opens the bundle in a folder and makes its graphs ready to run. Loads ONNX Runtime if that has not happened.
 *
 * path:    borrowed for the call. The files must not shrink or change while anything made from them lives.
 * options: borrowed for the call; NULL for defaults.
 * out:     yours; free with oneiro_engine_free.
 * Errors:  ONEIRO_IO, ONEIRO_BAD_BUNDLE, ONEIRO_BUNDLE_VERSION, ONEIRO_RUNTIME, ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_open(const char *path,
                                 const oneiro_engine_options *options,
                                 oneiro_engine **out,
                                 oneiro_error **error);

/**
 * Makes the graphs of an open bundle ready to run. Loads ONNX Runtime if that has not happened.
 *
 * bundle:  borrowed for the call; the engine keeps what it needs.
 * options: borrowed for the call; NULL for defaults.
 * out:     yours; free with oneiro_engine_free.
 * Errors:  ONEIRO_BAD_BUNDLE, ONEIRO_RUNTIME, ONEIRO_INVALID_ARGUMENT (the options name an unknown graph).
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_open_bundle(const oneiro_bundle *bundle,
                                        const oneiro_engine_options *options,
                                        oneiro_engine **out,
                                        oneiro_error **error);

/**
 * Frees an engine. Recommenders and language models made from it live on. Not while a call that was given this engine is
 * running. NULL is nothing.
 */
ONEIRO_API
void oneiro_engine_free(oneiro_engine *engine);

/**
 * Where the engine's memory is now.
 *
 * out:     yours; free with oneiro_memory_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_memory(const oneiro_engine *engine,
                                   oneiro_memory **out,
                                   oneiro_error **error);

/**
 * How many parts the bundle has; 0 for NULL.
 *
 * Threads: any number at once.
 */
ONEIRO_API size_t oneiro_memory_len(const oneiro_memory *memory);

/**
 * The name of the part at `index`; NULL at the end of the list and beyond.
 *
 * Returns: borrowed until `memory` is freed.
 * Threads: any number at once.
 */
ONEIRO_API const char *oneiro_memory_name(const oneiro_memory *memory, size_t index);

/**
 * Bytes of the part at `index` that are pages of its file: shared between processes, given back under pressure.
 *
 * Threads: any number at once.
 */
ONEIRO_API
size_t oneiro_memory_mapped_bytes(const oneiro_memory *memory,
                                  size_t index);

/**
 * Bytes of the part at `index` that are copies in this process: files that were not mapped, prepacked weights.
 *
 * Threads: any number at once.
 */
ONEIRO_API
size_t oneiro_memory_private_bytes(const oneiro_memory *memory,
                                   size_t index);

/**
 * Bytes that were computed from the part at `index` and can be dropped.
 *
 * Threads: any number at once.
 */
ONEIRO_API size_t oneiro_memory_cached_bytes(const oneiro_memory *memory, size_t index);

/** Frees the account. NULL is nothing. */
ONEIRO_API void oneiro_memory_free(oneiro_memory *memory);

/* ---- Catalog: what an engine knows of its items ------------------------------------------------ */

/** Any number of names per item, such as genres. */
#define ONEIRO_ATTRIBUTE_TAGS 1

/** One whole number per item, or none. */
#define ONEIRO_ATTRIBUTE_INTEGER 2

/**
 * How many items the catalog has; they are numbered from 0. 0 for NULL.
 *
 * Threads: any number at once.
 */
ONEIRO_API size_t oneiro_engine_item_count(const oneiro_engine *engine);

/**
 * The app's own id of an item.
 *
 * out:     yours; free with oneiro_text_free.
 * Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_BAD_BUNDLE, ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_item_id(const oneiro_engine *engine,
                                    uint32_t item,
                                    oneiro_text **out,
                                    oneiro_error **error);

/**
 * The title of an item as a person should see it.
 *
 * out:     yours; free with oneiro_text_free.
 * Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_UNSUPPORTED (the bundle has no titles), ONEIRO_BAD_BUNDLE,
 *          ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_item_title(const oneiro_engine *engine,
                                       uint32_t item,
                                       oneiro_text **out,
                                       oneiro_error **error);

/**
 * How often an item occurs in the training data.
 *
 * out:     written on success.
 * Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_UNSUPPORTED (the bundle has no counts), ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_item_popularity(const oneiro_engine *engine,
                                            uint32_t item,
                                            uint32_t *out,
                                            oneiro_error **error);

/**
 * The tags of an item, of an attribute of the kind ONEIRO_ATTRIBUTE_TAGS.
 *
 * attribute: borrowed for the call.
 * out:     yours; free with oneiro_texts_free.
 * Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_UNSUPPORTED (no such attribute), ONEIRO_INVALID_ARGUMENT (of another kind),
 *          ONEIRO_BAD_BUNDLE.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_item_tags(const oneiro_engine *engine,
                                      uint32_t item,
                                      const char *attribute,
                                      oneiro_texts **out,
                                      oneiro_error **error);

/**
 * The integer of an item, of an attribute of the kind ONEIRO_ATTRIBUTE_INTEGER; ONEIRO_NO_VALUE if it has none.
 *
 * attribute: borrowed for the call.
 * out:     written on success.
 * Errors:  as oneiro_engine_item_tags.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_item_integer(const oneiro_engine *engine,
                                         uint32_t item,
                                         const char *attribute,
                                         int64_t *out,
                                         oneiro_error **error);

/**
 * The names of the catalog's attributes.
 *
 * out:     yours; free with oneiro_texts_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_attributes(const oneiro_engine *engine,
                                       oneiro_texts **out,
                                       oneiro_error **error);

/**
 * The kind of an attribute, ONEIRO_ATTRIBUTE_….
 *
 * attribute: borrowed for the call.
 * out:     written on success.
 * Errors:  ONEIRO_UNSUPPORTED (no such attribute), ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_attribute_kind(const oneiro_engine *engine,
                                           const char *attribute,
                                           int32_t *out,
                                           oneiro_error **error);

/**
 * The item with an id.
 *
 * id:      borrowed for the call.
 * out:     written on success.
 * Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_BAD_BUNDLE, ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_find_item(const oneiro_engine *engine,
                                      const char *id,
                                      uint32_t *out,
                                      oneiro_error **error);

/**
 * The items with some ids, in their order. All of them or, on an error, none.
 *
 * ids:     borrowed for the call; `count` strings.
 * out:     yours; written on success: `count` numbers.
 * Errors:  ONEIRO_UNKNOWN_ITEM (naming the first id that no item has), ONEIRO_BAD_BUNDLE, ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_find_items(const oneiro_engine *engine,
                                       const char *const *ids,
                                       size_t count,
                                       uint32_t *out,
                                       oneiro_error **error);

/**
 * The items whose title a text means, the most popular first; none is no error. Case, accents, punctuation and
 * articles do not matter; without a year every year's title is found, and then titles that begin so.
 *
 * title:   borrowed for the call.
 * out:     yours; free with oneiro_items_free.
 * Errors:  ONEIRO_UNSUPPORTED (the bundle has no titles), ONEIRO_BAD_BUNDLE, ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_find_title(const oneiro_engine *engine,
                                       const char *title,
                                       oneiro_items **out,
                                       oneiro_error **error);

/**
 * The one item that a text means: its id, or else its title as in oneiro_engine_find_title.
 *
 * id_or_title: borrowed for the call.
 * out:     written on success.
 * Errors:  ONEIRO_UNKNOWN_ITEM (none; or several, which the message lists), ONEIRO_BAD_BUNDLE,
 *          ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once.
 */
ONEIRO_API
oneiro_status oneiro_engine_resolve(const oneiro_engine *engine,
                                    const char *id_or_title,
                                    uint32_t *out,
                                    oneiro_error **error);

/* ---- Ranking ----------------------------------------------------------------------------------- */

/** Put there by its count in the training data. */
#define ONEIRO_ORIGIN_POPULARITY 1

/** Put there by its row's score against the state of an encoder. */
#define ONEIRO_ORIGIN_ENCODER 2

/** Put there by its row's score against the row of another item. */
#define ONEIRO_ORIGIN_SIMILAR 3

/** Put there by a pin; its score is that of the ranking's way, NaN if it has none. */
#define ONEIRO_ORIGIN_PINNED 4

/**
 * Put there by its row's score against the ideal item of an oracle; of several, by 1 / its place when each
 * in turn names its best.
 */
#define ONEIRO_ORIGIN_ORACLE 5

/** Put there by its Q by a Q-network, or by that blended with the score it came with. */
#define ONEIRO_ORIGIN_Q_NETWORK 6

/** Put there by the log-probability of its title, by a language model that was asked about the candidates. */
#define ONEIRO_ORIGIN_LANGUAGE_MODEL 7

/** Put there by how near its title is to what a language model wrote; the score is minus the distance, or that weighed. */
#define ONEIRO_ORIGIN_GENERATE 8

/** The log-probability of its title by a language model that names what a recommender knows. */
#define ONEIRO_ORIGIN_INTERPRETATION 9

/** How far the score of the item that is explained falls without this item of the history. */
#define ONEIRO_ORIGIN_ATTRIBUTION 10

/**
 * Items with scores and origins, best first or as an oneiro_arrangement has them. Scores of one ranking can be compared
 * with each other, but for a history that ONEIRO_QUESTION_RECOVER names: its titles are in the order of the list, each with
 * what it scores behind those before it. Yours; free with oneiro_ranking_free.
 */
typedef struct oneiro_ranking oneiro_ranking;

/**
 * How many items there are; 0 for NULL.
 *
 * Threads: any number at once.
 */
ONEIRO_API size_t oneiro_ranking_len(const oneiro_ranking *ranking);

/**
 * The items, best first, oneiro_ranking_len of them; NULL if there are none.
 *
 * Returns: borrowed until `ranking` is freed.
 * Threads: any number at once.
 */
ONEIRO_API const uint32_t *oneiro_ranking_items(const oneiro_ranking *ranking);

/**
 * Their scores, oneiro_ranking_len of them; NULL if there are none. Never rising and never NaN, unless an
 * oneiro_arrangement asked for another order or for pins.
 *
 * Returns: borrowed until `ranking` is freed.
 * Threads: any number at once.
 */
ONEIRO_API
const float *oneiro_ranking_scores(const oneiro_ranking *ranking);

/**
 * What put each of them there, ONEIRO_ORIGIN_…, oneiro_ranking_len of them; NULL if there are none. Versions to come
 * may add origins.
 *
 * Returns: borrowed until `ranking` is freed.
 * Threads: any number at once.
 */
ONEIRO_API
const int32_t *oneiro_ranking_origins(const oneiro_ranking *ranking);

/**
 * How many steps the work had; 0 for NULL.
 *
 * Threads: any number at once.
 */
ONEIRO_API size_t oneiro_ranking_stage_count(const oneiro_ranking *ranking);

/**
 * What the step at `index` did, for example `encode sasrec`; NULL at the end of the list and beyond.
 *
 * Returns: borrowed until `ranking` is freed.
 * Threads: any number at once.
 */
ONEIRO_API
const char *oneiro_ranking_stage_name(const oneiro_ranking *ranking,
                                      size_t index);

/**
 * How many items were left after the step at `index`.
 *
 * Threads: any number at once.
 */
ONEIRO_API size_t oneiro_ranking_stage_items(const oneiro_ranking *ranking, size_t index);

/**
 * How long the step at `index` took, in milliseconds.
 *
 * Threads: any number at once.
 */
ONEIRO_API double oneiro_ranking_stage_ms(const oneiro_ranking *ranking, size_t index);

/**
 * The name of the last step that was done when the call's deadline struck; NULL if it did not. Filters, boosts, pins
 * and caps hold then too, but the list may be short, and scores may have decided where likeness was to.
 *
 * Returns: borrowed until `ranking` is freed.
 * Threads: any number at once.
 */
ONEIRO_API
const char *oneiro_ranking_stopped_after(const oneiro_ranking *ranking);

/** Frees a ranking. NULL is nothing. */
ONEIRO_API void oneiro_ranking_free(oneiro_ranking *ranking);

/* ---- Arrangement: how the best candidates become the list that is shown ------------------------ */

/**
 * At most so many items of a kind. Fill it with oneiro_cap_init first. Yours; borrowed for the call, with all that it
 * points to.
 */
typedef struct oneiro_cap {
  /** sizeof(oneiro_cap). */
  size_t size;
  /** The attribute's name in the manifest. */
  const char *attribute;
  /** One tag, capped in its own way; NULL, for each tag or integer of the attribute, by default. */
  const char *tag;
  /** The largest number of items; 0, which is an error, by default. */
  size_t most;
} oneiro_cap;

/**
 * How the best candidates become the list of a ranking; the defaults show the best first. In this order:
 *
 * 1. Boosts are added to the scores of items, which then compete however low they stood.
 * 2. Pins take their places. What the filter leaves out, or the user hides, is not pinned.
 * 3. The best `pool` of the other items are the pool; its spread is its greatest own score less its least.
 * 4. Scores fall by dislike_weight * spread * the largest cosine with an item that the user dislikes, if it is above 0.
 * 5. The other places go, one after the other, to the item that no cap forbids and that has the largest
 *    diversity * score / spread - (1 - diversity) * its largest cosine with what was chosen (maximal marginal
 *    relevance). Where caps leave the list short, more candidates are fetched.
 *
 * Fill it with oneiro_arrangement_init first. Yours; borrowed for the call, with all that it points to.
 */
typedef struct oneiro_arrangement {
  /** sizeof(oneiro_arrangement). */
  size_t size;
  /** Items whose scores are raised, or lowered. */
  const uint32_t *boosted;
  /** What is added to the score of each, in the unit of the scores. */
  const float *boosts;
  /** How many boosts there are; 0 by default. */
  size_t boost_count;
  /** Items that are shown at a place of their own, whatever their score, and at no other. */
  const uint32_t *pinned;
  /** The place of each, from 1. Beyond the count asked for a pin is not shown; in a list with fewer items it is last. */
  const size_t *places;
  /** How many pins there are; 0 by default. */
  size_t pin_count;
  /** Caps, one after the other. Pins count, and are never left out for one. */
  const oneiro_cap *caps;
  /** How many caps there are; 0 by default. */
  size_t cap_count;
  /**
   * The space whose cosines are the likeness of items, for diversity and dislikes; NULL, for the manifest's `similar`,
   * by default.
   */
  const char *space;
  /** How many of the best candidates diversity and dislikes look at, at least the count asked for; 200 by default. */
  size_t pool;
  /** From 1, scores only, which is the default, to 0, as different as can be: the lambda of maximal marginal relevance. */
  float diversity;
  /** The share of the spread by which a cosine of 1 lowers a score; 1 by default, 0 for not at all. */
  float dislike_weight;
} oneiro_arrangement;

/** Fills `cap` with defaults; `size` is sizeof(oneiro_cap). NULL is nothing. */
ONEIRO_API void oneiro_cap_init(oneiro_cap *cap, size_t size);

/** Fills `arrangement` with defaults; `size` is sizeof(oneiro_arrangement). NULL is nothing. */
ONEIRO_API void oneiro_arrangement_init(oneiro_arrangement *arrangement, size_t size);

/* ---- Filter and call options ------------------------------------------------------------------- */

/** Only items with at least one of the condition's tags; none at all if it has no tags. */
#define ONEIRO_WITH_ANY_TAG 1

/** No item with one of the condition's tags. */
#define ONEIRO_WITHOUT_TAGS 2

/** Only items whose integer lies between the condition's least and greatest, both included. */
#define ONEIRO_BETWEEN 3

/** Whether items of the history may come again is the bundle's choice. */
#define ONEIRO_SEEN_BUNDLE 0

/** Items of the history do not come again. */
#define ONEIRO_SEEN_EXCLUDE 1

/** Items of the history may come again. */
#define ONEIRO_SEEN_ALLOW 2

/**
 * What must be true of an item's attribute. Fill it with oneiro_condition_init first, then set `kind`. Yours;
 * borrowed for the call, with all that it points to.
 */
typedef struct oneiro_condition {
  /** sizeof(oneiro_condition). */
  size_t size;
  /** The attribute's name in the manifest. */
  const char *attribute;
  /** For the kinds with tags: `tag_count` names. */
  const char *const *tags;
  /** How many tags there are; 0 by default. */
  size_t tag_count;
  /** For ONEIRO_BETWEEN: the smallest value; INT64_MIN by default. */
  int64_t least;
  /** For ONEIRO_BETWEEN: the largest value; INT64_MAX by default. */
  int64_t greatest;
  /** ONEIRO_WITH_ANY_TAG, ONEIRO_WITHOUT_TAGS or ONEIRO_BETWEEN; 0, which is none of them, by default. */
  int32_t kind;
  /** Must be 0; for a field to come. */
  int32_t reserved;
} oneiro_condition;

/**
 * Which items may rank: those that meet everything said here. Fill it with oneiro_filter_init first. Yours; borrowed
 * for the call, with all that it points to.
 */
typedef struct oneiro_filter {
  /** sizeof(oneiro_filter). */
  size_t size;
  /** ONEIRO_SEEN_…; the bundle's choice by default. */
  int32_t seen;
  /** 1: only items in `allowed` may rank, none if it is empty; 0 by default. */
  int32_t only_allowed;
  /** Items that may not rank. */
  const uint32_t *excluded;
  /** How many items are excluded; 0 by default. */
  size_t excluded_count;
  /** With `only_allowed`: the items that may rank. */
  const uint32_t *allowed;
  /** How many items are allowed; 0 by default, and without `only_allowed`. */
  size_t allowed_count;
  /** What must be true of attributes, all of it, one condition after the other. */
  const oneiro_condition *conditions;
  /** How many conditions there are; 0 by default. */
  size_t condition_count;
} oneiro_filter;

/**
 * Takes a piece of a text as it is written: `length` bytes of UTF-8, whole characters only, at least one, NOT
 * NUL-terminated; borrowed for the call. 0 to go on; anything else stops the call, which then returns ONEIRO_CANCELLED.
 * Must not unwind, longjmp or use the object that the call is about.
 */
typedef int32_t (*oneiro_piece_fn)(void *user_data, const char *piece, size_t length);

/**
 * What a single call may be told beside its arguments. Fill it with oneiro_call_options_init first. Yours; borrowed
 * for the call, with all that it points to.
 */
typedef struct oneiro_call_options {
  /** sizeof(oneiro_call_options). */
  size_t size;
  /** Stops the call when requested; NULL, which nobody requests, by default. */
  const oneiro_cancel *cancel;
  /** The encoder's name in the manifest; NULL, for the recipe's, by default. */
  const char *encoder;
  /**
   * Threads that share the scan over the catalog, and the runs of the encoder for a batch as far as its graph has
   * `replicas`; 1 by default, at least 1, at most 1024. The result does not depend on it.
   */
  size_t threads;
  /**
   * Looks only at the rows of so many lists of the bundle's index, which is quicker and misses some items; 0, for an
   * exact scan, by default.
   */
  size_t probes;
  /**
   * How the best candidates become the list; NULL, for the best first, by default. Functions that make no ranking do
   * not look at it.
   */
  const oneiro_arrangement *arrangement;
  /**
   * How long the call may take, in milliseconds from its start; ONEIRO_NO_VALUE, for ever, by default. It stops a
   * running network and a scan too. A call that has candidates then makes the list that it can make of them at once
   * (see oneiro_ranking_stopped_after); any other fails with ONEIRO_DEADLINE_EXCEEDED. A batch has candidates once
   * each of its users does.
   */
  int64_t deadline_ms;
  /**
   * The oracle's name in the manifest; NULL, for the recipe's, by default. This and what follows, up to `seed`, is for ways
   * that use an oracle.
   */
  const char *oracle;
  /**
   * Goes in so many steps through the oracle's chain, without noise on the way: quicker, and only near to the whole
   * chain; 0, for all of them, by default. Not with ONEIRO_SAMPLER_COLLAPSED.
   */
  size_t steps;
  /**
   * How many ideal items are drawn; 1 by default, at least 1, at most 64; 1 with ONEIRO_SAMPLER_MEAN. Of several, each
   * in turn names its best item that is not named yet, and an item's score is 1 / its place.
   */
  size_t draws;
  /** How much more the history counts than it does by itself, 0 or more; -1, for the bundle's choice, by default. */
  float guidance;
  /** ONEIRO_SAMPLER_…; ONEIRO_SAMPLER_AUTO by default. */
  int32_t sampler;
  /** What noise is made from; 0 by default. The same seed gives the same noise on every machine and to every user. */
  uint64_t seed;
  /** The Q-network's name in the manifest; NULL, for the recipe's, by default. For ways, judges and recipes that use one. */
  const char *q_network;
  /**
   * For oneiro_recommender_rank by ONEIRO_JUDGE_Q_NETWORK: the scores that candidates come with, one each, such as
   * oneiro_ranking_scores; NULL, to rank by Q alone, by default.
   */
  const float *candidate_scores;
  /**
   * What Q counts against the scores that candidates come with, 0 to 1: each is standardised over the candidates. -1,
   * for that of the recipe's step, or else the network's own, by default.
   */
  float weight;
  /**
   * ONEIRO_AMONG_…: what the probability of a token of a title is one of, for ONEIRO_JUDGE_LANGUAGE_MODEL; the vocabulary
   * by default.
   */
  int32_t among;
  /**
   * What a language model that judges is asked: a prompt's name in the manifest; NULL, for the recipe's, or the first, by
   * default.
   */
  const char *prompt;
  /**
   * How many of the best candidates `rank` ranks, at least 1, or as many as the call asks for if that is more; 0 by
   * default, for there is no `rank`.
   */
  size_t candidates;
  /**
   * ONEIRO_JUDGE_…: what ranks the best `candidates` once more, after the way or all steps of the recipe; 0, for
   * nothing, by default. For recommend and retrieve, of one user or many; a language model is asked about all candidates
   * at once, and fails with ONEIRO_TOO_LONG if that is more than its context holds.
   */
  int32_t rank;
  /**
   * ONEIRO_GROUNDING_…: which of what a generator wrote counts; ONEIRO_GROUNDING_BEST by default. This and what follows is
   * for ways that use a generator.
   */
  int32_t grounding;
  /** The generator's name in the manifest; NULL, for the recipe's, or the first, by default. */
  const char *generator;
  /**
   * ONEIRO_JUDGE_…: what distances are weighed by, popularity, an encoder or a Q-network; 0, for the bundle's choice, by
   * default.
   */
  int32_t weigh;
  /** How much that counts, 0 or more: 0 for the distances alone; -1, for the bundle's choice, by default. */
  float gamma;
  /**
   * The interpreter or, for explanations, the explainer to ask, by its name in the manifest; NULL, for the first, by
   * default.
   */
  const char *interpreter;
  /**
   * Given the title that a generator writes, piece by piece as soon as it is certain, on the thread of the call; NULL, for
   * nothing, by default. For calls about one user; not 0 ends the call with ONEIRO_CANCELLED.
   */
  oneiro_piece_fn on_text;
  /** What on_text is called with; NULL by default. */
  void *user_data;
} oneiro_call_options;

/** Fills `condition` with defaults; `size` is sizeof(oneiro_condition). NULL is nothing. */
ONEIRO_API void oneiro_condition_init(oneiro_condition *condition, size_t size);

/**
 * Fills `filter` with defaults, which let every item rank that the bundle lets rank; `size` is sizeof(oneiro_filter).
 * NULL is nothing.
 */
ONEIRO_API
void oneiro_filter_init(oneiro_filter *filter,
                        size_t size);

/** Fills `options` with defaults; `size` is sizeof(oneiro_call_options). NULL is nothing. */
ONEIRO_API void oneiro_call_options_init(oneiro_call_options *options, size_t size);

/* ---- Recommender: one user's history ----------------------------------------------------------- */

/** What was observed, at one moment, oldest first. Yours; free with oneiro_history_free. */
typedef struct oneiro_history oneiro_history;

/**
 * One user's history and what was computed from it. Cheap; one thread at a time. Yours; free with
 * oneiro_recommender_free.
 */
typedef struct oneiro_recommender oneiro_recommender;

/** Something the user did with an item. Fill it with oneiro_event_init first. Yours; borrowed for the call. */
typedef struct oneiro_event {
  /** sizeof(oneiro_event). */
  size_t size;
  /** What was done, in the app's words; NULL, for nothing said, by default. */
  const char *kind;
  /** When, in seconds since 1970; ONEIRO_NO_VALUE by default. Kept as given: the order of observation counts. */
  int64_t time;
  /** The item's number. */
  uint32_t item;
  /** Must be 0; for a field to come. */
  uint32_t reserved;
} oneiro_event;

/**
 * A new user with an empty history.
 *
 * engine:  borrowed for the call; the recommender keeps what it needs.
 * out:     yours; free with oneiro_recommender_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once on one engine.
 */
ONEIRO_API
oneiro_status oneiro_recommender_new(const oneiro_engine *engine,
                                     oneiro_recommender **out,
                                     oneiro_error **error);

/**
 * Adds items, by their ids, to the end of the history. All of them or, on an error, none.
 *
 * ids:     borrowed for the call; `count` strings.
 * Errors:  ONEIRO_UNKNOWN_ITEM (naming the first id that no item has), ONEIRO_INVALID_ARGUMENT, ONEIRO_BAD_BUNDLE.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_observe(oneiro_recommender *recommender,
                                         const char *const *ids,
                                         size_t count,
                                         oneiro_error **error);

/**
 * Adds the items whose ids the catalog knows to the end of the history, and gives back the other ids.
 *
 * ids:     borrowed for the call; `count` strings.
 * out_unknown: yours; free with oneiro_texts_free. NULL if you do not want to know.
 * Errors:  ONEIRO_INVALID_ARGUMENT, ONEIRO_BAD_BUNDLE.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_observe_known(oneiro_recommender *recommender,
                                               const char *const *ids,
                                               size_t count,
                                               oneiro_texts **out_unknown,
                                               oneiro_error **error);

/**
 * Adds items, by number, to the end of the history. All of them or, on an error, none.
 *
 * items:   borrowed for the call; `count` numbers.
 * Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_observe_items(oneiro_recommender *recommender,
                                               const uint32_t *items,
                                               size_t count,
                                               oneiro_error **error);

/** Fills `event` with defaults; `size` is sizeof(oneiro_event). NULL is nothing. */
ONEIRO_API void oneiro_event_init(oneiro_event *event, size_t size);

/**
 * Adds events to the end of the history. All of them or, on an error, none.
 *
 * events:  borrowed for the call; `count` structs, one after the other.
 * Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_observe_events(oneiro_recommender *recommender,
                                                const oneiro_event *events,
                                                size_t count,
                                                oneiro_error **error);

/**
 * What the keys and values of what a language model has read for this user take, in bytes: kept after a call by
 * ONEIRO_JUDGE_LANGUAGE_MODEL for the next, which reads only what differs. 0 for NULL.
 *
 * Threads: alone on this recommender, or beside others that do not change it.
 */
ONEIRO_API
size_t oneiro_recommender_cached_bytes(const oneiro_recommender *recommender);

/**
 * Gives back what a language model keeps of what it has read for this user; nothing else changes.
 *
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_trim(oneiro_recommender *recommender,
                                      oneiro_error **error);

/**
 * Empties the history, and gives back what a language model keeps of it.
 *
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_forget(oneiro_recommender *recommender,
                                        oneiro_error **error);

/**
 * Removes every event of an item from the history; none is no error.
 *
 * out_removed: how many there were; NULL if you do not want to know.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_forget_item(oneiro_recommender *recommender,
                                             uint32_t item,
                                             size_t *out_removed,
                                             oneiro_error **error);

/** Frees a recommender. NULL is nothing. */
ONEIRO_API void oneiro_recommender_free(oneiro_recommender *recommender);

/**
 * What was observed so far.
 *
 * out:     yours; free with oneiro_history_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender, or beside others that do not change it.
 */
ONEIRO_API
oneiro_status oneiro_recommender_history(const oneiro_recommender *recommender,
                                         oneiro_history **out,
                                         oneiro_error **error);

/**
 * How many events there are; 0 for NULL.
 *
 * Threads: any number at once.
 */
ONEIRO_API size_t oneiro_history_len(const oneiro_history *history);

/**
 * Their items, oneiro_history_len of them; NULL if there are none.
 *
 * Returns: borrowed until `history` is freed.
 * Threads: any number at once.
 */
ONEIRO_API const uint32_t *oneiro_history_items(const oneiro_history *history);

/**
 * Their times, ONEIRO_NO_VALUE for none, oneiro_history_len of them; NULL if there are none.
 *
 * Returns: borrowed until `history` is freed.
 * Threads: any number at once.
 */
ONEIRO_API const int64_t *oneiro_history_times(const oneiro_history *history);

/**
 * The kind of the event at `index`; NULL if it has none, and at the end of the list and beyond.
 *
 * Returns: borrowed until `history` is freed.
 * Threads: any number at once.
 */
ONEIRO_API const char *oneiro_history_kind(const oneiro_history *history, size_t index);

/** Frees a history. NULL is nothing. */
ONEIRO_API void oneiro_history_free(oneiro_history *history);

/* ---- Recommender: what one user never wants to see --------------------------------------------- */

/**
 * Never shows these items to this user again; says nothing about taste. All of them or, on an error, none; again is no
 * error.
 *
 * items:   borrowed for the call; `count` numbers.
 * Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_hide(oneiro_recommender *recommender,
                                      const uint32_t *items,
                                      size_t count,
                                      oneiro_error **error);

/**
 * Takes oneiro_recommender_hide back; items that are not hidden are passed over.
 *
 * items:   borrowed for the call; `count` numbers.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_unhide(oneiro_recommender *recommender,
                                        const uint32_t *items,
                                        size_t count,
                                        oneiro_error **error);

/**
 * The hidden items, rising.
 *
 * out:     yours; free with oneiro_items_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender, or beside others that do not change it.
 */
ONEIRO_API
oneiro_status oneiro_recommender_hidden(const oneiro_recommender *recommender,
                                        oneiro_items **out,
                                        oneiro_error **error);

/**
 * Hides these items, leaves them out of the history that encoders see, and lowers what is like them, as
 * `dislike_weight` of oneiro_arrangement says. All of them or, on an error, none; again is no error. A bundle without
 * a space for similar items (and a call that names none) knows no likeness: nothing is lowered.
 *
 * items:   borrowed for the call; `count` numbers.
 * Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_dislike(oneiro_recommender *recommender,
                                         const uint32_t *items,
                                         size_t count,
                                         oneiro_error **error);

/**
 * Takes oneiro_recommender_dislike back; items that are not disliked are passed over.
 *
 * items:   borrowed for the call; `count` numbers.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_undislike(oneiro_recommender *recommender,
                                           const uint32_t *items,
                                           size_t count,
                                           oneiro_error **error);

/**
 * The disliked items, rising.
 *
 * out:     yours; free with oneiro_items_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender, or beside others that do not change it.
 */
ONEIRO_API
oneiro_status oneiro_recommender_disliked(const oneiro_recommender *recommender,
                                          oneiro_items **out,
                                          oneiro_error **error);

/* ---- Recommend, retrieve, similar; one user or many -------------------------------------------- */

/** The items with the highest counts in the training data; needs no history. */
#define ONEIRO_BY_POPULARITY 1

/** The rows nearest to the state of a sequence encoder. */
#define ONEIRO_BY_ENCODER 2

/** The rows nearest to an ideal item that a diffusion model dreams up, guided by the state of an encoder. */
#define ONEIRO_BY_ORACLE 3

/** The items that a Q-network values highest: what each is worth in the long run. */
#define ONEIRO_BY_Q_NETWORK 4

/** The items whose titles are nearest to what a language model writes when it is told of the history. */
#define ONEIRO_BY_GENERATE 5

/**
 * The `count` best items by the bundle's recipe; fewer if the filter or the arrangement leaves fewer. Where there is
 * nothing to go by, the recipe's way for cold users is taken, and the origins say so.
 *
 * filter:  borrowed for the call; NULL takes the bundle's default for seen items.
 * options: borrowed for the call; NULL for defaults.
 * out:     yours; free with oneiro_ranking_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT (count is 0; the filter or the arrangement names a tag that the attribute does not
 *          have, or a number out of range; a `gamma` above 0 with nothing to weigh by, or `weigh` where `gamma` is 0),
 *          ONEIRO_UNKNOWN_ITEM, ONEIRO_UNSUPPORTED (no such encoder, oracle, Q-network, prompt, generator, attribute or
 *          space), ONEIRO_TOO_LONG (the prompt is longer than the language model's context), ONEIRO_CANCELLED,
 *          ONEIRO_DEADLINE_EXCEEDED, ONEIRO_RUNTIME.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_recommend(oneiro_recommender *recommender,
                                           size_t count,
                                           const oneiro_filter *filter,
                                           const oneiro_call_options *options,
                                           oneiro_ranking **out,
                                           oneiro_error **error);

/**
 * The `count` best items in one way, ONEIRO_BY_…; NaN never ranks, ties go to the lower item.
 *
 * filter:  borrowed for the call; NULL takes the bundle's default for seen items.
 * options: borrowed for the call; NULL for defaults.
 * out:     yours; free with oneiro_ranking_free.
 * Errors:  as oneiro_recommender_recommend; ONEIRO_INVALID_ARGUMENT also for an unknown `by`.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_retrieve(oneiro_recommender *recommender,
                                          int32_t by,
                                          size_t count,
                                          const oneiro_filter *filter,
                                          const oneiro_call_options *options,
                                          oneiro_ranking **out,
                                          oneiro_error **error);

/**
 * The `count` best items of each of many users by the bundle's recipe: what oneiro_recommender_recommend gives them one
 * by one, in less time, for their histories share runs of the network and one pass over the rows. A score may differ
 * from that of the user alone by 1e-5 of the largest; states that users have already are used, and new ones kept. The
 * time of a step is that of all users who took it.
 *
 * users:   borrowed for the call; `user_count` recommenders of this engine, each once.
 * filter:  borrowed for the call; NULL takes the bundle's default for seen items. It holds for every user.
 * options: borrowed for the call; NULL for defaults.
 * out:     room for `user_count` rankings, in the order of the users; each yours, free with oneiro_ranking_free. All are
 *          written or, on an error, none.
 * Errors:  as oneiro_recommender_recommend; ONEIRO_INVALID_ARGUMENT also if there are no users, one of another engine,
 *          or one twice.
 * Threads: any number at once on one engine; alone on each of these recommenders.
 */
ONEIRO_API
oneiro_status oneiro_engine_recommend_batch(const oneiro_engine *engine,
                                            oneiro_recommender *const *users,
                                            size_t user_count,
                                            size_t count,
                                            const oneiro_filter *filter,
                                            const oneiro_call_options *options,
                                            oneiro_ranking **out,
                                            oneiro_error **error);

/**
 * The `count` best items of each of many users in one way, ONEIRO_BY_…: what oneiro_recommender_retrieve gives them one
 * by one, as oneiro_engine_recommend_batch does.
 *
 * users:   borrowed for the call; `user_count` recommenders of this engine, each once.
 * filter:  borrowed for the call; NULL takes the bundle's default for seen items. It holds for every user.
 * options: borrowed for the call; NULL for defaults.
 * out:     room for `user_count` rankings, in the order of the users; each yours, free with oneiro_ranking_free. All are
 *          written or, on an error, none.
 * Errors:  as oneiro_engine_recommend_batch; ONEIRO_INVALID_ARGUMENT also for an unknown `by`.
 * Threads: any number at once on one engine; alone on each of these recommenders.
 */
ONEIRO_API
oneiro_status oneiro_engine_retrieve_batch(const oneiro_engine *engine,
                                           oneiro_recommender *const *users,
                                           size_t user_count,
                                           int32_t by,
                                           size_t count,
                                           const oneiro_filter *filter,
                                           const oneiro_call_options *options,
                                           oneiro_ranking **out,
                                           oneiro_error **error);

/**
 * The `count` items most like `item`, which is not among them.
 *
 * filter:  borrowed for the call; NULL takes the bundle's default for seen items.
 * options: borrowed for the call; NULL for defaults.
 * out:     yours; free with oneiro_ranking_free.
 * Errors:  as oneiro_recommender_recommend; ONEIRO_UNSUPPORTED also if the bundle has no space for that, or no
 *          trained row for the item.
 * Threads: alone on this recommender, or beside others that do not change it.
 */
ONEIRO_API
oneiro_status oneiro_recommender_similar(const oneiro_recommender *recommender,
                                         uint32_t item,
                                         size_t count,
                                         const oneiro_filter *filter,
                                         const oneiro_call_options *options,
                                         oneiro_ranking **out,
                                         oneiro_error **error);

/**
 * The encoder's state after the history, less what is disliked: computed once, then kept until either changes.
 *
 * options: borrowed for the call; NULL for defaults.
 * out:     yours; free with oneiro_point_free.
 * Errors:  ONEIRO_UNSUPPORTED (no such encoder), ONEIRO_CANCELLED, ONEIRO_DEADLINE_EXCEEDED, ONEIRO_RUNTIME,
 *          ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_state(oneiro_recommender *recommender,
                                       const oneiro_call_options *options,
                                       oneiro_point **out,
                                       oneiro_error **error);

/* ---- Rank and score: items of the caller's own ------------------------------------------------- */

/** Candidates are judged by their counts in the training data; needs no history. */
#define ONEIRO_JUDGE_POPULARITY 1

/** Candidates are judged by their rows against the state of a sequence encoder. */
#define ONEIRO_JUDGE_ENCODER 2

/**
 * Candidates are judged by their Q by a Q-network, what each is worth in the long run; blended with the options'
 * `candidate_scores`, if there are any.
 */
#define ONEIRO_JUDGE_Q_NETWORK 3

/**
 * Candidates are judged by the log-probabilities of their titles, by a language model that reads a prompt of the bundle
 * with the history, less what is disliked, and all candidates in their order.
 */
#define ONEIRO_JUDGE_LANGUAGE_MODEL 4

/**
 * The `count` best of some candidates by one judge, ONEIRO_JUDGE_…; fewer if the filter leaves fewer or some never
 * rank. No other item comes. Seen items are candidates like any other only if the filter, or the bundle, lets them be.
 *
 * candidates: borrowed for the call; `candidate_count` numbers, none twice: of a ranking, or your own.
 * filter:  borrowed for the call; NULL takes the bundle's default for seen items.
 * options: borrowed for the call; NULL for defaults.
 * out:     yours; free with oneiro_ranking_free.
 * Errors:  as oneiro_recommender_recommend; ONEIRO_INVALID_ARGUMENT also for an unknown `judge`, for a candidate that
 *          comes twice, for a `weight` below 1 without `candidate_scores` and for options with a `rank`; ONEIRO_TOO_LONG
 *          if the prompt is longer than the language model's context.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_rank(oneiro_recommender *recommender,
                                      int32_t judge,
                                      const uint32_t *candidates,
                                      size_t candidate_count,
                                      size_t count,
                                      const oneiro_filter *filter,
                                      const oneiro_call_options *options,
                                      oneiro_ranking **out,
                                      oneiro_error **error);

/**
 * The scores of some items by one judge, ONEIRO_JUDGE_…, in their order: NaN for one that never ranks. Neither filters
 * nor an arrangement have a part in it.
 *
 * items:   borrowed for the call; `count` numbers.
 * options: borrowed for the call; NULL for defaults.
 * out:     yours; written on success: `count` scores.
 * Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_INVALID_ARGUMENT (an unknown `judge`), ONEIRO_UNSUPPORTED (no such network),
 *          ONEIRO_TOO_LONG (the prompt is longer than the language model's context), ONEIRO_CANCELLED, ONEIRO_DEADLINE_EXCEEDED, ONEIRO_RUNTIME.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_score(oneiro_recommender *recommender,
                                       int32_t judge,
                                       const uint32_t *items,
                                       size_t count,
                                       const oneiro_call_options *options,
                                       float *out,
                                       oneiro_error **error);

/* ---- Oracle ------------------------------------------------------------------------------------ */

/** The collapsed chain where the denoiser is affine, the graph otherwise; with `steps`, the chain. */
#define ONEIRO_SAMPLER_AUTO 0

/** The whole chain at once, by what an affine denoiser makes of it: another draw from the same distribution. */
#define ONEIRO_SAMPLER_COLLAPSED 1

/** Step by step: by the matrices of an affine denoiser, by the graph otherwise. */
#define ONEIRO_SAMPLER_CHAIN 2

/** Step by step by the graph, even where the denoiser is affine. */
#define ONEIRO_SAMPLER_GRAPH 3

/** As ONEIRO_SAMPLER_AUTO, without any noise: by an affine denoiser the mean of all draws. */
#define ONEIRO_SAMPLER_MEAN 4

/**
 * The ideal items that the options' oracle dreams up for the history: what ONEIRO_BY_ORACLE scores rows against.
 *
 * options: borrowed for the call; NULL for defaults.
 * count:   how many there are: as many as the options' draws, 1 by default.
 * out:     room for `count` points; each yours, free with oneiro_point_free. All are written or, on an error, none.
 * Errors:  ONEIRO_UNSUPPORTED (no such oracle, or not what the sampler needs), ONEIRO_INVALID_ARGUMENT (a number out of
 *          range; count is not that of the draws), ONEIRO_CANCELLED, ONEIRO_DEADLINE_EXCEEDED, ONEIRO_RUNTIME.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_oracle(oneiro_recommender *recommender,
                                        const oneiro_call_options *options,
                                        size_t count,
                                        oneiro_point **out,
                                        oneiro_error **error);

/**
 * The `count` items whose rows are nearest to a point of the bundle's space for similar items, such as an oracle's ideal
 * item where that space has the rows that it is scored against.
 *
 * point:   borrowed for the call; `width` numbers.
 * filter:  borrowed for the call; NULL takes the bundle's default for seen items.
 * options: borrowed for the call; NULL for defaults.
 * out:     yours; free with oneiro_ranking_free.
 * Errors:  as oneiro_recommender_recommend; ONEIRO_UNSUPPORTED also if the bundle has no space for that;
 *          ONEIRO_INVALID_ARGUMENT also if the point is not of its width or not finite.
 * Threads: alone on this recommender, or beside others that do not change it.
 */
ONEIRO_API
oneiro_status oneiro_recommender_similar_to(const oneiro_recommender *recommender,
                                            const float *point,
                                            size_t width,
                                            size_t count,
                                            const oneiro_filter *filter,
                                            const oneiro_call_options *options,
                                            oneiro_ranking **out,
                                            oneiro_error **error);

/* ---- Generator --------------------------------------------------------------------------------- */

/** The likeliest text. */
#define ONEIRO_GROUNDING_BEST 0

/** All texts that the search found: an item is as far away as from the nearest. */
#define ONEIRO_GROUNDING_ALL 1

/**
 * The likeliest title of the catalog: nothing else is written. The bundle has the tree of titles of the language model, or
 * the call fails with ONEIRO_UNSUPPORTED.
 */
#define ONEIRO_GROUNDING_TITLE 2

/* ---- Prompt: what a language model is to continue ---------------------------------------------- */

/**
 * What a language model reads: texts, titles, tokens and rows, in the order they are added. Of no model by itself: what
 * does not fit a model is that model's error. The model's begin token, if it has one, is put in front by itself. Yours;
 * free with oneiro_prompt_free.
 */
typedef struct oneiro_prompt oneiro_prompt;

/**
 * A prompt of nothing yet.
 *
 * out:     yours; free with oneiro_prompt_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 */
ONEIRO_API oneiro_status oneiro_prompt_new(oneiro_prompt **out, oneiro_error **error);

/**
 * Adds a text. It is encoded by itself, and nothing in it is taken for a special token: those are added as tokens.
 *
 * text:    borrowed for the call.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this prompt.
 */
ONEIRO_API
oneiro_status oneiro_prompt_add_text(oneiro_prompt *prompt,
                                     const char *text,
                                     oneiro_error **error);

/**
 * Adds a title: as oneiro_prompt_add_text, but that line breaks in it become spaces.
 *
 * title:   borrowed for the call.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this prompt.
 */
ONEIRO_API
oneiro_status oneiro_prompt_add_title(oneiro_prompt *prompt,
                                      const char *title,
                                      oneiro_error **error);

/**
 * Adds a token, by its number in the model's tokenizer.
 *
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this prompt.
 */
ONEIRO_API
oneiro_status oneiro_prompt_add_token(oneiro_prompt *prompt,
                                      uint32_t token,
                                      oneiro_error **error);

/**
 * Adds a row in the place of a token's, such as an item's, projected to the width of the model.
 *
 * row:     borrowed for the call; `width` numbers, which are copied.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this prompt.
 */
ONEIRO_API
oneiro_status oneiro_prompt_add_row(oneiro_prompt *prompt,
                                    const float *row,
                                    size_t width,
                                    oneiro_error **error);

/**
 * Says that what a prompt has so far is the same for all users, such as the beginning of a template: it is read once for an
 * engine, and kept for whoever comes next.
 *
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this prompt.
 */
ONEIRO_API
oneiro_status oneiro_prompt_share(oneiro_prompt *prompt,
                                  oneiro_error **error);

/**
 * Takes everything out of a prompt.
 *
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this prompt.
 */
ONEIRO_API oneiro_status oneiro_prompt_clear(oneiro_prompt *prompt, oneiro_error **error);

/** Frees a prompt. NULL is nothing. */
ONEIRO_API void oneiro_prompt_free(oneiro_prompt *prompt);

/* ---- Language model: what it has read, and which titles are likely next ------------------------ */

/** A token's probability is that among all of the vocabulary. */
#define ONEIRO_AMONG_VOCABULARY 0

/**
 * A token's probability is that among the tokens that go on with any of the titles. Quicker, and another order: a title
 * loses nothing for what could have been written instead.
 */
#define ONEIRO_AMONG_TITLES 1

/**
 * A language model of a bundle, with what it has read: it reads only what a prompt does not have in common with the one
 * before. One thread at a time. Yours; free with oneiro_language_model_free.
 */
typedef struct oneiro_language_model oneiro_language_model;

/**
 * How titles are judged. Fill it with oneiro_score_options_init first. Yours; borrowed for the call, with all that it
 * points to.
 */
typedef struct oneiro_score_options {
  /** sizeof(oneiro_score_options). */
  size_t size;
  /** Stops the call when requested; NULL, which nobody requests, by default. */
  const oneiro_cancel *cancel;
  /**
   * How long the call may take, in milliseconds from its start; ONEIRO_NO_VALUE, for ever, by default. When it strikes,
   * the call fails with ONEIRO_DEADLINE_EXCEEDED.
   */
  int64_t deadline_ms;
  /** ONEIRO_AMONG_…: what the probability of a token is one of; the vocabulary by default. */
  int32_t among;
  /** Must be 0; for a field to come. */
  int32_t reserved;
} oneiro_score_options;

/**
 * A language model that has read nothing yet. Any number of them share one network.
 *
 * engine:  borrowed for the call; the model keeps what it needs.
 * name:    borrowed for the call; the language model's name in the manifest; NULL for the first.
 * out:     yours; free with oneiro_language_model_free.
 * Errors:  ONEIRO_UNSUPPORTED (no such language model, or a library that was built without them), ONEIRO_INVALID_ARGUMENT.
 * Threads: any number at once on one engine.
 */
ONEIRO_API
oneiro_status oneiro_language_model_new(const oneiro_engine *engine,
                                        const char *name,
                                        oneiro_language_model **out,
                                        oneiro_error **error);

/**
 * The language model's name in the manifest.
 *
 * out:     yours; free with oneiro_text_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this model, or beside others that do not change it.
 */
ONEIRO_API
oneiro_status oneiro_language_model_name(const oneiro_language_model *model,
                                         oneiro_text **out,
                                         oneiro_error **error);

/**
 * How many rows, of tokens or others, a prompt and what follows it may have; 0 for NULL.
 *
 * Threads: alone on this model, or beside others that do not change it.
 */
ONEIRO_API size_t oneiro_language_model_context(const oneiro_language_model *model);

/**
 * The tokens of a text by itself: without a begin token, without a space in front, and nothing in it is taken for a
 * special token.
 *
 * text:    borrowed for the call.
 * out:     yours; free with oneiro_tokens_free.
 * Errors:  ONEIRO_INVALID_ARGUMENT (also a text of more than a mebibyte), ONEIRO_BAD_BUNDLE (a tokenizer that cannot
 *          read it in time).
 * Threads: alone on this model, or beside others that do not change it.
 */
ONEIRO_API
oneiro_status oneiro_language_model_encode(const oneiro_language_model *model,
                                           const char *text,
                                           oneiro_tokens **out,
                                           oneiro_error **error);

/** Fills `options` with defaults; `size` is sizeof(oneiro_score_options). NULL is nothing. */
ONEIRO_API void oneiro_score_options_init(oneiro_score_options *options, size_t size);

/**
 * How likely each title is as the continuation of a prompt: the sum of the log-probabilities of its tokens, each among
 * what the options say, and of the model's end-of-title token, if it has one. Higher is likelier; lengths are not made up for.
 * Line breaks in titles are spaces; equal titles have equal scores. What titles begin with in common is read once.
 *
 * prompt:  borrowed for the call.
 * titles:  borrowed for the call; `count` strings.
 * options: borrowed for the call; NULL for defaults.
 * out:     yours; written on success: `count` scores.
 * Errors:  ONEIRO_TOO_LONG before any work if the prompt and the longest title do not fit; ONEIRO_INVALID_ARGUMENT (an empty
 *          prompt for a model without a begin token, a token that the model does not have, a row of another width or with a
 *          number that is not finite, a title without tokens), ONEIRO_CANCELLED, ONEIRO_DEADLINE_EXCEEDED,
 *          ONEIRO_BAD_BUNDLE (logits that are no finite numbers), ONEIRO_RUNTIME.
 * Threads: alone on this model.
 */
ONEIRO_API
oneiro_status oneiro_language_model_score(oneiro_language_model *model,
                                          const oneiro_prompt *prompt,
                                          const char *const *titles,
                                          size_t count,
                                          const oneiro_score_options *options,
                                          float *out,
                                          oneiro_error **error);

/**
 * Reads and writes with an adapter of the bundle from now on, or without one again. If that is a change, what the model has
 * read is forgotten.
 *
 * adapter: borrowed for the call; its name in the manifest; NULL for none.
 * Errors:  ONEIRO_UNSUPPORTED (no such adapter), ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this model.
 */
ONEIRO_API
oneiro_status oneiro_language_model_adapt(oneiro_language_model *model,
                                          const char *adapter,
                                          oneiro_error **error);

/**
 * What the keys and values of what the model has read take, in bytes: private memory, kept until
 * oneiro_language_model_forget; 0 for NULL.
 *
 * Threads: alone on this model, or beside others that do not change it.
 */
ONEIRO_API size_t oneiro_language_model_cached_bytes(const oneiro_language_model *model);

/**
 * Forgets what the model has read, and gives its memory back.
 *
 * Errors:  ONEIRO_INVALID_ARGUMENT.
 * Threads: alone on this model.
 */
ONEIRO_API
oneiro_status oneiro_language_model_forget(oneiro_language_model *model,
                                           oneiro_error **error);

/** Frees a language model. NULL is nothing. */
ONEIRO_API void oneiro_language_model_free(oneiro_language_model *model);

/* ---- Generate: a text as it is written --------------------------------------------------------- */

/** One of the model's own stop tokens ended the text. */
#define ONEIRO_ENDED_TOKEN 1

/** One of the call's stop texts ended it. */
#define ONEIRO_ENDED_TEXT 2

/** The text has as many tokens as the call asked for. */
#define ONEIRO_ENDED_COUNT 3

/** The model's context is full. */
#define ONEIRO_ENDED_CONTEXT 4

/** The call's deadline struck. */
#define ONEIRO_ENDED_DEADLINE 5

/** What a language model has written. Yours; free with oneiro_generated_free. */
typedef struct oneiro_generated oneiro_generated;

/**
 * How a language model writes. Fill it with oneiro_generate_options_init first. Yours; borrowed for the call, with all that
 * it points to.
 */
typedef struct oneiro_generate_options {
  /** sizeof(oneiro_generate_options). */
  size_t size;
  /** Stops the call when requested; NULL, which nobody requests, by default. */
  const oneiro_cancel *cancel;
  /** Texts that end what is written and are not part of it: `stop_count` strings. */
  const char *const *stop;
  /** How many stop texts there are; 0 by default. */
  size_t stop_count;
  /** How many tokens at most; 256 by default, at least 1. */
  size_t tokens;
  /** Draws only among so many of the likeliest tokens; 0, for all of them, by default. */
  size_t top_k;
  /**
   * How long the call may take, in milliseconds from its start; ONEIRO_NO_VALUE, for ever, by default. If there are
   * tokens when it strikes, they are the answer; otherwise the call fails with ONEIRO_DEADLINE_EXCEEDED.
   */
  int64_t deadline_ms;
  /** What is drawn is made from it; 0 by default. The same seed draws the same of the same logits. */
  uint64_t seed;
  /**
   * What logits are divided by before a token is drawn: the lower, the likelier the likely ones. 0, the default, always
   * takes the likeliest token; of equal ones, the lower.
   */
  float temperature;
  /** Draws only among the fewest likeliest tokens whose chances add up to so much: above 0, up to 1, the default. */
  float top_p;
} oneiro_generate_options;

/** Fills `options` with defaults; `size` is sizeof(oneiro_generate_options). NULL is nothing. */
ONEIRO_API void oneiro_generate_options_init(oneiro_generate_options *options, size_t size);

/**
 * Continues a prompt.
 *
 * prompt:  borrowed for the call.
 * options: borrowed for the call; NULL for defaults.
 * on_text, user_data: borrowed for the call, on this thread; given the text piece by piece; NULL for none.
 * out:     yours; free with oneiro_generated_free. NULL if the pieces are enough.
 * Errors:  as oneiro_language_model_score; ONEIRO_TOO_LONG if the prompt does not fit, ONEIRO_INVALID_ARGUMENT also for a
 *          number of the options out of range and for an empty stop text, ONEIRO_CANCELLED also by the callback,
 *          ONEIRO_DEADLINE_EXCEEDED only before the first token.
 * Threads: alone on this model.
 */
ONEIRO_API
oneiro_status oneiro_language_model_generate(oneiro_language_model *model,
                                             const oneiro_prompt *prompt,
                                             const oneiro_generate_options *options,
                                             oneiro_piece_fn on_text,
                                             void *user_data,
                                             oneiro_generated **out,
                                             oneiro_error **error);

/**
 * The text, all pieces one after the other, UTF-8 and NUL-terminated; a NUL that the model wrote is U+2400 here. NULL for
 * NULL.
 *
 * Returns: borrowed until `generated` is freed.
 * Threads: any number at once.
 */
ONEIRO_API
const char *oneiro_generated_utf8(const oneiro_generated *generated);

/**
 * How many tokens were written, without one that ended the text; 0 for NULL.
 *
 * Threads: any number at once.
 */
ONEIRO_API size_t oneiro_generated_len(const oneiro_generated *generated);

/**
 * The tokens, oneiro_generated_len of them; NULL if there are none.
 *
 * Returns: borrowed until `generated` is freed.
 * Threads: any number at once.
 */
ONEIRO_API const uint32_t *oneiro_generated_tokens(const oneiro_generated *generated);

/**
 * Why the text ended, ONEIRO_ENDED_…; 0 for NULL. Versions to come may add reasons.
 *
 * Threads: any number at once.
 */
ONEIRO_API int32_t oneiro_generated_ended(const oneiro_generated *generated);

/** Frees what was written. NULL is nothing. */
ONEIRO_API void oneiro_generated_free(oneiro_generated *generated);

/* ---- Interpret --------------------------------------------------------------------------------- */

/** Which items is the history of? Asked of the encoder's state alone. */
#define ONEIRO_QUESTION_RECOVER 1

/** Which item came behind the history? Asked of the states before and after `item`. */
#define ONEIRO_QUESTION_RESIDUAL 2

/**
 * What does the oracle dream of? Asked of the states before and after its ideal item, which stands where the next item's row
 * would.
 */
#define ONEIRO_QUESTION_DREAM 3

/** The same, asked of the ideal item alone, as of an item's row. */
#define ONEIRO_QUESTION_DREAM_AS_ITEM 4

/**
 * Why does `item` score as it does? Ours, not of the paper: a sentence that names the one or two items of the history without
 * which its score falls the most. The ranking is of the history, by that fall; where nothing raises the score, there is no
 * text.
 */
#define ONEIRO_QUESTION_EXPLAIN 5

/**
 * What a recommender knows of a user, in titles of the catalog (RecInterpreter), or why an item scores as it does: a language
 * model answers. The text comes piece by piece, and the ranking has the items.
 *
 * question: ONEIRO_QUESTION_….
 * item:    for ONEIRO_QUESTION_RESIDUAL and ONEIRO_QUESTION_EXPLAIN; else any number.
 * count:   1 to 256. RECOVER: the most titles of the list that is the text; the ranking is in its order, with the
 *          log-probability of each title behind those before it. RESIDUAL, DREAM, DREAM_AS_ITEM: how many of the likeliest
 *          titles the ranking has, with their log-probabilities; the text is the first; items of one title come together.
 *          EXPLAIN: how many items of the history the ranking has, with the fall of the score without each; the text is a
 *          sentence.
 * options: borrowed for the call; NULL for defaults. `cancel`, `threads`, `deadline_ms`, `interpreter` and, for dreams,
 *          those of an oracle count.
 * on_text, user_data: borrowed for the call, on this thread; given the text piece by piece; NULL for none. It must not use
 *          the same recommender.
 * out:     yours; free with oneiro_ranking_free.
 * Errors:  ONEIRO_UNSUPPORTED (no such interpreter or explainer, no text for the question, no oracle over the interpreter's
 *          encoder),
 *          ONEIRO_UNKNOWN_ITEM, ONEIRO_INVALID_ARGUMENT (an unknown `question`, `count` out of range, an item that the
 *          encoder has never seen or, for EXPLAIN, does not score, an oracle of several draws), ONEIRO_TOO_LONG, ONEIRO_CANCELLED also by the callback,
 *          ONEIRO_DEADLINE_EXCEEDED if no title was found (else oneiro_ranking_stopped_after says that it struck),
 *          ONEIRO_RUNTIME.
 * Threads: alone on this recommender.
 */
ONEIRO_API
oneiro_status oneiro_recommender_interpret(oneiro_recommender *recommender,
                                           int32_t question,
                                           uint32_t item,
                                           size_t count,
                                           const oneiro_call_options *options,
                                           oneiro_piece_fn on_text,
                                           void *user_data,
                                           oneiro_ranking **out,
                                           oneiro_error **error);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* ONEIRO_H */
