/* tb_elementwise.c: operators that treat every element alike, forward and backward. */
#include "tb_fits.h"
#include "tb_internal.h"

void tb_add_grad_f32(const float *gradient, const uint8_t *mask, float factor_a, float factor_b, float *ga, float *gb,
                     uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    const float g = gradient[i];
    const uint32_t kept = tb_mask_bit(mask, i);
    if (ga != NULL) ga[i] = kept ? tb_clamp_f32(g * factor_a, -TB_LIMIT, TB_LIMIT) : 0.0f;
    if (gb != NULL) gb[i] = kept ? tb_clamp_f32(g * factor_b, -TB_LIMIT, TB_LIMIT) : 0.0f;
  }
}

void tb_accumulate_f32(const float *a, const float *b, float *y, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) y[i] = a[i] + b[i];
}

void tb_dequantize_i8_f32(const int8_t *x, float *y, uint32_t count, int32_t zero, float scale) {
  for (uint32_t i = 0; i < count; i++) y[i] = (float)(x[i] - zero) * scale;
}

void tb_dequantize_grad_f32(const float *df, float *dx, uint32_t count, float scale) {
  for (uint32_t i = 0; i < count; i++) dx[i] = df[i] * scale;
}

static inline float masked_scale(float gradient, uint32_t kept, float scale) {
  const float scaled = tb_clamp_f32(gradient * scale, -TB_LIMIT, TB_LIMIT);
  return kept ? scaled : 0.0f;
}

void tb_masked_scale_bytes_f32(float *gradient, const uint8_t *mask, const float *scale, uint32_t pixels,
                               uint32_t channels) {
  TB_EXPECT(channels % 8 == 0);
  for (uint32_t p = 0; p < pixels; p++) {
    for (uint32_t c = 0; c < channels; c += 8, gradient += 8) {
      const uint32_t bits = *mask++;
      for (uint32_t l = 0; l < 8; l++) gradient[l] = masked_scale(gradient[l], (bits >> l) & 1u, scale[c + l]);
    }
  }
}

void tb_masked_scale_general_f32(float *gradient, const uint8_t *mask, const float *scale, uint32_t pixels,
                                 uint32_t channels) {
  uint32_t i = 0;
  for (uint32_t p = 0; p < pixels; p++) {
    for (uint32_t c = 0; c < channels; c++, i++) {
      gradient[i] = masked_scale(gradient[i], tb_mask_bit(mask, i), scale[c]);
    }
  }
}

void tb_select_channels_i8(const int8_t *x, const uint16_t *channels, int8_t *y, uint32_t pixels, uint32_t in_channels,
                           uint32_t count) {
  for (uint32_t p = 0; p < pixels; p++, x += in_channels) {
    for (uint32_t i = 0; i < count; i++) *y++ = x[channels[i]];
  }
}
