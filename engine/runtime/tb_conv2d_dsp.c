/* tb_conv2d_dsp.c: convolution with int8 weights for processors with DSP instructions. The plain one: tb_conv2d.c.
 *
 * A block of pixels at a time: what they see is widened to int16 minus the zero point, once for all output channels; each pair
 * of output channels is widened once a block. Weights that lie in two places are summed in the order in which they lie. The
 * kernels differ in how they widen a block.
 */
#include "tb_conv2d_block.h"
#include "tb_conv2d_tiles.h"
#include "tb_fits.h"

#if TB_DSP
typedef struct layer layer_t;

/* Widen what `count` pixels from `first` on see; missing pixels of the last tile repeat the last one. */
typedef void expand_t(const layer_t *s, uint32_t first, uint32_t count, uint32_t *columns);

struct layer {
  const tb_conv_t *conv;
  const int8_t *x;
  const int32_t *bias;
  int8_t *y;
  tb_part_t parts[2];
  uint32_t part_count, taps;
  int8_t *fields; /* receptive fields of four pixels, `field` bytes each; not of a pointwise layer */
  uint32_t field;
  tb_range_t inner; /* output columns that see nothing outside the image */
  uint32_t terms; /* of a sum, padding included */
  uint32_t gap;   /* bytes behind the columns of a tile */
  uint32_t add;
  uint32_t *rows, *columns; /* of the tiles of one block and two channels */
  tb_conv2d_tiles_t tiles;
  tb_conv2d_run_t *run; /* whole tiles without a mask */
};

TB_INLINE void copy_bytes(int8_t *to, const int8_t *from, uint32_t count) {
  uint32_t i = 0;
  for (; i + 4 <= count; i += 4) tb_store32(to + i, tb_load32(from + i));
  for (; i < count; i++) to[i] = from[i];
}

static void fill_bytes(int8_t *to, int32_t value, int32_t first, int32_t end) {
  for (int32_t i = first; i < end; i++) to[i] = (int8_t)value;
}

/* What the output pixel at (iy, ix) minus padding sees, where that reaches beyond the image: there it is the zero point. */
TB_NOINLINE void copy_border_field(const tb_conv_t *conv, const int8_t *x, int32_t iy, int32_t ix, int8_t *field) {
  const int32_t channels = conv->in_channels, run = conv->kernel_width * channels;
  const tb_range_t taps = tb_taps_inside(ix, conv->kernel_width, conv->in_width);
  const int32_t first = taps.first * channels, end = taps.end * channels;
  for (int32_t ky = 0; ky < conv->kernel_height; ky++, field += run) {
    const int32_t row = iy + ky;
    if (row < 0 || row >= conv->in_height || end <= first) {
      fill_bytes(field, conv->in_zero, 0, run);
    } else {
      fill_bytes(field, conv->in_zero, 0, first);
      copy_bytes(field + first, x + (row * conv->in_width + ix) * channels + first, (uint32_t)(end - first));
      fill_bytes(field, conv->in_zero, end, run);
    }
  }
}

/* What `count` neighbouring output pixels see, the first one from x on; nothing of it is outside the image. */
TB_INLINE void copy_inner_fields(const layer_t *s, const int8_t *x, uint32_t count, uint32_t height, uint32_t run,
                                 int8_t *field) {
  const uint32_t channels = s->conv->in_channels, row = s->conv->in_width * channels, step = s->conv->stride * channels;
  for (; count != 0; count--, x += step, field += s->field) {
    for (uint32_t ky = 0; ky < height; ky++) copy_bytes(field + ky * run, x + ky * row, run);
  }
}

