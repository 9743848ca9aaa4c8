/* tb_depthwise_vector.c: square depthwise convolution with int8 weights, forward, on a host with vectors (tb_vector.h).
 *
 * Eight neighbouring channels at a time. The rows that an output row sees lie in a window [row][pair of columns][channel][2],
 * padding included, so that y may be x; a pair of taps is one multiplication. With stride 1 the second of two neighbouring
 * outputs begins in the middle of a pair: its weights are paired the other way.
 */
#include "tb_depthwise_planes.h"
#include "tb_fits.h"
#include "tb_vector.h"

#if !TB_DSP && TB_VECTOR
enum { LANES = 8, TILE = 4, MOST_PAIRS = 7 * 4 }; /* TILE: outputs that share a load of the window */

/* A block of channels, on its way down the rows. */
typedef struct {
  const tb_conv_t *conv;
  const int8_t *x;     /* at the block's first channel */
  int8_t *rows;        /* the window */
  uint32_t row_bytes, pairs;
  uint32_t channel, channels; /* the first, and how many: LANES, or fewer at the end */
  uint32_t first, end; /* rows in the window, counted from the first row of padding */
  int16_t weights[2][MOST_PAIRS * LANES * 2]; /* [begins in the middle][ky][pair][lane][2] */
  int32_t folded[LANES]; /* bias - zero * sum of the weights */
  int32_t multiplier[LANES];
} block_t;

/* One column of the row; columns outside the image are its zero point. */
TB_INLINE __m128i column_of(const block_t *block, const int8_t *row, int32_t column) {
  const tb_conv_t *conv = block->conv;
  if (column < 0 || column >= conv->in_width) return _mm_set1_epi8((char)conv->in_zero);
  const int8_t *pixel = row + (size_t)column * conv->in_channels;
  if (block->channels == LANES) return _mm_loadl_epi64((const __m128i *)(const void *)pixel);
  int8_t some[16] = {0};
  for (uint32_t l = 0; l < block->channels; l++) some[l] = pixel[l];
  return _mm_loadu_si128((const __m128i *)(const void *)some);
}

TB_INLINE void store_pair(int8_t *to, __m128i even, __m128i odd) {
  _mm_storeu_si128((__m128i *)(void *)to, _mm_unpacklo_epi8(even, odd));
}

/* Copy the next row into the window. */
TB_NOINLINE void take_row(block_t *block) {
  const tb_conv_t *conv = block->conv;
  const int32_t y = (int32_t)block->end - conv->pad_top, padding = conv->padding;
  int8_t *to = block->rows + (size_t)(block->end - block->first) * block->row_bytes;
  block->end++;
  if (y < 0 || y >= conv->in_height) {
    memset(to, conv->in_zero, block->row_bytes);
    return;
  }
  const int8_t *row = block->x + (size_t)y * conv->in_width * conv->in_channels;
  const size_t distance = conv->in_channels;
  int32_t column = -padding, pair = 0;
  const int32_t pairs = (int32_t)block->pairs, last = conv->in_width - 2;
  for (; pair < pairs && (column < 0 || block->channels < LANES); pair++, column += 2, to += 2 * LANES) {
    store_pair(to, column_of(block, row, column), column_of(block, row, column + 1));
  }
  for (const int8_t *pixel = row + column * (int32_t)distance; pair < pairs && column <= last; pixel += 2 * distance) {
    store_pair(to, _mm_loadl_epi64((const __m128i *)(const void *)pixel),
               _mm_loadl_epi64((const __m128i *)(const void *)(pixel + distance)));
    pair++, column += 2, to += 2 * LANES;
  }
  for (; pair < pairs; pair++, column += 2, to += 2 * LANES) {
    store_pair(to, column_of(block, row, column), column_of(block, row, column + 1));
  }
}

/* Move the window down to row `first`. */
static void drop_rows(block_t *block, uint32_t first) {
  if (first <= block->first) return;
  if (first < block->end) {
    const size_t row_bytes = block->row_bytes;
    memmove(block->rows, block->rows + (first - block->first) * row_bytes, (block->end - first) * row_bytes);
  } else {
    block->end = first;
  }
  block->first = first;
}

