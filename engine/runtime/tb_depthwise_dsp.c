/* tb_depthwise_dsp.c: depthwise convolution with DSP instructions: square kernels of 3, 5 or 7 at stride 1 or 2.
 *
 * Four channels at a time: the rows that are needed are transposed into planes (tb_depthwise_planes.h), then tiles of 1 x 4
 * outputs are computed, one channel after the other. Of a small image all rows are taken at once; else a row of outputs at a
 * time, from a ring of the rows that it sees. y may be x: what is overwritten has been taken.
 *
 * The table of a channel (tb_depthwise_tile.h) holds the kernel's rows twice where the window is a ring, so that whatever
 * row it starts with, slot after slot meets row after row. The shift of the accumulator goes into the weights and the bias.
 */
#include "tb_depthwise_dsp.h"

#include "tb_depthwise_tile.h"

#if TB_DSP

#define LARGEST_SHIFT 8 /* of an int8 weight that is to fit an int16 */

#define TABLE_WORDS(kernel) ((2u * (kernel) - 1u) * TB_TAP_WORDS(kernel))
/* Slots of a window that holds a small image, and the most bytes of one. */
#define SLOTS_3 18u
#define SLOTS_5 20u
#define SLOTS_7 14u
#define WINDOW_BYTES 4096u

typedef struct group group_t;
typedef void take_rows_t(const group_t *group, uint32_t y, uint32_t count, uint32_t slot);
typedef void compute_t(const group_t *group, int8_t *y, uint32_t first_row);

/* A group of channels, and what all of them share. */
struct group {
  const tb_conv_t *conv;
  const int8_t *x; /* at the first channel */
  int8_t *y;
  uint32_t *planes, *tables;
  uint8_t *bits; /* [tile][row][channel]: which of a tile's outputs were clamped */
  uint32_t slots, quads, channels;
  uint32_t inside; /* columns of the image that are seen */
  take_rows_t *take_rows;
  compute_t *compute;
  const int32_t *multiplier;
  int32_t bias[TB_GROUP];
};

/* Four pixels of a row, widened, to the same slot of the group's planes: channels 0 and 2 in `even`, 1 and 3 in `odd`. */
TB_INLINE void put_quad(uint32_t *to, const uint32_t even[4], const uint32_t odd[4], uint32_t slots) {
  const uint32_t plane = TB_PLANE_WORDS(slots);
  tb_store_pair(to, 0, tb_pack_low(even[0], even[1]), tb_pack_low(even[2], even[3]));
  tb_store_pair(to, plane, tb_pack_low(odd[0], odd[1]), tb_pack_low(odd[2], odd[3]));
  tb_store_pair(to, 2 * plane, tb_pack_high(even[0], even[1]), tb_pack_high(even[2], even[3]));
  tb_store_pair(to, 3 * plane, tb_pack_high(odd[0], odd[1]), tb_pack_high(odd[2], odd[3]));
}

/* Pixels first to end - 1 of a quad, the others 0. */
TB_INLINE void take_quad(uint32_t *to, const int8_t *x, uint32_t distance, uint32_t first, uint32_t end, uint32_t add,
                         uint32_t slots) {
  uint32_t even[4], odd[4];
  TB_UNROLL_BLOCK
  for (uint32_t i = 0; i < TB_QUAD; i++) {
    even[i] = odd[i] = 0;
    if (i < first || i >= end) continue;
    const uint32_t pixel = tb_load32(x + (i - first) * distance);
    even[i] = tb_sxtab16(add, pixel);
    odd[i] = tb_sxtab16_odd(add, pixel);
  }
  put_quad(to, even, odd, slots);
}

/* Transpose rows y, y + 1, ... of the image: four channels, and the padding that goes with the kernel. */
TB_INLINE void take_rows(const group_t *group, uint32_t y, uint32_t count, uint32_t slot, uint32_t padding, uint32_t slots) {
  const tb_conv_t *conv = group->conv;
  const uint32_t distance = conv->in_channels, row_bytes = conv->in_width * distance;
  const uint32_t add = tb_pair(-conv->in_zero, -conv->in_zero);
  const uint32_t after = group->inside - (TB_QUAD - padding), quads = after / TB_QUAD, left = after % TB_QUAD;
  const int8_t *row = group->x + y * row_bytes;
  uint32_t *to_row = group->planes + slot * TB_SLOT_WORDS;
  for (; count != 0; count--, row += row_bytes, to_row += TB_SLOT_WORDS) {
    const int8_t *x = row;
    uint32_t *to = to_row;
    take_quad(to, x, distance, padding, TB_QUAD, add, slots);
    x += (TB_QUAD - padding) * distance;
    to += TB_QUAD_WORDS(slots);
    for (uint32_t i = quads; i != 0; i--, x += TB_QUAD * distance, to += TB_QUAD_WORDS(slots)) {
      take_quad(to, x, distance, 0, TB_QUAD, add, slots);
    }
    if (left == 1) {
      take_quad(to, x, distance, 0, 1, add, slots);
    } else if (left == 2) {
      take_quad(to, x, distance, 0, 2, add, slots);
    } else if (left == 3) {
      take_quad(to, x, distance, 0, 3, add, slots);
    }
  }
}

