/* tb_conv2d_dsp.c: convolution with int8 weights for processors with DSP instructions. The plain one: tb_conv2d.c.
 *
 * A block of pixels at a time: what they see is widened to int16 minus the zero point, once for all output channels; each pair
 * of output channels is widened once a block. Weights that lie in two places are summed in the order in which they lie.
 */
#include "tb_conv2d_block.h"
#include "tb_conv2d_tiles.h"

#if TB_DSP
typedef struct {
  const tb_conv_t *conv;
  const int8_t *x;
  tb_part_t parts[2];
  uint32_t part_count, taps;
  int8_t *fields; /* four receptive fields of `field` bytes each; a pointwise layer has its own in x */
  uint32_t field;
} source_t;

TB_INLINE void copy_bytes(int8_t *to, const int8_t *from, uint32_t count) {
  uint32_t i = 0;
  for (; i + 4 <= count; i += 4) tb_store32(to + i, tb_load32(from + i));
  for (; i < count; i++) to[i] = from[i];
}

static void fill_bytes(int8_t *to, int32_t value, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) to[i] = (int8_t)value;
}

/* What output pixel `index` sees, [KH][KW][IC]; outside the image it sees the zero point. */
static void copy_field(const source_t *s, uint32_t index, int8_t *field) {
  const tb_conv_t *conv = s->conv;
  const int32_t oy = (int32_t)(index / conv->out_width), ox = (int32_t)(index % conv->out_width);
  const int32_t iy = oy * conv->stride - conv->pad_top, ix = ox * conv->stride - conv->padding;
  const int32_t channels = conv->in_channels, run = conv->kernel_width * channels;
  const tb_range_t columns = tb_taps_inside(ix, conv->kernel_width, conv->in_width);
  const int32_t first = columns.first * channels, count = (columns.end - columns.first) * channels;
  for (int32_t ky = 0; ky < conv->kernel_height; ky++, field += run) {
    const int32_t row = iy + ky;
    const int inside = row >= 0 && row < conv->in_height && count > 0;
    if (!inside || count < run) fill_bytes(field, conv->in_zero, (uint32_t)run);
    if (inside) {
      copy_bytes(field + first, s->x + (row * conv->in_width + ix) * channels + first, (uint32_t)count);
    }
  }
}

/* Widen what `count` <= 4 pixels from `first` on see; missing pixels repeat the last one. */
static uint32_t *expand_tile(const source_t *s, uint32_t first, uint32_t count, uint32_t *columns) {
  const tb_conv_t *conv = s->conv;
  const int8_t *pixel[TB_TILE_COLUMNS];
  for (uint32_t p = 0; p < TB_TILE_COLUMNS; p++) {
    const uint32_t index = first + tb_minimum(p, count - 1);
    if (s->fields == NULL) {
      pixel[p] = s->x + (size_t)index * conv->in_channels;
    } else {
      int8_t *field = s->fields + p * s->field;
      copy_field(s, index, field);
      pixel[p] = field;
    }
  }
  if (s->part_count == 1) return tb_expand_columns(pixel, s->taps * conv->in_channels, conv->in_zero, columns);
  for (uint32_t i = 0; i < s->part_count; i++) {
    columns = tb_expand_listed_columns(pixel, s->parts[i].channels, s->parts[i].count, s->taps, conv->in_channels,
                                       conv->in_zero, columns);
  }
  return columns;
}

/* Widen the weights of output channels oc and oc + 1; the last one, if alone, counts twice. */
static uint32_t *expand_weights(const source_t *s, uint32_t oc, uint32_t channels, uint32_t *rows) {
  for (uint32_t i = 0; i < s->part_count; i++) {
    const uint32_t count = s->taps * s->parts[i].count;
    const int8_t *row = s->parts[i].data + (size_t)oc * count;
    rows = tb_expand_rows(row, channels == 2 ? row + count : row, count, rows);
  }
  return rows;
}

/* From 2 bits a pixel in each of 4 bytes, a byte a channel pair, to 8 bits a channel in each of 4 bytes, a byte a pixel. */
TB_INLINE uint32_t transpose_bits(uint32_t bits) {
  uint32_t swapped = (bits ^ bits >> 6) & 0x00cc00ccu;
  bits ^= swapped ^ swapped << 6;
  swapped = (bits ^ bits >> 12) & 0x0000f0f0u;
  return bits ^ swapped ^ swapped << 12;
}

