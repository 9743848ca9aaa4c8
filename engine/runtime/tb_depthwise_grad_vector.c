/* tb_depthwise_grad_vector.c: int16 gradient of the input of a square depthwise convolution on a host with vectors
 * (tb_vector.h): eight neighbouring channels at a time, weights in the low halves of int32.
 */
#include "tb_depthwise_planes.h"
#include "tb_depthwise_stored.h"
#include "tb_fits.h"
#include "tb_vector.h"

#if !TB_DSP && TB_VECTOR
enum { LANES = 8, MOST_TAPS = 49 };

/* Eight values, or the first `lanes` of them and 0. */
TB_INLINE tb_int8x_t load_gradient(const int16_t *g, uint32_t lanes) {
  int16_t some[LANES] = {0};
  if (lanes == LANES) return tb_load_i16_8x(g);
  for (uint32_t l = 0; l < lanes; l++) some[l] = g[l];
  return tb_load_i16_8x(some);
}

/* What the outputs that see pixel (y, x), padding included, give it; `distance` from output to output. */
TB_INLINE tb_int8x_t sum_taps(const tb_conv_t *conv, const int32_t *weights, const int16_t *gradient, int32_t distance,
                              tb_range_t rows, int32_t y, int32_t x, uint32_t lanes, int32_t kernel, int32_t stride) {
  const tb_range_t columns = tb_taps_reaching(x, kernel, stride, conv->out_width);
  const int32_t out_row = distance * conv->out_width;
  tb_int8x_t acc = _mm256_setzero_si256();
  if (rows.first >= rows.end || columns.first >= columns.end) return acc;
  const int16_t *row = gradient + (y - rows.first) / stride * out_row + (x - columns.first) / stride * distance;
  for (int32_t ky = rows.first; ky < rows.end; ky += stride, row -= out_row) {
    const int16_t *g = row;
    const int32_t *w = weights + (ky * kernel + columns.first) * LANES;
    for (int32_t kx = columns.first; kx < columns.end; kx += stride, g -= distance, w += stride * LANES) {
      acc = tb_dot2_8x(acc, load_gradient(g, lanes), tb_load_8x(w));
    }
  }
  return acc;
}

/* Pixels that see all taps, stride 1: everything is unrolled. */
TB_INLINE tb_int8x_t sum_all_taps(const int32_t *weights, const int16_t *g, int32_t step, int32_t out_row, int32_t kernel) {
  tb_int8x_t acc = _mm256_setzero_si256();
  for (int32_t ky = 0; ky < kernel; ky++, g -= out_row, weights += kernel * LANES) {
    TB_UNROLL_VECTORS
    for (int32_t kx = 0; kx < kernel; kx++) {
      acc = tb_dot2_8x(acc, tb_load_i16_8x(g - kx * step), tb_load_8x(weights + kx * LANES));
    }
  }
  return acc;
}

/* The next `lanes` channels. `loaded`: how many values there are to load of each output, LANES where it is a copy. */
TB_INLINE void grad_block(const tb_conv_t *conv, const int32_t *weights, const int16_t *gradient, int32_t distance,
                          tb_stored_t *stored, uint32_t lanes, uint32_t loaded, int32_t kernel, int32_t stride) {
  const int32_t padding = conv->padding, out_row = distance * conv->out_width;
  int16_t *dx = stored->dx + stored->channels;
  for (int32_t iy = 0; iy < conv->in_height; iy++) {
    const int32_t y = iy + padding;
    const tb_range_t rows = tb_taps_reaching(y, kernel, stride, conv->out_height);
    const int inside = stride == 1 && loaded == LANES && rows.first == 0 && rows.end == kernel;
    for (int32_t ix = 0; ix < conv->in_width; ix++, dx += stored->distance) {
      const int32_t x = ix + padding;
      const int all = inside && x >= kernel - 1 && x < conv->out_width;
      const tb_int8x_t acc = all ? sum_all_taps(weights, gradient + y * out_row + x * distance, distance, out_row, kernel)
                                 : sum_taps(conv, weights, gradient, distance, rows, y, x, loaded, kernel, stride);
      const uint32_t magnitudes = tb_or_of_8x(tb_magnitudes_8x(acc));
      if (magnitudes > tb_limit_of(stored)) tb_raise_shift(stored, magnitudes, lanes);
      const tb_int8x_t values = tb_round_to_odd_8x(acc, stored->shift);
      if (lanes == LANES) {
        tb_store_i16_8x(dx, values);
      } else {
        int16_t some[LANES];
        tb_store_i16_8x(some, values);
        for (uint32_t l = 0; l < lanes; l++) dx[l] = some[l];
      }
    }
  }
  stored->channels += lanes;
}