/* The same for fewer channels, any padding, and images narrower than a quad. */
static void take_rows_slowly(const group_t *group, uint32_t y, uint32_t count, uint32_t slot) {
  const tb_conv_t *conv = group->conv;
  const uint32_t padding = conv->padding, slots = group->slots;
  for (uint32_t row = 0; row < count; row++) {
    const int8_t *x = group->x + (size_t)(y + row) * conv->in_width * conv->in_channels;
    uint32_t *const to = group->planes + (slot + row) * TB_SLOT_WORDS;
    for (uint32_t column = 0; column < padding + group->inside; column++, x += column > padding ? conv->in_channels : 0) {
      for (uint32_t channel = 0; channel < TB_GROUP; channel++) {
        uint32_t *word = to + column / TB_QUAD * TB_QUAD_WORDS(slots) + channel * TB_PLANE_WORDS(slots) + column % TB_QUAD / 2;
        const int32_t value = column < padding || channel >= group->channels ? 0 : x[channel] - conv->in_zero;
        *word = column % 2 == 0 ? tb_pair(value, 0) : tb_pack_low(*word, (uint32_t)value);
      }
    }
  }
}

/* bits * 2 + (the two differ) */
TB_INLINE uint32_t record(uint32_t bits, int32_t value, int32_t clamped) {
  const uint32_t difference = (uint32_t)(value ^ clamped);
#if TB_DSP_ASM
  __asm__("cmp %1, #1\n\tadc %0, %0, %0" : "+r"(bits) : "r"(difference) : "cc");
  return bits;
#else
  return bits * 2 + (difference != 0);
#endif
}

/* Outputs of all channels of a group: a row of them from a ring, or all. first_row: of the tables, that which meets slot 0. */
TB_INLINE void compute(const group_t *group, int8_t *y, uint32_t first_row, uint32_t kernel, uint32_t stride, uint32_t slots,
                       int masked) {
  const tb_conv_t *conv = group->conv;
  const int ring = slots == kernel;
  const uint32_t step = conv->out_channels, width = conv->out_width;
  const uint32_t y_step = ring ? TB_QUAD * step : width * step;
  const uint32_t p_step = ring ? stride * TB_QUAD_WORDS(slots) : stride * TB_SLOT_WORDS;
  const int32_t zero = conv->out_zero;
  tb_planes_written();
  for (uint32_t channel = 0; channel < group->channels; channel++, y++) {
    const uint32_t *w = group->tables + channel * TABLE_WORDS(kernel) + first_row * TB_TAP_WORDS(kernel);
    const uint32_t *p_column = group->planes + channel * TB_PLANE_WORDS(slots);
    const int32_t bias = group->bias[channel], multiplier = group->multiplier[channel];
    uint8_t *bits = group->bits + channel;
    int8_t *y_column = y;
    uint32_t held[TB_HELD_WORDS] = {0};
    tb_hold_weights(w, held, kernel, kernel);
    for (uint32_t left = width, next; left != 0; left = next) {
      /* Outputs that do not exist are at distance 0: overwritten by the first, which is stored last. */
      const uint32_t step_1 = left > 1 ? step : 0, step_2 = left > 2 ? 2 * step : 0, step_3 = left > 3 ? 3 * step : 0;
      const uint32_t count = ring ? (left < TB_QUAD ? 1 : left / TB_QUAD) : conv->out_height;
      const uint32_t *p = p_column;
      int8_t *to = y_column;
      if (ring) {
        next = left < TB_QUAD ? 0 : left % TB_QUAD;
      } else {
        next = left < TB_QUAD ? 0 : left - TB_QUAD;
      }
      for (uint32_t i = count; i != 0; i--, p += p_step, to += y_step) {
        int32_t acc[4] = {bias, bias, bias, bias};
        tb_sum_tile(w, held, p, acc, kernel, kernel, stride, slots);
        TB_SETTLE(acc);
        uint32_t clamped_bits = 0;
        const uint32_t steps[4] = {0, step_1, step_2, step_3};
        TB_UNROLL_BLOCK
        for (uint32_t o = 4; o-- > 0;) {
          const int32_t value = tb_smmlar(acc[o], multiplier, zero), clamped = tb_ssat8(value);
          if (masked) clamped_bits = record(clamped_bits, value, clamped);
          to[steps[o]] = (int8_t)clamped;
        }
        if (masked) *bits = (uint8_t)clamped_bits, bits += TB_GROUP;
      }
      if (ring) {
        p_column = p, y_column = to;
      } else {
        p_column += stride * TB_QUAD_WORDS(slots), y_column += TB_QUAD * step;
      }
    }
  }
}

