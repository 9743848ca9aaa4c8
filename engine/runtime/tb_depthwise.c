/* tb_depthwise.c: depthwise convolution with int8 weights, forward and gradient of its input.
 *
 * A block of TB_LANES neighbouring channels is computed side by side. Its weights are copied to [tap][lane], so that a
 * tap reads neighbours. What is left, and kernels larger than TB_TAPS, take one channel at a time and no copy.
 */
#include "tb_internal.h"

#define TB_TAPS 49 /* 7 x 7 */

/* `lanes` neighbouring channels of a layer, and their weights as [tap][lane]. */
typedef struct {
  const tb_conv_t *conv;
  const int8_t *weights;
  uint32_t channel; /* the first */
} block_t;

/* acc[lane] += sum over taps of w * (x - zero); x[origin] lies under tap (0, 0), or would if it were in the image. */
TB_INLINE void sum_taps(const block_t *block, const int8_t *x, int32_t origin, tb_range_t rows, tb_range_t columns,
                        int32_t zero, int32_t *acc, uint32_t lanes) {
  const tb_conv_t *conv = block->conv;
  const int32_t channels = conv->in_channels, kernel_width = conv->kernel_width;
  for (int32_t ky = rows.first; ky < rows.end; ky++) {
    const int8_t *w = block->weights + (uint32_t)(ky * kernel_width + columns.first) * lanes;
    const int8_t *pixel = x + (origin + (ky * conv->in_width + columns.first) * channels);
    for (int32_t kx = columns.first; kx < columns.end; kx++) {
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) acc[l] += w[l] * (pixel[l] - zero);
      w += lanes;
      pixel += channels;
    }
  }
}

TB_INLINE void forward_block(const block_t *block, const int8_t *x, const int32_t *bias, int8_t *y, uint8_t *mask,
                             uint32_t lanes) {
  const tb_conv_t *conv = block->conv;
  const uint32_t channels = conv->out_channels, taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  const int32_t stride = conv->stride, padding = conv->padding;
  int32_t folded[TB_LANES]; /* bias - zero * sum of the weights, for pixels with no tap outside the image */
  const int32_t *multiplier = conv->multiplier + block->channel;
  const uint32_t shift = conv->shift;
  const int64_t rounding = tb_rounding(conv->out_zero);
  bias += block->channel;
  TB_UNROLL_BLOCK
  for (uint32_t l = 0; l < lanes; l++) folded[l] = bias[l];
  for (uint32_t i = 0; i < taps; i++) {
    TB_UNROLL_BLOCK
    for (uint32_t l = 0; l < lanes; l++) folded[l] -= conv->in_zero * block->weights[i * lanes + l];
  }
  uint32_t index = block->channel;
  for (int32_t oy = 0; oy < conv->out_height; oy++) {
    const int32_t iy = oy * stride - padding;
    const tb_range_t rows = tb_taps_inside(iy, conv->kernel_height, conv->in_height);
    for (int32_t ox = 0; ox < conv->out_width; ox++) {
      const int32_t ix = ox * stride - padding;
      const tb_range_t columns = tb_taps_inside(ix, conv->kernel_width, conv->in_width);
      const int32_t origin = (iy * conv->in_width + ix) * (int32_t)channels + (int32_t)block->channel;
      int32_t acc[TB_LANES];
      if (rows.end - rows.first == conv->kernel_height && columns.end - columns.first == conv->kernel_width) {
        TB_UNROLL_BLOCK
        for (uint32_t l = 0; l < lanes; l++) acc[l] = folded[l];
        sum_taps(block, x, origin, rows, columns, 0, acc, lanes);
      } else {
        TB_UNROLL_BLOCK
        for (uint32_t l = 0; l < lanes; l++) acc[l] = bias[l];
        sum_taps(block, x, origin, rows, columns, conv->in_zero, acc, lanes);
      }
      uint32_t bits = 0;
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) {
        const int32_t value = tb_requantize(acc[l], multiplier[l], shift, rounding);
        bits |= tb_store_i8(value, y + index + l) << l;
      }
      if (mask != NULL) tb_mask_set(mask, index, bits);
      index += channels;
    }
  }
}

