/* speak.c - a sound by examples/wavenet.smelt, a sample a call: C99, libc and libm.
 *
 *   speak OUT.wav [WEIGHTS.safetensors] [--seed N] [--raw OUT.f32]
 *
 * A second or two at 8,000 samples a second. Without weights the model has its initial ones. The scores of a sample are those of its
 * 256 levels of mu-law; one is drawn by them, and what it stands for is given back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wavenet.h"
#include "examples/embed/weights.h"

enum { kLevels = 256, kStart = 512, kRate = 8000 };

/* Uniform in (0, 1): xorshift64* of Vigna 2016. */
static double uniform(uint64_t *state) {
  *state ^= *state >> 12; *state ^= *state << 25; *state ^= *state >> 27;
  return ((double)(*state * UINT64_C(2685821657736338717) >> 11) + 0.5) / 9007199254740992.0;
}

/* The largest of the scores with Gumbel noise is a draw by softmax(scores); without noise it is the likeliest. */
static int draw(const float *scores, uint64_t *state) {
  double best = -INFINITY;
  int found = 0, k;
  for (k = 0; k < kLevels; ++k) {
    const double score = (double)scores[k] - (*state == 0 ? 0 : log(-log(uniform(state))));
    if (score > best) { best = score; found = k; }
  }
  return found;
}

static float sample_of(int level) {
  const double y = level * (2.0 / (kLevels - 1)) - 1;
  return (float)((y < 0 ? -1 : 1) * expm1(fabs(y) * log(kLevels)) / (kLevels - 1));
}

static void put(FILE *file, unsigned value, int bytes) {
  for (; bytes > 0; --bytes, value >>= 8) fputc((int)(value & 255), file);
}

static int write_wav(const char *path, const float *sound, unsigned count) {
  FILE *file = fopen(path, "wb");
  unsigned k;
  if (file == NULL) return 0;
  fputs("RIFF", file); put(file, 36 + 2 * count, 4); fputs("WAVEfmt ", file);
  put(file, 16, 4); put(file, 1, 2); put(file, 1, 2); put(file, kRate, 4); put(file, 2 * kRate, 4); put(file, 2, 2); put(file, 16, 2);
  fputs("data", file); put(file, 2 * count, 4);
  for (k = 0; k < count; ++k) put(file, (unsigned)(int)floor(sound[k] * 32767 + 0.5), 2);
  return fclose(file) == 0;
}

int main(int argc, char **argv) {
  static float sound[WAVENET_SPEAK_POSITIONS], scores[kLevels];
  wavenet_speak_reset_in begin = {1}; /* one sound at a time */
  wavenet_speak_step_in in;
  wavenet_speak_step_out out;
  const char *weights = NULL, *raw = NULL;
  uint64_t noise = 1, start = 88172645463325252u;
  void *memory, *arena;
  int i, k;
  for (i = 2; i < argc; ++i) {
    if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) noise = strtoull(argv[++i], NULL, 10);
    else if (strcmp(argv[i], "--raw") == 0 && i + 1 < argc) raw = argv[++i];
    else weights = argv[i];
  }
  if (argc < 2) { fprintf(stderr, "usage: speak OUT.wav [WEIGHTS.safetensors] [--seed N] [--raw OUT.f32]\n"); return 2; }
  arena = aligned_arena(wavenet_arena_bytes(), &memory);
  if (arena == NULL) return 5;
  if (wavenet_init(arena, WAVENET_SEED, 0) != SMELT_CALL_OK) return 1;
  if (weights != NULL && !weights_load(weights, arena, wavenet_params)) return 3;
  if (wavenet_speak_reset(arena, &begin) != SMELT_CALL_OK) return 1;
  in.x = NULL; /* nothing comes before the first sample */
  out.scores = scores;
  for (k = 0; k < WAVENET_SPEAK_POSITIONS; ++k) {
    if (wavenet_speak_step(arena, &in, &out) != SMELT_CALL_OK) return 1;
    /* It begins as noise that is as loud as speech, and goes on by itself. */
    sound[k] = k < kStart ? (float)(0.2 * uniform(&start) - 0.1) : sample_of(draw(scores, &noise));
    in.x = &sound[k];
  }
  free(memory);
  if (raw != NULL) {
    FILE *file = fopen(raw, "wb");
    if (file == NULL || fwrite(sound, sizeof *sound, WAVENET_SPEAK_POSITIONS, file) != WAVENET_SPEAK_POSITIONS || fclose(file) != 0) return 4;
  }
  return write_wav(argv[1], sound, WAVENET_SPEAK_POSITIONS) ? 0 : 4;
}
