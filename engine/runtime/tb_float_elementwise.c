/* tb_float_elementwise.c: operators of float32 networks that treat every element, or every channel, alike. */
#include "tb_apply.h"
#include "tb_float_internal.h"

void tb_float_clamp(float *values, tb_float_clamp_t clamp, uint8_t *mask, uint32_t count) {
  if (mask == NULL) {
    for (uint32_t i = 0; i < count; i++) values[i] = tb_clamp_f32(values[i], clamp.low, clamp.high);
    return;
  }
  for (uint32_t i = 0; i < count; i += 8) {
    const uint32_t some = tb_minimum(8, count - i);
    uint32_t bits = 0;
    for (uint32_t l = 0; l < some; l++, values++) {
      const float value = *values;
      bits |= (uint32_t)(value > clamp.low && value < clamp.high) << l;
      *values = tb_clamp_f32(value, clamp.low, clamp.high);
    }
    *mask++ = (uint8_t)bits;
  }
}

void tb_float_limit(float *values, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) values[i] = tb_clamp_f32(values[i], -TB_FLOAT_LIMIT, TB_FLOAT_LIMIT);
}

void tb_float_add(const float *a, const float *b, float *y, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) y[i] = tb_clamp_f32(a[i] + b[i], -TB_FLOAT_LIMIT, TB_FLOAT_LIMIT);
}

void tb_float_average_pool(const float *x, float *y, uint32_t pixels, uint32_t channels, float factor) {
  tb_float_bias_grad(x, y, pixels, channels);
  for (uint32_t c = 0; c < channels; c++) y[c] *= factor;
}

void tb_float_average_pool_grad(const float *df, float *dx, uint32_t pixels, uint32_t channels, float factor) {
  for (uint32_t p = 0; p < pixels; p++) {
    for (uint32_t c = 0; c < channels; c++) *dx++ = tb_clamp_f32(df[c] * factor, -TB_FLOAT_LIMIT, TB_FLOAT_LIMIT);
  }
}

void tb_float_masked(const float *gradient, const uint8_t *mask, float *y, uint32_t count) {
  for (uint32_t i = 0; i < count; i += 8) {
    const uint32_t bits = *mask++, some = tb_minimum(8, count - i);
    for (uint32_t l = 0; l < some; l++, gradient++) *y++ = (bits >> l) & 1u ? *gradient : 0.0f;
  }
}

void tb_float_select_channels(const float *x, const uint16_t *channels, float *y, uint32_t pixels, uint32_t in_channels,
                              uint32_t count) {
  for (uint32_t p = 0; p < pixels; p++, x += in_channels) {
    for (uint32_t i = 0; i < count; i++) *y++ = x[channels[i]];
  }
}

void tb_float_bias_grad(const float *gradient, float *db, uint32_t pixels, uint32_t channels) {
  for (uint32_t c = 0; c < channels; c++) db[c] = 0.0f;
  for (uint32_t p = 0; p < pixels; p++) {
    for (uint32_t c = 0; c < channels; c++) db[c] += *gradient++;
  }
}

void tb_float_update(float *gradient, float factor, float *values, const tb_update_t *update, const tb_step_t *step,
                     uint32_t count) {
  const tb_stream_t stream = tb_open_stream(update, step);
  for (uint32_t i = 0; i < count; i++) gradient[i] = factor * tb_clamp_f32(gradient[i], -TB_LIMIT, TB_LIMIT);
  tb_apply_f32(&stream, values, 0, gradient, count);
}
