/* tb_depthwise_grad_dsp.c: int16 gradient of the input of a depthwise convolution with DSP instructions: square kernels of 3, 5
 * or 7 at stride 1 or 2, padded by half.
 *
 * Four channels at a time: rows of the gradient are transposed into planes (tb_depthwise_planes.h), then tiles of four pixels are
 * computed, one channel after the other. At stride 1 that is a correlation with the flipped kernel. At stride 2 the pixels of
 * even and odd rows and columns are four such correlations, each with the weights that reach them: every other row and
 * column of the flipped kernel, so that no product is in vain.
 */
#include "tb_depthwise_grad_tiles.h"
#include "tb_depthwise_tile.h"
#include "tb_fits.h"

#if TB_DSP

#define SLOTS TB_GRADIENT_SLOTS
#define TABLE_WORDS TB_GRADIENT_TABLE_WORDS

/* The pixels at rows row, row + stride, ... and columns column, column + stride, .... */
typedef struct {
  tb_run_gradient_t *run;
  uint8_t row, column;
  uint8_t slot;  /* how many rows of the window lie above those that the first pixel sees */
  uint8_t table; /* words in front of its weights */
} phase_t;

struct group;
typedef void take_rows_t(const struct group *group, uint32_t row, uint32_t count, uint32_t slot);

/* All phases of a kernel. */
typedef struct {
  uint8_t phases;
  uint8_t margin; /* rows and columns of the window in front of the gradient's */
  uint8_t reach;  /* rows of the window that the pixels of a row see */
  take_rows_t *take_rows;
  phase_t phase[4];
} shape_t;

typedef void open_t(uint32_t *tables, tb_channels_t *order, uint32_t channels);

/* A group of channels, and what all of them share. */
typedef struct group {
  const tb_conv_t *conv;
  const shape_t *shape;
  const int16_t *gradient; /* at the first channel */
  tb_stored_t *stored;
  uint32_t *planes, *tables;
  uint32_t quads, channels;
  take_rows_t *take_rows;
  open_t *open;
} group_t;

/* Pixels first to end - 1 of a quad in `count` rows, at least one, the others 0. Distances: from pixel to pixel, and from the last
 * of a row to the first of the next one. */
TB_INLINE void take_quads(uint32_t *to, const int16_t *gradient, uint32_t distance, uint32_t back, uint32_t count, uint32_t first,
                          uint32_t end) {
  do {
    uint32_t low[TB_QUAD], high[TB_QUAD]; /* channels 0 and 1, 2 and 3 */
    distance = tb_in_register(distance);  /* no loop of its own for distance 1 */
    TB_UNROLL_BLOCK
    for (uint32_t i = 0; i < TB_QUAD; i++) {
      low[i] = high[i] = 0;
      if (i < first || i >= end) continue;
      low[i] = tb_load32(gradient);
      high[i] = tb_load32(gradient + 2);
      if (i + 1 < end) gradient += distance;
    }
    gradient += back;
    tb_store_pair(to, 0, tb_pack_low(low[0], low[1]), tb_pack_low(low[2], low[3]));
    tb_store_pair(to, TB_PLANE_WORDS(SLOTS), tb_pack_high(low[0], low[1]), tb_pack_high(low[2], low[3]));
    tb_store_pair(to, 2 * TB_PLANE_WORDS(SLOTS), tb_pack_low(high[0], high[1]), tb_pack_low(high[2], high[3]));
    tb_store_pair(to, 3 * TB_PLANE_WORDS(SLOTS), tb_pack_high(high[0], high[1]), tb_pack_high(high[2], high[3]));
    to += TB_SLOT_WORDS;
  } while (--count != 0);
}

/* Transpose rows of the gradient, at least four columns, behind `margin` columns of zeros. */
TB_INLINE void take_rows(const group_t *group, uint32_t row, uint32_t count, uint32_t slot, uint32_t margin) {
  const uint32_t width = group->conv->out_width, after = width - (TB_QUAD - margin), left = after % TB_QUAD;
  const uint32_t distance = group->conv->out_channels, row_distance = width * distance, back = row_distance - 3u * distance;
  const int16_t *gradient = group->gradient + (size_t)row * row_distance;
  uint32_t *to = group->planes + slot * TB_SLOT_WORDS;
  take_quads(to, gradient, distance, back + margin * distance, count, margin, TB_QUAD);
  gradient += (TB_QUAD - margin) * distance;
  to += TB_QUAD_WORDS(SLOTS);
  for (uint32_t i = after / TB_QUAD; i != 0; i--, to += TB_QUAD_WORDS(SLOTS)) {
    take_quads(to, gradient, distance, back, count, 0, TB_QUAD);
    gradient += TB_QUAD * distance;
  }
  if (left == 1) {
    take_quads(to, gradient, distance, row_distance, count, 0, 1);
  } else if (left == 2) {
    take_quads(to, gradient, distance, row_distance - distance, count, 0, 2);
  } else if (left == 3) {
    take_quads(to, gradient, distance, row_distance - 2u * distance, count, 0, 3);
  }
}

