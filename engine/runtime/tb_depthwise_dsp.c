/* tb_depthwise_dsp.c: depthwise convolution with DSP instructions: square kernels of 3, 5 or 7 at stride 1 or 2.
 *
 * Four channels at a time go down the rows: the rows that a row of outputs sees are transposed into planes
 * (tb_depthwise_planes.h), then tiles of 1 x 4 outputs are computed, one channel after the other. y may be x, since the rows of
 * a group that are overwritten have been taken. The shift of the accumulator goes into the weights and the bias.
 *
 * Weights are pairs that meet a row's pairs of columns (p0, p1), (p2, p3), ...; outputs at even columns take (w0, w1), (w2, w3), ...,
 * those at odd ones w0, (w1, w2), .... The table of a channel holds the kernel's rows twice, so that whatever row the ring starts
 * with, slot after slot meets row after row.
 */
#include "tb_depthwise_dsp.h"

#include "tb_depthwise_planes.h"

#if TB_DSP

#define LARGEST_SHIFT 8 /* of an int8 weight that is to fit an int16 */

/* Words of a row of weights, and of a channel's table. */
#define ROW_WORDS(kernel, stride) ((stride) == 1 ? (kernel) - 1u : ((kernel) == 3u ? 2u : 4u))
#define TABLE_WORDS(kernel, stride) ((2u * (kernel) - 1u) * ROW_WORDS(kernel, stride))
/* Words of a row of columns that a tile reads. */
#define TILE_WORDS(kernel, stride) ((stride) == 1 ? ((kernel) + 4u) / 2u : ((kernel) + 7u) / 2u)

/* A group of channels, on its way down the rows. */
typedef struct {
  const tb_conv_t *conv;
  const int8_t *x; /* at the first channel */
  int8_t *y;
  uint32_t *planes, *weights;
  uint8_t *bits; /* [tile][channel]: which of a tile's outputs were clamped; NULL without a mask */
  uint32_t channels;
  int32_t bias[TB_GROUP], multiplier[TB_GROUP];
} group_t;

static uint32_t tile_count(const tb_conv_t *conv) { return (conv->out_width + TB_QUAD - 1u) / TB_QUAD; }

static uint32_t quad_count(const tb_conv_t *conv) {
  const uint32_t words = TILE_WORDS(conv->kernel_width, conv->stride);
  return (tile_count(conv) - 1u) * conv->stride + (words + 1u) / 2u;
}

/* Four pixels to the same slot of the group's planes. */
TB_INLINE void put_quad(uint32_t *to, const uint32_t x[4], uint32_t add, uint32_t kernel) {
  const uint32_t a = tb_sxtab16(add, x[0]), b = tb_sxtab16(add, x[1]);
  const uint32_t c = tb_sxtab16(add, x[2]), d = tb_sxtab16(add, x[3]);
  tb_store_pair(to, 0, tb_pack_low(a, b), tb_pack_low(c, d));
  tb_store_pair(to, 2 * TB_PLANE_WORDS(kernel), tb_pack_high(a, b), tb_pack_high(c, d));
  const uint32_t e = tb_sxtab16_odd(add, x[0]), f = tb_sxtab16_odd(add, x[1]);
  const uint32_t g = tb_sxtab16_odd(add, x[2]), h = tb_sxtab16_odd(add, x[3]);
  tb_store_pair(to, TB_PLANE_WORDS(kernel), tb_pack_low(e, f), tb_pack_low(g, h));
  tb_store_pair(to, 3 * TB_PLANE_WORDS(kernel), tb_pack_high(e, f), tb_pack_high(g, h));
}

TB_INLINE uint32_t load_pixel(const int8_t *x, uint32_t channels) {
  if (channels == TB_GROUP) return tb_load32(x);
  uint32_t word = 0;
  for (uint32_t i = 0; i < channels; i++) word |= (uint32_t)(uint8_t)x[i] << (8 * i);
  return word;
}

/* Transpose one row of the image, `inside` pixels behind `padding` columns of zeros. */
TB_INLINE void take_pixels(uint32_t *to, const int8_t *x, uint32_t inside, uint32_t padding, uint32_t distance, int32_t zero,
                           uint32_t channels, uint32_t kernel) {
  const uint32_t add = tb_pair(-zero, -zero), outside = 0x01010101u * (uint8_t)zero;
  uint32_t quad[4];
  uint32_t left = inside; /* pixels */
  for (uint32_t i = 0; i < 4; i++) {
    quad[i] = outside;
    if (i < padding || left == 0) continue;
    quad[i] = load_pixel(x, channels);
    x += distance;
    left--;
  }
  put_quad(to, quad, add, kernel);
  for (to += TB_QUAD_WORDS(kernel); left >= TB_QUAD; left -= TB_QUAD, to += TB_QUAD_WORDS(kernel)) {
    for (uint32_t i = 0; i < 4; i++) quad[i] = load_pixel(x + i * distance, channels);
    x += 4 * distance;
    put_quad(to, quad, add, kernel);
  }
  if (left == 0) return;
  for (uint32_t i = 0; i < 4; i++) quad[i] = i < left ? load_pixel(x + i * distance, channels) : outside;
  put_quad(to, quad, add, kernel);
}

