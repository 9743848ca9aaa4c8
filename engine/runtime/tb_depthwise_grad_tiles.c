/* tb_depthwise_grad_tiles.c: runs of tiles of an int16 input gradient. Tiles of four pixels in assembly, so that all that is
 * constant comes back from the stack in one instruction after the sums had the registers. */
#include "tb_depthwise_grad_tiles.h"

#include "tb_depthwise_tile.h"

#if TB_DSP

/* tb_round_to_odd; lost: 2^shift - 1. The sum carries into the last bit that is kept unless all that is lost is 0. */
TB_INLINE int16_t round_to_odd(int32_t value, uint32_t lost, uint32_t shift) {
  const uint32_t bits = (uint32_t)value;
  return (int16_t)((int32_t)(bits | ((bits & lost) + lost)) >> shift);
}

/* A part of a run: so many tiles of one channel. */
TB_INLINE void run_tiles(const tb_gradient_run_t *run, uint32_t channel, uint32_t first, uint32_t rows, uint32_t taps) {
  const uint32_t step = run->step / 2u, tile_step = run->tile_step / 2u, pixels = run->pixels;
  const uint32_t *w = run->weights + channel * TB_GRADIENT_TABLE_WORDS;
  const uint32_t *p = run->planes + channel * TB_PLANE_WORDS(TB_GRADIENT_SLOTS) + first * TB_SLOT_WORDS;
  int16_t *dx = run->dx + channel + first * tile_step;
  uint32_t shift = run->stored->shift, limit = tb_limit_of(run->stored), lost = (1u << shift) - 1u;
  uint32_t held[TB_HELD_WORDS] = {0};
  tb_planes_written();
  tb_hold_weights(w, held, rows, taps);
  for (uint32_t left = run->rows - first; left != 0; left--) {
    int32_t acc[4] = {0, 0, 0, 0};
    tb_sum_tile(w, held, p, acc, rows, taps, 1, TB_GRADIENT_SLOTS);
    TB_SETTLE(acc);
    uint32_t magnitudes = tb_magnitude(acc[0]);
    if (pixels > 1) magnitudes |= tb_magnitude(acc[1]);
    if (pixels > 2) magnitudes |= tb_magnitude(acc[2]);
    if (pixels > 3) magnitudes |= tb_magnitude(acc[3]);
    if (magnitudes > limit) {
      tb_raise_shift(run->stored, magnitudes, run->channels);
      shift = run->stored->shift;
      limit = tb_limit_of(run->stored);
      lost = (1u << shift) - 1u;
    }
    dx[0] = round_to_odd(acc[0], lost, shift);
    if (pixels > 1) dx[step] = round_to_odd(acc[1], lost, shift);
    if (pixels > 2) dx[2u * step] = round_to_odd(acc[2], lost, shift);
    if (pixels > 3) dx[3u * step] = round_to_odd(acc[3], lost, shift);
    p += TB_SLOT_WORDS, dx += tile_step;
  }
}

#if TB_DSP_ASM
#include "tb_depthwise_grad_asm.h"

typedef void rest_t(const tb_gradient_run_t *run, uint32_t channel, uint32_t first);

/* Let no sum pass that needs a larger shift than what is stored. */
static void set_shift(tb_gradient_run_t *run) {
  const uint32_t shift = run->stored->shift;
  run->scale = 0x80000000u >> shift;
  run->bias = 0x8000u << shift;
  run->too_large = 0u - (0x10000u << shift);
  run->unbias = 0x8000u;
  if (run->stored->magnitudes == 0) run->bias = run->unbias = 0, run->too_large = UINT32_MAX;
}

/* `tiles` stopped at a sum that needs a larger shift: `rest` for the rest of that channel, then `tiles` once more. */
TB_NOINLINE void raise_shift(tb_gradient_run_t *run, const uint32_t *at, tiles_t *tiles, rest_t *rest) {
  const uint32_t channel_words = TB_PLANE_WORDS(TB_GRADIENT_SLOTS);
  const uint32_t *const last = run->end + (run->channels - 1u) * channel_words;
  while (at != last) {
    const uint32_t words = (uint32_t)(at - run->planes);
    uint32_t channel = words / channel_words;
    rest(run, channel++, words % channel_words / TB_SLOT_WORDS);
    if (channel == run->channels) return;
    tb_gradient_run_t part = *run;
    set_shift(&part);
    part.dx += channel;
    part.planes += channel * channel_words;
    part.end += channel * channel_words;
    part.weights += channel * TB_GRADIENT_TABLE_WORDS;
    part.channels -= channel;
    at = tiles(&part);
  }
}

TB_INLINE void run_channels(tb_gradient_run_t *run, tiles_t *tiles, rest_t *rest) {
  if (run->pixels < TB_QUAD) {
    for (uint32_t channel = 0; channel < run->channels; channel++) rest(run, channel, 0);
    return;
  }
  set_shift(run);
  const uint32_t *const at = tiles(run);
  if (at != run->end + (run->channels - 1u) * TB_PLANE_WORDS(TB_GRADIENT_SLOTS)) raise_shift(run, at, tiles, rest);
}

#define RUN(rows, taps, sums)                                                                          \
  TB_NOINLINE void rest_##rows##x##taps(const tb_gradient_run_t *run, uint32_t channel, uint32_t first) { \
    run_tiles(run, channel, first, rows, taps);                                                        \
  }                                                                                                    \
  TILES(tiles_##rows##x##taps, sums)                                                                   \
  void tb_run_gradient_##rows##x##taps(tb_gradient_run_t *run) {                                       \
    run_channels(run, tiles_##rows##x##taps, rest_##rows##x##taps);                                    \
  }
#else
#define RUN(rows, taps, sums)                                                                          \
  void tb_run_gradient_##rows##x##taps(tb_gradient_run_t *run) {                                       \
    for (uint32_t channel = 0; channel < run->channels; channel++) run_tiles(run, channel, 0, rows, taps); \
  }
#endif
RUN(1, 1, SUMS_1x1)
RUN(1, 2, SUMS_1x2)
RUN(2, 1, SUMS_2x1)
RUN(2, 2, SUMS_2x2)
RUN(2, 3, SUMS_2x3)
RUN(3, 3, SUMS_3x3)
RUN(3, 4, SUMS_3x4)
RUN(4, 3, SUMS_4x3)
RUN(4, 4, SUMS_4x4)
RUN(5, 5, SUMS_5x5)
RUN(7, 7, SUMS_7x7)

#else
typedef int tb_depthwise_grad_tiles_is_empty; /* a file of C needs a declaration */
#endif
