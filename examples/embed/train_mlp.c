/* train_mlp.c - trains examples/mlp.smelt from its object and header alone: C99, libc and libm.
 *
 *   train_mlp DATA_DIR [--steps N] [--raw FILE] [--safetensors FILE]
 *
 * DATA_DIR holds the unpacked Fashion-MNIST files. The same seed, shuffle and batches as `smelt train` give the same
 * parameters, bit for bit, when the object was built for the same --cpu. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mlp.h"

typedef struct {
  uint8_t *bytes; /* without the file's header */
  int32_t count;  /* images or labels */
} idx_data;

static void fail(const char *what, const char *name) {
  fprintf(stderr, "train_mlp: %s: %s\n", name, what);
  exit(1);
}

static uint32_t big_endian(const uint8_t *b) {
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
}

/* Reads an IDX file of bytes: 0, 0, type 8, rank, the sizes, the data. `item`: bytes of one image or label. */
static idx_data read_idx(const char *directory, const char *name, int rank, size_t item) {
  idx_data data;
  uint8_t header[16];
  char path[4096];
  FILE *file;
  size_t product = 1;
  int axis;
  if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) fail("the path is too long", name);
  file = fopen(path, "rb");
  if (file == NULL) fail(strerror(errno), path);
  if (fread(header, 1, 4 + 4 * (size_t)rank, file) != 4 + 4 * (size_t)rank) fail("the file is too short", path);
  if (header[0] != 0 || header[1] != 0 || header[2] != 8 || header[3] != rank) fail("no IDX file of this form", path);
  data.count = (int32_t)big_endian(header + 4);
  for (axis = 1; axis < rank; ++axis) product *= big_endian(header + 4 + 4 * axis);
  if (data.count < 1 || product != item) fail("the sizes are not those of the model", path);
  data.bytes = (uint8_t *)malloc((size_t)data.count * item);
  if (data.bytes == NULL) fail("out of memory", path);
  if (fread(data.bytes, item, (size_t)data.count, file) != (size_t)data.count) fail("the file is too short", path);
  fclose(file);
  return data;
}

static size_t bytes_of(const smelt_variable *variable) {
  size_t bytes = strcmp(variable->dtype, "f64") == 0 ? 8 : 4;
  int32_t axis;
  for (axis = 0; axis < variable->rank; ++axis) bytes *= (size_t)variable->shape[axis];
  return bytes;
}

/* The header of a safetensors file: eight bytes of length, then JSON, padded with spaces to whole words. */
static void write_header(FILE *file) {
  char json[4096];
  size_t length = 1, offset = 0, i;
  const smelt_variable *v;
  strcpy(json, "{");
  for (v = mlp_params; v->name != NULL; ++v) {
    int32_t axis;
    length += (size_t)sprintf(json + length, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", v == mlp_params ? "" : ",", v->name,
                              strcmp(v->dtype, "f64") == 0 ? "F64" : "F32");
    for (axis = 0; axis < v->rank; ++axis) length += (size_t)sprintf(json + length, "%s%ld", axis == 0 ? "" : ",", (long)v->shape[axis]);
    length += (size_t)sprintf(json + length, "],\"data_offsets\":[%lu,%lu]}", (unsigned long)offset, (unsigned long)(offset + bytes_of(v)));
    offset += bytes_of(v);
  }
  json[length++] = '}';
  while (length % 8 != 0) json[length++] = ' ';
  for (i = 0; i < 8; ++i) fputc((int)(length >> (8 * i) & 0xFF), file);
  fwrite(json, 1, length, file);
}

/* The parameters one after the other, in the order of mlp_params. */
static void write_params(const char *path, const void *arena, int with_header) {
  FILE *file = fopen(path, "wb");
  const smelt_variable *v;
  if (file == NULL) fail(strerror(errno), path);
  if (with_header) write_header(file);
  for (v = mlp_params; v->name != NULL; ++v) fwrite((const char *)arena + v->offset, 1, bytes_of(v), file);
  if (ferror(file) != 0 || fclose(file) != 0) fail("cannot be written", path);
}

/* What an iteration needs: the data, the order of the epoch, and how many batches were taken. */
typedef struct {
  idx_data images, labels;
  int32_t *order;
  int64_t taken;
} training_data;

/* The next batch; the rest of an epoch is a batch of its own. */
static void next_batch(training_data *data, mlp_loss_in *in) {
  const int64_t n = data->images.count, per_epoch = (n + MLP_BATCH - 1) / MLP_BATCH;
  const int64_t begin = data->taken % per_epoch * MLP_BATCH;
  if (begin == 0) mlp_order(MLP_SEED, (uint32_t)(data->taken / per_epoch), (int32_t)n, data->order);
  data->taken += 1;
  in->column0 = data->images.bytes;
  in->column1 = data->labels.bytes;
  in->num_rows = n;
  in->rows = data->order + begin;
  in->B = n - begin < MLP_BATCH ? n - begin : MLP_BATCH;
}

static void train(void *arena, training_data *data, int64_t steps) {
  mlp_iteration_in in;
  mlp_iteration_out out;
  int64_t step;
  for (step = 1; step <= steps; ++step) {
    int32_t status;
    next_batch(data, &in.loss);
    status = mlp_iteration(arena, &in, &out);
    if (status != SMELT_CALL_OK) {
      fprintf(stderr, "train_mlp: step %ld: status %d, loss %g\n", (long)step, (int)status, (double)out.loss.loss);
      exit(6);
    }
    printf("step %ld loss %.9g\n", (long)step, (double)out.loss.loss);
  }
}

int main(int argc, char **argv) {
  training_data data;
  const char *raw = NULL, *safetensors = NULL;
  long steps = 100;
  void *memory, *arena;
  int i;
  if (argc < 2) fail("usage: train_mlp DATA_DIR [--steps N] [--raw FILE] [--safetensors FILE]", "arguments");
  for (i = 2; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--steps") == 0) steps = strtol(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--raw") == 0) raw = argv[i + 1];
    else if (strcmp(argv[i], "--safetensors") == 0) safetensors = argv[i + 1];
    else fail("unknown option", argv[i]);
  }
  if (i != argc) fail("a value is missing", argv[argc - 1]);

  data.images = read_idx(argv[1], "train-images-idx3-ubyte", 3, 28 * 28);
  data.labels = read_idx(argv[1], "train-labels-idx1-ubyte", 1, 1);
  if (data.images.count != data.labels.count) fail("images and labels differ in number", argv[1]);
  if (mlp_check_column1(data.labels.bytes, data.labels.count) >= 0) fail("a label is not in 0 .. 9", argv[1]);
  data.order = (int32_t *)malloc((size_t)data.images.count * sizeof *data.order);
  data.taken = 0;

  /* C99 has no aligned allocation: take a little more and move up. */
  memory = malloc(mlp_arena_bytes() + SMELT_ARENA_ALIGNMENT);
  if (memory == NULL || data.order == NULL) fail("out of memory", "arena");
  arena = (char *)memory + (SMELT_ARENA_ALIGNMENT - (uintptr_t)memory % SMELT_ARENA_ALIGNMENT);

  if (mlp_init(arena, MLP_SEED, mlp_horizon(data.images.count)) != SMELT_CALL_OK) fail("the initial parameters are not finite", "init");
  train(arena, &data, steps);
  if (raw != NULL) write_params(raw, arena, 0);
  if (safetensors != NULL) write_params(safetensors, arena, 1);
  free(memory);
  free(data.order);
  free(data.images.bytes);
  free(data.labels.bytes);
  return 0;
}