static void clear_row(uint32_t *to, uint32_t quads, uint32_t kernel) {
  for (uint32_t i = 0; i < quads * TB_GROUP; i++, to += TB_PLANE_WORDS(kernel)) to[0] = to[1] = 0;
}

/* Take row v, counted from the first row of padding, into `slot`. */
TB_INLINE void take_row(const group_t *group, uint32_t v, uint32_t slot, uint32_t kernel) {
  const tb_conv_t *conv = group->conv;
  const uint32_t quads = quad_count(conv), y = v - conv->pad_top;
  const uint32_t inside = tb_minimum(conv->in_width, quads * TB_QUAD - conv->padding);
  uint32_t *to = group->planes + slot * TB_SLOT_WORDS;
  if (v < conv->pad_top || y >= conv->in_height) {
    clear_row(to, quads, kernel);
    return;
  }
  const uint32_t distance = conv->in_channels;
  const int8_t *x = group->x + (size_t)y * conv->in_width * distance;
  if (group->channels == TB_GROUP) {
    take_pixels(to, x, inside, conv->padding, distance, conv->in_zero, TB_GROUP, kernel);
  } else {
    take_pixels(to, x, inside, conv->padding, distance, conv->in_zero, group->channels, kernel);
  }
}

/* acc[i] += what one row gives output i of a tile. w: the row's weights, p: its pairs of columns. */
TB_INLINE void add_row(const uint32_t *w, const uint32_t *p, int32_t acc[4], uint32_t kernel, uint32_t stride) {
  const uint32_t half = kernel / 2u;
  for (uint32_t i = 0; i < 4; i++) {
    if (stride == 2) {
      for (uint32_t j = 0; j < half; j++) acc[i] = tb_smlad(w[j], p[i + j], acc[i]);
      acc[i] = tb_smlabb(w[half], p[i + half], acc[i]);
    } else if ((i & 1u) == 0) {
      for (uint32_t j = 0; j < half; j++) acc[i] = tb_smlad(w[j], p[i / 2 + j], acc[i]);
      acc[i] = tb_smlatb(w[2 * half - 1], p[i / 2 + half], acc[i]);
    } else {
      acc[i] = tb_smlabt(w[0], p[i / 2], acc[i]);
      for (uint32_t j = 0; j < half; j++) acc[i] = tb_smlad(w[half + j], p[i / 2 + 1 + j], acc[i]);
    }
  }
}

/* The four sums of a tile. p: its first quad, w: the rows of weights from the one on that meets slot 0, `held` the same in
 * registers where there are few. */
