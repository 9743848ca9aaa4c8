/* tb_depthwise_grad_i16.c: int16 gradient of the input of a depthwise convolution. Definition: docs/numerics.md, Integer
 * gradients.
 *
 * A block of TB_LANES neighbouring channels is computed side by side, its weights copied to [tap][lane]; what is left, one
 * channel at a time. Where the processor has DSP instructions: tb_depthwise_grad_dsp.c.
 */
#include "tb_depthwise_planes.h"
#include "tb_depthwise_stored.h"
#include "tb_fits.h"
#include "tb_vector.h"

void tb_raise_shift(tb_stored_t *stored, uint32_t magnitudes, uint32_t next) {
  stored->magnitudes |= magnitudes;
  const uint32_t by = tb_shift_for(stored->magnitudes) - stored->shift;
  int16_t *values = stored->dx;
  stored->shift += by;
  if (by == 0) return;
  for (uint32_t i = stored->pixels; i != 0; i--, values += stored->distance) {
    tb_shift_stored(values, stored->channels + next, by);
  }
}

/* acc[lane] = what the outputs that see pixel (y, x), padding included, give it; `distance` from output to output. */
TB_INLINE void sum_taps(const tb_conv_t *conv, const int8_t *weights, const int16_t *gradient, int32_t distance, int32_t y,
                        int32_t x, int32_t *acc, uint32_t lanes) {
  const int32_t stride = conv->stride, kernel_width = conv->kernel_width;
  const tb_range_t rows = tb_taps_reaching(y, conv->kernel_height, stride, conv->out_height);
  const tb_range_t columns = tb_taps_reaching(x, kernel_width, stride, conv->out_width);
  TB_UNROLL_BLOCK
  for (uint32_t l = 0; l < lanes; l++) acc[l] = 0;
  for (int32_t ky = rows.first; ky < rows.end; ky += stride) {
    const int32_t row = (y - ky) / stride * conv->out_width;
    for (int32_t kx = columns.first; kx < columns.end; kx += stride) {
      const int16_t *g = gradient + (row + (x - kx) / stride) * distance;
      const int8_t *w = weights + (uint32_t)(ky * kernel_width + kx) * lanes;
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) acc[l] += g[l] * w[l];
    }
  }
}

/* `copy`: where to put the block's gradient before dx is written over it, or NULL. */
TB_INLINE void grad_block(const tb_conv_t *conv, const int8_t *weights, const int16_t *gradient, tb_stored_t *stored,
                          int16_t *copy, uint32_t lanes) {
  const int32_t padding = conv->padding;
  int16_t *dx = stored->dx + stored->channels;
  int32_t distance = conv->out_channels;
  gradient += stored->channels;
  if (copy != NULL) {
    const uint32_t outputs = (uint32_t)conv->out_height * conv->out_width;
    for (uint32_t p = 0; p < outputs; p++) {
      for (uint32_t l = 0; l < lanes; l++) copy[p * lanes + l] = gradient[p * conv->out_channels + l];
    }
    gradient = copy;
    distance = (int32_t)lanes;
  }
  for (int32_t y = 0; y < conv->in_height; y++) {
    for (int32_t x = 0; x < conv->in_width; x++, dx += stored->distance) {
      int32_t acc[TB_LANES];
      uint32_t magnitudes = 0;
      sum_taps(conv, weights, gradient, distance, y + padding, x + padding, acc, lanes);
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) magnitudes |= tb_magnitude(acc[l]);
      if (magnitudes > tb_limit_of(stored)) tb_raise_shift(stored, magnitudes, lanes);
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) dx[l] = tb_round_to_odd(acc[l], stored->shift);
    }
  }
  stored->channels += lanes;
}

TB_NOINLINE void full_grad_block(const tb_conv_t *conv, const int8_t *weights, const int16_t *gradient,
                                 tb_stored_t *stored, int16_t *copy) {
  grad_block(conv, weights, gradient, stored, copy, TB_LANES);
}

TB_NOINLINE void single_grad_block(const tb_conv_t *conv, const int8_t *weights, const int16_t *gradient,
                                   tb_stored_t *stored, int16_t *copy) {
  grad_block(conv, weights, gradient, stored, copy, 1);
}

uint32_t tb_depthwise_grad_general_i16(const tb_conv_t *conv, const int16_t *gradient, uint32_t magnitudes,
                                       const tb_weights_t *weights, int16_t *dx, void *scratch) {
  tb_stored_t stored = tb_nothing_stored(conv, dx, magnitudes);
  tb_channels_t order = tb_first_channel(conv, weights);
  int16_t *values = dx == gradient ? (int16_t *)scratch : NULL;
  int8_t *copy = (int8_t *)scratch;
  if (values != NULL) copy += (size_t)2 * TB_LANES * conv->out_height * conv->out_width;
  while (conv->in_channels - stored.channels >= TB_LANES) {
    for (uint32_t l = 0; l < TB_LANES; l++) {
      const int8_t *channel = tb_next_channel(&order);
      for (uint32_t tap = 0; tap < order.taps; tap++) copy[tap * TB_LANES + l] = channel[tap];
    }
    full_grad_block(conv, copy, gradient, &stored, values);
  }
  while (stored.channels < conv->in_channels) {
    single_grad_block(conv, tb_next_channel(&order), gradient, &stored, values);
  }
  return stored.magnitudes;
}

#if !TB_DSP && !TB_VECTOR /* tb_depthwise_grad_vector.c */
#define KERNEL(name, kernel, stride)                                                                                   \
  uint32_t name(const tb_conv_t *conv, const int16_t *gradient, uint32_t magnitudes, const tb_weights_t *weights,      \
                int16_t *dx, void *scratch) {                                                                          \
    TB_EXPECT(tb_fits_square(conv, kernel, stride));                                                                   \
    return tb_depthwise_grad_general_i16(conv, gradient, magnitudes, weights, dx, scratch);                            \
  }
KERNEL(tb_depthwise_grad_3x3_s1_i16, 3, 1)
KERNEL(tb_depthwise_grad_3x3_s2_i16, 3, 2)
KERNEL(tb_depthwise_grad_5x5_s1_i16, 5, 1)
KERNEL(tb_depthwise_grad_5x5_s2_i16, 5, 2)
KERNEL(tb_depthwise_grad_7x7_s1_i16, 7, 1)
KERNEL(tb_depthwise_grad_7x7_s2_i16, 7, 2)
#endif

int32_t tb_depthwise_conv2d_grad_input_i16(tb_depthwise_grad_t *kernel, const tb_conv_t *conv, const int16_t *gradient,
                                           int32_t exponent, const tb_weights_t *weights, int16_t *dx, void *scratch) {
  const uint32_t magnitudes = kernel(conv, gradient, 0, weights, dx, scratch);
  return tb_exponent(exponent, magnitudes, tb_shift_for(magnitudes));
}
