/* tb_bias_update_i16.c: bias gradient from an int16 gradient, and the update. */
#include "tb_apply.h"
#include "tb_dsp.h"
#include "tb_shared_exponent.h"

enum { CHANNELS = 8 }; /* neighbours whose sums are kept in registers */

/* Sums over pixels of CHANNELS neighbours: two a load. */
TB_NOINLINE void sum_block(const int16_t *gradient, uint32_t pixels, uint32_t channels, int32_t *sums) {
  int32_t acc[CHANNELS] = {0, 0, 0, 0, 0, 0, 0, 0};
  TB_UNROLL
  for (uint32_t p = pixels; p != 0; p--, gradient += channels) {
    TB_UNROLL_BLOCK
    for (uint32_t c = 0; c < CHANNELS; c += 2) {
      const uint32_t pair = tb_load32(gradient + c);
      acc[c] += tb_low(pair);
      acc[c + 1] += (int32_t)pair >> 16;
    }
  }
  TB_UNROLL_BLOCK
  for (uint32_t c = 0; c < CHANNELS; c++) sums[c] = acc[c];
}

void tb_bias_update_i16(const int16_t *gradient, int32_t exponent, int32_t *bias, const tb_update_t *update,
                        const tb_step_t *step, uint32_t pixels, uint32_t channels, int32_t limit, void *scratch) {
  const tb_stream_t stream = tb_open_stream(update, step);
  const float power = tb_power_of_two(exponent);
  int32_t *sums = (int32_t *)scratch;
  uint32_t c = 0;
  for (; channels - c >= CHANNELS; c += CHANNELS) sum_block(gradient + c, pixels, channels, sums + c);
  for (; c < channels; c++) {
    sums[c] = 0;
    for (uint32_t p = 0; p < pixels; p++) sums[c] += gradient[p * channels + c];
  }
  for (c = 0; c < channels; c++) {
    const float gradient = (float)sums[c] * power;
    memcpy(&sums[c], &gradient, sizeof gradient);
  }
  tb_apply_biases(&stream, bias, (float *)scratch, channels, limit);
}
