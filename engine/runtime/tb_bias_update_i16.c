/* tb_bias_update_i16.c: bias gradient from an int16 gradient, and the update. */
#include "tb_apply.h"
#include "tb_dsp.h"
#include "tb_shared_exponent.h"

enum { CHANNELS = 4 }; /* neighbours whose sums are kept in registers */

#if TB_DSP
/* Sums over pixels of CHANNELS neighbours. A scaled gradient has 15 bits with its sign, so two add up within 16. */
TB_NOINLINE void sum_block(const int16_t *gradient, uint32_t pixels, uint32_t channels, int32_t *sums) {
  int32_t a = 0, b = 0, c = 0, d = 0;
  const int16_t *next = gradient + channels;
  channels *= 2;
  TB_UNROLL
  for (uint32_t left = pixels / 2; left != 0; left--, gradient += channels, next += channels) {
    const uint32_t low = tb_sadd16(tb_load32(gradient), tb_load32(next));
    const uint32_t high = tb_sadd16(tb_load32(gradient + 2), tb_load32(next + 2));
    a = tb_sxtah(a, low);
    b += (int32_t)low >> 16;
    c = tb_sxtah(c, high);
    d += (int32_t)high >> 16;
  }
  if (pixels % 2 != 0) {
    a += gradient[0];
    b += gradient[1];
    c += gradient[2];
    d += gradient[3];
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}
#else
TB_NOINLINE void sum_block(const int16_t *gradient, uint32_t pixels, uint32_t channels, int32_t *sums) {
  int32_t acc[CHANNELS] = {0, 0, 0, 0};
  for (uint32_t p = pixels; p != 0; p--, gradient += channels) {
    TB_UNROLL_BLOCK
    for (uint32_t c = 0; c < CHANNELS; c++) acc[c] += gradient[c];
  }
  for (uint32_t c = 0; c < CHANNELS; c++) sums[c] = acc[c];
}
#endif

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
