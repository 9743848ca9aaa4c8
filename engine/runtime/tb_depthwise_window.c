/* tb_depthwise_window.c: 3 x 3 depthwise convolution at stride 1 or 2, padded by 1, of as many rows as a window holds, with DSP
 * instructions. A group of four channels at a time is transposed into the window (tb_depthwise_window.h) before any of its
 * outputs is written, so y may be x.
 */
#include "tb_depthwise_window.h"
#include "tb_fits.h"

#if TB_DSP

#define MOST_ROWS 16u /* of outputs */

typedef struct {
  uint32_t stride, slots;
  uint32_t along; /* 1: runs are rows of tiles, unless masked */
  tb_run_window_t *run, *run_masked;
} path_t;

/* What all groups of a layer share. */
typedef struct {
  const tb_conv_t *conv;
  const path_t *path;
  uint32_t *planes;
  uint8_t *bits;
  uint32_t rows;   /* of the image that are seen, from slot pad_top on */
  uint32_t inside; /* columns of the image that are seen */
  tb_window_run_t whole; /* tiles of four outputs */
  tb_run_window_t *run;
} layer_t;

/* The rows of a group of any number of channels. Padding is 0 already. */
static void take_slowly(const layer_t *layer, const int8_t *x, uint32_t channels) {
  const tb_conv_t *conv = layer->conv;
  for (uint32_t row = 0; row < layer->rows; row++) {
    const int8_t *pixel = x + (size_t)row * conv->in_width * conv->in_channels;
    uint32_t *const to = layer->planes + (conv->pad_top + row) * TB_ROW_WORDS;
    for (uint32_t column = 1; column <= layer->inside; column++, pixel += conv->in_channels) {
      uint32_t *word = to + column / TB_QUAD * TB_STRIP_WORDS(layer->path->slots) + column % TB_QUAD / 2;
      for (uint32_t c = 0; c < channels; c++, word += TB_SLOT_WORDS) {
        const uint32_t value = (uint32_t)(pixel[c] - conv->in_zero);
        *word = column % 2 == 0 ? tb_pkhbt(value, *word) : tb_pack_low(*word, value);
      }
    }
  }
}

#if TB_DSP_ASM
/* Four channels, at least three columns, padding on both sides included. */
static void take(const layer_t *layer, const int8_t *x) {
  const tb_conv_t *conv = layer->conv;
  const uint32_t distance = conv->in_channels, after = layer->inside - (TB_QUAD - 1u), left = after % TB_QUAD;
  const tb_window_source_t source = {distance, conv->in_width * distance, tb_pair(-conv->in_zero, -conv->in_zero),
                                     0x01010101u * (uint8_t)conv->in_zero};
  uint32_t *to = layer->planes + conv->pad_top * TB_ROW_WORDS;
  if (layer->rows == 0) return;
  x -= distance; /* to the column of padding, which is not read */
  tb_take_first_quad(x, to, layer->rows, &source);
  for (uint32_t i = after / TB_QUAD; i != 0; i--) {
    x += TB_QUAD * distance, to += TB_STRIP_WORDS(layer->path->slots);
    tb_take_whole_quad(x, to, layer->rows, &source);
  }
  x += TB_QUAD * distance, to += TB_STRIP_WORDS(layer->path->slots);
  if (left == 1) {
    tb_take_one_column(x, to, layer->rows, &source);
  } else if (left == 2) {
    tb_take_two_columns(x, to, layer->rows, &source);
  } else if (left == 3) {
    tb_take_three_columns(x, to, layer->rows, &source);
  }
}
#endif

static void take_group(const layer_t *layer, const int8_t *x, uint32_t channels) {
#if TB_DSP_ASM
  if (channels == TB_GROUP && layer->inside >= TB_QUAD - 1u) {
    take(layer, x);
    return;
  }
#endif
  take_slowly(layer, x, channels);
}

/* Runs of `columns` tiles and all rows; `y_row` bytes of y from row to row. */
static tb_window_run_t open_run(const layer_t *layer, uint32_t columns, uint32_t step, uint32_t y_row, int along) {
  const uint32_t stride = layer->path->stride, rows = layer->conv->out_height;
  const uint32_t planes_row = 4 * stride * TB_ROW_WORDS, planes_column = 4 * stride * TB_STRIP_WORDS(layer->path->slots);
  const uint32_t y_column = TB_QUAD * step, count = along ? columns : rows;
  tb_window_run_t run;
  run.step = step;
  run.reach = along ? 3 * step : y_row;
  run.zero = layer->conv->out_zero;
  run.bits = NULL;
  run.runs = along ? rows : columns;
  run.run_bytes = count * (along ? planes_column : planes_row);
  run.planes_run = (int32_t)((along ? planes_row : planes_column) - run.run_bytes);
  const uint32_t y_bytes = count * (along ? y_column : y_row);
  run.y_run = (int32_t)((along ? y_row : y_column) - y_bytes);
  run.planes_channel = (int32_t)(4 * TB_SLOT_WORDS - (run.runs - 1) * (along ? planes_row : planes_column) - run.run_bytes);
  run.y_channel = (int32_t)(1 - (run.runs - 1) * (along ? y_row : y_column) - y_bytes);
  run.bits_channel = (int32_t)(1 - TB_GROUP * run.runs * count);
  run.shift = layer->conv->shift;
  run.planes = layer->planes;
  run.end = NULL, run.left = 0, run.bias = run.multiplier = 0;
  return run;
}

