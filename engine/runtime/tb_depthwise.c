/* tb_depthwise.c: depthwise convolution with int8 weights, forward.
 *
 * A block of TB_LANES neighbouring channels is computed side by side. Its weights are copied to [tap][lane], and the rows
 * that an output row sees to a window [row][column][lane], padding included: a tap reads neighbours, and y may be x, since
 * what is overwritten has been copied. Square kernels where the processor has DSP instructions:
 * tb_depthwise_dsp.c, where it has vectors: tb_depthwise_vector.c.
 */
#include "tb_depthwise_planes.h"
#include "tb_fits.h"
#include "tb_vector.h"

/* A block of channels, on its way down the rows. */
typedef struct {
  const tb_conv_t *conv;
  const int8_t *x;     /* at the block's first channel */
  int8_t *weights;     /* [tap][lane] */
  int8_t *rows;        /* the window */
  uint32_t row_bytes;  /* of the window */
  uint32_t channels;   /* of the block: TB_LANES, or fewer at the end */
  uint32_t channel;    /* the first */
  uint32_t first, end; /* rows in the window, counted from the first row of padding */
  int32_t folded[TB_LANES]; /* bias - zero * sum of the weights */
  int32_t multiplier[TB_LANES];
} block_t;

static void take_pixels(int8_t *to, const int8_t *x, uint32_t count, uint32_t distance, uint32_t channels) {
  if (channels == TB_LANES) {
    for (uint32_t i = 0; i < count; i++, to += TB_LANES, x += distance) memcpy(to, x, TB_LANES);
    return;
  }
  for (uint32_t i = 0; i < count; i++, to += TB_LANES, x += distance) {
    for (uint32_t l = 0; l < TB_LANES; l++) to[l] = l < channels ? x[l] : 0;
  }
}

/* Copy the next row into the window; outside the image x is its zero point. */
static void take_row(block_t *block) {
  const tb_conv_t *conv = block->conv;
  const int32_t y = (int32_t)block->end - conv->pad_top;
  const uint32_t columns = block->row_bytes / TB_LANES, left = tb_minimum(conv->padding, columns);
  int8_t *row = block->rows + (size_t)(block->end - block->first) * block->row_bytes;
  block->end++;
  if (y < 0 || y >= conv->in_height) {
    memset(row, conv->in_zero, block->row_bytes);
    return;
  }
  const uint32_t inside = tb_minimum(conv->in_width, columns - left), right = columns - left - inside;
  memset(row, conv->in_zero, (size_t)left * TB_LANES);
  take_pixels(row + left * TB_LANES, block->x + (size_t)y * conv->in_width * conv->in_channels, inside, conv->in_channels,
              block->channels);
  memset(row + (size_t)(left + inside) * TB_LANES, conv->in_zero, (size_t)right * TB_LANES);
}

/* Move the window down to row `first`. */
static void drop_rows(block_t *block, uint32_t first) {
  if (first <= block->first) return;
  if (first < block->end) {
    const uint32_t row_bytes = block->row_bytes;
    memmove(block->rows, block->rows + (size_t)(first - block->first) * row_bytes, (size_t)(block->end - first) * row_bytes);
  } else {
    block->end = first;
  }
  block->first = first;
}

/* One row of outputs; x: what the first of them sees. */
TB_NOINLINE void forward_row(const block_t *block, const int8_t *x, int8_t *y, uint8_t *mask, uint32_t index) {
  const tb_conv_t *conv = block->conv;
  const uint32_t kernel_height = conv->kernel_height, row_taps = (uint32_t)conv->kernel_width * TB_LANES;
  const uint32_t step = (uint32_t)conv->stride * TB_LANES, channels = block->channels, shift = conv->shift;
  const int64_t rounding = tb_rounding(conv->out_zero);
  for (uint32_t ox = 0; ox < conv->out_width; ox++, x += step, index += conv->out_channels) {
    int32_t acc[TB_LANES];
    TB_UNROLL_BLOCK
    for (uint32_t l = 0; l < TB_LANES; l++) acc[l] = block->folded[l];
    const int8_t *w = block->weights, *row = x;
    for (uint32_t ky = 0; ky < kernel_height; ky++, row += block->row_bytes, w += row_taps) {
      for (uint32_t tap = 0; tap < row_taps; tap += TB_LANES) {
        TB_UNROLL_BLOCK
        for (uint32_t l = 0; l < TB_LANES; l++) acc[l] += w[tap + l] * row[tap + l];
      }
    }
    uint32_t bits = 0;
    for (uint32_t l = 0; l < channels; l++) {
      bits |= tb_store_i8(tb_requantize(acc[l], block->multiplier[l], shift, rounding), y + index + l) << l;
    }
    if (mask != NULL) tb_mask_set(mask, index, bits);
  }
}

