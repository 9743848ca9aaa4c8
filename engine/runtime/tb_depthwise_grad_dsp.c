/* tb_depthwise_grad_dsp.c: int16 gradient of the input of a depthwise convolution with DSP instructions: square kernels of 3, 5
 * or 7 at stride 1 or 2, padded by half.
 *
 * Four channels at a time: rows of the gradient are transposed into planes (tb_depthwise_planes.h), then tiles of four pixels are
 * computed, one channel after the other. At stride 1 that is a correlation with the flipped kernel. At stride 2 the pixels of
 * even and odd rows and columns are four such correlations, each with the weights that reach them: every other row and
 * column of the flipped kernel, so that no product is in vain.
 */
#include "tb_depthwise_grad_dsp.h"

#include "tb_depthwise_tile.h"

#if TB_DSP

#define SLOTS 12u        /* rows of the window */
#define TABLE_WORDS 42u  /* of a channel's weights, at the most: 7 rows of 7 */

struct group;
/* Pixels of some rows of one phase, all channels of a group. dx: the first pixel; p: the slot that its first row sees. */
typedef void compute_t(const struct group *group, int16_t *dx, const uint32_t *p, uint32_t rows, uint32_t columns,
                       const uint32_t *table);

/* The pixels at rows row, row + stride, ... and columns column, column + stride, .... */
typedef struct {
  compute_t *compute;
  uint8_t row, column;
  uint8_t slot;  /* how many rows of the window lie above those that the first pixel sees */
  uint8_t table; /* words in front of its weights */
} phase_t;

/* All phases of a kernel. */
typedef struct {
  uint8_t phases;
  uint8_t margin; /* rows and columns of the window in front of the gradient's */
  uint8_t reach;  /* rows of the window that the pixels of a row see */
  phase_t phase[4];
} shape_t;

/* A group of channels. */
typedef struct group {
  const tb_conv_t *conv;
  const shape_t *shape;
  const int16_t *gradient; /* at the first channel */
  tb_stored_t *stored;
  uint32_t *planes, *tables;
  uint32_t quads, channels;
} group_t;

/* Pixels first to end - 1 of a row of the gradient, some of a quad. */
static void take_pixels(const group_t *group, uint32_t *row, const int16_t *gradient, uint32_t first, uint32_t end) {
  const uint32_t distance = group->conv->out_channels;
  for (uint32_t x = first; x < end; x++) {
    const uint32_t column = x + group->shape->margin;
    uint32_t *to = row + column / TB_QUAD * TB_QUAD_WORDS(SLOTS) + column % TB_QUAD / 2u;
    for (uint32_t c = 0; c < group->channels; c++, to += TB_PLANE_WORDS(SLOTS)) {
      const uint32_t value = (uint16_t)gradient[x * distance + c];
      *to = column % 2 == 0 ? tb_pkhbt(value, *to) : tb_pack_low(*to, value);
    }
  }
}

static void take_row(const group_t *group, const int16_t *gradient, uint32_t slot) {
  const uint32_t width = group->conv->out_width, distance = group->conv->out_channels;
  const uint32_t first = tb_minimum(width, (TB_QUAD - group->shape->margin) % TB_QUAD);
  const uint32_t quads = group->channels == TB_GROUP ? (width - first) / TB_QUAD : 0;
  uint32_t *const row = group->planes + slot * TB_SLOT_WORDS;
  uint32_t *to = row + (group->shape->margin != 0) * TB_QUAD_WORDS(SLOTS);
  const int16_t *g = gradient + first * distance;
  take_pixels(group, row, gradient, 0, first);
  for (uint32_t i = quads; i != 0; i--, g += TB_QUAD * distance, to += TB_QUAD_WORDS(SLOTS)) {
    const int16_t *g1 = g + distance, *g2 = g1 + distance, *g3 = g2 + distance;
    const uint32_t a = tb_load32(g), b = tb_load32(g1), c = tb_load32(g2), d = tb_load32(g3);
    tb_store_pair(to, 0, tb_pack_low(a, b), tb_pack_low(c, d));
    tb_store_pair(to, TB_PLANE_WORDS(SLOTS), tb_pack_high(a, b), tb_pack_high(c, d));
    const uint32_t e = tb_load32(g + 2), f = tb_load32(g1 + 2), h = tb_load32(g2 + 2), i3 = tb_load32(g3 + 2);
    tb_store_pair(to, 2 * TB_PLANE_WORDS(SLOTS), tb_pack_low(e, f), tb_pack_low(h, i3));
    tb_store_pair(to, 3 * TB_PLANE_WORDS(SLOTS), tb_pack_high(e, f), tb_pack_high(h, i3));
  }
  take_pixels(group, row, gradient, first + quads * TB_QUAD, width);
}

