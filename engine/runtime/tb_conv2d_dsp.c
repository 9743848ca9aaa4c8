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
  int8_t *fields; /* receptive fields of four pixels, `field` bytes each; NULL: those of a pointwise layer are its input */
  uint32_t field;
  uint32_t terms; /* of a sum, padding included */
  uint32_t gap;   /* bytes behind the columns of a tile */
  uint32_t add;
} source_t;

TB_INLINE void copy_bytes(int8_t *to, const int8_t *from, uint32_t count) {
  uint32_t i = 0;
  for (; i + 4 <= count; i += 4) tb_store32(to + i, tb_load32(from + i));
  for (; i < count; i++) to[i] = from[i];
}

TB_INLINE void copy_rows(int8_t *to, const int8_t *from, uint32_t rows, uint32_t run, uint32_t step) {
  for (uint32_t i = 0; i < rows; i++, to += run, from += step) copy_bytes(to, from, run);
}

/* What the output pixel at (iy, ix) minus padding sees, where that reaches beyond the image: there it is the zero point. */
static void copy_border_field(const tb_conv_t *conv, const int8_t *x, int32_t iy, int32_t ix, int8_t *field) {
  const int32_t channels = conv->in_channels, run = conv->kernel_width * channels;
  const tb_range_t columns = tb_taps_inside(ix, conv->kernel_width, conv->in_width);
  const int32_t first = columns.first * channels, count = (columns.end - columns.first) * channels;
  for (int32_t ky = 0; ky < conv->kernel_height; ky++, field += run) {
    const int32_t row = iy + ky;
    for (int32_t i = 0; i < run; i++) field[i] = (int8_t)conv->in_zero;
    if (row < 0 || row >= conv->in_height || count <= 0) continue;
    copy_bytes(field + first, x + (row * conv->in_width + ix) * channels + first, (uint32_t)count);
  }
}

/* What the four output pixels from `first` on see, [KH][KW][IC] each; `count` of them exist. */
static void copy_fields(const source_t *s, uint32_t first, uint32_t count) {
  const tb_conv_t *conv = s->conv;
  const int32_t height = conv->kernel_height, width = conv->kernel_width, stride = conv->stride;
  const int32_t in_width = conv->in_width, out_width = conv->out_width, last = TB_TILE_COLUMNS - 1;
  const uint32_t channels = conv->in_channels, run = (uint32_t)width * channels, step = (uint32_t)in_width * channels;
  int32_t oy = (int32_t)first / out_width, ox = (int32_t)first % out_width;
  int32_t iy = oy * stride - conv->pad_top, ix = ox * stride - conv->padding;
  const int whole = count == TB_TILE_COLUMNS && ox + last < out_width;
  if (whole && iy >= 0 && ix >= 0 && iy + height <= conv->in_height && ix + last * stride + width <= in_width) {
    const int8_t *x = s->x + (uint32_t)(iy * in_width + ix) * channels;
    for (uint32_t p = 0; p < TB_TILE_COLUMNS; p++, x += (uint32_t)stride * channels) {
      int8_t *field = s->fields + p * s->field;
      if (run == 9 && height == 3) {
        copy_rows(field, x, 3, 9, step); /* of constant size: 3 channels, the first layer of a network */
      } else {
        copy_rows(field, x, (uint32_t)height, run, step);
      }
    }
    return;
  }
  for (uint32_t p = 0; p < count; p++) {
    copy_border_field(conv, s->x, iy, ix, s->fields + p * s->field);
    ix += stride;
    if (++ox < out_width) continue;
    ox = 0, ix = -conv->padding, iy += stride;
  }
}

/* Widen what `count` <= 4 pixels from `first` on see; missing pixels repeat the last one. */
static void expand_tile(const source_t *s, uint32_t first, uint32_t count, uint32_t *columns) {
  const uint32_t channels = s->conv->in_channels;
  const int8_t *pixel[TB_TILE_COLUMNS];
  if (s->fields != NULL) copy_fields(s, first, count);
  for (uint32_t p = 0; p < TB_TILE_COLUMNS; p++) {
    const uint32_t i = tb_minimum(p, count - 1);
    pixel[p] = s->fields != NULL ? s->fields + i * s->field : s->x + (first + i) * channels;
  }
  if (s->part_count == 2) {
    for (uint32_t i = 0; i < 2; i++) {
      columns = tb_expand_listed_columns(pixel, s->parts[i].channels, s->parts[i].count, s->taps, channels, s->add,
                                         columns);
    }
  } else if (s->fields != NULL) {
    tb_expand_tiles(s->fields, s->terms, columns, columns + 2 * s->terms, 0, s->add);
  } else {
    tb_expand_columns(pixel, channels, s->add, columns);
  }
}

