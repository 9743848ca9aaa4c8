/* tb_depthwise_grad.c: gradient of the input of a depthwise convolution, float32.
 *
 * A block of TB_LANES neighbouring channels is computed side by side. Its weights are copied to [tap][lane], so that a
 * tap reads neighbours. What is left, and kernels of more than TB_TAPS taps, take one channel at a time and no copy.
 */
#include "tb_fits.h"
#include "tb_internal.h"

#define TB_TAPS 49 /* 7 x 7 */

/* `lanes` neighbouring channels of a layer, and their weights as [tap][lane]. */
typedef struct {
  const tb_conv_t *conv;
  const int8_t *weights;
  uint32_t channel; /* the first */
} block_t;

TB_INLINE void grad_input_block(const block_t *block, const float *gradient, float *dx, uint32_t lanes) {
  const tb_conv_t *conv = block->conv;
  const int32_t channels = conv->out_channels, stride = conv->stride; /* of a pixel of the gradient */
  const int32_t kernel_width = conv->kernel_width, out_width = conv->out_width;
  gradient += block->channel;
  dx += block->channel;
  for (int32_t iy = 0; iy < conv->in_height; iy++) {
    const int32_t y = iy + conv->padding;
    const tb_range_t rows = tb_taps_reaching(y, conv->kernel_height, stride, conv->out_height);
    const int32_t first_row = (y - rows.first) / stride * out_width;
    for (int32_t ix = 0; ix < conv->in_width; ix++, dx += conv->in_channels) {
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

TB_NOINLINE void full_grad_input_block(const block_t *block, const float *gradient, float *dx) {
  grad_input_block(block, gradient, dx, TB_LANES);
}

TB_NOINLINE void single_grad_input_block(const block_t *block, const float *gradient, float *dx) {
  grad_input_block(block, gradient, dx, 1);
}

static block_t block_of(const tb_conv_t *conv, const tb_part_t *part, uint32_t j, uint32_t taps) {
  const block_t block = {conv, part->data + (size_t)j * taps, tb_channel(part, j)};
  return block;
}

void tb_depthwise_grad_copied_f32(const tb_conv_t *conv, const float *gradient, const tb_weights_t *weights, float *dx) {
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  tb_part_t parts[2];
  int8_t copy[TB_TAPS * TB_LANES];
  const uint32_t part_count = tb_parts(weights, conv->in_channels, parts);
  TB_EXPECT(taps <= TB_TAPS);
  for (uint32_t i = 0; i < part_count; i++) {
    for (uint32_t j = 0, lanes; j < parts[i].count; j += lanes) {
      block_t block = block_of(conv, &parts[i], j, taps);
      lanes = tb_neighbours(&parts[i], j) >= TB_LANES ? TB_LANES : 1;
      if (lanes == 1) {
        single_grad_input_block(&block, gradient, dx);
        continue;
      }
      for (uint32_t tap = 0; tap < taps; tap++) {
        for (uint32_t l = 0; l < TB_LANES; l++) copy[tap * TB_LANES + l] = block.weights[l * taps + tap];
      }
      block.weights = copy;
      full_grad_input_block(&block, gradient, dx);
    }
  }
}

void tb_depthwise_grad_general_f32(const tb_conv_t *conv, const float *gradient, const tb_weights_t *weights, float *dx) {
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  tb_part_t parts[2];
  const uint32_t part_count = tb_parts(weights, conv->in_channels, parts);
  for (uint32_t i = 0; i < part_count; i++) {
    for (uint32_t j = 0; j < parts[i].count; j++) {
      const block_t block = block_of(conv, &parts[i], j, taps);
      single_grad_input_block(&block, gradient, dx);
    }
  }
}