/* Fill the window's slots with rows first, first + 1, ... of the gradient, 0 where there are none. */
static void take_rows(const group_t *group, int32_t first, uint32_t count) {
  const tb_conv_t *conv = group->conv;
  for (uint32_t slot = 0; slot < count; slot++) {
    const int32_t row = first + (int32_t)slot;
    if (row >= 0 && row < conv->out_height) {
      take_row(group, group->gradient + (uint32_t)row * conv->out_width * conv->out_channels, slot);
      continue;
    }
    uint32_t *to = group->planes + slot * TB_SLOT_WORDS;
    for (uint32_t i = group->quads * TB_GROUP; i != 0; i--, to += TB_PLANE_WORDS(SLOTS)) to[0] = to[1] = 0;
  }
}

TB_INLINE void compute(const group_t *group, int16_t *dx, const uint32_t *p_row, uint32_t rows, uint32_t columns,
                       const uint32_t *table, uint32_t kernel_rows, uint32_t taps) {
  const tb_conv_t *conv = group->conv;
  const uint32_t step = (uint32_t)conv->stride * conv->in_channels, row_step = step * conv->in_width;
  tb_stored_t *stored = group->stored;
  uint32_t all = stored->magnitudes, shift = stored->shift, limit = tb_limit_of(shift);
  tb_planes_written();
  for (uint32_t channel = 0; channel < group->channels; channel++) {
    const uint32_t *p_column = p_row + channel * TB_PLANE_WORDS(SLOTS), *w = table + channel * TABLE_WORDS;
    int16_t *dx_column = dx + channel;
    uint32_t held[TB_HELD_WORDS] = {0};
    tb_hold_weights(w, held, kernel_rows, taps);
    for (uint32_t left = columns, next; left != 0; left = next) {
      /* Pixels that do not exist are at distance 0: overwritten by the first, which is stored last. */
      const uint32_t steps[4] = {0, left > 1 ? step : 0, left > 2 ? 2 * step : 0, left > 3 ? 3 * step : 0};
      const uint32_t *p = p_column;
      int16_t *to = dx_column;
      next = left < TB_QUAD ? 0 : left - TB_QUAD;
      for (uint32_t i = rows; i != 0; i--, p += TB_SLOT_WORDS, to += row_step) {
        int32_t acc[4] = {0, 0, 0, 0};
        tb_sum_tile(w, held, p, acc, kernel_rows, taps, 1, SLOTS);
        TB_SETTLE(acc);
        if (next == 0) { /* their magnitudes do not count */
          if (left < 4) acc[3] = acc[0];
          if (left < 3) acc[2] = acc[0];
          if (left < 2) acc[1] = acc[0];
        }
        const uint32_t magnitudes = tb_magnitude(acc[0]) | tb_magnitude(acc[1]) | tb_magnitude(acc[2]) | tb_magnitude(acc[3]);
        all |= magnitudes;
        if (magnitudes > limit) {
          stored->magnitudes = all;
          tb_raise_shift(stored, group->channels);
          shift = stored->shift;
          limit = tb_limit_of(shift);
        }
        TB_UNROLL_BLOCK
        for (uint32_t o = 4; o-- > 0;) to[steps[o]] = tb_round_to_odd(acc[o], shift);
      }
      p_column += TB_QUAD_WORDS(SLOTS);
      dx_column += TB_QUAD * step;
    }
  }
  stored->magnitudes = all;
}

