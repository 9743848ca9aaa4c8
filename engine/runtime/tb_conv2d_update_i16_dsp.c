/* tb_conv2d_update_i16_dsp.c: weight gradient of a convolution from an int16 gradient, and the update, for processors with DSP
 * instructions. Definition: docs/numerics.md, Integer gradients.
 *
 * A product of matrices, summed over pixels: rows of a tile are two output channels, columns four weights of theirs (kernel
 * position and trainable input channel, in stored order). Both sides are transposed into pairs of pixels, a block of columns
 * and two rows at a time; the zero point of x is subtracted on the way, padding is 0. No weight gradient is ever stored.
 */
#include "tb_apply.h"
#include "tb_blocks.h"
#include "tb_fits.h"
#include "tb_shared_exponent.h"
#include "tb_update_tiles.h"

#if TB_DSP
/* engine/operators/scratch.py plans with the same figures. */
#define BLOCK_BYTES 8192u
#define BLOCK_TILES 32u
#define CHUNK 256u     /* pixels whose sums fit an int32: at most 512 */
#define BLOCK_ROWS 32u /* of totals over several chunks */

#define SUMS (TB_TILE_ROWS * TB_TILE_COLUMNS)

typedef struct layer layer_t;

/* Columns [first_column, end) at pixels [first, first + count). Returns the end of what it wrote. */
typedef const uint32_t *pack_t(const layer_t *layer, uint32_t first_column, uint32_t end, uint32_t first, uint32_t count);

struct layer {
  const tb_conv_t *conv;
  pack_t *pack;
  const int16_t *gradient;
  const int8_t *x;
  tb_part_t part;
  tb_stream_t stream;
  float power;      /* of the exponent */
  uint32_t columns; /* weights of one output channel */
  uint32_t pixels, pairs;
  uint32_t *rows, *operand; /* [pair][2 rows], [tile][pair][4 columns] */
  int32_t *sums;            /* [tile][2 rows][4 columns] */
  uint8_t *totals;          /* int64, [pair of rows][tile][2 rows][4 columns] */
};

/* One column of inputs at pixels [first, first + count), a word every four: a pointwise layer. */
static void pack_channel(const layer_t *layer, uint32_t column, uint32_t first, uint32_t count, uint32_t *words) {
  const uint32_t step = layer->conv->in_channels;
  const int32_t zero = layer->conv->in_zero;
  const int8_t *x = layer->x + first * step + tb_channel(&layer->part, column);
  TB_UNROLL
  for (uint32_t i = count / 2; i != 0; i--, x += 2 * step, words += TB_TILE_COLUMNS) {
    *words = tb_pack_low((uint32_t)(x[0] - zero), (uint32_t)(x[step] - zero));
  }
  if ((count & 1u) != 0) *words = tb_pair(x[0] - zero, 0);
}

/* The same of four columns that are neighbours in x, the first of them `channel`. */
static void pack_neighbours(const layer_t *layer, uint32_t channel, uint32_t first, uint32_t count, uint32_t *tile) {
  const uint32_t step = layer->conv->in_channels, add = tb_pair(-layer->conv->in_zero, -layer->conv->in_zero);
  const int8_t *x = layer->x + first * step + channel;
  TB_UNROLL
  for (uint32_t i = count / 2; i != 0; i--, x += 2 * step, tile += TB_TILE_COLUMNS) {
    const uint32_t upper = tb_load32(x), lower = tb_load32(x + step);
    const uint32_t even = tb_sxtab16(add, upper), odd = tb_sxtab16_odd(add, upper);
    const uint32_t even_below = tb_sxtab16(add, lower), odd_below = tb_sxtab16_odd(add, lower);
    tile[0] = tb_pack_low(even, even_below), tile[1] = tb_pack_low(odd, odd_below);
    tile[2] = tb_pack_high(even, even_below), tile[3] = tb_pack_high(odd, odd_below);
  }
  if ((count & 1u) == 0) return;
  for (uint32_t c = 0; c < TB_TILE_COLUMNS; c++) tile[c] = tb_pair(x[c] - layer->conv->in_zero, 0);
}

/* The same for any kernel, stride and padding. */
static void pack_weight(const layer_t *layer, uint32_t column, uint32_t first, uint32_t count, uint32_t *words) {
  const tb_conv_t *conv = layer->conv;
  const uint32_t tap = column / layer->part.count, channel = tb_channel(&layer->part, column % layer->part.count);
  const uint32_t stride = conv->stride, width = conv->out_width;
  uint32_t oy = first / width, ox = first % width;
  /* Unsigned, so that one comparison tells what is outside. */
  uint32_t iy = oy * stride + tap / conv->kernel_width - conv->pad_top;
  uint32_t ix = ox * stride + tap % conv->kernel_width - conv->padding;
  for (uint32_t i = 0; i < count; i++) {
    int32_t value = 0;
    if (iy < conv->in_height && ix < conv->in_width) {
      value = layer->x[(iy * conv->in_width + ix) * conv->in_channels + channel] - conv->in_zero;
    }
    if ((i & 1u) == 0) {
      *words = tb_pair(value, 0);
    } else {
      *words |= tb_pair(0, value);
      words += TB_TILE_COLUMNS;
    }
    ix += stride;
    if (++ox == width) {
      ox = 0;
      ix -= width * stride;
      iy += stride;
    }
  }
}