TB_INLINE void sum_tile(const uint32_t *w, const uint32_t held[6], const uint32_t *p, int32_t acc[4], uint32_t kernel,
                        uint32_t stride) {
  const uint32_t row_words = ROW_WORDS(kernel, stride), tile_words = TILE_WORDS(kernel, stride);
  TB_UNROLL_BLOCK
  for (uint32_t slot = 0; slot < kernel; slot++) {
    uint32_t weights[6], columns[8];
    TB_UNROLL_BLOCK
    for (uint32_t i = 0; i < row_words; i += 2) {
      if (kernel == 3) {
        weights[i] = held[slot * 2], weights[i + 1] = held[slot * 2 + 1];
      } else {
        tb_load_pair(w, slot * row_words + i, weights[i], weights[i + 1]);
      }
    }
    TB_UNROLL_BLOCK
    for (uint32_t i = 0; i < tile_words; i += 2) {
      const uint32_t at = i / 2 * TB_QUAD_WORDS(kernel) + slot * TB_SLOT_WORDS;
      if (i + 1 < tile_words) {
        tb_load_pair(p, at, columns[i], columns[i + 1]);
      } else {
        columns[i] = p[at];
      }
    }
    add_row(weights, columns, acc, kernel, stride);
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

/* What the outputs of a row of one channel share. */
typedef struct {
  int32_t multiplier, zero;
  uint8_t *bits;
} outputs_t;

/* Store a tile. Outputs that do not exist are at distance 0, and overwritten by the first, which comes last. */
TB_INLINE void store_tile(const int32_t acc[4], const outputs_t *outputs, int8_t *y, const uint32_t distance[4],
                          int masked) {
  uint32_t bits = 0;
  TB_UNROLL_BLOCK
  for (uint32_t i = 4; i-- > 0;) {
    const int32_t value = tb_smmlar(acc[i], outputs->multiplier, outputs->zero), clamped = tb_ssat8(value);
    if (masked) bits = record(bits, value, clamped);
    y[distance[i]] = (int8_t)clamped;
  }
  if (masked) *outputs->bits = (uint8_t)bits;
}

/* One row of outputs of all channels of a group. `top`: slot of the first row that it sees. */
TB_INLINE void compute_row(const group_t *group, int8_t *y_row, uint32_t top, uint32_t kernel, uint32_t stride, int masked) {
  const tb_conv_t *conv = group->conv;
  const uint32_t width = conv->out_width, step = conv->out_channels, left = width % TB_QUAD;
  const uint32_t first_row = top == 0 ? 0 : kernel - top;
  tb_planes_written();
  for (uint32_t channel = 0; channel < group->channels; channel++) {
    const uint32_t *w = group->weights + channel * TABLE_WORDS(kernel, stride) + first_row * ROW_WORDS(kernel, stride);
    const uint32_t *p = group->planes + channel * TB_PLANE_WORDS(kernel);
    const int32_t bias = group->bias[channel];
    outputs_t outputs = {group->multiplier[channel], conv->out_zero, group->bits + channel};
    int8_t *y = y_row + channel;
    uint32_t held[6];
    TB_UNROLL_BLOCK
    for (uint32_t i = 0; kernel == 3 && i < 6; i++) held[i] = w[i];
    const uint32_t distance[4] = {0, step, 2 * step, 3 * step};
    for (uint32_t i = width / TB_QUAD; i != 0; i--) {
      int32_t acc[4] = {bias, bias, bias, bias};
      sum_tile(w, held, p, acc, kernel, stride);
      store_tile(acc, &outputs, y, distance, masked);
      p += stride * TB_QUAD_WORDS(kernel);
      y += 4 * step;
      outputs.bits += TB_GROUP;
    }
    if (left != 0) {
      const uint32_t some[4] = {0, left > 1 ? step : 0, left > 2 ? 2 * step : 0, 0};
      int32_t acc[4] = {bias, bias, bias, bias};
      sum_tile(w, held, p, acc, kernel, stride);
      store_tile(acc, &outputs, y, some, masked);
    }
  }
}

/* Write the mask of a row: four bits a pixel, from bit `index` on. */
static void mask_row(const group_t *group, uint8_t *mask, uint32_t index) {
  const uint32_t width = group->conv->out_width, channels = group->conv->out_channels;
  const uint32_t lanes = (1u << group->channels) - 1u;
  const uint8_t *bits = group->bits;
  for (uint32_t x = 0; x < width; x += TB_QUAD, bits += TB_GROUP) {
    const uint32_t word = tb_load32(bits) ^ 0x0f0f0f0fu;
    for (uint32_t i = 0; i < tb_minimum(TB_QUAD, width - x); i++, index += channels) {
      /* Bit i of each of the four bytes, gathered by a product whose terms do not meet. */
      const uint32_t nibble = (((word >> i) & 0x01010101u) * 0x01020408u) >> 24;
      tb_mask_set(mask, index, nibble & lanes);
    }
  }
}

typedef void take_row_t(const group_t *group, uint32_t v, uint32_t slot);
typedef void compute_row_t(const group_t *group, int8_t *y, uint32_t top);

#define KERNEL(kernel) \
  TB_NOINLINE void take_row_##kernel(const group_t *group, uint32_t v, uint32_t slot) { take_row(group, v, slot, kernel##u); }
#define SHAPE(kernel, stride)                                                                              \
  TB_NOINLINE void compute_row_##kernel##_##stride(const group_t *group, int8_t *y, uint32_t top) {        \
    compute_row(group, y, top, kernel##u, stride##u, 0);                                                   \
  }                                                                                                        \
  TB_NOINLINE void compute_row_masked_##kernel##_##stride(const group_t *group, int8_t *y, uint32_t top) { \
    compute_row(group, y, top, kernel##u, stride##u, 1);                                                   \
  }
KERNEL(3)
KERNEL(5)
KERNEL(7)
SHAPE(3, 1)
SHAPE(5, 1)
SHAPE(7, 1)
SHAPE(3, 2)
SHAPE(5, 2)
SHAPE(7, 2)

static take_row_t *const TAKE_ROW[3] = {take_row_3, take_row_5, take_row_7};
static compute_row_t *const COMPUTE_ROW[2][2][3] = {
    {{compute_row_3_1, compute_row_5_1, compute_row_7_1}, {compute_row_3_2, compute_row_5_2, compute_row_7_2}},
    {{compute_row_masked_3_1, compute_row_masked_5_1, compute_row_masked_7_1},
     {compute_row_masked_3_2, compute_row_masked_5_2, compute_row_masked_7_2}}};

/* The table of one channel. */
static void open_channel(uint32_t *table, const int8_t *weights, uint32_t kernel, uint32_t stride, uint32_t shift) {
  const uint32_t half = kernel / 2u, row_words = ROW_WORDS(kernel, stride);
  for (uint32_t ky = 0; ky < kernel; ky++, weights += kernel) {
    uint32_t row[6] = {0};
    for (uint32_t j = 0; j < half; j++) {
      const int32_t a = weights[2 * j] * (1 << shift), b = weights[2 * j + 1] * (1 << shift);
      row[j] = tb_pair(a, b);
      if (stride == 1) row[half + j] = tb_pair(b, weights[2 * j + 2] * (1 << shift));
    }
    if (stride == 2) row[half] = tb_pair(weights[kernel - 1u] * (1 << shift), 0);
    for (uint32_t i = 0; i < row_words; i++) {
      table[ky * row_words + i] = row[i];
      if (ky + 1 < kernel) table[(kernel + ky) * row_words + i] = row[i];
    }
  }
}

static void forward_group(const group_t *group, uint8_t *mask, uint32_t channel) {
  const tb_conv_t *conv = group->conv;
  const uint32_t kernel = conv->kernel_height, stride = conv->stride, row_outputs = (uint32_t)conv->out_width * conv->out_channels;
  take_row_t *const take = TAKE_ROW[kernel / 2u - 1u];
  compute_row_t *const compute = COMPUTE_ROW[mask != NULL][stride - 1u][kernel / 2u - 1u];
  uint32_t taken = 0, slot = 0, top = 0, index = channel;
  for (uint32_t oy = 0; oy < conv->out_height; oy++, index += row_outputs) {
    for (; taken < oy * stride + kernel; taken++) {
      take(group, taken, slot);
      slot = slot + 1 == kernel ? 0 : slot + 1;
    }
    compute(group, group->y + oy * row_outputs, top);
    top = top + stride >= kernel ? top + stride - kernel : top + stride;
    if (mask != NULL) mask_row(group, mask, index);
  }
}

int tb_depthwise_is_fast(const tb_conv_t *conv) {
  const uint32_t kernel = conv->kernel_height;
  return conv->kernel_width == kernel && (kernel == 3 || kernel == 5 || kernel == 7) &&
         (conv->stride == 1 || conv->stride == 2) && tb_depthwise_slides(conv) && conv->shift <= LARGEST_SHIFT;
}

void tb_depthwise_fast(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,
                       uint8_t *mask, void *scratch) {
  tb_channels_t order = tb_first_channel(conv, weights);
  const uint32_t kernel = conv->kernel_height, table_words = TABLE_WORDS(kernel, conv->stride);
  const uint32_t plane_words = quad_count(conv) * TB_QUAD_WORDS(kernel);
  group_t group;
  group.conv = conv;
  group.planes = (uint32_t *)scratch;
  group.weights = group.planes + plane_words;
  group.bits = (uint8_t *)(group.weights + TB_GROUP * table_words);
  memset(group.planes, 0, plane_words * 4u);
  if (mask != NULL) tb_mask_clear(mask, (uint32_t)conv->out_height * conv->out_width * conv->out_channels);
  for (uint32_t channel = 0; channel < conv->in_channels; channel += TB_GROUP) {
    group.x = x + channel;
    group.y = y + channel;
    group.channels = tb_minimum(TB_GROUP, conv->in_channels - channel);
    for (uint32_t i = 0; i < group.channels; i++) {
      open_channel(group.weights + i * table_words, tb_next_channel(&order), kernel, conv->stride, conv->shift);
      group.bias[i] = (int32_t)((uint32_t)bias[channel + i] << conv->shift);
      group.multiplier[i] = conv->multiplier[channel + i];
    }
    forward_group(&group, mask, channel);
  }
}

#else
typedef int tb_depthwise_dsp_is_empty; /* a file of C needs a declaration */
#endif
