/* tb_depthwise.c: depthwise convolution with int8 weights, forward and gradient of its input.
 *
 * A block of neighbouring channels is computed side by side. Its weights are copied to [tap][lane], so that a tap reads
 * neighbours; kernels larger than TB_TAPS take one channel at a time, which needs no copy.
 */
#include "tb_internal.h"

#define TB_TAPS 49 /* 7 x 7 */

/* `lanes` neighbouring channels of a layer, and their weights as [tap][lane]. */
typedef struct {
  const tb_conv_t *conv;
  const int8_t *weights;
  uint32_t channel; /* the first */
} block_t;

static inline void load_block(block_t *block, const tb_conv_t *conv, const int8_t *stored, uint32_t channel,
                              int8_t *copy, uint32_t lanes) {
  block->conv = conv;
  block->channel = channel;
  block->weights = stored;
  if (lanes == 1) return;
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  for (uint32_t tap = 0; tap < taps; tap++) {
    for (uint32_t l = 0; l < lanes; l++) copy[tap * lanes + l] = stored[l * taps + tap];
  }
  block->weights = copy;
}

/* acc[lane] += sum over taps of w * (x - zero); `x` is the (virtual) input pixel under the first tap. */
static inline void sum_taps(const block_t *block, const int8_t *x, tb_range_t rows, tb_range_t columns, int32_t zero,
                            int32_t *acc, uint32_t lanes) {
  const tb_conv_t *conv = block->conv;
  const int32_t channels = conv->in_channels, kernel_width = conv->kernel_width;
  for (int32_t ky = rows.first; ky < rows.end; ky++) {
    const int8_t *w = block->weights + (uint32_t)(ky * kernel_width + columns.first) * lanes;
    const int8_t *pixel = x + (ky * conv->in_width + columns.first) * channels;
    for (int32_t kx = columns.first; kx < columns.end; kx++) {
      for (uint32_t l = 0; l < lanes; l++) acc[l] += w[l] * (pixel[l] - zero);
      w += lanes;
      pixel += channels;
    }
  }
}

static inline void forward_block(const block_t *block, const int8_t *x, const int32_t *bias, int8_t *y, uint8_t *mask,
                                 uint32_t lanes) {
  const tb_conv_t *conv = block->conv;
  const uint32_t channels = conv->out_channels, taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  const int32_t stride = conv->stride, padding = conv->padding;
  int32_t folded[TB_LANES]; /* bias - zero * sum of the weights, for pixels with no tap outside the image */
  bias += block->channel;
  for (uint32_t l = 0; l < lanes; l++) folded[l] = bias[l];
  for (uint32_t i = 0; i < taps; i++) {
    for (uint32_t l = 0; l < lanes; l++) folded[l] -= conv->in_zero * block->weights[i * lanes + l];
  }
  uint32_t index = block->channel;
  for (int32_t oy = 0; oy < conv->out_height; oy++) {
    const int32_t iy = oy * stride - padding;
    const tb_range_t rows = tb_taps_inside(iy, conv->kernel_height, conv->in_height);
    for (int32_t ox = 0; ox < conv->out_width; ox++) {
      const int32_t ix = ox * stride - padding;
      const tb_range_t columns = tb_taps_inside(ix, conv->kernel_width, conv->in_width);
      const int8_t *pixel = x + (iy * conv->in_width + ix) * (int32_t)channels + block->channel;
      int32_t acc[TB_LANES];
      if (rows.end - rows.first == conv->kernel_height && columns.end - columns.first == conv->kernel_width) {
        for (uint32_t l = 0; l < lanes; l++) acc[l] = folded[l];
        sum_taps(block, pixel, rows, columns, 0, acc, lanes);
      } else {
        for (uint32_t l = 0; l < lanes; l++) acc[l] = bias[l];
        sum_taps(block, pixel, rows, columns, conv->in_zero, acc, lanes);
      }
      for (uint32_t l = 0; l < lanes; l++) {
        const int32_t multiplier = conv->multiplier[block->channel + l];
        tb_emit(tb_requantize(acc[l], multiplier, conv->shift, conv->out_zero), y, mask, index + l);
      }
      index += channels;
    }
  }
}

