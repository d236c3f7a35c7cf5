/* What generated code and its host agree on. C, because headers of built models contain it.
 *
 * One block of memory, the arena, holds everything of a model: this header, counters and scalars, variables, then
 * temporaries. Generated code reads inputs and writes outputs through a smelt_call and touches nothing else. */
#ifndef SMELT_RUNTIME_ABI_H
#define SMELT_RUNTIME_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMELT_ARENA_ALIGNMENT 64

/* Threads of the host. `parallel` runs fn(arg, thread, count) on `count` threads and returns when all have returned;
 * `barrier` is called inside by every thread and releases all of them together. */
typedef struct smelt_threads {
  void* context;
  int32_t count;
  void (*parallel)(void* context, void (*fn)(void* arg, int32_t thread, int32_t count), void* arg);
  void (*barrier)(void* context, int32_t thread);
} smelt_threads;

/* At offset 0 of the arena. Counters belong to the model: generated code advances them. */
typedef struct smelt_arena {
  uint64_t program_hash;
  uint64_t seed;
  int64_t iteration;            /* iterations done */
  int64_t horizon;              /* total iterations, for schedules */
  const smelt_threads* threads; /* NULL: the caller's thread only */
  uint64_t entered;             /* how often generated code was entered from outside */
  uint64_t nonfinite;           /* not 0: a step wrote a parameter that is not finite */
  uint64_t reserved;
} smelt_arena;

/* status of a call */
#define SMELT_CALL_OK 0
#define SMELT_CALL_BAD_ARGUMENT 1      /* from the checks of a generated header: nothing was run */
#define SMELT_CALL_OTHER_PROGRAM 2     /* likewise: the arena is another program's, or no init prepared it */
#define SMELT_CALL_BAD_LABEL 3         /* a label that is fed is outside its dim: nothing was run */
#define SMELT_CALL_NONFINITE 10        /* the loss, or the norm of a clip, is not finite: nothing was committed */
#define SMELT_CALL_NONFINITE_UPDATE 11 /* a new parameter is not finite: the arena must be reloaded */

/* One execution of one function. `inputs`, `outputs`: in the order of the entry's bindings; `extents`: actual sizes of
 * the run-time dimensions, in the program's order. Tensors are laid out by bounds: for a run-time axis that is not
 * the first one, strides are those of the bound. Unaligned pointers are accepted. */
typedef struct smelt_call {
  void* arena;
  const void* const* inputs;
  void* const* outputs;
  const int64_t* extents;
} smelt_call;

/* An entry runs one call; `iteration` runs one pass of the loop from an array of calls, one for each execution in
 * order, and stops at the first that is not OK. */
typedef int32_t (*smelt_entry)(const smelt_call* call);

#ifdef __cplusplus
}
#endif
#endif