#define TAKE(margin)                                                                                   \
  static void take_rows_##margin(const group_t *group, uint32_t row, uint32_t count, uint32_t slot) {  \
    take_rows(group, row, count, slot, margin);                                                        \
  }
TAKE(0)
TAKE(1)
TAKE(2)
TAKE(3)

/* The same for fewer channels or columns. */
static void take_rows_slowly(const group_t *group, uint32_t row, uint32_t count, uint32_t slot) {
  const uint32_t width = group->conv->out_width, margin = group->shape->margin;
  const int16_t *gradient = group->gradient + (size_t)row * width * group->conv->out_channels;
  for (uint32_t i = 0; i < count; i++) {
    for (uint32_t column = margin; column < margin + width; column++, gradient += group->conv->out_channels) {
      uint32_t *to = group->planes + (slot + i) * TB_SLOT_WORDS + column / TB_QUAD * TB_QUAD_WORDS(SLOTS) + column % TB_QUAD / 2u;
      for (uint32_t c = 0; c < group->channels; c++, to += TB_PLANE_WORDS(SLOTS)) {
        const uint32_t value = (uint16_t)gradient[c];
        *to = column % 2 == 0 ? tb_pkhbt(value, *to) : tb_pack_low(*to, value);
      }
    }
  }
}

/* By kernel and stride. At stride 2, kernel 5, odd columns take a leading weight 0: rows of pairs begin at even columns. */
static const shape_t SHAPE_3_1 = {1, 1, 3, take_rows_1, {{tb_run_gradient_3x3, 0, 0, 0, 0}}};
static const shape_t SHAPE_3_2 = {4, 0, 2, take_rows_0,
                                  {{tb_run_gradient_2x2, 1, 1, 0, 0}, {tb_run_gradient_2x1, 1, 0, 0, 2},
                                   {tb_run_gradient_1x2, 0, 1, 0, 4}, {tb_run_gradient_1x1, 0, 0, 0, 5}}};
static const shape_t SHAPE_5_1 = {1, 2, 5, take_rows_2, {{tb_run_gradient_5x5, 0, 0, 0, 0}}};
static const shape_t SHAPE_5_2 = {4, 1, 3, take_rows_1,
                                  {{tb_run_gradient_3x3, 0, 0, 0, 0}, {tb_run_gradient_3x3, 0, 1, 0, 6},
                                   {tb_run_gradient_2x3, 1, 0, 1, 12}, {tb_run_gradient_2x3, 1, 1, 1, 16}}};
static const shape_t SHAPE_7_1 = {1, 3, 7, take_rows_3, {{tb_run_gradient_7x7, 0, 0, 0, 0}}};
static const shape_t SHAPE_7_2 = {4, 1, 4, take_rows_1,
                                  {{tb_run_gradient_4x4, 1, 1, 0, 0}, {tb_run_gradient_4x3, 1, 0, 0, 12},
                                   {tb_run_gradient_3x4, 0, 1, 0, 20}, {tb_run_gradient_3x3, 0, 0, 0, 29}}};

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
TB_INLINE void open_phases(uint32_t *table, const int8_t *weights, uint32_t kernel, const phase_t *phase) {
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

#define OPEN(kernel)                                                                                                   \
  static void open_##kernel##_1(uint32_t *table, tb_channels_t *order, uint32_t channels) {                            \
    for (; channels != 0; channels--, table += TABLE_WORDS) open_flipped(table, tb_next_channel(order), kernel);       \
  }                                                                                                                    \
  static void open_##kernel##_2(uint32_t *table, tb_channels_t *order, uint32_t channels) {                            \
    for (; channels != 0; channels--, table += TABLE_WORDS) {                                                          \
      open_phases(table, tb_next_channel(order), kernel, SHAPE_##kernel##_2.phase);                                    \
    }                                                                                                                  \
  }
OPEN(3)
OPEN(5)
OPEN(7)

/* How many pixels of a row or a column a phase has. */
static uint32_t pixels_of(uint32_t size, uint32_t first, uint32_t stride) { return (size - first + stride - 1u) / stride; }

/* Fill the window with rows first, first + 1, ... of the gradient, 0 where there are none. */
static void fill_window(const group_t *group, int32_t first, uint32_t count, int clear) {
  const int32_t height = group->conv->out_height;
  const int32_t above = tb_clamp_i32(-first, 0, (int32_t)count), below = tb_clamp_i32(height - first, above, (int32_t)count);
  if (below > above) group->take_rows(group, (uint32_t)(first + above), (uint32_t)(below - above), (uint32_t)above);
  for (int32_t slot = 0; clear && slot < (int32_t)count; slot++) {
    if (slot >= above && slot < below) continue;
    uint32_t *to = group->planes + (uint32_t)slot * TB_SLOT_WORDS;
    for (uint32_t i = group->quads * TB_GROUP; i != 0; i--, to += TB_PLANE_WORDS(SLOTS)) to[0] = to[1] = 0;
  }
}

