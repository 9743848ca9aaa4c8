/* tb_depthwise_tiles.c: runs of tiles of a depthwise convolution. Those of a 3 x 3 kernel in assembly: tb_depthwise_tiles_3.c. */
#include "tb_depthwise_tiles.h"

#include "tb_depthwise_tile.h"

#if TB_DSP

/* bits * 2 + (the two differ) */
TB_INLINE uint32_t record(uint32_t bits, int32_t value, int32_t clamped) {
  const uint32_t difference = (uint32_t)(value ^ clamped);
#if TB_DSP_ASM
  __asm__("cmp %1, #1\n\tadc %0, %0, %0" : "+r"(bits) : "r"(difference) : "cc");
  return bits;
#else
  return bits * 2 + (difference != 0);
#endif
}

TB_INLINE void run_channel(const tb_tiles_t *tiles, uint32_t channel, uint32_t kernel, uint32_t stride, uint32_t slots, int masked) {
  const uint32_t p_step = stride * (slots == kernel ? TB_QUAD_WORDS(slots) : TB_SLOT_WORDS);
  const uint32_t *w = tiles->weights + channel * TB_TABLE_WORDS(kernel), *p = tiles->planes + channel * TB_PLANE_WORDS(slots);
  const uint32_t *const end = tiles->end + channel * TB_PLANE_WORDS(slots);
  const int32_t bias = tiles->bias[channel], multiplier = tiles->multiplier[channel], zero = tiles->zero;
  uint32_t step = tiles->step, tile_step = tiles->tile_step;
  const uint32_t three_steps = tiles->three_steps;
  uint8_t *bits = tiles->bits + channel;
  int8_t *y = tiles->y + channel;
  uint32_t held[TB_HELD_WORDS] = {0};
  tb_planes_written();
  tb_hold_weights(w, held, kernel, kernel);
  do {
    int32_t acc[4] = {bias, bias, bias, bias};
    tb_sum_tile(w, held, p, acc, kernel, kernel, stride, slots);
    TB_SETTLE(acc);
    step = tb_in_register(step), tile_step = tb_in_register(tile_step); /* no loop of its own for 1 */
    const uint32_t steps[4] = {0, step, 2 * step, three_steps};
    uint32_t clamped_bits = 0;
    TB_UNROLL_BLOCK
    for (uint32_t i = 4; i-- > 0;) {
      const int32_t value = tb_smmlar(acc[i], multiplier, zero), clamped = tb_ssat8(value);
      if (masked) clamped_bits = record(clamped_bits, value, clamped);
      y[steps[i]] = (int8_t)clamped;
    }
    if (masked) *bits = (uint8_t)clamped_bits, bits += TB_GROUP;
    p += p_step, y += tile_step;
  } while (p != end);
}

TB_INLINE void run_tiles(const tb_tiles_t *tiles, uint32_t kernel, uint32_t stride, uint32_t slots, int masked) {
  for (uint32_t channel = 0; channel < tiles->channels; channel++) run_channel(tiles, channel, kernel, stride, slots, masked);
}

#define RUN(kernel, stride, slots)                                                                                        \
  void tb_tiles_##kernel##_##stride##_##slots(const tb_tiles_t *tiles) { run_tiles(tiles, kernel, stride, slots, 0); }    \
  void tb_tiles_masked_##kernel##_##stride##_##slots(const tb_tiles_t *tiles) { run_tiles(tiles, kernel, stride, slots, 1); }
#if !TB_DSP_ASM
RUN(3, 1, 3) RUN(3, 2, 3)
#endif
RUN(5, 1, 5) RUN(5, 2, 5) RUN(5, 1, 20) RUN(5, 2, 20)
RUN(7, 1, 7) RUN(7, 2, 7) RUN(7, 1, 14) RUN(7, 2, 14)

#else
typedef int tb_depthwise_tiles_is_empty; /* a file of C needs a declaration */
#endif