/* What `count` output pixels from `first` on see, `height` rows of `run` bytes each. */
TB_INLINE void copy_fields(const layer_t *s, uint32_t first, uint32_t count, uint32_t height, uint32_t run) {
  const tb_conv_t *conv = s->conv;
  int32_t oy = (int32_t)(first / conv->out_width), ox = (int32_t)(first % conv->out_width);
  int8_t *field = s->fields;
  for (uint32_t some; count != 0; count -= some, field += some * s->field) {
    const int32_t iy = oy * conv->stride - conv->pad_top, ix = ox * conv->stride - conv->padding;
    if (iy < 0 || iy + (int32_t)height > conv->in_height || ox < s->inner.first || ox >= s->inner.end) {
      some = 1;
      copy_border_field(conv, s->x, iy, ix, field);
    } else {
      some = tb_minimum(count, (uint32_t)(s->inner.end - ox));
      copy_inner_fields(s, s->x + (iy * conv->in_width + ix) * conv->in_channels, some, height, run, field);
    }
    ox += (int32_t)some;
    if (ox == conv->out_width) ox = 0, oy++;
  }
}

/* Of constant size: the first layer of a network. */
TB_NOINLINE void copy_stem_fields(const layer_t *s, uint32_t first, uint32_t count) { copy_fields(s, first, count, 3, 9); }

TB_NOINLINE void copy_any_fields(const layer_t *s, uint32_t first, uint32_t count) {
  copy_fields(s, first, count, s->conv->kernel_height, (uint32_t)s->conv->kernel_width * s->conv->in_channels);
}

/* A tile of pixels whose weights lie in two places: `x` of the first, `distance` bytes from one to the next. */
static void expand_parts(const layer_t *s, const int8_t *x, uint32_t distance, uint32_t count, uint32_t *columns) {
  for (uint32_t i = 0; i < s->part_count; columns += 2 * TB_TERMS(s->taps * s->parts[i].count), i++) {
    const tb_part_t *part = &s->parts[i];
    for (uint32_t p = 0; p < TB_TILE_COLUMNS; p++) {
      const int8_t *pixel = x + tb_minimum(p, count - 1) * distance;
      tb_expand_listed_pixel(pixel, part->channels, part->count, s->taps, s->conv->in_channels, s->add, columns + p);
    }
  }
}

static void expand_pixels(const layer_t *s, const int8_t *x, uint32_t count, uint32_t *columns) {
  const uint32_t channels = s->conv->in_channels;
  const int8_t *pixel[TB_TILE_COLUMNS];
  for (uint32_t p = 0; p < TB_TILE_COLUMNS; p++) pixel[p] = x + tb_minimum(p, count - 1) * channels;
  tb_expand_columns(pixel, channels, s->add, columns);
}

static void expand_pointwise(const layer_t *s, uint32_t first, uint32_t count, uint32_t *columns) {
  const uint32_t channels = s->conv->in_channels, whole = count & ~(TB_TILE_COLUMNS - 1u);
  const uint32_t words = whole / TB_TILE_COLUMNS * (2 * s->terms + s->gap / 4);
  const int8_t *x = s->x + first * channels;
  if (whole != 0) tb_expand_tiles(x, channels, columns, columns + words, s->gap, s->add);
  if (whole != count) expand_pixels(s, x + whole * channels, count - whole, columns + words);
}

TB_INLINE uint32_t words_of_tile(const layer_t *s) { return 2 * s->terms + s->gap / 4; }

static void expand_pointwise_odd(const layer_t *s, uint32_t first, uint32_t count, uint32_t *columns) {
  const int8_t *x = s->x + first * s->conv->in_channels;
  for (uint32_t some; count != 0; count -= some, columns += words_of_tile(s)) {
    some = tb_minimum(TB_TILE_COLUMNS, count);
    expand_pixels(s, x, some, columns);
    x += some * s->conv->in_channels;
  }
}

static void expand_pointwise_split(const layer_t *s, uint32_t first, uint32_t count, uint32_t *columns) {
  const uint32_t channels = s->conv->in_channels;
  const int8_t *x = s->x + first * channels;
  for (uint32_t some; count != 0; count -= some, columns += words_of_tile(s)) {
    some = tb_minimum(TB_TILE_COLUMNS, count);
    expand_parts(s, x, channels, some, columns);
    x += some * channels;
  }
}

