/* tb_pool.c: mean over all pixels, forward and backward. */
#include "tb_internal.h"

void tb_global_average_pool_i8(const int8_t *x, int8_t *y, uint32_t pixels, uint32_t channels, int32_t in_zero,
                               int32_t out_zero, int32_t multiplier, uint8_t shift) {
  for (uint32_t c = 0; c < channels; c++) {
    int32_t acc = -(int32_t)pixels * in_zero;
    for (uint32_t p = 0; p < pixels; p++) acc += x[p * channels + c];
    tb_store_i8(tb_requantize(acc, multiplier, shift, tb_rounding(out_zero)), y + c);
  }
}

void tb_global_average_pool_grad_f32(const float *df, float *dx, uint32_t pixels, uint32_t channels, float factor) {
  for (uint32_t p = 0; p < pixels; p++) {
    for (uint32_t c = 0; c < channels; c++) *dx++ = df[c] * factor;
  }
}