/* `tile` neighbouring outputs, of which `count` are stored; x: the first pair that they see. */
TB_INLINE void forward_tile(const block_t *block, const int8_t *x, int8_t *y, uint8_t *mask, uint32_t index, uint32_t count,
                            uint32_t tile, uint32_t kernel, uint32_t stride) {
  const uint32_t taps = (kernel + 1) / 2, seen = stride == 1 ? (tile + 1) / 2 - 1 + taps : tile - 1 + taps;
  const uint32_t row_bytes = block->row_bytes;
  const tb_conv_t *conv = block->conv;
  tb_int8x_t acc[TILE];
  TB_UNROLL_VECTORS
  for (uint32_t t = 0; t < tile; t++) acc[t] = tb_load_8x(block->folded);
  const int16_t *even = block->weights[0], *odd = block->weights[1];
  for (uint32_t ky = 0; ky < kernel; ky++, x += row_bytes, even += taps * 2 * LANES, odd += taps * 2 * LANES) {
    TB_UNROLL_VECTORS
    for (uint32_t p = 0; p < seen; p++) {
      const tb_int8x_t pair = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(x + p * 2 * LANES)));
      TB_UNROLL_VECTORS
      for (uint32_t t = 0; t < tile; t++) {
        const uint32_t start = stride == 1 ? t / 2 : t;
        if (p < start || p - start >= taps) continue;
        const int16_t *w = (stride == 1 && t % 2 != 0 ? odd : even) + (p - start) * 2 * LANES;
        acc[t] = tb_dot2_8x(acc[t], pair, tb_load_8x(w));
      }
    }
  }
  const tb_int8x_t multiplier = tb_load_8x(block->multiplier);
  const int64_t rounding = tb_rounding(conv->out_zero);
  TB_UNROLL_VECTORS
  for (uint32_t t = 0; t < tile; t++, index += conv->out_channels) {
    if (t >= count) break;
    const tb_int8x_t values = tb_requantize_8x(acc[t], multiplier, conv->shift, rounding);
    const uint32_t bits = tb_store_i8_8x(y + index, values, block->channels);
    if (mask == NULL) continue;
    if (index % 8 == 0) {
      mask[index / 8] = (uint8_t)(mask[index / 8] | bits);
    } else {
      tb_mask_set(mask, index, bits);
    }
  }
}

/* One row of outputs; x: what the first of them sees. */
TB_INLINE void forward_row(const block_t *block, const int8_t *x, int8_t *y, uint8_t *mask, uint32_t index, uint32_t kernel,
                           uint32_t stride) {
  const tb_conv_t *conv = block->conv;
  const uint32_t distance = conv->out_channels, width = conv->out_width, pair = 2 * LANES;
  uint32_t ox = 0;
  for (; ox + TILE <= width; ox += TILE, index += TILE * distance, x += TILE / 2 * stride * pair) {
    forward_tile(block, x, y, mask, index, TILE, TILE, kernel, stride);
  }
  const uint32_t tile = stride == 1 ? 2 : 1;
  for (; ox < width; ox += tile, index += tile * distance, x += pair) {
    forward_tile(block, x, y, mask, index, tb_minimum(tile, width - ox), tile, kernel, stride);
  }
}

typedef void forward_row_t(const block_t *block, const int8_t *x, int8_t *y, uint8_t *mask, uint32_t index);

static void forward_block(block_t *block, int8_t *y, uint8_t *mask, forward_row_t *row) {
  const tb_conv_t *conv = block->conv;
  const uint32_t stride = conv->stride;
  block->first = block->end = 0;
  for (uint32_t oy = 0; oy < conv->out_height; oy++) {
    drop_rows(block, oy * stride);
    while (block->end < oy * stride + conv->kernel_height) take_row(block);
    row(block, block->rows, y, mask, oy * conv->out_width * conv->out_channels + block->channel);
  }
}

