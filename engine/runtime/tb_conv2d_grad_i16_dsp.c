/* tb_conv2d_grad_i16_dsp.c: int16 gradient of the input of a pointwise convolution, for processors with DSP instructions.
 *
 * A product of matrices, summed over output channels: rows of a tile are two input channels, columns four pixels. A block of
 * pixels is put into pairs once, two rows of weights once a block.
 */
#include "tb_blocks.h"
#include "tb_gradient_output.h"
#include "tb_gradient_tiles.h"
#include "tb_sum_tiles.h"

#if TB_DSP
/* engine/operators/scratch.py plans with the same figures. */
#define BLOCK_BYTES 8192u /* of paired gradients, ... */
#define BLOCK_TILES 16u
#define MORE_BYTES 12288u /* ... but this many where a block would have fewer than ... */
#define LEAST_TILES 4u    /* ... these: each block widens all weights once */

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

/* Two neighbouring stored channels in pairs of output channels: `groups` > 0 of four. Returns the end of what it wrote. */
static uint32_t *expand_groups(const int8_t *weights, uint32_t step, uint32_t groups, uint32_t *rows) {
#if TB_DSP_ASM
#define GROUP                                                                                        \
  "ldrh r4, [%[w]]\n ldrh r5, [%[w], %[step]]\n"                                                     \
  "ldrh r6, [%[w], %[step], lsl #1]\n ldrh r8, [%[w], %[step3]]\n"                                   \
  "add %[w], %[w], %[step], lsl #2\n"                                                                \
  "pkhbt r5, r4, r5, lsl #16\n pkhbt r8, r6, r8, lsl #16\n"                                          \
  "sxtb16 r4, r5\n sxtb16 r5, r5, ror #8\n sxtb16 r6, r8\n sxtb16 r8, r8, ror #8\n"                 \
  "stm %[rows]!, {r4, r5, r6, r8}\n"
  __asm volatile(
      "tst %[groups], #1\n bne 2f\n"
      "1: " GROUP "2: " GROUP
      "subs %[groups], #2\n bgt 1b\n"
      : [w] "+r"(weights), [rows] "+r"(rows), [groups] "+l"(groups)
      : [step] "r"(step), [step3] "r"(3 * step)
      : "r4", "r5", "r6", "r8", "cc", "memory");
#else
  for (uint32_t i = 2 * groups; i != 0; i--, weights += 2 * step, rows += TB_TILE_ROWS) {
    uint16_t upper, lower;
    memcpy(&upper, weights, sizeof upper);
    memcpy(&lower, weights + step, sizeof lower);
    const uint32_t square = tb_pack_low(upper, lower);
    rows[0] = tb_sxtb16(square);
    rows[1] = tb_sxtb16_odd(square);
  }
#endif
  return rows;
}

/* Pairs of output channels of one or two stored input channels: [pair][2 channels]; what is missing is 0. */
TB_NOINLINE void expand_weights(const int8_t *weights, uint32_t step, uint32_t channels, uint32_t count, uint32_t pairs,
                                uint32_t *rows) {
  const uint32_t groups = count == TB_TILE_ROWS ? channels / 4 : 0;
  if (groups > 0) rows = expand_groups(weights, step, groups, rows);
  weights += 4 * groups * step;
  for (uint32_t i = 2 * groups; i < pairs; i++, weights += 2 * step, rows += TB_TILE_ROWS) {
    for (uint32_t r = 0; r < TB_TILE_ROWS; r++) {
      const int32_t low = r < count && 2 * i < channels ? weights[r] : 0;
      rows[r] = tb_pair(low, r < count && 2 * i + 1 < channels ? weights[step + r] : 0);
    }
  }
}

/* A larger shift, for sums that are still to be stored. */
static void raise_tiles(tb_gradient_output_t *out, tb_gradient_tiles_t *tiles, uint32_t rows, uint32_t pixel) {
  out->magnitudes = tiles->magnitudes;
  tb_raise_shift(out, rows, pixel);
  tiles->up = 16u - out->shift;
  tiles->limit = tb_gradient_limit(out);
}

/* The block's pixels, of one or two stored channels: out->row and the next. */
TB_NOINLINE void pointwise_rows(tb_gradient_output_t *out, tb_gradient_tiles_t *tiles, const uint32_t *columns, uint32_t rows) {
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

/* The same, added to sums. */
static void add_rows(const tb_gradient_output_t *out, const tb_gradient_tiles_t *tiles, const uint32_t *columns,
                     uint32_t rows) {
  const tb_part_t *part = &out->parts[out->part];
  const uint32_t step = out->channels, channel = tb_channel(part, out->row), count = out->end - out->first;
  const uint32_t second = rows == TB_TILE_ROWS ? tb_channel(part, out->row + 1) - channel : 0;
  const uint32_t whole = rows == TB_TILE_ROWS ? count / TB_TILE_COLUMNS : 0; /* tiles */
  int32_t *sum = out->sums + out->first * step + channel;
  const uint32_t *end = columns + whole * TB_TILE_COLUMNS * tiles->pairs;
  const tb_sum_tiles_t sums = {tiles->rows, 4 * step, 4 * second, sum, tiles->rows_end, end, columns, tiles->pairs};
  if (whole > 0) tb_sum_tiles(&sums);
  columns = end;
  sum += whole * TB_TILE_COLUMNS * step;
  for (uint32_t p = whole * TB_TILE_COLUMNS; p < count; p += TB_TILE_COLUMNS, columns += TB_TILE_COLUMNS * tiles->pairs) {
    int32_t acc[TB_TILE_ROWS * TB_TILE_COLUMNS] = {0};
    tb_gemm_tile(tiles->rows, columns, tiles->pairs, acc);
    for (uint32_t i = 0; i < tb_minimum(TB_TILE_COLUMNS, count - p); i++, sum += step) {
      for (uint32_t r = 0; r < rows; r++) sum[r * second] += acc[r * TB_TILE_COLUMNS + i];
    }
  }
}

void tb_pointwise_grad_i16(const tb_conv_t *conv, const int16_t *gradient, tb_gradient_output_t *out, uint32_t *scratch) {
  const uint32_t channels = conv->out_channels, pixels = (uint32_t)conv->in_height * conv->in_width;
  const uint32_t pairs = (channels + 1) / 2;
  const uint32_t most = tb_fitting_tiles(16 * pairs, BLOCK_BYTES, BLOCK_TILES, MORE_BYTES, LEAST_TILES);
  const uint32_t block = TB_TILE_COLUMNS * tb_tiles_per_block((pixels + 3) / 4, most);
  uint32_t *rows = scratch, *columns = scratch + TB_TILE_ROWS * pairs;
  tb_gradient_tiles_t tiles;
  tiles.step = 2 * out->channels;
  tiles.up = 16;
  tiles.limit = tb_gradient_limit(out);
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
        if (out->sums != NULL) {
          add_rows(out, &tiles, columns, count);
        } else {
          pointwise_rows(out, &tiles, columns, count);
        }
      }
    }
  }
}
#endif
