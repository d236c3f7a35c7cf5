/* weights.h - parameters and states of a built model from a checkpoint of `smelt train`, or another safetensors file:
 * C99. Include it behind the header of the model, with the top of the source tree among the folders of the compiler
 * (-I). */
#ifndef SMELT_EXAMPLE_WEIGHTS_H
#define SMELT_EXAMPLE_WEIGHTS_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t weights_bytes_of(const smelt_variable* variable) {
  size_t bytes = strcmp(variable->dtype, "f64") == 0 || strcmp(variable->dtype, "i64") == 0 ? 8
                 : strcmp(variable->dtype, "bool") == 0                                     ? 1
                                                                                            : 4;
  int32_t axis;
  for (axis = 0; axis < variable->rank; ++axis) bytes *= (size_t)variable->shape[axis];
  return bytes;
}

/* The places of tensor `name` behind the header, which is JSON:
 * "name":{"dtype":..,"shape":[..],"data_offsets":[begin,end]}. */
static int weights_find(const char* json, const char* name, unsigned long long* begin, unsigned long long* end) {
  char key[600];
  const char* at;
  if (snprintf(key, sizeof key, "\"%s\":{", name) >= (int)sizeof key) return 0;
  at = strstr(json, key);
  if (at == NULL) return 0;
  at = strstr(at, "\"data_offsets\":[");
  return at != NULL && sscanf(at, "\"data_offsets\":[%llu,%llu]", begin, end) == 2;
}

/* Fills the arena, or says what is wrong and returns 0. Shapes and types are taken to be those of the model: sizes are
 * compared. */
static int weights_load(const char* path, void* arena, const smelt_variable* variables) {
  FILE* file = fopen(path, "rb");
  unsigned char length_bytes[8];
  unsigned long long length = 0, begin = 0, end = 0;
  const smelt_variable* v;
  char* json;
  int i, good;
  if (file == NULL) {
    fprintf(stderr, "%s: cannot be opened\n", path);
    return 0;
  }
  good = fread(length_bytes, 1, 8, file) == 8;
  for (i = 7; i >= 0; --i) length = length << 8 | length_bytes[i];
  if (!good || length > 100000000u) {
    fprintf(stderr, "%s: no safetensors file\n", path);
    fclose(file);
    return 0;
  }
  json = (char*)malloc((size_t)length + 1);
  good = json != NULL && fread(json, 1, (size_t)length, file) == (size_t)length;
  if (good) json[length] = 0;
  for (v = variables; good && v->name != NULL; ++v) {
    good = weights_find(json, v->name, &begin, &end) && end - begin == weights_bytes_of(v) &&
           fseek(file, (long)(8 + length + begin), SEEK_SET) == 0 &&
           fread((char*)arena + v->offset, 1, weights_bytes_of(v), file) == weights_bytes_of(v);
    if (!good) fprintf(stderr, "%s: `%s` is missing, or has another size\n", path, v->name);
  }
  free(json);
  fclose(file);
  return good;
}

/* C99 has no aligned allocation: take a little more and move up. `memory` is what has to be freed. */
static void* aligned_arena(size_t bytes, void** memory) {
  *memory = malloc(bytes + SMELT_ARENA_ALIGNMENT);
  if (*memory == NULL) return NULL;
  return (char*)*memory + (SMELT_ARENA_ALIGNMENT - (uintptr_t)*memory % SMELT_ARENA_ALIGNMENT);
}
#endif