/* Move the bits of `channels` <= 8 channels from oc on, gathered behind each tile's columns, to the mask. */
static void store_mask(const uint32_t *bits, uint32_t tile_words, uint32_t pixels, uint32_t oc, uint32_t channels,
                       uint32_t out_channels, uint8_t *mask, uint32_t first_bit) {
  const uint32_t gathered = 8u * ((channels + 1u) >> 1);
  const uint32_t wanted = (1u << channels) - 1u;
  uint32_t bit = first_bit + oc;
  for (uint32_t p = 0; p < pixels; p += TB_TILE_COLUMNS, bits += tile_words) {
    uint32_t kept = transpose_bits(~*bits >> (32u - gathered));
    const uint32_t count = tb_minimum(pixels - p, TB_TILE_COLUMNS);
    for (uint32_t i = 0; i < count; i++, bit += out_channels, kept >>= 8) {
      if (channels == 8 && (out_channels & 7u) == 0) {
        mask[bit >> 3] = (uint8_t)kept;
      } else {
        tb_mask_set(mask, bit, kept & wanted);
      }
    }
  }
}

void tb_conv2d_i8(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,
                  uint8_t *mask, void *scratch) {
  const uint32_t pixel_count = (uint32_t)conv->out_height * conv->out_width, out_channels = conv->out_channels;
  const int masked = mask != NULL;
  source_t s;
  s.conv = conv, s.x = x;
  s.part_count = tb_parts(weights, conv->in_channels, s.parts);
  s.taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  const tb_conv2d_block_t block = tb_conv2d_block(conv, s.part_count == 2);
  uint32_t *const rows = scratch, *const columns = rows + block.terms;
  s.field = block.terms;
  s.fields = tb_is_pointwise(conv) ? NULL : (int8_t *)(columns + block.pixels * (2 * block.terms + 2) / 4);
  uint32_t terms = 0;
  for (uint32_t i = 0; i < s.part_count; i++) terms += TB_TERMS(s.taps * s.parts[i].count);
  const uint32_t tile_words = 2 * terms + (masked ? TB_TILE_MASK_WORDS : 0);
  tb_conv2d_tiles_t tiles;
  tiles.step = out_channels, tiles.zero = conv->out_zero, tiles.shift = conv->shift;
  tiles.rows = rows, tiles.pairs = terms / 2, tiles.rows_end = rows + terms;
  if (masked && (out_channels & 7u) != 0) tb_mask_clear(mask, pixel_count * out_channels);
  for (uint32_t first = 0, count; first < pixel_count; first += count) {
    count = tb_minimum(block.pixels, pixel_count - first);
    for (uint32_t p = 0; p < count; p += TB_TILE_COLUMNS) {
      expand_tile(&s, first + p, tb_minimum(TB_TILE_COLUMNS, count - p), columns + p / TB_TILE_COLUMNS * tile_words);
    }
    for (uint32_t oc = 0; oc < out_channels; oc += TB_TILE_ROWS) {
      const uint32_t channels = tb_minimum(TB_TILE_ROWS, out_channels - oc), last = oc + channels - 1;
      const uint32_t whole = channels == TB_TILE_ROWS ? count / TB_TILE_COLUMNS : 0;
      expand_weights(&s, oc, channels, rows);
      tiles.multiplier[0] = conv->multiplier[oc], tiles.multiplier[1] = conv->multiplier[last];
      tiles.bias[0] = bias[oc], tiles.bias[1] = bias[last];
      tiles.y = y + (size_t)first * out_channels + oc;
      tiles.columns = columns, tiles.columns_end = columns + whole * tile_words;
      tb_conv2d_tiles(&tiles, masked);
      for (uint32_t p = whole * TB_TILE_COLUMNS; p < count; p += TB_TILE_COLUMNS) {
        tb_conv2d_tile(&tiles, masked, channels, tb_minimum(TB_TILE_COLUMNS, count - p));
      }
      const uint32_t group = oc & ~7u;
      if (masked && (last + 1 == out_channels || (last & 7u) == 7u)) {
        store_mask(columns + 2 * terms, tile_words, count, group, last + 1 - group, out_channels, mask,
                   first * out_channels);
      }
    }
  }
}
#endif
