/* The part of ONNX Runtime's C API that by_hand.c uses: its table of functions is frozen, new ones come at the end.
 *
 * The published wheel brings the library without its header. tests/race.rs checks every place in the table against the
 * `ort-sys` crate that oneiro itself is built with. */
#ifndef ORT_H
#define ORT_H

#include <stddef.h>
#include <stdint.h>

typedef struct OrtStatus OrtStatus;
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtIoBinding OrtIoBinding;
typedef struct OrtValue OrtValue;

enum { ORT_LOGGING_LEVEL_ERROR = 3 };
enum { ORT_DISABLE_ALL = 0, ORT_ENABLE_ALL = 99 };
enum { ORT_ARENA_ALLOCATOR = 1, ORT_MEM_TYPE_DEFAULT = 0 };
enum { ORT_FLOAT = 1, ORT_INT64 = 7 };

/* Functions that are not used here, by their places in the table. */
#define UNUSED(first, last) void *unused_##first[last - first + 1]
#define PLACE(function, place) \
  _Static_assert(offsetof(OrtApi, function) == (place) * sizeof(void *), #function " is misplaced")

typedef struct OrtApi {
  UNUSED(0, 1);
  const char *(*GetErrorMessage)(const OrtStatus *status);
  OrtStatus *(*CreateEnv)(int level, const char *name, OrtEnv **out);
  UNUSED(4, 6);
  OrtStatus *(*CreateSession)(const OrtEnv *env, const char *path, const OrtSessionOptions *options,
                              OrtSession **out);
  UNUSED(8, 9);
  OrtStatus *(*CreateSessionOptions)(OrtSessionOptions **out);
  UNUSED(11, 22);
  OrtStatus *(*SetSessionGraphOptimizationLevel)(OrtSessionOptions *options, int level);
  OrtStatus *(*SetIntraOpNumThreads)(OrtSessionOptions *options, int threads);
  UNUSED(25, 48);
  OrtStatus *(*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo *memory, void *data, size_t bytes,
                                               const int64_t *shape, size_t rank, int type,
                                               OrtValue **out);
  UNUSED(50, 68);
  OrtStatus *(*CreateCpuMemoryInfo)(int allocator, int memory, OrtMemoryInfo **out);
  UNUSED(70, 129);
  OrtStatus *(*AddSessionConfigEntry)(OrtSessionOptions *options, const char *key, const char *value);
  UNUSED(131, 132);
  OrtStatus *(*RunWithBinding)(OrtSession *session, const OrtRunOptions *options, const OrtIoBinding *binding);
  OrtStatus *(*CreateIoBinding)(OrtSession *session, OrtIoBinding **out);
  UNUSED(135, 135);
  OrtStatus *(*BindInput)(OrtIoBinding *binding, const char *name, const OrtValue *value);
  OrtStatus *(*BindOutput)(OrtIoBinding *binding, const char *name, const OrtValue *value);
} OrtApi;

PLACE(GetErrorMessage, 2);
PLACE(CreateEnv, 3);
PLACE(CreateSession, 7);
PLACE(CreateSessionOptions, 10);
PLACE(SetSessionGraphOptimizationLevel, 23);
PLACE(SetIntraOpNumThreads, 24);
PLACE(CreateTensorWithDataAsOrtValue, 49);
PLACE(CreateCpuMemoryInfo, 69);
PLACE(AddSessionConfigEntry, 130);
PLACE(RunWithBinding, 133);
PLACE(CreateIoBinding, 134);
PLACE(BindInput, 136);
PLACE(BindOutput, 137);

typedef struct OrtApiBase {
  const OrtApi *(*GetApi)(uint32_t version);
  const char *(*GetVersionString)(void);
} OrtApiBase;

extern const OrtApiBase *OrtGetApiBase(void);

#define ORT_API_VERSION 31

#endif
