/* tb_depthwise_dsp.c: depthwise convolution with DSP instructions: square kernels of 3, 5 or 7 at stride 1 or 2. Rows that a
 * window holds at once, where the kernel is 3 x 3: tb_depthwise_window.c.
 *
 * Four channels at a time: the rows that are needed are transposed into planes (tb_depthwise_planes.h), then tiles of 1 x 4
 * outputs are computed, one channel after the other. Of a small image all rows are taken at once; else a row of outputs at a
 * time, from a ring of the rows that it sees. y may be x: what is overwritten has been taken.
 *
 * The table of a channel (tb_depthwise_tile.h) holds the kernel's rows twice where the window is a ring, so that whatever
 * row it starts with, slot after slot meets row after row. The shift of the accumulator goes into the weights and the bias.
 */
#include "tb_depthwise_group.h"
#include "tb_depthwise_tile.h"
#include "tb_depthwise_window.h"
#include "tb_fits.h"

#if TB_DSP

#define LARGEST_SLOTS 20u

/* A run of tiles, `left` < 4 columns wide: computed aside, then stored, one channel after the other. */
TB_NOINLINE void compute_narrow(const tb_group_t *group, const tb_tiles_t *tiles, uint32_t count, uint32_t left) {
  const uint32_t kernel = group->conv->kernel_height;
  int8_t aside[TB_QUAD * LARGEST_SLOTS];
  tb_tiles_t one = *tiles;
  one.channels = 1;
  one.y = aside, one.step = 1, one.three_steps = 3, one.tile_step = TB_QUAD;
  for (uint32_t channel = 0; channel < tiles->channels; channel++) {
    const int8_t *from = aside;
    int8_t *y = tiles->y + channel;
    group->run(&one);
    for (uint32_t i = 0; i < count; i++, y += tiles->tile_step, from += TB_QUAD) {
      for (uint32_t x = 0; x < left; x++) y[x * tiles->step] = from[x];
    }
    one.weights += TB_TABLE_WORDS(kernel);
    one.planes += TB_PLANE_WORDS(group->slots), one.end += TB_PLANE_WORDS(group->slots);
    one.bias++, one.multiplier++, one.bits++;
  }
}

/* Outputs of all channels of a group: a row of them from a ring, or all. first_row: of the tables, that which meets slot 0. */
TB_NOINLINE void compute(const tb_group_t *group, int8_t *y, uint32_t first_row) {
  const tb_conv_t *conv = group->conv;
  const uint32_t kernel = conv->kernel_height, stride = conv->stride, slots = group->slots, width = conv->out_width;
  const int ring = slots == kernel;
  const uint32_t columns = width / TB_QUAD, left = width % TB_QUAD, outputs = TB_QUAD * conv->out_channels;
  /* A run at a time: all whole tiles of a row, or the rows of a column of tiles. */
  uint32_t runs = columns, rows = conv->out_height, count = rows, column_words = stride * TB_QUAD_WORDS(slots);
  uint32_t run_words = rows * stride * TB_SLOT_WORDS;
  tb_tiles_t tiles;
  tiles.tile_step = width * conv->out_channels;
  if (ring) {
    runs = columns != 0, rows = 1, count = columns;
    run_words = columns * column_words;
    tiles.tile_step = outputs;
  }
  tiles.weights = group->tables + first_row * TB_TAP_WORDS(kernel);
  tiles.planes = group->planes;
  tiles.y = y;
  tiles.bias = group->bias, tiles.multiplier = group->multiplier;
  tiles.zero = conv->out_zero;
  tiles.step = conv->out_channels;
  tiles.three_steps = 3u * tiles.step;
  tiles.bits = group->bits;
  tiles.channels = group->channels;
  tiles.planes_back = 4u * (TB_PLANE_WORDS(slots) - run_words);
  tiles.y_back = 1u - count * tiles.tile_step;
  tiles.bits_back = 1u - count * TB_GROUP;
  for (; runs != 0; runs--) {
    tiles.end = tiles.planes + run_words;
    group->run(&tiles);
    tiles.planes += ring ? run_words : column_words;
    tiles.y += ring ? columns * outputs : outputs;
    tiles.bits += count * TB_GROUP;
  }
  if (left != 0) {
    tiles.end = tiles.planes + (ring ? column_words : run_words);
    compute_narrow(group, &tiles, rows, left);
  }
}