/* A tile from the receptive fields; what is not there keeps what an earlier tile had there: its outputs are not stored. */
static void expand_stem(const layer_t *s, uint32_t first, uint32_t count, uint32_t *columns) {
  for (uint32_t some; count != 0; count -= some, columns += words_of_tile(s)) {
    some = tb_minimum(TB_TILE_COLUMNS, count);
    copy_stem_fields(s, first, some);
    tb_expand_tiles(s->fields, s->terms, columns, columns + 2 * s->terms, 0, s->add);
    first += some;
  }
}

#if TB_DSP_ASM
/* How many of `count` output pixels from `first` on make whole tiles in one row and see nothing outside the image. */
static uint32_t inner_pixels(const layer_t *s, uint32_t first, uint32_t count) {
  const tb_conv_t *conv = s->conv;
  const int32_t ox = (int32_t)(first % conv->out_width);
  const int32_t iy = (int32_t)(first / conv->out_width * conv->stride) - conv->pad_top;
  if (iy < 0 || iy + 3 > conv->in_height || ox < s->inner.first || ox >= s->inner.end) return 0;
  return tb_minimum(count, (uint32_t)(s->inner.end - ox)) & ~(TB_TILE_COLUMNS - 1u);
}

/* At stride 2: tiles of inner pixels straight from the image. */
static void expand_stem_s2(const layer_t *s, uint32_t first, uint32_t count, uint32_t *columns) {
  const tb_conv_t *conv = s->conv;
  const uint32_t row = 3u * conv->in_width;
  for (uint32_t some; count != 0; first += some, count -= some) {
    some = inner_pixels(s, first, count);
    if (some == 0) {
      some = tb_minimum(TB_TILE_COLUMNS, count);
      expand_stem(s, first, some, columns);
      columns += words_of_tile(s);
      continue;
    }
    const uint32_t iy = first / conv->out_width * 2u - conv->pad_top, ix = first % conv->out_width * 2u - conv->padding;
    uint32_t *const end = columns + some / TB_TILE_COLUMNS * words_of_tile(s);
    tb_expand_stem_tiles(s->x + iy * row + 3u * ix, row, columns, end, s->gap, s->add);
    columns = end;
  }
}
#else
#define expand_stem_s2 expand_stem
#endif

