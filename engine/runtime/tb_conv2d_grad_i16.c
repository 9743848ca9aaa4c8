/* tb_conv2d_grad_i16.c: int16 gradient of the input of a convolution. Definition: docs/numerics.md, Integer gradients.
 *
 * A pointwise layer is a product of matrices, summed over output channels: rows of a tile are two input channels, columns four
 * pixels. A block of pixels is put into pairs once, two rows of weights once a block. One path serves device and host:
 * tb_gemm_tile is what is fast on each.
 */
#include "tb_blocks.h"
#include "tb_gradient_tiles.h"

/* engine/operators/scratch.py plans with the same figures. */
#define BLOCK_BYTES 8192u /* of paired gradients, ... */
#define BLOCK_TILES 16u
#define MORE_BYTES 18432u /* ... but this many where a block would have fewer than ... */
#define LEAST_TILES 4u    /* ... these: each block widens all weights once */

/* Where the gradient goes, and how much of it is stored: pixels before `first` whole; of the pixels of the block, [first,
 * end), the stored channels before (part, row). */
typedef struct {
  int16_t *dx;
  uint32_t channels;
  tb_part_t parts[2];
  uint32_t magnitudes, shift;
  uint32_t first, end, part, row;
} output_t;

static output_t output_of(const tb_conv_t *conv, const tb_weights_t *weights, int16_t *dx) {
  output_t out;
  out.dx = dx;
  out.channels = conv->in_channels;
  out.magnitudes = out.shift = out.first = out.end = out.part = out.row = 0;
  out.parts[1].count = 0;
  (void)tb_parts(weights, conv->in_channels, out.parts);
  return out;
}

/* The largest magnitude that the shift is enough for. */
static uint32_t limit_of(const output_t *out) { return 0xffffffffu >> (16u - out->shift); }

/* Stored channels [j, j + count) of pixels [first, end). */
static void shift_channels(const output_t *out, const tb_part_t *part, uint32_t j, uint32_t count, uint32_t end,
                           uint32_t by) {
  for (uint32_t run; count > 0; j += run, count -= run) {
    run = tb_minimum(count, tb_neighbours(part, j));
    int16_t *values = out->dx + out->first * out->channels + tb_channel(part, j);
    for (uint32_t p = out->first; p < end; p++, values += out->channels) tb_shift_stored(values, run, by);
  }
}

/* A value came that needs a larger shift: halve all that is stored. Of the `rows` stored channels from out->row on, that is
 * what lies before `pixel`. */
TB_NOINLINE void raise_shift(output_t *out, uint32_t rows, uint32_t pixel) {
  const uint32_t by = tb_shift_for(out->magnitudes) - out->shift;
  tb_shift_stored(out->dx, out->first * out->channels, by);
  for (uint32_t i = 0; i < out->part; i++) shift_channels(out, &out->parts[i], 0, out->parts[i].count, out->end, by);
  shift_channels(out, &out->parts[out->part], 0, out->row, out->end, by);
  shift_channels(out, &out->parts[out->part], out->row, rows, pixel, by);
  out->shift += by;
}

/* Pairs of output channels of up to four pixels: [pair][4 pixels]; what is missing is 0. */
static void expand_pixels(const int16_t *gradient, uint32_t channels, uint32_t count, uint32_t pairs, uint32_t *columns) {
  uint32_t done = 0;
  if (count == TB_TILE_COLUMNS) {
    const int16_t *g0 = gradient, *g1 = g0 + channels, *g2 = g1 + channels, *g3 = g2 + channels;
    done = channels / 2;
    TB_UNROLL
    for (uint32_t i = done; i != 0; i--, g0 += 2, g1 += 2, g2 += 2, g3 += 2, columns += TB_TILE_COLUMNS) {
      const uint32_t a = tb_load32(g0), b = tb_load32(g1), c = tb_load32(g2), d = tb_load32(g3);
      columns[0] = a, columns[1] = b, columns[2] = c, columns[3] = d;
    }
  }
  for (uint32_t i = done; i < pairs; i++, columns += TB_TILE_COLUMNS) {
    for (uint32_t p = 0; p < TB_TILE_COLUMNS; p++) {
      const int16_t *g = gradient + p * channels + 2 * i;
      const int32_t low = p < count && 2 * i < channels ? g[0] : 0;
      columns[p] = tb_pair(low, p < count && 2 * i + 1 < channels ? g[1] : 0);
    }
  }
}