/* Pair the weights of the block's channels, and find what depends on them. */
static void open_block(block_t *block, tb_channels_t *channels, const int32_t *bias) {
  const tb_conv_t *conv = block->conv;
  const uint32_t kernel = conv->kernel_height, pairs = (kernel + 1) / 2;
  memset(block->weights, 0, sizeof block->weights);
  for (uint32_t l = 0; l < LANES; l++) {
    int32_t sum = 0;
    block->folded[l] = block->multiplier[l] = 0;
    if (l >= block->channels) continue;
    const int8_t *weights = tb_next_channel(channels);
    for (uint32_t ky = 0; ky < kernel; ky++) {
      for (uint32_t kx = 0; kx < kernel; kx++) {
        const int8_t weight = weights[ky * kernel + kx];
        block->weights[0][((ky * pairs + kx / 2) * LANES + l) * 2 + kx % 2] = weight;
        block->weights[1][((ky * pairs + (kx + 1) / 2) * LANES + l) * 2 + (kx + 1) % 2] = weight;
        sum += weight;
      }
    }
    block->folded[l] = bias[block->channel + l] - conv->in_zero * sum;
    block->multiplier[l] = conv->multiplier[block->channel + l];
  }
}

static void depthwise(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,
                      uint8_t *mask, void *scratch, forward_row_t *row) {
  tb_channels_t channels = tb_first_channel(conv, weights);
  block_t block;
  block.conv = conv;
  block.rows = (int8_t *)scratch;
  block.pairs = ((conv->out_width - 1u) * conv->stride + conv->kernel_width + 1u) / 2u;
  block.row_bytes = block.pairs * 2 * LANES;
  if (mask != NULL) tb_mask_clear(mask, (uint32_t)conv->out_height * conv->out_width * conv->out_channels);
  for (uint32_t channel = 0; channel < conv->in_channels; channel += LANES) {
    block.x = x + channel;
    block.channel = channel;
    block.channels = tb_minimum(LANES, conv->in_channels - channel);
    open_block(&block, &channels, bias);
    forward_block(&block, y, mask, row);
  }
}

#define ROW(name, kernel, stride)                                                                                      \
  TB_NOINLINE void name(const block_t *block, const int8_t *x, int8_t *y, uint8_t *mask, uint32_t index) {             \
    forward_row(block, x, y, mask, index, kernel, stride);                                                             \
  }
ROW(row_3_1, 3, 1)
ROW(row_3_2, 3, 2)
ROW(row_5_1, 5, 1)
ROW(row_5_2, 5, 2)
ROW(row_7_1, 7, 1)
ROW(row_7_2, 7, 2)

#define KERNEL(name, kernel, stride, slots, row)                                                                       \
  void name(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,       \
            uint8_t *mask, void *scratch) {                                                                            \
    TB_EXPECT(tb_fits_depthwise(conv, kernel, stride, slots));                                                         \
    depthwise(conv, x, weights, bias, y, mask, scratch, row);                                                          \
  }
KERNEL(tb_depthwise_3x3_s1_rows_i8, 3, 1, 0, row_3_1)
KERNEL(tb_depthwise_3x3_s1_window4_i8, 3, 1, 4, row_3_1)
KERNEL(tb_depthwise_3x3_s1_window6_i8, 3, 1, 6, row_3_1)
KERNEL(tb_depthwise_3x3_s1_window10_i8, 3, 1, 10, row_3_1)
KERNEL(tb_depthwise_3x3_s1_window18_i8, 3, 1, 18, row_3_1)
KERNEL(tb_depthwise_3x3_s2_rows_i8, 3, 2, 0, row_3_2)
KERNEL(tb_depthwise_3x3_s2_window5_i8, 3, 2, 5, row_3_2)
KERNEL(tb_depthwise_3x3_s2_window9_i8, 3, 2, 9, row_3_2)
KERNEL(tb_depthwise_3x3_s2_window18_i8, 3, 2, 18, row_3_2)
KERNEL(tb_depthwise_5x5_s1_rows_i8, 5, 1, 0, row_5_1)
KERNEL(tb_depthwise_5x5_s1_window20_i8, 5, 1, 20, row_5_1)
KERNEL(tb_depthwise_5x5_s2_rows_i8, 5, 2, 0, row_5_2)
KERNEL(tb_depthwise_5x5_s2_window20_i8, 5, 2, 20, row_5_2)
KERNEL(tb_depthwise_7x7_s1_rows_i8, 7, 1, 0, row_7_1)
KERNEL(tb_depthwise_7x7_s1_window14_i8, 7, 1, 14, row_7_1)
KERNEL(tb_depthwise_7x7_s2_rows_i8, 7, 2, 0, row_7_2)
KERNEL(tb_depthwise_7x7_s2_window14_i8, 7, 2, 14, row_7_2)
#endif