static inline void grad_input_block(const block_t *block, const float *gradient, float *dx, uint32_t lanes) {
  const tb_conv_t *conv = block->conv;
  const uint32_t channels = conv->in_channels;
  const int32_t stride = conv->stride, kernel_width = conv->kernel_width, out_width = conv->out_width;
  gradient += block->channel;
  dx += block->channel;
  for (int32_t iy = 0; iy < conv->in_height; iy++) {
    const int32_t y = iy + conv->padding;
    const tb_range_t rows = tb_taps_reaching(y, conv->kernel_height, stride, conv->out_height);
    for (int32_t ix = 0; ix < conv->in_width; ix++) {
      const int32_t x = ix + conv->padding;
      const tb_range_t columns = tb_taps_reaching(x, kernel_width, stride, out_width);
      float acc[TB_LANES];
      for (uint32_t l = 0; l < lanes; l++) acc[l] = 0.0f;
      for (int32_t ky = rows.first; ky < rows.end; ky += stride) {
        const float *row = gradient + (uint32_t)((y - ky) / stride * out_width) * channels;
        for (int32_t kx = columns.first; kx < columns.end; kx += stride) {
          const int8_t *w = block->weights + (uint32_t)(ky * kernel_width + kx) * lanes;
          const float *g = row + (uint32_t)((x - kx) / stride) * channels;
          for (uint32_t l = 0; l < lanes; l++) acc[l] += g[l] * (float)w[l];
        }
      }
      for (uint32_t l = 0; l < lanes; l++) dx[l] = acc[l];
      dx += channels;
    }
  }
}

/* Runs `call` on all channels in blocks as large as fit; `lanes` is a constant in each expansion. */
#define FOR_EACH_BLOCK(conv, layer_weights, call)                                                                 \
  do {                                                                                                            \
    const uint32_t taps_ = (uint32_t)(conv)->kernel_height * (conv)->kernel_width;                                \
    int8_t copy_[TB_TAPS * TB_LANES];                                                                             \
    tb_part_t parts_[2];                                                                                          \
    const uint32_t part_count_ = tb_parts(layer_weights, (conv)->in_channels, parts_);                            \
    for (uint32_t part_ = 0; part_ < part_count_; part_++) {                                                      \
      for (uint32_t j_ = 0; j_ < parts_[part_].count;) {                                                          \
        const uint32_t run_ = taps_ > TB_TAPS ? 1 : tb_neighbours(&parts_[part_], j_);                               \
        const int8_t *stored_ = parts_[part_].data + (size_t)j_ * taps_;                                          \
        const uint32_t channel_ = tb_channel(&parts_[part_], j_);                                                 \
        block_t block;                                                                                            \
        if (run_ >= TB_LANES) {                                                                                   \
          enum { lanes = TB_LANES };                                                                              \
          load_block(&block, conv, stored_, channel_, copy_, lanes);                                              \
          call;                                                                                                   \
          j_ += lanes;                                                                                            \
        } else if (run_ >= 4) {                                                                                   \
          enum { lanes = 4 };                                                                                     \
          load_block(&block, conv, stored_, channel_, copy_, lanes);                                              \
          call;                                                                                                   \
          j_ += lanes;                                                                                            \
        } else {                                                                                                  \
          enum { lanes = 1 };                                                                                     \
          load_block(&block, conv, stored_, channel_, copy_, lanes);                                              \
          call;                                                                                                   \
          j_ += lanes;                                                                                            \
        }                                                                                                         \
      }                                                                                                           \
    }                                                                                                             \
  } while (0)

void tb_depthwise_conv2d_i8(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias,
                            int8_t *y, uint8_t *mask) {
  const uint32_t count = (uint32_t)conv->out_height * conv->out_width * conv->out_channels;
  if (mask != NULL) tb_mask_clear(mask, count);
  FOR_EACH_BLOCK(conv, weights, forward_block(&block, x, bias, y, mask, lanes));
}

void tb_depthwise_conv2d_grad_input_f32(const tb_conv_t *conv, const float *gradient, const tb_weights_t *weights,
                                        float *dx) {
  FOR_EACH_BLOCK(conv, weights, grad_input_block(&block, gradient, dx, lanes));
}