static void expand_general(const layer_t *s, uint32_t first, uint32_t count, uint32_t *columns) {
  for (uint32_t some; count != 0; count -= some, columns += words_of_tile(s)) {
    some = tb_minimum(TB_TILE_COLUMNS, count);
    copy_any_fields(s, first, some);
    if (s->part_count == 2) {
      expand_parts(s, s->fields, s->field, some, columns);
    } else {
      tb_expand_tiles(s->fields, s->terms, columns, columns + 2 * s->terms, 0, s->add);
    }
    first += some;
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
TB_NOINLINE void store_mask_bytes(const uint32_t *bits, uint32_t tile_words, uint32_t tiles, uint8_t *mask, uint32_t step) {
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
TB_NOINLINE void store_mask_bits(const uint32_t *bits, uint32_t tile_words, uint32_t pixels, uint32_t channels, uint8_t *mask,
                            uint32_t bit, uint32_t step) {
  const uint32_t gathered = 8u * ((channels + 1u) >> 1), wanted = (1u << channels) - 1u;
  for (uint32_t p = 0, kept = 0; p < pixels; p++, kept >>= 8, bit += step) {
    if (p % TB_TILE_COLUMNS == 0) kept = transpose_bits(~bits[p / TB_TILE_COLUMNS * tile_words] >> (32u - gathered));
    tb_mask_set(mask, bit, kept & wanted);
  }
}

/* Outputs of `channels` <= 2 channels from oc on, for the `count` pixels of a block that starts at pixel `first`. */
TB_INLINE void compute_channels(layer_t *s, uint32_t oc, uint32_t channels, uint32_t first, uint32_t count) {
  tb_conv2d_tiles_t *const tiles = &s->tiles;
  const int masked = s->gap != 0;
  uint32_t *rows = s->rows;
  for (uint32_t i = 0; i < s->part_count; i++) {
    const uint32_t n = s->taps * s->parts[i].count;
    const int8_t *row = s->parts[i].data + (size_t)oc * n;
    rows = tb_expand_rows(row, row + (channels - 1) * n, n, rows);
  }
  tiles->multiplier[0] = s->conv->multiplier[oc], tiles->multiplier[1] = s->conv->multiplier[oc + channels - 1];
  tiles->bias[0] = s->bias[oc], tiles->bias[1] = s->bias[oc + channels - 1];
  tiles->y = s->y + (size_t)first * tiles->step + oc;
  tiles->columns = s->columns;
  uint32_t p = 0;
#if TB_DSP_ASM
  if (channels == TB_TILE_ROWS && count >= TB_TILE_COLUMNS && tiles->shift == 0) {
    p = count & ~(TB_TILE_COLUMNS - 1u);
    if (masked) {
      tb_conv2d_masked_tiles(tiles);
    } else {
      s->run(tiles);
    }
  }
#endif
  for (; p < count; p += TB_TILE_COLUMNS) tb_conv2d_tile(tiles, masked, channels, tb_minimum(TB_TILE_COLUMNS, count - p));
}

TB_NOINLINE void compute_two_channels(layer_t *s, uint32_t oc, uint32_t first, uint32_t count) {
  compute_channels(s, oc, 2, first, count);
}

TB_NOINLINE void compute_one_channel(layer_t *s, uint32_t oc, uint32_t first, uint32_t count) {
  compute_channels(s, oc, 1, first, count);
}

#if TB_DSP_ASM
/* Pairs of channels from oc on, before `end`, of whole tiles whose weights lie in one place; no shift. Returns the next channel. */
TB_NOINLINE uint32_t compute_pairs(layer_t *s, uint32_t oc, uint32_t end, uint32_t first) {
  tb_conv2d_tiles_t *const tiles = &s->tiles;
  const uint32_t n = s->taps * s->parts[0].count;
  const int8_t *row = s->parts[0].data + (size_t)oc * n;
  const int32_t *multiplier = s->conv->multiplier + oc, *bias = s->bias + oc;
  int8_t *y = s->y + (size_t)first * tiles->step + oc;
  tb_conv2d_run_t *const run = s->gap != 0 ? tb_conv2d_masked_tiles : s->run;
  for (; oc + TB_TILE_ROWS <= end; oc += TB_TILE_ROWS, row += 2 * n, y += TB_TILE_ROWS) {
    (void)tb_expand_rows(row, row + n, n, s->rows);
    tiles->multiplier[0] = *multiplier++, tiles->multiplier[1] = *multiplier++;
    tiles->bias[0] = *bias++, tiles->bias[1] = *bias++;
    tiles->y = y;
    tiles->columns = s->columns;
    run(tiles);
  }
  return oc;
}
#endif

static void conv2d(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,
                   uint8_t *mask, void *scratch, expand_t *expand, tb_conv2d_run_t *run, int pointwise) {
  const uint32_t pixels = (uint32_t)conv->out_height * conv->out_width, out_channels = conv->out_channels;
  const int whole_bytes = pixels % TB_TILE_COLUMNS == 0 && out_channels % 8 == 0;
  layer_t s;
  s.run = run;
  s.conv = conv, s.x = x, s.bias = bias, s.y = y;
  s.part_count = tb_parts(weights, conv->in_channels, s.parts);
  s.taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  s.terms = 0;
  for (uint32_t i = 0; i < s.part_count; i++) s.terms += TB_TERMS(s.taps * s.parts[i].count);
  s.gap = mask != NULL ? 4 * TB_TILE_MASK_WORDS : 0;
  s.add = tb_pair(-conv->in_zero, -conv->in_zero);
  const tb_conv2d_block_t block = tb_conv2d_block(conv, s.part_count == 2, pointwise);
  const uint32_t tile_words = 2 * s.terms + s.gap / 4;
  s.rows = scratch, s.columns = s.rows + block.terms;
  s.field = block.terms;
  s.fields = pointwise ? NULL : (int8_t *)(s.columns + block.pixels * (2 * block.terms + 2) / 4);
  s.inner = tb_outputs_inside(0, conv->stride, conv->padding, conv->in_width, conv->out_width);
  s.inner.end = tb_outputs_inside(conv->kernel_width - 1, conv->stride, conv->padding, conv->in_width, conv->out_width).end;
  s.tiles.step = out_channels, s.tiles.shift = conv->shift;
  s.tiles.zero = conv->out_zero + (mask != NULL ? 128 : 0);
  s.tiles.rows = s.rows, s.tiles.pairs = s.terms / 2, s.tiles.rows_end = s.rows + s.terms;
  if (mask != NULL && !whole_bytes) tb_mask_clear(mask, pixels * out_channels);
  for (uint32_t first = 0, count; first < pixels; first += count) {
    count = tb_minimum(block.pixels, pixels - first);
    s.tiles.columns_end = s.columns + count / TB_TILE_COLUMNS * tile_words;
    expand(&s, first, count, s.columns);
    for (uint32_t oc = 0, end; oc < out_channels; oc = end) {
      end = tb_minimum(oc + TB_TILE_ROWS, out_channels);
#if TB_DSP_ASM
      if (s.part_count == 1 && conv->shift == 0 && count % TB_TILE_COLUMNS == 0 && end - oc == TB_TILE_ROWS) {
        end = compute_pairs(&s, oc, mask == NULL ? out_channels : tb_minimum(oc + 8, out_channels), first);
      } else
#endif
      if (end - oc == TB_TILE_ROWS) {
        compute_two_channels(&s, oc, first, count);
      } else {
        compute_one_channel(&s, oc, first, count);
      }
      if (mask == NULL || (end % 8 != 0 && end != out_channels)) continue;
      const uint32_t group = (end - 1) & ~7u, bit = first * out_channels + group;
      if (whole_bytes) {
        store_mask_bytes(s.columns + 2 * s.terms, tile_words, count / 4, mask + bit / 8, out_channels / 8);
      } else {
        store_mask_bits(s.columns + 2 * s.terms, tile_words, count, end - group, mask, bit, out_channels);
      }
    }
  }
}

#define KERNEL(name, expand, pairs, pointwise, condition)                                                              \
  void name(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,       \
            uint8_t *mask, void *scratch) {                                                                            \
    TB_EXPECT(condition);                                                                                              \
    conv2d(conv, x, weights, bias, y, mask, scratch, expand, TB_CONV2D_RUN(pairs), pointwise);                         \
  }
KERNEL(tb_conv2d_pointwise_8_i8, expand_pointwise, _4, 1, tb_fits_channels(conv, weights, 8))
KERNEL(tb_conv2d_pointwise_16_i8, expand_pointwise, _8, 1, tb_fits_channels(conv, weights, 16))
KERNEL(tb_conv2d_pointwise_24_i8, expand_pointwise, _12, 1, tb_fits_channels(conv, weights, 24))
KERNEL(tb_conv2d_pointwise_i8, expand_pointwise, , 1,
       tb_is_pointwise(conv) && conv->in_channels % 4 == 0 && weights->channels == NULL)
KERNEL(tb_conv2d_pointwise_odd_i8, expand_pointwise_odd, , 1, tb_is_pointwise(conv) && weights->channels == NULL)
KERNEL(tb_conv2d_pointwise_split_i8, expand_pointwise_split, , 1, tb_is_pointwise(conv) && weights->channels != NULL)
KERNEL(tb_conv2d_stem_i8, expand_stem, _14, 0, tb_fits_stem(conv, weights))
KERNEL(tb_conv2d_stem_s2_i8, expand_stem_s2, _14, 0, tb_fits_stem(conv, weights) && conv->stride == 2)
KERNEL(tb_conv2d_general_i8, expand_general, , 0, 1)
#endif