static void expand_block(const source_t *s, uint32_t first, uint32_t count, uint32_t *columns) {
  const uint32_t channels = s->conv->in_channels, tile_words = 2 * s->terms + s->gap / 4;
  uint32_t p = 0;
  if (s->fields == NULL && s->part_count == 1 && channels == s->terms && count >= TB_TILE_COLUMNS) {
    const uint32_t words = count / TB_TILE_COLUMNS * tile_words;
    tb_expand_tiles(s->x + first * channels, channels, columns, columns + words, s->gap, s->add);
    p = count / TB_TILE_COLUMNS * TB_TILE_COLUMNS;
    columns += words;
  }
  for (; p < count; p += TB_TILE_COLUMNS, columns += tile_words) {
    expand_tile(s, first + p, tb_minimum(TB_TILE_COLUMNS, count - p), columns);
  }
}

/* Widen the weights of output channels oc and oc + 1; the last one, if alone, counts twice. */
static void expand_weights(const source_t *s, uint32_t oc, uint32_t channels, uint32_t *rows) {
  for (uint32_t i = 0; i < s->part_count; i++) {
    const uint32_t count = s->taps * s->parts[i].count;
    const int8_t *row = s->parts[i].data + (size_t)oc * count;
    rows = tb_expand_rows(row, channels == 2 ? row + count : row, count, rows);
  }
}

/* From 2 bits a pixel in each of 4 bytes, a byte a channel pair, to 8 bits a channel in each of 4 bytes, a byte a pixel. */
TB_INLINE uint32_t transpose_bits(uint32_t bits) {
  uint32_t swapped = (bits ^ bits >> 6) & 0x00cc00ccu;
  bits ^= swapped ^ swapped << 6;
  swapped = (bits ^ bits >> 12) & 0x0000f0f0u;
  return bits ^ swapped ^ swapped << 12;
}

/* Move the bits gathered behind each tile's columns to the mask, 8 channels from bit `bit` on; `step` bytes a pixel. */
static void store_mask_bytes(const uint32_t *bits, uint32_t tile_words, uint32_t tiles, uint8_t *mask, uint32_t step) {
  for (uint32_t i = 0; i < tiles; i++, bits += tile_words) {
    const uint32_t kept = transpose_bits(~*bits);
    mask[0] = (uint8_t)kept;
    mask += step;
    mask[0] = (uint8_t)(kept >> 8);
    mask += step;
    mask[0] = (uint8_t)(kept >> 16);
    mask += step;
    mask[0] = (uint8_t)(kept >> 24);
    mask += step;
  }
}

/* The same for any `channels` <= 8, any number of pixels and a cleared mask; `step` bits a pixel. */
static void store_mask_bits(const uint32_t *bits, uint32_t tile_words, uint32_t pixels, uint32_t channels, uint8_t *mask,
                            uint32_t bit, uint32_t step) {
  const uint32_t gathered = 8u * ((channels + 1u) >> 1), wanted = (1u << channels) - 1u;
  for (uint32_t p = 0, kept = 0; p < pixels; p++, kept >>= 8, bit += step) {
    if (p % TB_TILE_COLUMNS == 0) kept = transpose_bits(~bits[p / TB_TILE_COLUMNS * tile_words] >> (32u - gathered));
    tb_mask_set(mask, bit, kept & wanted);
  }
}

void tb_conv2d_i8(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,
                  uint8_t *mask, void *scratch) {
  const uint32_t pixels = (uint32_t)conv->out_height * conv->out_width, out_channels = conv->out_channels;
  const int masked = mask != NULL, whole_bytes = pixels % TB_TILE_COLUMNS == 0 && out_channels % 8 == 0;
  source_t s;
  s.conv = conv, s.x = x;
  s.part_count = tb_parts(weights, conv->in_channels, s.parts);
  s.taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  s.terms = 0;
  for (uint32_t i = 0; i < s.part_count; i++) s.terms += TB_TERMS(s.taps * s.parts[i].count);
  s.gap = masked ? 4 * TB_TILE_MASK_WORDS : 0;
  s.add = tb_pair(-conv->in_zero, -conv->in_zero);
  const tb_conv2d_block_t block = tb_conv2d_block(conv, s.part_count == 2);
  uint32_t *const rows = scratch, *const columns = rows + block.terms;
  s.field = block.terms;
  s.fields = tb_is_pointwise(conv) ? NULL : (int8_t *)(columns + block.pixels * (2 * block.terms + 2) / 4);
  const uint32_t tile_words = 2 * s.terms + s.gap / 4;
  tb_conv2d_tiles_t tiles;
  tiles.step = out_channels, tiles.zero = conv->out_zero, tiles.shift = conv->shift;
  tiles.rows = rows, tiles.pairs = s.terms / 2, tiles.rows_end = rows + s.terms;
  if (masked && !whole_bytes) tb_mask_clear(mask, pixels * out_channels);
  for (uint32_t first = 0, count; first < pixels; first += count) {
    count = tb_minimum(block.pixels, pixels - first);
    expand_block(&s, first, count, columns);
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
      if (!masked || (last % 8 != 7 && last + 1 != out_channels)) continue;
      const uint32_t bit = first * out_channels + (last & ~7u);
      if (whole_bytes) {
        store_mask_bytes(columns + 2 * s.terms, tile_words, count / 4, mask + bit / 8, out_channels / 8);
      } else {
        store_mask_bits(columns + 2 * s.terms, tile_words, count, last % 8 + 1, mask, bit, out_channels);
      }
    }
  }
}
#endif
