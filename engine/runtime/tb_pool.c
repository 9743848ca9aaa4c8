/* tb_pool.c: mean over all pixels, forward and backward. */
#include "tb_dsp.h"
#include "tb_shared_exponent.h"

/* What one channel's sum becomes. */
typedef struct {
  int32_t offset, multiplier;
  uint32_t shift;
  int64_t rounding;
} mean_t;

TB_INLINE void store_mean(const mean_t *mean, int32_t sum, int8_t *y) {
  tb_store_i8(tb_requantize(sum + mean->offset, mean->multiplier, mean->shift, mean->rounding), y);
}

#if TB_DSP
#define PIXELS_PER_PAIR 256u /* whose sum fits a half */

/* Sums of 8 channels over a column of pixels. */
TB_INLINE void sum_eight(const int8_t *x, uint32_t pixels, uint32_t channels, int32_t sums[8]) {
  for (uint32_t l = 0; l < 8; l++) sums[l] = 0;
  while (pixels > 0) {
    const uint32_t some = tb_minimum(pixels, PIXELS_PER_PAIR);
    uint32_t pairs[4] = {0, 0, 0, 0}; /* channels 0 and 2, 1 and 3, 4 and 6, 5 and 7 */
    for (uint32_t p = 0; p < some; p++, x += channels) {
      const uint32_t first = tb_load32(x), second = tb_load32(x + 4);
      pairs[0] = tb_sxtab16(pairs[0], first);
      pairs[1] = tb_sxtab16_odd(pairs[1], first);
      pairs[2] = tb_sxtab16(pairs[2], second);
      pairs[3] = tb_sxtab16_odd(pairs[3], second);
    }
    for (uint32_t l = 0; l < 4; l++) {
      const uint32_t channel = (l & 2u) * 2u + (l & 1u);
      sums[channel] += tb_low(pairs[l]);
      sums[channel + 2] += tb_high(pairs[l]);
    }
    pixels -= some;
  }
}

/* Eight channels at a time; returns how many channels that were. */
static uint32_t pool_eights(const mean_t *mean, const int8_t *x, int8_t *y, uint32_t pixels, uint32_t channels) {
  uint32_t c = 0;
  for (; c + 8 <= channels; c += 8) {
    int32_t sums[8];
    sum_eight(x + c, pixels, channels, sums);
    for (uint32_t l = 0; l < 8; l++) store_mean(mean, sums[l], y + c + l);
  }
  return c;
}
#endif

void tb_global_average_pool_i8(const int8_t *x, int8_t *y, uint32_t pixels, uint32_t channels, int32_t in_zero,
                               int32_t out_zero, int32_t multiplier, uint8_t shift) {
  const mean_t mean = {-(int32_t)pixels * in_zero, multiplier, shift, tb_rounding(out_zero)};
  uint32_t c = 0;
#if TB_DSP
  c = pool_eights(&mean, x, y, pixels, channels);
#endif
  for (; c < channels; c++) {
    int32_t sum = 0;
    for (uint32_t p = 0; p < pixels; p++) sum += x[p * channels + c];
    store_mean(&mean, sum, y + c);
  }
}

void tb_global_average_pool_grad_f32(const float *df, float *dx, uint32_t pixels, uint32_t channels, float factor) {
  for (uint32_t p = 0; p < pixels; p++) {
    for (uint32_t c = 0; c < channels; c++) *dx++ = df[c] * factor;
  }
}

TB_INLINE float scaled(float gradient, float factor) { return tb_clamp_f32(gradient * factor, -TB_LIMIT, TB_LIMIT); }

/* In units of 2^unit, cut off towards 0. |value| < 2^(unit + 30), and 2^-unit is a float. */
TB_INLINE int32_t in_units(float value, int32_t unit) {
  const uint32_t bits = (uint32_t)(127 - unit) << 23;
  float power;
  memcpy(&power, &bits, sizeof power);
  return (int32_t)(value * power);
}

int32_t tb_global_average_pool_grad_i16(const float *df, int16_t *dx, uint32_t pixels, uint32_t channels, float factor) {
  float largest = 0.0f;
  for (uint32_t c = 0; c < channels; c++) {
    const float value = scaled(df[c], factor), size = value < 0.0f ? -value : value;
    largest = size > largest ? size : largest;
  }
  if (largest < 1.262177448353619e-29f) { /* 2^-96 */
    memset(dx, 0, 2 * pixels * channels);
    return TB_ZERO_EXPONENT;
  }
  uint32_t bits;
  memcpy(&bits, &largest, sizeof bits);
  const int32_t unit = (int32_t)(bits >> 23) - 126 - 30;
  uint32_t magnitudes = 0;
  for (uint32_t c = 0; c < channels; c++) magnitudes |= tb_magnitude(in_units(scaled(df[c], factor), unit));
  const uint32_t shift = tb_shift_for(magnitudes);
  for (uint32_t c = 0; c < channels; c++) dx[c] = tb_round_to_odd(in_units(scaled(df[c], factor), unit), shift);
  for (uint32_t p = 1; p < pixels; p++) memcpy(dx + p * channels, dx, 2 * channels);
  return tb_exponent(unit, magnitudes, shift);
}