/* The pairs of one row of weights. Nothing in front of or behind the channel's weights is read. */
TB_INLINE void open_row(uint32_t *row, const int8_t *weights, uint32_t kernel, int last) {
  if (kernel == 3 && last) {
    tb_pair_last_three(row, tb_load32(weights - 1));
  } else if (kernel == 3) {
    tb_pair_first_three(row, tb_load32(weights));
  } else {
    tb_pair_weights(row, tb_load32(weights), tb_load32(weights + kernel - 4), kernel);
  }
}

/* The tables of some channels. A ring meets the first rows again behind the last one. */
TB_INLINE void open_channels(uint32_t *table, tb_channels_t *order, uint32_t channels, uint32_t kernel, int ring) {
  for (; channels != 0; channels--, table += TB_TABLE_WORDS(kernel)) {
    const int8_t *weights = tb_next_channel(order);
    TB_UNROLL_BLOCK
    for (uint32_t ky = 0; ky < kernel; ky++) {
      uint32_t *const row = table + ky * TB_TAP_WORDS(kernel);
      open_row(row, weights + ky * kernel, kernel, ky + 1 == kernel);
      if (ring && ky + 1 < kernel) open_row(row + kernel * TB_TAP_WORDS(kernel), weights + ky * kernel, kernel, 0);
    }
  }
}

#define OPEN(kernel, slots)                                                                       \
  TB_NOINLINE void open_##slots(uint32_t *table, tb_channels_t *order, uint32_t channels) {       \
    open_channels(table, order, channels, kernel, kernel == slots);                               \
  }
OPEN(3, 3)
OPEN(5, 5)
OPEN(5, 20)
OPEN(7, 7)
OPEN(7, 14)

TB_NOINLINE void shift_pairs(uint32_t *pairs, uint32_t count, uint32_t shift) {
  for (uint32_t i = 0; i < count; i++) {
    pairs[i] = tb_pair(tb_low(pairs[i]) * (1 << shift), tb_high(pairs[i]) * (1 << shift));
  }
}

/* Shift the weights of a group, and its biases. */
TB_NOINLINE void shift_group(tb_group_t *group) {
  const uint32_t shift = group->conv->shift;
  shift_pairs(group->tables, group->channels * TB_TABLE_WORDS(group->conv->kernel_height), shift);
  for (uint32_t i = 0; i < group->channels; i++) group->shifted_bias[i] = (int32_t)((uint32_t)group->bias[i] << shift);
  group->bias = group->shifted_bias;
}

/* Take rows v to end - 1, counted from the first one of padding, into slots from `slot` on, but leave out padding. */
static void take_image(const tb_group_t *group, uint32_t v, uint32_t end, uint32_t slot) {
  const uint32_t above = group->conv->pad_top, below = above + group->conv->in_height;
  const uint32_t first = v < above ? above : v, last = end < below ? end : below;
  if (first < last) group->take_rows(group, first - above, last - first, slot + first - v);
}

static void clear_slot(const tb_group_t *group, uint32_t slot) {
  uint32_t *to = group->planes + slot * TB_SLOT_WORDS;
  for (uint32_t i = group->quads * TB_GROUP; i != 0; i--, to += TB_PLANE_WORDS(group->slots)) to[0] = to[1] = 0;
}

TB_NOINLINE void forward_by_rows(const tb_group_t *group, uint8_t *mask, uint32_t index) {
  const tb_conv_t *conv = group->conv;
  const uint32_t kernel = conv->kernel_height, stride = conv->stride, above = conv->pad_top;
  const uint32_t row_outputs = (uint32_t)conv->out_width * conv->out_channels;
  uint32_t taken = 0, slot = 0, first_row = 0; /* what meets slot 0 */
  int8_t *y = group->y;
  for (uint32_t oy = 0; oy < conv->out_height; oy++, y += row_outputs, index += row_outputs) {
    for (; taken < oy * stride + kernel; taken++) {
      if (taken < above || taken - above >= conv->in_height) {
        clear_slot(group, slot);
      } else {
        group->take_rows(group, taken - above, 1, slot);
      }
      slot = slot + 1 == kernel ? 0 : slot + 1;
    }
    compute(group, y, first_row);
    first_row = first_row >= stride ? first_row - stride : first_row + kernel - stride;
    if (mask != NULL) tb_write_depthwise_mask(conv, group->bits, group->channels, mask, index, 1);
  }
}