TB_INLINE void grad_input_block(const block_t *block, const float *gradient, float *dx, uint32_t lanes) {
  const tb_conv_t *conv = block->conv;
  const int32_t channels = conv->in_channels, stride = conv->stride;
  const int32_t kernel_width = conv->kernel_width, out_width = conv->out_width;
  gradient += block->channel;
  dx += block->channel;
  for (int32_t iy = 0; iy < conv->in_height; iy++) {
    const int32_t y = iy + conv->padding;
    const tb_range_t rows = tb_taps_reaching(y, conv->kernel_height, stride, conv->out_height);
    const int32_t first_row = (y - rows.first) / stride * out_width;
    for (int32_t ix = 0; ix < conv->in_width; ix++, dx += channels) {
      const int32_t x = ix + conv->padding;
      const tb_range_t columns = tb_taps_reaching(x, kernel_width, stride, out_width);
      int32_t row = (first_row + (x - columns.first) / stride) * channels; /* index of the first tap's gradient */
      float acc[TB_LANES];
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) acc[l] = 0.0f;
      for (int32_t ky = rows.first; ky < rows.end; ky += stride, row -= out_width * channels) {
        int32_t pixel = row;
        for (int32_t kx = columns.first; kx < columns.end; kx += stride, pixel -= channels) {
          const int8_t *w = block->weights + (uint32_t)(ky * kernel_width + kx) * lanes;
          const float *g = gradient + pixel;
          TB_UNROLL_BLOCK
          for (uint32_t l = 0; l < lanes; l++) acc[l] += g[l] * (float)w[l];
        }
      }
      for (uint32_t l = 0; l < lanes; l++) dx[l] = acc[l];
    }
  }
}

TB_NOINLINE void full_forward_block(const block_t *block, const int8_t *x, const int32_t *bias, int8_t *y,
                                    uint8_t *mask) {
  forward_block(block, x, bias, y, mask, TB_LANES);
}

TB_NOINLINE void single_forward_block(const block_t *block, const int8_t *x, const int32_t *bias, int8_t *y,
                                      uint8_t *mask) {
  forward_block(block, x, bias, y, mask, 1);
}

TB_NOINLINE void full_grad_input_block(const block_t *block, const float *gradient, float *dx) {
  grad_input_block(block, gradient, dx, TB_LANES);
}

TB_NOINLINE void single_grad_input_block(const block_t *block, const float *gradient, float *dx) {
  grad_input_block(block, gradient, dx, 1);
}

/* Make the next block of a part from stored channel j on. Returns how many lanes it has; `copy` holds its weights. */
static uint32_t next_block(block_t *block, const tb_conv_t *conv, const tb_part_t *part, uint32_t j, int8_t *copy) {
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  const uint32_t lanes = taps <= TB_TAPS && tb_neighbours(part, j) >= TB_LANES ? TB_LANES : 1;
  const int8_t *stored = part->data + (size_t)j * taps;
  block->conv = conv;
  block->channel = tb_channel(part, j);
  block->weights = stored;
  if (lanes == 1) return lanes;
  for (uint32_t tap = 0; tap < taps; tap++) {
    for (uint32_t l = 0; l < TB_LANES; l++) copy[tap * TB_LANES + l] = stored[l * taps + tap];
  }
  block->weights = copy;
  return lanes;
}

void tb_depthwise_conv2d_i8(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias,
                            int8_t *y, uint8_t *mask, void *scratch) {
  tb_part_t parts[2];
  (void)scratch;
  block_t block;
  int8_t copy[TB_TAPS * TB_LANES];
  const uint32_t part_count = tb_parts(weights, conv->in_channels, parts);
  if (mask != NULL) tb_mask_clear(mask, (uint32_t)conv->out_height * conv->out_width * conv->out_channels);
  for (uint32_t i = 0; i < part_count; i++) {
    for (uint32_t j = 0, lanes; j < parts[i].count; j += lanes) {
      lanes = next_block(&block, conv, &parts[i], j, copy);
      if (lanes == TB_LANES) {
        full_forward_block(&block, x, bias, y, mask);
      } else {
        single_forward_block(&block, x, bias, y, mask);
      }
    }
  }
}

void tb_depthwise_conv2d_grad_input_f32(const tb_conv_t *conv, const float *gradient, const tb_weights_t *weights,
                                        float *dx) {
  tb_part_t parts[2];
  block_t block;
  int8_t copy[TB_TAPS * TB_LANES];
  const uint32_t part_count = tb_parts(weights, conv->in_channels, parts);
  for (uint32_t i = 0; i < part_count; i++) {
    for (uint32_t j = 0, lanes; j < parts[i].count; j += lanes) {
      lanes = next_block(&block, conv, &parts[i], j, copy);
      if (lanes == TB_LANES) {
        full_grad_input_block(&block, gradient, dx);
      } else {
        single_grad_input_block(&block, gradient, dx);
      }
    }
  }
}