/* Write the mask of some rows: four bits a pixel. `index`: bit of the first. */
static void write_mask(const group_t *group, uint8_t *mask, uint32_t index, uint32_t rows) {
  const uint32_t width = group->conv->out_width, channels = group->conv->out_channels;
  const uint32_t lanes = (1u << group->channels) - 1u;
  const uint8_t *bits = group->bits;
  for (uint32_t x = 0; x < width; x += TB_QUAD) {
    const uint32_t columns = tb_minimum(TB_QUAD, width - x);
    for (uint32_t row = 0; row < rows; row++, bits += TB_GROUP) {
      const uint32_t word = tb_load32(bits) ^ 0x0f0f0f0fu;
      uint32_t at = index + (row * width + x) * channels;
      if (channels % 8 == 0) { /* no other group of this half of a byte; the first of two writes the whole */
        uint8_t *byte = mask + (at >> 3);
        for (uint32_t i = 0; i < columns; i++, byte += channels / 8) {
          const uint32_t nibble = (((word >> i) & 0x01010101u) * 0x01020408u) >> 24;
          *byte = (uint8_t)((at & 4u) == 0 ? nibble : *byte | nibble << 4);
        }
        continue;
      }
      for (uint32_t i = 0; i < columns; i++, at += channels) {
        /* Bit i of each of the four bytes, gathered by a product whose terms do not meet. */
        const uint32_t nibble = (((word >> i) & 0x01010101u) * 0x01020408u) >> 24;
        tb_mask_set(mask, at, nibble & lanes);
      }
    }
  }
}

#define TAKE(kernel, slots)                                                                                            \
  TB_NOINLINE void take_rows_##kernel##_##slots(const group_t *group, uint32_t y, uint32_t count, uint32_t slot) {     \
    take_rows(group, y, count, slot, kernel##u / 2u, slots##u);                                                        \
  }
#define COMPUTE(kernel, stride, slots)                                                                                 \
  TB_NOINLINE void compute_##kernel##_##stride##_##slots(const group_t *group, int8_t *y, uint32_t first_row) {        \
    compute(group, y, first_row, kernel##u, stride##u, slots##u, 0);                                                   \
  }                                                                                                                    \
  TB_NOINLINE void compute_masked_##kernel##_##stride##_##slots(const group_t *group, int8_t *y, uint32_t first_row) { \
    compute(group, y, first_row, kernel##u, stride##u, slots##u, 1);                                                   \
  }
#define SHAPES(kernel, slots) TAKE(kernel, slots) COMPUTE(kernel, 1, slots) COMPUTE(kernel, 2, slots)
SHAPES(3, 3)
SHAPES(3, 18)
SHAPES(5, 5)
SHAPES(5, 20)
SHAPES(7, 7)
SHAPES(7, 14)
#define ENTRY(kernel, slots)                                                             \
  {                                                                                      \
    slots##u, take_rows_##kernel##_##slots, {                                            \
      {compute_##kernel##_1_##slots, compute_masked_##kernel##_1_##slots}, {             \
        compute_##kernel##_2_##slots, compute_masked_##kernel##_2_##slots                \
      }                                                                                  \
    }                                                                                    \
  }
static const struct {
  uint32_t slots;
  take_rows_t *take_rows;
  compute_t *compute[2][2]; /* [stride - 1][masked] */
} WINDOWS[3][2] = {{ENTRY(3, 3), ENTRY(3, 18)}, {ENTRY(5, 5), ENTRY(5, 20)}, {ENTRY(7, 7), ENTRY(7, 14)}};

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

TB_INLINE void open_channel(uint32_t *table, const int8_t *weights, uint32_t kernel, int ring, uint32_t shift) {
  uint32_t *row = table;
  TB_UNROLL_BLOCK
  for (uint32_t ky = 0; ky < kernel; ky++, row += TB_TAP_WORDS(kernel)) {
    open_row(row, weights + ky * kernel, kernel, ky + 1 == kernel);
    for (uint32_t i = 0; shift != 0 && i < TB_TAP_WORDS(kernel); i++) {
      row[i] = tb_pair(tb_low(row[i]) * (1 << shift), tb_high(row[i]) * (1 << shift));
    }
  }
  for (uint32_t i = 0; ring && i < (kernel - 1u) * TB_TAP_WORDS(kernel); i++) row[i] = table[i];
}

