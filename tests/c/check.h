/* What the C tests share. Every test is one program: exit code 0, or a line that says what was expected where. */
#ifndef CHECK_H
#define CHECK_H

#include <oneiro.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TINY "models/tiny"
#define TINY_ITEMS 40

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      exit(1); \
    } \
  } while (0)

/* `call` succeeds; it may pass `e` for its error. */
#define SUCCEEDS(call) \
  do { \
    oneiro_error *error_ = NULL, **e = &error_; \
    oneiro_status status_ = (call); \
    if (status_ != ONEIRO_OK || error_ != NULL) { \
      fprintf(stderr, "%s:%d: %s\n  failed with %d: %s\n", __FILE__, __LINE__, #call, (int)status_, \
              oneiro_error_message(error_)); \
      exit(1); \
    } \
  } while (0)

/* `call` fails with `code`, with and without a place for the error `e`, and its message contains `words`. */
#define FAILS(code, words, call) \
  do { \
    oneiro_error *error_ = NULL, **e = &error_; \
    oneiro_status status_ = (call); \
    if (status_ != (code) || oneiro_error_status(error_) != (code) || \
        strstr(oneiro_error_message(error_), (words)) == NULL) { \
      fprintf(stderr, "%s:%d: %s\n  expected %d with \"%s\", got %d: %s\n", __FILE__, __LINE__, #call, \
              (int)(code), (words), (int)status_, oneiro_error_message(error_)); \
      exit(1); \
    } \
    oneiro_error_free(error_); \
    e = NULL; \
    status_ = (call); \
    if (status_ != (code)) { \
      fprintf(stderr, "%s:%d: %s\n  without an error: expected %d, got %d\n", __FILE__, __LINE__, #call, \
              (int)(code), (int)status_); \
      exit(1); \
    } \
  } while (0)

#endif