/* Pairs of output channels of one or two stored input channels: [pair][2 channels]; what is missing is 0. */
TB_NOINLINE void expand_weights(const int8_t *weights, uint32_t step, uint32_t channels, uint32_t count, uint32_t pairs,
                           uint32_t *rows) {
  uint32_t done = 0;
  if (count == TB_TILE_ROWS) {
    done = channels / 2;
    TB_UNROLL
    for (uint32_t i = done; i != 0; i--, weights += 2 * step, rows += TB_TILE_ROWS) {
      uint16_t upper, lower;
      memcpy(&upper, weights, sizeof upper);
      memcpy(&lower, weights + step, sizeof lower);
      const uint32_t square = tb_pack_low(upper, lower);
      rows[0] = tb_sxtb16(square);
      rows[1] = tb_sxtb16_odd(square);
    }
  }
  for (uint32_t i = done; i < pairs; i++, weights += 2 * step, rows += TB_TILE_ROWS) {
    for (uint32_t r = 0; r < TB_TILE_ROWS; r++) {
      const int32_t low = r < count && 2 * i < channels ? weights[r] : 0;
      rows[r] = tb_pair(low, r < count && 2 * i + 1 < channels ? weights[step + r] : 0);
    }
  }
}

/* A larger shift, for sums that are still to be stored. */
static void raise_tiles(output_t *out, tb_gradient_tiles_t *tiles, uint32_t rows, uint32_t pixel) {
  out->magnitudes = tiles->magnitudes;
  raise_shift(out, rows, pixel);
  tiles->up = 16u - out->shift;
  tiles->limit = limit_of(out);
}

/* The block's pixels, of one or two stored channels: out->row and the next. */
TB_NOINLINE void pointwise_rows(output_t *out, tb_gradient_tiles_t *tiles, const uint32_t *columns, uint32_t rows) {
  const tb_part_t *part = &out->parts[out->part];
  const uint32_t channel = tb_channel(part, out->row), count = out->end - out->first;
  const uint32_t whole = rows == TB_TILE_ROWS ? count / TB_TILE_COLUMNS : 0; /* tiles */
  tiles->dx = out->dx + out->first * out->channels + channel;
  tiles->second = rows == TB_TILE_ROWS ? 2 * (tb_channel(part, out->row + 1) - channel) : 0;
  tiles->columns = columns;
  tiles->columns_end = columns + whole * TB_TILE_COLUMNS * tiles->pairs;
  while (tb_gradient_tiles(tiles)) {
    const uint32_t stored = (uint32_t)(tiles->columns - columns) / tiles->pairs - TB_TILE_COLUMNS;
    raise_tiles(out, tiles, rows, out->first + stored);
    tb_gradient_store(tiles, TB_TILE_ROWS, TB_TILE_COLUMNS);
  }
  for (uint32_t p = whole * TB_TILE_COLUMNS; p < count; p += TB_TILE_COLUMNS) {
    if (tb_gradient_sums(tiles)) raise_tiles(out, tiles, rows, out->first + p);
    tb_gradient_store(tiles, rows, tb_minimum(TB_TILE_COLUMNS, count - p));
  }
  out->magnitudes = tiles->magnitudes;
}

TB_NOINLINE void pointwise_grad(const tb_conv_t *conv, const int16_t *gradient, output_t *out, uint32_t *scratch) {
  const uint32_t channels = conv->out_channels, pixels = (uint32_t)conv->in_height * conv->in_width;
  const uint32_t pairs = (channels + 1) / 2;
  const uint32_t most = tb_fitting_tiles(16 * pairs, BLOCK_BYTES, BLOCK_TILES, MORE_BYTES, LEAST_TILES);
  const uint32_t block = TB_TILE_COLUMNS * tb_tiles_per_block((pixels + 3) / 4, most);
  uint32_t *rows = scratch, *columns = scratch + TB_TILE_ROWS * pairs;
  tb_gradient_tiles_t tiles;
  tiles.step = 2 * out->channels;
  tiles.up = 16;
  tiles.limit = limit_of(out);
  tiles.magnitudes = 0;
  tiles.rows = rows;
  tiles.rows_end = columns;
  tiles.pairs = pairs;
  for (out->first = 0; out->first < pixels; out->first = out->end) {
    out->end = tb_minimum(pixels, out->first + block);
    uint32_t *tile = columns;
    for (uint32_t p = out->first; p < out->end; p += TB_TILE_COLUMNS, tile += TB_TILE_COLUMNS * pairs) {
      const uint32_t count = tb_minimum(TB_TILE_COLUMNS, out->end - p);
      expand_pixels(gradient + p * channels, channels, count, pairs, tile);
    }
    for (out->part = 0; out->part < 2; out->part++) {
      const tb_part_t *part = &out->parts[out->part];
      for (out->row = 0; out->row < part->count; out->row += TB_TILE_ROWS) {
        const uint32_t count = tb_minimum(TB_TILE_ROWS, part->count - out->row);
        expand_weights(part->data + out->row, part->count, channels, count, pairs, rows);
        pointwise_rows(out, &tiles, columns, count);
      }
    }
  }
}