#define COMPUTE(rows, taps)                                                                                            \
  TB_NOINLINE void compute_##rows##x##taps(const group_t *group, int16_t *dx, const uint32_t *p, uint32_t count,       \
                                           uint32_t columns, const uint32_t *table) {                                  \
    compute(group, dx, p, count, columns, table, rows##u, taps##u);                                                    \
  }
COMPUTE(1, 1)
COMPUTE(1, 2)
COMPUTE(2, 1)
COMPUTE(2, 2)
COMPUTE(2, 3)
COMPUTE(3, 3)
COMPUTE(3, 4)
COMPUTE(4, 3)
COMPUTE(4, 4)
COMPUTE(5, 5)
COMPUTE(7, 7)

/* [kernel / 2 - 1][stride - 1]. At stride 2, kernel 5, odd columns take a leading weight 0: rows of pairs begin at even
 * columns. */
static const shape_t SHAPES[3][2] = {
    {{1, 1, 3, {{compute_3x3, 0, 0, 0, 0}}},
     {4, 0, 2, {{compute_2x2, 1, 1, 0, 0}, {compute_2x1, 1, 0, 0, 2}, {compute_1x2, 0, 1, 0, 4}, {compute_1x1, 0, 0, 0, 5}}}},
    {{1, 2, 5, {{compute_5x5, 0, 0, 0, 0}}},
     {4, 1, 3, {{compute_3x3, 0, 0, 0, 0}, {compute_3x3, 0, 1, 0, 6}, {compute_2x3, 1, 0, 1, 12}, {compute_2x3, 1, 1, 1, 16}}}},
    {{1, 3, 7, {{compute_7x7, 0, 0, 0, 0}}},
     {4, 1, 4, {{compute_4x4, 1, 1, 0, 0}, {compute_4x3, 1, 0, 0, 12}, {compute_3x4, 0, 1, 0, 20}, {compute_3x3, 0, 0, 0, 29}}}}};

/* Four weights, last first. */
TB_INLINE uint32_t load_flipped(const int8_t *weights) { return tb_reverse_bytes(tb_load32(weights)); }

/* The table of a channel at stride 1: the flipped kernel. */
TB_INLINE void open_flipped(uint32_t *table, const int8_t *weights, uint32_t kernel) {
  TB_UNROLL_BLOCK
  for (uint32_t ky = kernel; ky-- > 0; table += TB_TAP_WORDS(kernel)) {
    const int8_t *row = weights + ky * kernel;
    if (kernel != 3) {
      tb_pair_weights(table, load_flipped(row + kernel - 4), load_flipped(row), kernel);
    } else if (ky == 0) {
      tb_pair_last_three(table, load_flipped(row));
    } else {
      tb_pair_first_three(table, load_flipped(row - 1));
    }
  }
}

static uint32_t swapped(uint32_t pair) { return pair >> 16 | pair << 16; }

/* One row of weights at stride 2: those of even columns of the kernel to `even`, of odd ones to `odd`, last first. */
TB_INLINE void open_halves(uint32_t *even, uint32_t *odd, const int8_t *w, uint32_t kernel) {
  if (kernel == 3) {
    *even = tb_pair(w[2], w[0]);
    *odd = tb_pair(w[1], 0);
    return;
  }
  const uint32_t start = tb_load32(w), a = tb_sxtb16(start), b = tb_sxtb16_odd(start);
  const uint32_t end = tb_load32(w + kernel - 4), d = tb_sxtb16_odd(end);
  if (kernel == 5) { /* w4 w2 w0, and 0 w3 w1 */
    even[0] = swapped(d), even[1] = swapped(a);
    odd[0] = b & 0xffff0000u, odd[1] = swapped(b);
  } else { /* w6 w4 w2 w0, and w5 w3 w1 */
    even[0] = swapped(d), even[1] = swapped(a), even[2] = tb_pkhbt(d, a);
    odd[0] = swapped(tb_sxtb16(end)), odd[1] = swapped(b);
  }
}

/* The table of a channel at stride 2: four parts, as the phases have them. */
TB_INLINE void open_phases(uint32_t *table, const int8_t *weights, uint32_t kernel) {
  const phase_t *phase = SHAPES[kernel / 2u - 1u][1].phase;
  const uint32_t even_words = kernel == 3 ? 1 : kernel / 2u, odd_words = kernel == 3 ? 1 : 2;
  TB_UNROLL_BLOCK
  for (uint32_t parity = 0; parity < 2; parity++, phase += 2) {
    uint32_t *even = table + phase[0].table, *odd = table + phase[1].table;
    TB_UNROLL_BLOCK
    for (uint32_t ky = kernel - 1u - parity; ky < kernel; ky -= 2, even += even_words, odd += odd_words) {
      open_halves(even, odd, weights + ky * kernel, kernel);
    }
  }
}

static void open_group(const group_t *group, tb_channels_t *order) {
  const uint32_t kernel = group->conv->kernel_height;
  const int flipped = group->conv->stride == 1;
  uint32_t *table = group->tables;
  for (uint32_t i = 0; i < group->channels; i++, table += TABLE_WORDS) {
    const int8_t *weights = tb_next_channel(order);
    if (kernel == 3) {
      flipped ? open_flipped(table, weights, 3) : open_phases(table, weights, 3);
    } else if (kernel == 5) {
      flipped ? open_flipped(table, weights, 5) : open_phases(table, weights, 5);
    } else {
      flipped ? open_flipped(table, weights, 7) : open_phases(table, weights, 7);
    }
  }
}

/* How many pixels of a row or a column a phase has. */
static uint32_t pixels_of(uint32_t size, uint32_t first, uint32_t stride) { return (size - first + stride - 1u) / stride; }

static void grad_group(const group_t *group) {
  const tb_conv_t *conv = group->conv;
  const shape_t *shape = group->shape;
  const uint32_t stride = conv->stride, channels = conv->in_channels;
  const uint32_t height = pixels_of(conv->in_height, 0, stride), strip = SLOTS + 1u - shape->reach;
  for (uint32_t first = 0; first < height; first += strip) {
    const uint32_t rows = tb_minimum(strip, height - first);
    take_rows(group, (int32_t)first - shape->margin, rows + shape->reach - 1u);
    for (uint32_t i = 0; i < shape->phases; i++) {
      const phase_t *phase = &shape->phase[i];
      const uint32_t end = pixels_of(conv->in_height, phase->row, stride);
      const uint32_t columns = pixels_of(conv->in_width, phase->column, stride);
      if (end <= first || columns == 0) continue;
      const size_t pixel = (size_t)(first * stride + phase->row) * conv->in_width + phase->column;
      phase->compute(group, group->stored->dx + group->stored->channels + pixel * channels,
                     group->planes + phase->slot * TB_SLOT_WORDS, tb_minimum(rows, end - first), columns,
                     group->tables + phase->table);
    }
  }
}

int tb_depthwise_grad_is_fast(const tb_conv_t *conv) {
  const uint32_t kernel = conv->kernel_height;
  return conv->kernel_width == kernel && (kernel == 3 || kernel == 5 || kernel == 7) &&
         (conv->stride == 1 || conv->stride == 2) && conv->padding == kernel / 2u;
}

void tb_depthwise_grad_fast(const tb_conv_t *conv, const int16_t *gradient, const tb_weights_t *weights, tb_stored_t *stored,
                            void *scratch) {
  tb_channels_t order = tb_first_channel(conv, weights);
  const uint32_t kernel = conv->kernel_height, stride = conv->stride;
  const uint32_t taps = stride == 1 ? kernel : kernel / 2u + 1u; /* of a row, at the most */
  const uint32_t tiles = (pixels_of(conv->in_width, 0, stride) + TB_QUAD - 1u) / TB_QUAD;
  group_t group;
  group.conv = conv;
  group.shape = &SHAPES[kernel / 2u - 1u][stride - 1u];
  group.stored = stored;
  group.quads = tiles - 1u + (TB_TILE_WORDS(taps, 1) + 1u) / 2u;
  group.planes = (uint32_t *)scratch;
  group.tables = group.planes + group.quads * TB_QUAD_WORDS(SLOTS);
  memset(group.planes, 0, (size_t)group.quads * TB_QUAD_WORDS(SLOTS) * 4u);
  for (; stored->channels < conv->in_channels; stored->channels += group.channels) {
    group.channels = tb_minimum(TB_GROUP, conv->in_channels - stored->channels);
    group.gradient = gradient + stored->channels;
    open_group(&group, &order);
    grad_group(&group);
  }
}

#else
typedef int tb_depthwise_grad_dsp_is_empty; /* a file of C needs a declaration */
#endif