static void open_group(group_t *group, tb_channels_t *channels, const int32_t *bias) {
  const tb_conv_t *conv = group->conv;
  const uint32_t kernel = conv->kernel_height, shift = conv->shift;
  const int ring = group->slots == kernel;
  uint32_t *table = group->tables;
  for (uint32_t i = 0; i < group->channels; i++, table += TABLE_WORDS(kernel)) {
    const int8_t *weights = tb_next_channel(channels);
    if (kernel == 3) {
      open_channel(table, weights, 3, ring, shift);
    } else if (kernel == 5) {
      open_channel(table, weights, 5, ring, shift);
    } else {
      open_channel(table, weights, 7, ring, shift);
    }
    group->bias[i] = (int32_t)((uint32_t)bias[i] << shift);
  }
}

/* Take rows v to end - 1, counted from the first one of padding, into slots from `slot` on, but leave out padding. */
static void take_image(const group_t *group, uint32_t v, uint32_t end, uint32_t slot) {
  const uint32_t above = group->conv->pad_top, below = above + group->conv->in_height;
  const uint32_t first = v < above ? above : v, last = end < below ? end : below;
  if (first < last) group->take_rows(group, first - above, last - first, slot + first - v);
}

static void clear_slot(const group_t *group, uint32_t slot) {
  uint32_t *to = group->planes + slot * TB_SLOT_WORDS;
  for (uint32_t i = group->quads * TB_GROUP; i != 0; i--, to += TB_PLANE_WORDS(group->slots)) to[0] = to[1] = 0;
}

static void forward_by_rows(const group_t *group, uint8_t *mask, uint32_t index) {
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
    group->compute(group, y, first_row);
    first_row = first_row >= stride ? first_row - stride : first_row + kernel - stride;
    if (mask != NULL) write_mask(group, mask, index, 1);
  }
}

static int is_small(const tb_conv_t *conv, uint32_t quads) {
  const uint32_t slots = WINDOWS[conv->kernel_height / 2u - 1u][1].slots;
  return (conv->out_height - 1u) * conv->stride + conv->kernel_height <= slots &&
         quads * slots * 4u * TB_QUAD_WORDS(1) <= WINDOW_BYTES;
}

int tb_depthwise_is_fast(const tb_conv_t *conv) {
  const uint32_t kernel = conv->kernel_height;
  return conv->kernel_width == kernel && (kernel == 3 || kernel == 5 || kernel == 7) &&
         (conv->stride == 1 || conv->stride == 2) && tb_depthwise_slides(conv) && conv->shift <= LARGEST_SHIFT;
}

void tb_depthwise_fast(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,
                       uint8_t *mask, void *scratch) {
  const uint32_t kernel = conv->kernel_height, stride = conv->stride, channels = conv->in_channels;
  const uint32_t tiles = (conv->out_width + TB_QUAD - 1u) / TB_QUAD;
  tb_channels_t order = tb_first_channel(conv, weights);
  group_t group;
  group.conv = conv;
  group.quads = (tiles - 1u) * stride + (TB_TILE_WORDS(kernel, stride) + 1u) / 2u;
  group.inside = tb_minimum(conv->in_width, group.quads * TB_QUAD - conv->padding);
  const uint32_t small = (uint32_t)is_small(conv, group.quads);
  group.slots = WINDOWS[kernel / 2u - 1u][small].slots;
  group.compute = WINDOWS[kernel / 2u - 1u][small].compute[stride - 1u][mask != NULL];
  group.planes = (uint32_t *)scratch;
  group.tables = group.planes + group.quads * TB_QUAD_WORDS(group.slots);
  group.bits = (uint8_t *)(group.tables + TB_GROUP * TABLE_WORDS(kernel));
  memset(group.planes, 0, (size_t)group.quads * TB_QUAD_WORDS(group.slots) * 4u);
  if (mask != NULL && channels % 8 != 0) {
    tb_mask_clear(mask, (uint32_t)conv->out_height * conv->out_width * channels);
  }
  for (uint32_t channel = 0; channel < channels; channel += TB_GROUP) {
    const int usual = channels - channel >= TB_GROUP && conv->padding == kernel / 2u && group.inside >= TB_QUAD;
    group.x = x + channel;
    group.y = y + channel;
    group.channels = tb_minimum(TB_GROUP, channels - channel);
    group.take_rows = usual ? WINDOWS[kernel / 2u - 1u][small].take_rows : take_rows_slowly;
    group.multiplier = conv->multiplier + channel;
    open_group(&group, &order, bias + channel);
    if (small) {
      take_image(&group, 0, (conv->out_height - 1u) * stride + kernel, 0);
      group.compute(&group, group.y, 0);
      if (mask != NULL) write_mask(&group, mask, channel, conv->out_height);
    } else {
      forward_by_rows(&group, mask, channel);
    }
  }
}

#else
typedef int tb_depthwise_dsp_is_empty; /* a file of C needs a declaration */
#endif