/* The sums of one input pixel and `lanes` stored input channels from out->row on, for any kernel and stride. */
TB_INLINE void general_block(const tb_conv_t *conv, const int16_t *gradient, output_t *out, int32_t y, int32_t x,
                             uint32_t lanes) {
  const int32_t stride = conv->stride, kernel_width = conv->kernel_width, out_width = conv->out_width;
  const tb_range_t rows = tb_taps_reaching(y, conv->kernel_height, stride, conv->out_height);
  const tb_range_t columns = tb_taps_reaching(x, kernel_width, stride, out_width);
  const tb_part_t *part = &out->parts[out->part];
  const uint32_t n = part->count, taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  int32_t sums[TB_LANES];
  TB_UNROLL_BLOCK
  for (uint32_t l = 0; l < lanes; l++) sums[l] = 0;
  for (int32_t ky = rows.first; ky < rows.end; ky += stride) {
    for (int32_t kx = columns.first; kx < columns.end; kx += stride) {
      const int32_t pixel = (y - ky) / stride * out_width + (x - kx) / stride;
      const int16_t *g = gradient + (uint32_t)pixel * conv->out_channels;
      const int8_t *w = part->data + (uint32_t)(ky * kernel_width + kx) * n + out->row;
      for (uint32_t oc = 0; oc < conv->out_channels; oc++, w += taps * n) {
        TB_UNROLL_BLOCK
        for (uint32_t l = 0; l < lanes; l++) sums[l] += g[oc] * w[l];
      }
    }
  }
  uint32_t magnitudes = 0;
  for (uint32_t l = 0; l < lanes; l++) magnitudes |= tb_magnitude(sums[l]);
  out->magnitudes |= magnitudes;
  if (magnitudes > limit_of(out)) raise_shift(out, 0, out->first);
  int16_t *pixel = out->dx + out->first * out->channels;
  for (uint32_t l = 0; l < lanes; l++) {
    pixel[tb_channel(part, out->row + l)] = tb_round_to_odd(sums[l], out->shift);
  }
}

TB_NOINLINE void general_grad(const tb_conv_t *conv, const int16_t *gradient, output_t *out) {
  const uint32_t pixels = (uint32_t)conv->in_height * conv->in_width;
  for (out->first = 0; out->first < pixels; out->first++) {
    out->end = out->first + 1;
    const int32_t y = (int32_t)(out->first / conv->in_width) + conv->pad_top;
    const int32_t x = (int32_t)(out->first % conv->in_width) + conv->padding;
    for (out->part = 0; out->part < 2; out->part++) {
      const uint32_t count = out->parts[out->part].count;
      for (out->row = 0; count - out->row >= TB_LANES; out->row += TB_LANES) {
        general_block(conv, gradient, out, y, x, TB_LANES);
      }
      for (; out->row < count; out->row++) general_block(conv, gradient, out, y, x, 1);
    }
  }
}

int32_t tb_conv2d_grad_input_i16(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent,
                                 const tb_weights_t *weights, int16_t *dx, void *scratch) {
  output_t out = output_of(conv, weights, dx);
  if (tb_is_pointwise(conv)) {
    pointwise_grad(conv, gradient, &out, (uint32_t *)scratch);
  } else {
    general_grad(conv, gradient, &out);
  }
  return tb_exponent(exponent, out.magnitudes, out.shift);
}
