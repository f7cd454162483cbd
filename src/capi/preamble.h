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
 *   Shared:  cc app.c -loneiro. The loader looks for liboneiro.so.@ABI_MAJOR@ on Linux, @rpath/liboneiro.@ABI_MAJOR@.dylib on
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
#define ONEIRO_VERSION_MAJOR @VERSION_MAJOR@
#define ONEIRO_VERSION_MINOR @VERSION_MINOR@
#define ONEIRO_VERSION_PATCH @VERSION_PATCH@
#define ONEIRO_VERSION "@VERSION@"
#define ONEIRO_ABI_MAJOR @ABI_MAJOR@
#define ONEIRO_ABI_MINOR @ABI_MINOR@
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