typedef void grad_block_t(const tb_conv_t *conv, const int32_t *weights, const int16_t *gradient, int32_t distance,
                          tb_stored_t *stored, uint32_t lanes, uint32_t loaded);

/* Of a block's channels, in all outputs: [output][LANES]. */
static void copy_channels(const int16_t *gradient, uint32_t outputs, uint32_t distance, uint32_t lanes, int16_t *copy) {
  for (uint32_t p = 0; p < outputs; p++, gradient += distance, copy += LANES) {
    for (uint32_t l = 0; l < LANES; l++) copy[l] = l < lanes ? gradient[l] : 0;
  }
}

static uint32_t depthwise_grad(const tb_conv_t *conv, const int16_t *gradient, uint32_t magnitudes,
                               const tb_weights_t *weights, int16_t *dx, void *scratch, grad_block_t *block) {
  const uint32_t outputs = (uint32_t)conv->out_height * conv->out_width;
  tb_stored_t stored = tb_nothing_stored(conv, dx, magnitudes);
  tb_channels_t order = tb_first_channel(conv, weights);
  int16_t *const copy = (int16_t *)scratch;
  while (stored.channels < conv->in_channels) {
    const uint32_t lanes = tb_minimum(LANES, conv->in_channels - stored.channels);
    const int16_t *const channels = gradient + stored.channels;
    int32_t wide[MOST_TAPS * LANES];
    for (uint32_t l = 0; l < LANES; l++) {
      const int8_t *channel = l < lanes ? tb_next_channel(&order) : NULL;
      for (uint32_t tap = 0; tap < order.taps; tap++) wide[tap * LANES + l] = channel == NULL ? 0 : channel[tap];
    }
    if (dx == gradient) { /* read before dx is written over it */
      copy_channels(channels, outputs, conv->out_channels, lanes, copy);
      block(conv, wide, copy, LANES, &stored, lanes, LANES);
    } else {
      block(conv, wide, channels, conv->out_channels, &stored, lanes, lanes);
    }
  }
  return stored.magnitudes;
}

#define KERNEL(name, block, kernel, stride)                                                                            \
  TB_NOINLINE void block(const tb_conv_t *conv, const int32_t *weights, const int16_t *gradient, int32_t distance,     \
                         tb_stored_t *stored, uint32_t lanes, uint32_t loaded) {                                       \
    if (lanes == LANES) {                                                                                              \
      grad_block(conv, weights, gradient, distance, stored, LANES, LANES, kernel, stride);                             \
    } else {                                                                                                           \
      grad_block(conv, weights, gradient, distance, stored, lanes, loaded, kernel, stride);                            \
    }                                                                                                                  \
  }                                                                                                                    \
  uint32_t name(const tb_conv_t *conv, const int16_t *gradient, uint32_t magnitudes, const tb_weights_t *weights,      \
                int16_t *dx, void *scratch) {                                                                          \
    TB_EXPECT(tb_fits_square(conv, kernel, stride));                                                                   \
    return depthwise_grad(conv, gradient, magnitudes, weights, dx, scratch, block);                                    \
  }
KERNEL(tb_depthwise_grad_3x3_s1_i16, block_3_1, 3, 1)
KERNEL(tb_depthwise_grad_3x3_s2_i16, block_3_2, 3, 2)
KERNEL(tb_depthwise_grad_5x5_s1_i16, block_5_1, 5, 1)
KERNEL(tb_depthwise_grad_5x5_s2_i16, block_5_2, 5, 2)
KERNEL(tb_depthwise_grad_7x7_s1_i16, block_7_1, 7, 1)
KERNEL(tb_depthwise_grad_7x7_s2_i16, block_7_2, 7, 2)
#endif