/* The last tiles of all rows, `left` < 4 outputs wide: computed aside, one channel after the other. */
TB_NOINLINE void compute_narrow(const layer_t *layer, uint32_t left, int along) {
  const tb_conv_t *conv = layer->conv;
  const uint32_t step = conv->out_channels, columns = conv->out_width / TB_QUAD, row = conv->out_width * step;
  int8_t aside[TB_QUAD * MOST_ROWS], *y = layer->whole.y + columns * TB_QUAD * step;
  tb_window_run_t run = open_run(layer, 1, 1, TB_QUAD, along);
  run.y = aside;
  run.channels = 1;
  run.planes += columns * layer->path->stride * TB_STRIP_WORDS(layer->path->slots);
  run.weights = layer->whole.weights, run.biases = layer->whole.biases, run.multipliers = layer->whole.multipliers;
  run.bits = layer->bits + columns * conv->out_height * TB_GROUP;
  for (uint32_t channel = 0; channel < layer->whole.channels; channel++, y++) {
    layer->run(&run);
    for (uint32_t oy = 0; oy < conv->out_height; oy++) {
      for (uint32_t x = 0; x < left; x++) y[oy * row + x * step] = aside[TB_QUAD * oy + x];
    }
    run.planes += TB_SLOT_WORDS;
    run.weights++, run.biases++, run.multipliers++, run.bits++;
  }
}

static void forward(const path_t *path, const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights,
                    const int32_t *bias, int8_t *y, uint8_t *mask, void *scratch) {
  const uint32_t channels = conv->in_channels, stride = path->stride, width = conv->out_width;
  const uint32_t tiles = (width + TB_QUAD - 1u) / TB_QUAD, columns = width / TB_QUAD, left = width % TB_QUAD;
  const uint32_t quads = tiles * stride + 1u, needed = (conv->out_height - 1u) * stride + 3u;
  const uint32_t quad_words = TB_STRIP_WORDS(path->slots), output_row = width * channels;
  const int along = path->along && mask == NULL;
  tb_channels_t order = tb_first_channel(conv, weights);
  const int8_t *rows_of_weights[TB_GROUP];
  layer_t layer;
  layer.conv = conv;
  layer.path = path;
  layer.planes = (uint32_t *)scratch;
  layer.bits = (uint8_t *)(layer.planes + quads * quad_words);
  layer.rows = tb_minimum(conv->in_height, needed - conv->pad_top);
  layer.inside = tb_minimum(conv->in_width, quads * TB_QUAD - 1u);
  layer.run = mask != NULL ? path->run_masked : path->run;
  layer.whole = open_run(&layer, columns, channels, output_row, along);
  /* Whole quads are written, padding on their left and right included. */
  const int all_written = TB_DSP_ASM && channels % TB_GROUP == 0 && layer.inside >= TB_QUAD - 1u &&
                          layer.rows == needed && layer.inside / TB_QUAD + 1u == quads;
  if (!all_written) memset(layer.planes, 0, (size_t)quads * quad_words * 4u);
  if (mask != NULL && channels % 8 != 0) tb_mask_clear(mask, (uint32_t)conv->out_height * output_row);
  for (uint32_t channel = 0; channel < channels; channel += TB_GROUP) {
    const uint32_t count = tb_minimum(TB_GROUP, channels - channel);
    for (uint32_t c = 0; c < count; c++) rows_of_weights[c] = tb_next_channel(&order);
    take_group(&layer, x + channel, count);
    layer.whole.channels = count;
    layer.whole.weights = rows_of_weights;
    layer.whole.biases = bias + channel, layer.whole.multipliers = conv->multiplier + channel;
    layer.whole.bits = layer.bits;
    layer.whole.y = y + channel;
    if (columns != 0) layer.run(&layer.whole);
    if (left != 0) compute_narrow(&layer, left, along);
    if (mask != NULL) tb_write_depthwise_mask(conv, layer.bits, count, mask, channel, conv->out_height);
  }
}

#define KERNEL(stride, slots, along, unmasked)                                                                         \
  void tb_depthwise_3x3_s##stride##_window##slots##_i8(const tb_conv_t *conv, const int8_t *x,                         \
                                                       const tb_weights_t *weights, const int32_t *bias, int8_t *y,    \
                                                       uint8_t *mask, void *scratch) {                                 \
    static const path_t path = {stride, slots, along, unmasked, tb_window_masked_##stride##_##slots};                  \
    TB_EXPECT(tb_fits_depthwise(conv, 3, stride, slots));                                                              \
    forward(&path, conv, x, weights, bias, y, mask, scratch);                                                          \
  }
KERNEL(1, 4, 1, tb_window_rows_1_4)
KERNEL(1, 6, 0, tb_window_columns_1_6)
KERNEL(1, 10, 0, tb_window_columns_1_10)
KERNEL(1, 18, 0, tb_window_columns_1_18)
KERNEL(2, 5, 1, tb_window_rows_2_5)
KERNEL(2, 9, 0, tb_window_columns_2_9)
KERNEL(2, 18, 0, tb_window_columns_2_18)

#else
typedef int tb_depthwise_window_is_empty; /* a file of C needs a declaration */
#endif
