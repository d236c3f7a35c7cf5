/* write_text.c - goes on with a text by examples/charlm_lstm.smelt, a byte a call: C99, libc and libm.
 *
 *   write_text WEIGHTS.safetensors PROMPT [LENGTH]
 *
 * It takes the likeliest byte each time, and so writes what `smelt sample RUN write --set temperature=0 --prompt PROMPT` prints. Each
 * byte is on its way before the next one is computed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "charlm_lstm.h"
#include "examples/embed/weights.h"

static int32_t likeliest(const float *scores, int32_t count) {
  int32_t best = 0, k;
  for (k = 1; k < count; ++k)
    if (scores[k] > scores[best]) best = k;
  return best;
}

int main(int argc, char **argv) {
  static float scores[256];
  charlm_lstm_write_reset_in begin = {1}; /* one text at a time */
  charlm_lstm_write_step_in in;
  charlm_lstm_write_step_out out;
  int32_t byte = 0, status;
  long length = CHARLM_LSTM_WRITE_POSITIONS + 1, given, k;
  void *memory, *arena;
  if (argc < 3 || argv[2][0] == 0) {
    fprintf(stderr, "usage: write_text WEIGHTS.safetensors PROMPT [LENGTH]\n");
    return 2;
  }
  if (argc > 3) length = strtol(argv[3], NULL, 10);
  given = (long)strlen(argv[2]);
  arena = aligned_arena(charlm_lstm_arena_bytes(), &memory);
  if (arena == NULL) return 5;
  if (charlm_lstm_init(arena, CHARLM_LSTM_SEED, 0) != SMELT_CALL_OK || !weights_load(argv[1], arena, charlm_lstm_params)) return 3;
  if (charlm_lstm_write_reset(arena, &begin) != SMELT_CALL_OK) return 1;
  in.text = &byte;
  out.scores = scores;
  for (k = 0; k < length; ++k) {
    byte = k < given ? (unsigned char)argv[2][k] : likeliest(scores, 256);
    putchar(byte);
    if (k + 1 == length) break;
    status = charlm_lstm_write_step(arena, &in, &out);
    if (status == SMELT_CALL_NO_POSITION) break; /* the text is as long as the model writes */
    if (status != SMELT_CALL_OK) return 1;
  }
  putchar('\n');
  free(memory);
  return 0;
}