static void forward_block(block_t *block, int8_t *y, uint8_t *mask) {
  const tb_conv_t *conv = block->conv;
  const uint32_t stride = conv->stride, rows = (conv->out_height - 1u) * stride + conv->kernel_height;
  const int slides = tb_depthwise_slides(conv);
  block->first = block->end = 0;
  for (uint32_t oy = 0; oy < conv->out_height; oy++) {
    if (slides) drop_rows(block, oy * stride);
    const uint32_t until = slides ? oy * stride + conv->kernel_height : rows;
    while (block->end < until) take_row(block);
    const int8_t *x = block->rows + (size_t)(oy * stride - block->first) * block->row_bytes;
    forward_row(block, x, y, mask, oy * conv->out_width * conv->out_channels + block->channel);
  }
}

/* Copy the weights of the block's channels, and what depends on them. */
static void open_block(block_t *block, tb_channels_t *channels, const int32_t *bias) {
  const tb_conv_t *conv = block->conv;
  const uint32_t taps = channels->taps;
  for (uint32_t l = 0; l < TB_LANES; l++) {
    int8_t *copy = block->weights + l;
    int32_t sum = 0;
    const int8_t *weights = l < block->channels ? tb_next_channel(channels) : NULL;
    for (uint32_t tap = 0; tap < taps; tap++) {
      const int8_t weight = weights == NULL ? 0 : weights[tap];
      copy[tap * TB_LANES] = weight;
      sum += weight;
    }
    block->folded[l] = weights == NULL ? 0 : bias[block->channel + l] - conv->in_zero * sum;
    block->multiplier[l] = weights == NULL ? 0 : conv->multiplier[block->channel + l];
  }
}

void tb_depthwise_general_i8(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias,
                             int8_t *y, uint8_t *mask, void *scratch) {
  tb_channels_t channels = tb_first_channel(conv, weights);
  block_t block;
  block.conv = conv;
  block.weights = (int8_t *)scratch;
  block.rows = block.weights + (size_t)channels.taps * TB_LANES;
  block.row_bytes = ((conv->out_width - 1u) * conv->stride + conv->kernel_width) * TB_LANES;
  if (mask != NULL) tb_mask_clear(mask, (uint32_t)conv->out_height * conv->out_width * conv->out_channels);
  for (uint32_t channel = 0; channel < conv->in_channels; channel += TB_LANES) {
    block.x = x + channel;
    block.channel = channel;
    block.channels = tb_minimum(TB_LANES, conv->in_channels - channel);
    open_block(&block, &channels, bias);
    forward_block(&block, y, mask);
  }
}

#if !TB_DSP && !TB_VECTOR
#define KERNEL(name, kernel, stride, slots)                                                                            \
  void name(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,       \
            uint8_t *mask, void *scratch) {                                                                            \
    TB_EXPECT(tb_fits_depthwise(conv, kernel, stride, slots));                                                         \
    tb_depthwise_general_i8(conv, x, weights, bias, y, mask, scratch);                                                 \
  }
KERNEL(tb_depthwise_3x3_s1_rows_i8, 3, 1, 0)
KERNEL(tb_depthwise_3x3_s1_window4_i8, 3, 1, 4)
KERNEL(tb_depthwise_3x3_s1_window6_i8, 3, 1, 6)
KERNEL(tb_depthwise_3x3_s1_window10_i8, 3, 1, 10)
KERNEL(tb_depthwise_3x3_s1_window18_i8, 3, 1, 18)
KERNEL(tb_depthwise_3x3_s2_rows_i8, 3, 2, 0)
KERNEL(tb_depthwise_3x3_s2_window5_i8, 3, 2, 5)
KERNEL(tb_depthwise_3x3_s2_window9_i8, 3, 2, 9)
KERNEL(tb_depthwise_3x3_s2_window18_i8, 3, 2, 18)
KERNEL(tb_depthwise_5x5_s1_rows_i8, 5, 1, 0)
KERNEL(tb_depthwise_5x5_s1_window20_i8, 5, 1, 20)
KERNEL(tb_depthwise_5x5_s2_rows_i8, 5, 2, 0)
KERNEL(tb_depthwise_5x5_s2_window20_i8, 5, 2, 20)
KERNEL(tb_depthwise_7x7_s1_rows_i8, 7, 1, 0)
KERNEL(tb_depthwise_7x7_s1_window14_i8, 7, 1, 14)
KERNEL(tb_depthwise_7x7_s2_rows_i8, 7, 2, 0)
KERNEL(tb_depthwise_7x7_s2_window14_i8, 7, 2, 14)
#endif