static void forward(const tb_depthwise_path_t *path, const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights,
                    const int32_t *bias, int8_t *y, uint8_t *mask, void *scratch) {
  const uint32_t kernel = conv->kernel_height, stride = conv->stride, channels = conv->in_channels;
  const uint32_t tiles = (conv->out_width + TB_QUAD - 1u) / TB_QUAD;
  tb_channels_t order = tb_first_channel(conv, weights);
  tb_group_t group;
  group.conv = conv;
  group.path = path;
  group.quads = (tiles - 1u) * stride + (TB_TILE_WORDS(kernel, stride) + 1u) / 2u;
  group.inside = tb_minimum(conv->in_width, group.quads * TB_QUAD - conv->padding);
  group.slots = path->slots;
  group.run = mask != NULL ? path->run_masked : path->run;
  group.planes = (uint32_t *)scratch;
  group.tables = group.planes + group.quads * TB_QUAD_WORDS(group.slots);
  group.bits = (uint8_t *)(group.tables + TB_GROUP * TB_TABLE_WORDS(kernel));
  memset(group.planes, 0, (size_t)group.quads * TB_QUAD_WORDS(group.slots) * 4u);
  if (mask != NULL && channels % 8 != 0) {
    tb_mask_clear(mask, (uint32_t)conv->out_height * conv->out_width * channels);
  }
  for (uint32_t channel = 0; channel < channels; channel += TB_GROUP) {
    const int whole = channels - channel >= TB_GROUP && group.inside >= TB_QUAD;
    group.x = x + channel;
    group.y = y + channel;
    group.channels = tb_minimum(TB_GROUP, channels - channel);
    group.take_rows = whole ? path->take_rows : tb_take_rows_slowly;
    group.bias = bias + channel, group.multiplier = conv->multiplier + channel;
    path->open(group.tables, &order, group.channels);
    if (conv->shift != 0) shift_group(&group);
    if (path->slots != kernel) {
      take_image(&group, 0, (conv->out_height - 1u) * stride + kernel, 0);
      compute(&group, group.y, 0);
      if (mask != NULL) tb_write_depthwise_mask(conv, group.bits, group.channels, mask, channel, conv->out_height);
    } else {
      forward_by_rows(&group, mask, channel);
    }
  }
}

#define KERNEL(name, kernel, stride, slots)                                                                            \
  void name(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,       \
            uint8_t *mask, void *scratch) {                                                                            \
    static const tb_depthwise_path_t path = {slots, open_##slots, tb_take_rows_##slots,                          \
                                             tb_tiles_##kernel##_##stride##_##slots,                                   \
                                             tb_tiles_masked_##kernel##_##stride##_##slots};                           \
    TB_EXPECT(tb_fits_depthwise(conv, kernel, stride, slots != kernel ? slots : 0));                                               \
    forward(&path, conv, x, weights, bias, y, mask, scratch);                                                          \
  }
KERNEL(tb_depthwise_3x3_s1_rows_i8, 3, 1, 3)
KERNEL(tb_depthwise_3x3_s2_rows_i8, 3, 2, 3)
KERNEL(tb_depthwise_5x5_s1_window20_i8, 5, 1, 20)
KERNEL(tb_depthwise_5x5_s1_rows_i8, 5, 1, 5)
KERNEL(tb_depthwise_5x5_s2_window20_i8, 5, 2, 20)
KERNEL(tb_depthwise_5x5_s2_rows_i8, 5, 2, 5)
KERNEL(tb_depthwise_7x7_s1_window14_i8, 7, 1, 14)
KERNEL(tb_depthwise_7x7_s1_rows_i8, 7, 1, 7)
KERNEL(tb_depthwise_7x7_s2_window14_i8, 7, 2, 14)
KERNEL(tb_depthwise_7x7_s2_rows_i8, 7, 2, 7)

#else
typedef int tb_depthwise_dsp_is_empty; /* a file of C needs a declaration */
#endif