static void pack_nothing(uint32_t pairs, uint32_t *words) {
  for (uint32_t i = 0; i < pairs; i++) words[i * TB_TILE_COLUMNS] = 0;
}

static const uint32_t *pack_pointwise(const layer_t *layer, uint32_t first_column, uint32_t end, uint32_t first,
                                      uint32_t count) {
  const uint32_t pairs = (count + 1) / 2;
  uint32_t *tile = layer->operand;
  for (uint32_t k = first_column; k < end; k += TB_TILE_COLUMNS, tile += TB_TILE_COLUMNS * pairs) {
    if (end - k >= TB_TILE_COLUMNS && tb_are_neighbours(&layer->part, k, TB_TILE_COLUMNS)) {
      pack_neighbours(layer, tb_channel(&layer->part, k), first, count, tile);
      continue;
    }
    for (uint32_t c = 0; c < TB_TILE_COLUMNS; c++) {
      if (k + c < end) {
        pack_channel(layer, k + c, first, count, tile + c);
      } else {
        pack_nothing(pairs, tile + c);
      }
    }
  }
  return tile;
}

static const uint32_t *pack_general(const layer_t *layer, uint32_t first_column, uint32_t end, uint32_t first,
                                    uint32_t count) {
  const uint32_t pairs = (count + 1) / 2;
  uint32_t *tile = layer->operand;
  for (uint32_t k = first_column; k < end; k += TB_TILE_COLUMNS, tile += TB_TILE_COLUMNS * pairs) {
    for (uint32_t c = 0; c < TB_TILE_COLUMNS; c++) {
      if (k + c < end) {
        pack_weight(layer, k + c, first, count, tile + c);
      } else {
        pack_nothing(pairs, tile + c);
      }
    }
  }
  return tile;
}

/* The gradient of output channel oc and the next, if there is one, at the pixels of a chunk. Returns all of it, combined by OR: that
 * of oc in the low half. */
static uint32_t pack_rows(const layer_t *layer, uint32_t oc, uint32_t first, uint32_t count) {
  const uint32_t step = layer->conv->out_channels;
  const int16_t *g = layer->gradient + first * step + oc;
  uint32_t *rows = layer->rows, seen = 0;
  if (oc + 1 == step) {
    for (uint32_t i = 0; i < count; i += 2, g += 2 * step, rows += TB_TILE_ROWS) {
      rows[0] = tb_pair(g[0], i + 1 < count ? g[step] : 0);
      rows[1] = 0;
      seen |= rows[0] | rows[0] >> 16;
    }
    return seen & 0xffffu;
  }
  TB_UNROLL
  for (uint32_t i = count / 2; i != 0; i--, g += 2 * step, rows += TB_TILE_ROWS) {
    const uint32_t upper = tb_load32(g), lower = tb_load32(g + step);
    rows[0] = tb_pack_low(upper, lower);
    rows[1] = tb_pack_high(upper, lower);
    seen |= upper;
    seen |= lower;
  }
  if ((count & 1u) != 0) {
    rows[0] = tb_pair(g[0], 0), rows[1] = tb_pair(g[1], 0);
    seen |= tb_pair(g[0], g[1]);
  }
  return seen;
}

static int64_t load64(const uint8_t *from) {
  int64_t value;
  memcpy(&value, from, sizeof value);
  return value;
}

static void store64(uint8_t *to, int64_t value) { memcpy(to, &value, sizeof value); }

/* Columns [first, end) of all output channels, no more than CHUNK pixels. */
static void update_block(const layer_t *layer, int8_t *weights, uint32_t first, uint32_t end) {
  const uint32_t out_channels = layer->conv->out_channels;
  const float learning_rate = layer->stream.step->learning_rate, *scale = layer->stream.update->scale;
  /* A channel whose gradient is 0 everywhere, as that of one clamped everywhere, moves no weight, whatever the rounding. Unless
   * what came before counts too. */
  const int all = layer->stream.step->accumulate || layer->stream.update->rule != NULL;
  const uint32_t *operand_end = layer->pack(layer, first, end, 0, layer->pixels);
  for (uint32_t oc = 0; oc < out_channels; oc += TB_TILE_ROWS) {
    const uint32_t gradient = pack_rows(layer, oc, 0, layer->pixels);
    if (!all && gradient == 0) continue;
    tb_update_tiles(layer->rows, layer->operand, operand_end, layer->pairs, layer->sums);
    for (uint32_t r = 0; r < TB_TILE_ROWS && oc + r < out_channels; r++) {
      if (!all && (gradient >> (16 * r) & 0xffffu) == 0) continue;
      tb_apply_sums_i8(&layer->stream, weights, (oc + r) * layer->columns + first, layer->sums + r * TB_TILE_COLUMNS,
                       SUMS, layer->power, learning_rate * scale[oc + r], end - first,
                       layer->columns * out_channels);
    }
  }
}