/* Pixels of a phase, all channels of a group; `rows` rows of them from `dx` on. */
TB_NOINLINE void compute_phase(const group_t *group, const phase_t *phase, int16_t *dx, uint32_t rows) {
  const tb_conv_t *conv = group->conv;
  const uint32_t stride = conv->stride, columns = pixels_of(conv->in_width, phase->column, stride);
  const uint32_t *planes = group->planes + phase->slot * TB_SLOT_WORDS;
  tb_gradient_run_t run;
  run.stored = group->stored;
  run.channels = group->channels;
  run.weights = group->tables + phase->table;
  run.rows = rows;
  run.step = (uint32_t)sizeof *dx * stride * conv->in_channels;
  run.third = 3u * run.step;
  run.tile_step = run.step * conv->in_width;
  run.planes_back = 4u * (TB_PLANE_WORDS(SLOTS) - rows * TB_SLOT_WORDS);
  run.dx_back = (uint32_t)sizeof *dx - rows * run.tile_step;
  for (uint32_t left = columns; left != 0; left -= run.pixels, planes += TB_QUAD_WORDS(SLOTS)) {
    run.pixels = tb_minimum(TB_QUAD, left);
    run.planes = planes;
    run.end = planes + rows * TB_SLOT_WORDS;
    run.dx = dx;
    phase->run(&run);
    dx += TB_QUAD * stride * conv->in_channels;
  }
}

TB_NOINLINE void grad_group(const group_t *group, tb_channels_t *order) {
  const tb_conv_t *conv = group->conv;
  const shape_t *shape = group->shape;
  const uint32_t stride = conv->stride;
  const uint32_t height = pixels_of(conv->in_height, 0, stride), strip = SLOTS + 1u - shape->reach;
  group->open(group->tables, order, group->channels);
  for (uint32_t first = 0; first < height; first += strip) {
    const uint32_t rows = tb_minimum(strip, height - first);
    fill_window(group, (int32_t)first - shape->margin, rows + shape->reach - 1u, height > strip);
    for (uint32_t i = 0; i < shape->phases; i++) {
      const phase_t *phase = &shape->phase[i];
      const uint32_t end = pixels_of(conv->in_height, phase->row, stride);
      if (end <= first) continue;
      const size_t pixel = (size_t)(first * stride + phase->row) * conv->in_width + phase->column;
      int16_t *dx = group->stored->dx + group->stored->channels + pixel * conv->in_channels;
      compute_phase(group, phase, dx, tb_minimum(rows, end - first));
    }
  }
}

static uint32_t grad(const shape_t *shape, open_t *open, const tb_conv_t *conv, const int16_t *gradient,
                     uint32_t magnitudes, const tb_weights_t *weights, int16_t *dx, void *scratch) {
  tb_stored_t stored = tb_nothing_stored(conv, dx, magnitudes);
  tb_channels_t order = tb_first_channel(conv, weights);
  const uint32_t kernel = conv->kernel_height, stride = conv->stride;
  const uint32_t taps = stride == 1 ? kernel : kernel / 2u + 1u; /* of a row, at the most */
  const uint32_t tiles = (pixels_of(conv->in_width, 0, stride) + TB_QUAD - 1u) / TB_QUAD;
  group_t group;
  group.conv = conv;
  group.shape = shape;
  group.stored = &stored;
  group.quads = tiles - 1u + (TB_TILE_WORDS(taps, 1) + 1u) / 2u;
  group.planes = (uint32_t *)scratch;
  group.tables = group.planes + group.quads * TB_QUAD_WORDS(SLOTS);
  memset(group.planes, 0, (size_t)group.quads * TB_QUAD_WORDS(SLOTS) * 4u);
  group.open = open;
  for (; stored.channels < conv->in_channels; stored.channels += group.channels) {
    group.channels = tb_minimum(TB_GROUP, conv->in_channels - stored.channels);
    group.gradient = gradient + stored.channels;
    const int whole = group.channels == TB_GROUP && conv->out_width >= TB_QUAD;
    group.take_rows = whole ? shape->take_rows : take_rows_slowly;
    grad_group(&group, &order);
  }
  return stored.magnitudes;
}

#define KERNEL(name, kernel, stride)                                                                                   \
  uint32_t name(const tb_conv_t *conv, const int16_t *gradient, uint32_t magnitudes, const tb_weights_t *weights,      \
                int16_t *dx, void *scratch) {                                                                          \
    TB_EXPECT(tb_fits_square(conv, kernel, stride));                                                                   \
    return grad(&SHAPE_##kernel##_##stride, open_##kernel##_##stride, conv, gradient, magnitudes, weights, dx, scratch); \
  }
KERNEL(tb_depthwise_grad_3x3_s1_i16, 3, 1)
KERNEL(tb_depthwise_grad_3x3_s2_i16, 3, 2)
KERNEL(tb_depthwise_grad_5x5_s1_i16, 5, 1)
KERNEL(tb_depthwise_grad_5x5_s2_i16, 5, 2)
KERNEL(tb_depthwise_grad_7x7_s1_i16, 7, 1)
KERNEL(tb_depthwise_grad_7x7_s2_i16, 7, 2)

#else
typedef int tb_depthwise_grad_dsp_is_empty; /* a file of C needs a declaration */
#endif