/* The same of output channels [oc, oc_end) and any number of pixels. */
static void update_block_of_many(const layer_t *layer, int8_t *weights, uint32_t first, uint32_t end, uint32_t oc,
                                 uint32_t oc_end) {
  const uint32_t count = (end - first + 3) / 4 * SUMS;
  const float learning_rate = layer->stream.step->learning_rate, *scale = layer->stream.update->scale;
  for (uint32_t i = 0; i < (oc_end - oc + 1) / 2 * count; i++) store64(layer->totals + 8 * i, 0);
  for (uint32_t p = 0; p < layer->pixels; p += CHUNK) {
    const uint32_t pixels = tb_minimum(CHUNK, layer->pixels - p), pairs = (pixels + 1) / 2;
    const uint32_t *operand_end = layer->pack(layer, first, end, p, pixels);
    uint8_t *total = layer->totals;
    for (uint32_t o = oc; o < oc_end; o += TB_TILE_ROWS) {
      (void)pack_rows(layer, o, p, pixels);
      tb_update_tiles(layer->rows, layer->operand, operand_end, pairs, layer->sums);
      for (uint32_t i = 0; i < count; i++, total += 8) store64(total, load64(total) + layer->sums[i]);
    }
  }
  for (uint32_t o = oc; o < oc_end; o++) {
    const uint8_t *totals = layer->totals + 8 * ((o - oc) / 2 * count + (o - oc) % 2 * TB_TILE_COLUMNS);
    const float rate = learning_rate * scale[o];
    for (uint32_t k = first; k < end; k++) {
      const uint32_t i = k - first;
      float gradient = tb_float_of(load64(totals + 8 * (i / 4 * SUMS + i % 4))) * layer->power;
      tb_apply_i8(&layer->stream, weights, o * layer->columns + k, 1, &gradient, &rate, 1);
    }
  }
}

/* `many`: more pixels than a chunk has. */
TB_INLINE void conv2d_update(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,
                             const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step, void *scratch,
                             pack_t *pack, int many) {
  layer_t layer;
  layer.conv = conv;
  layer.pack = pack;
  layer.gradient = gradient;
  layer.x = x;
  layer.part = tb_trainable_part(weights, conv->in_channels);
  layer.stream = tb_open_stream(update, step);
  layer.power = tb_power_of_two(exponent);
  layer.columns = (uint32_t)conv->kernel_height * conv->kernel_width * layer.part.count;
  if (layer.columns == 0) return;
  layer.pixels = (uint32_t)conv->out_height * conv->out_width;
  layer.pairs = (tb_minimum(layer.pixels, CHUNK) + 1) / 2;
  const uint32_t tile_bytes = 4 * TB_TILE_COLUMNS * layer.pairs;
  const uint32_t most = tb_fitting_tiles(tile_bytes, BLOCK_BYTES, BLOCK_TILES, 0, 0);
  const uint32_t tiles = tb_tiles_per_block((layer.columns + 3) / 4, most);
  layer.rows = (uint32_t *)scratch;
  layer.operand = layer.rows + TB_TILE_ROWS * layer.pairs;
  layer.sums = (int32_t *)(layer.operand + TB_TILE_COLUMNS * layer.pairs * tiles);
  layer.totals = (uint8_t *)(layer.sums + SUMS * tiles);
  for (uint32_t first = 0, end; first < layer.columns; first = end) {
    end = tb_minimum(layer.columns, first + TB_TILE_COLUMNS * tiles);
    if (!many) {
      update_block(&layer, weights->trainable, first, end);
      continue;
    }
    for (uint32_t oc = 0; oc < conv->out_channels; oc += BLOCK_ROWS) {
      const uint32_t oc_end = tb_minimum(conv->out_channels, oc + BLOCK_ROWS);
      update_block_of_many(&layer, weights->trainable, first, end, oc, oc_end);
    }
  }
}

TB_NOINLINE void update_few(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,
                            const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step, void *scratch,
                            pack_t *pack) {
  conv2d_update(conv, gradient, exponent, x, weights, update, step, scratch, pack, 0);
}

TB_NOINLINE void update_many(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,
                             const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step, void *scratch,
                             pack_t *pack) {
  conv2d_update(conv, gradient, exponent, x, weights, update, step, scratch, pack, 1);
}

#define KERNEL(name, function, pack, condition)                                                                        \
  void name(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,                         \
            const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step, void *scratch) {            \
    TB_EXPECT(condition);                                                                                              \
    function(conv, gradient, exponent, x, weights, update, step, scratch, pack);                                       \
  }
KERNEL(tb_conv2d_update_pointwise_i16, update_few, pack_pointwise, tb_is_pointwise(conv) && tb_fits_short_sum(conv))
KERNEL(tb_conv2d_update_pointwise_long_i16, update_many, pack_pointwise, tb_is_pointwise(conv))
KERNEL(tb_conv2d_update_general_i16, update_few, pack_general, tb_fits_short_sum(conv))
KERNEL(tb_conv2d_update_general_long_i16, update_many, pack_general, 1)
#endif
