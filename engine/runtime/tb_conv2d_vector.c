/* tb_conv2d_vector.c: convolution with int8 weights, forward, on a host with vectors (tb_vector.h).
 *
 * Neighbouring output channels lie side by side in a vector, four terms of their sums in each lane: weights are packed
 * [four terms][channel][4], as uint8 weight + 128, since bytes are multiplied unsigned by signed. Sum (w + 128) * x exceeds what
 * is wanted by 128 * sum x, which is subtracted. What is not pointwise copies receptive fields, zero points outside the image.
 */
#include "tb_conv2d_block.h"
#include "tb_fits.h"
#include "tb_vector.h"

#if !TB_DSP && TB_VECTOR
enum { PIXELS = 4, VECTORS = 2, CHUNK = 256 }; /* CHUNK: pixels whose sums of x are known at a time */

/* A block of output channels. */
typedef struct {
  const uint32_t *weights; /* packed */
  int32_t start[VECTORS * TB_WIDE], multiplier[VECTORS * TB_WIDE]; /* start: bias - zero * sum of the weights */
  uint32_t lanes;          /* of the packed weights: whole vectors */
  uint32_t first, count;   /* channels */
  uint32_t terms;
} columns_t;

/* Where outputs go. */
typedef struct {
  int8_t *y;
  uint8_t *mask;
  uint32_t channels, shift;
  int64_t rounding;
} output_t;

/* Some pixels' terms. */
typedef struct {
  const int8_t *x;
  uint32_t step;        /* from one pixel's to the next one's */
  const int32_t *sums;  /* 128 * sum of the terms */
  uint32_t first;       /* output pixel */
} rows_t;

TB_INLINE void vector_block(const columns_t *columns, const rows_t *rows, uint32_t p, output_t out, uint32_t pixels,
                            uint32_t vectors) {
  const uint32_t whole = columns->terms / 4, rest = columns->terms % 4, step = rows->step;
  const int8_t *x = rows->x + (size_t)p * step;
  const uint32_t *weights = columns->weights;
  tb_wide_t acc[PIXELS][VECTORS], w[VECTORS];
  TB_UNROLL_VECTORS
  for (uint32_t i = 0; i < pixels; i++) {
    TB_UNROLL_VECTORS
    for (uint32_t v = 0; v < vectors; v++) acc[i][v] = tb_load_wide(columns->start + v * TB_WIDE);
  }
  for (uint32_t k = 0; k < whole; k++, weights += vectors * TB_WIDE) {
    TB_UNROLL_VECTORS
    for (uint32_t v = 0; v < vectors; v++) w[v] = tb_load_wide(weights + v * TB_WIDE);
    TB_UNROLL_VECTORS
    for (uint32_t i = 0; i < pixels; i++) {
      const tb_wide_t terms = tb_all_wide((int32_t)tb_load32(x + i * step + 4 * k));
      TB_UNROLL_VECTORS
      for (uint32_t v = 0; v < vectors; v++) acc[i][v] = tb_dot4_wide(acc[i][v], w[v], terms);
    }
  }
  if (rest != 0) {
    for (uint32_t v = 0; v < vectors; v++) w[v] = tb_load_wide(weights + v * TB_WIDE);
    TB_UNROLL_VECTORS
    for (uint32_t i = 0; i < pixels; i++) {
      const tb_wide_t terms = tb_all_wide((int32_t)tb_load_bytes(x + i * step + 4 * whole, rest));
      for (uint32_t v = 0; v < vectors; v++) acc[i][v] = tb_dot4_wide(acc[i][v], w[v], terms);
    }
  }
  TB_UNROLL_VECTORS
  for (uint32_t i = 0; i < pixels; i++) {
    uint32_t index = (rows->first + p + i) * out.channels + columns->first, count = columns->count;
    const tb_wide_t excess = tb_all_wide((int32_t)(0u - (uint32_t)rows->sums[p + i]));
    TB_UNROLL_VECTORS
    for (uint32_t v = 0; v < vectors; v++, index += TB_WIDE, count -= TB_WIDE) {
      const tb_wide_t multiplier = tb_load_wide(columns->multiplier + v * TB_WIDE);
      const tb_wide_t values = tb_requantize_wide(tb_add_wide(acc[i][v], excess), multiplier, out.shift, out.rounding);
      const uint32_t bits = tb_store_i8_wide(out.y + index, values, count);
      if (out.mask == NULL) continue;
      if (TB_WIDE == 16 && count >= 16 && index % 8 == 0) {
        out.mask[index / 8] = (uint8_t)bits, out.mask[index / 8 + 1] = (uint8_t)(bits >> 8);
      } else {
        tb_mask_set(out.mask, index, bits);
      }
    }
  }
}

TB_NOINLINE void wide_pixels(const columns_t *columns, const rows_t *rows, uint32_t p, output_t out) {
  vector_block(columns, rows, p, out, PIXELS, VECTORS);
}
TB_NOINLINE void narrow_pixels(const columns_t *columns, const rows_t *rows, uint32_t p, output_t out) {
  vector_block(columns, rows, p, out, PIXELS, 1);
}
TB_NOINLINE void wide_pixel(const columns_t *columns, const rows_t *rows, uint32_t p, output_t out) {
  vector_block(columns, rows, p, out, 1, VECTORS);
}
TB_NOINLINE void narrow_pixel(const columns_t *columns, const rows_t *rows, uint32_t p, output_t out) {
  vector_block(columns, rows, p, out, 1, 1);
}

static void product(const columns_t *columns, const rows_t *rows, uint32_t pixels, output_t out) {
  const int wide = columns->lanes > TB_WIDE;
  uint32_t p = 0;
  for (; p + PIXELS <= pixels; p += PIXELS) (wide ? wide_pixels : narrow_pixels)(columns, rows, p, out);
  for (; p < pixels; p++) (wide ? wide_pixel : narrow_pixel)(columns, rows, p, out);
}

/* 128 * sum of each pixel's terms. */
TB_NOINLINE void sum_terms(const int8_t *x, uint32_t step, uint32_t terms, uint32_t pixels, int32_t *sums) {
  for (uint32_t p = 0; p < pixels; p++, x += step) {
    int32_t sum = 0;
    for (uint32_t k = 0; k < terms; k++) sum += x[k];
    sums[p] = 128 * sum;
  }
}

/* Pack the weights of the block's channels, and what depends on them. */
static void open_columns(columns_t *columns, const tb_conv_t *conv, const tb_weights_t *weights, const int32_t *bias,
                         uint32_t *packed) {
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width, channels = conv->in_channels;
  const uint32_t terms = columns->terms, whole = terms / 4, lanes = columns->lanes;
  tb_part_t parts[2];
  const uint32_t part_count = tb_parts(weights, channels, parts);
  columns->weights = packed;
  for (uint32_t l = 0; l < lanes; l++) {
    const uint32_t oc = columns->first + l;
    int32_t sum = 0;
    columns->start[l] = columns->multiplier[l] = 0;
    if (l >= columns->count) {
      for (uint32_t k = 0; k < TB_TERMS(terms) / 4; k++) packed[k * lanes + l] = 0;
      continue;
    }
    if (part_count == 1) {
      const int8_t *row = parts[0].data + (size_t)oc * terms;
      for (uint32_t k = 0; k < whole; k++) packed[k * lanes + l] = tb_load32(row + 4 * k) ^ 0x80808080u;
      if (terms % 4 != 0) {
        const uint32_t used = 0x80808080u >> (32 - 8 * (terms % 4));
        packed[whole * lanes + l] = tb_load_bytes(row + 4 * whole, terms % 4) ^ used;
      }
      for (uint32_t k = 0; k < terms; k++) sum += row[k];
    } else {
      uint8_t *const bytes = (uint8_t *)(packed + l);
      if (terms % 4 != 0) packed[whole * lanes + l] = 0;
      for (uint32_t i = 0; i < part_count; i++) {
        const int8_t *stored = parts[i].data + (size_t)oc * taps * parts[i].count;
        for (uint32_t tap = 0; tap < taps; tap++) {
          for (uint32_t j = 0; j < parts[i].count; j++, stored++) {
            const uint32_t k = tap * channels + parts[i].channels[j];
            bytes[4 * (k / 4) * lanes + k % 4] = (uint8_t)(*stored + 128);
            sum += *stored;
          }
        }
      }
    }
    columns->start[l] = (int32_t)((uint32_t)bias[oc] - (uint32_t)conv->in_zero * (uint32_t)sum);
    columns->multiplier[l] = conv->multiplier[oc];
  }
}

/* Copy the receptive fields of some outputs, `step` bytes each, of which the last are 0. */
TB_INLINE void take_fields(const tb_conv_t *conv, const int8_t *x, uint32_t first, uint32_t count, uint32_t step,
                           int8_t *fields, uint32_t run) {
  const int32_t channels = conv->in_channels, in_width = conv->in_width, kernel_width = conv->kernel_width;
  const uint32_t terms = conv->kernel_height * run;
  int32_t oy = (int32_t)(first / conv->out_width), ox = (int32_t)(first % conv->out_width);
  for (; count > 0; count--, fields += step) {
    const int32_t iy = oy * conv->stride - conv->pad_top, ix = ox * conv->stride - conv->padding;
    const tb_range_t rows = tb_taps_inside(iy, conv->kernel_height, conv->in_height);
    const tb_range_t columns = tb_taps_inside(ix, kernel_width, in_width);
    const int whole = rows.first == 0 && rows.end == conv->kernel_height && columns.first == 0 && columns.end == kernel_width;
    const int8_t *pixel = x + (iy * in_width + ix) * channels;
    if (whole) {
      for (uint32_t ky = 0; ky < conv->kernel_height; ky++) memcpy(fields + ky * run, pixel + (int32_t)ky * in_width * channels, run);
    } else {
      memset(fields, conv->in_zero, terms);
      for (int32_t ky = rows.first; ky < rows.end && columns.end > columns.first; ky++) {
        memcpy(fields + ky * (int32_t)run + columns.first * channels, pixel + (ky * in_width + columns.first) * channels,
               (size_t)((columns.end - columns.first) * channels));
      }
    }
    for (uint32_t k = terms; k < step; k++) fields[k] = 0;
    if (++ox == conv->out_width) ox = 0, oy++;
  }
}

TB_NOINLINE void take_any_fields(const tb_conv_t *conv, const int8_t *x, uint32_t first, uint32_t count, uint32_t step,
                                 int8_t *fields) {
  take_fields(conv, x, first, count, step, fields, (uint32_t)conv->kernel_width * conv->in_channels);
}

TB_NOINLINE void take_stem_fields(const tb_conv_t *conv, const int8_t *x, uint32_t first, uint32_t count, uint32_t step,
                                  int8_t *fields) {
  take_fields(conv, x, first, count, step, fields, 9);
}

/* One output after the other: for the few pixels that leave no scratch for packed weights. */
static void slow(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, output_t out) {
  const uint32_t channels = conv->in_channels, taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  tb_part_t parts[2];
  const uint32_t part_count = tb_parts(weights, channels, parts);
  uint32_t index = 0;
  for (int32_t oy = 0; oy < conv->out_height; oy++) {
    for (int32_t ox = 0; ox < conv->out_width; ox++) {
      const int32_t iy = oy * conv->stride - conv->pad_top, ix = ox * conv->stride - conv->padding;
      const tb_range_t rows = tb_taps_inside(iy, conv->kernel_height, conv->in_height);
      const tb_range_t columns = tb_taps_inside(ix, conv->kernel_width, conv->in_width);
      for (uint32_t oc = 0; oc < out.channels; oc++, index++) {
        int32_t acc = bias[oc];
        for (uint32_t i = 0; i < part_count; i++) {
          const uint32_t count = parts[i].count;
          for (int32_t ky = rows.first; ky < rows.end; ky++) {
            for (int32_t kx = columns.first; kx < columns.end; kx++) {
              const int8_t *w = parts[i].data + ((size_t)oc * taps + (uint32_t)(ky * conv->kernel_width + kx)) * count;
              const int8_t *pixel = x + (uint32_t)((iy + ky) * conv->in_width + ix + kx) * channels;
              for (uint32_t j = 0; j < count; j++) acc += w[j] * (pixel[tb_channel(&parts[i], j)] - conv->in_zero);
            }
          }
        }
        const int32_t value = tb_requantize(acc, conv->multiplier[oc], out.shift, out.rounding);
        const uint32_t kept = tb_store_i8(value, out.y + index);
        if (out.mask != NULL) tb_mask_set(out.mask, index, kept);
      }
    }
  }
}

static void conv2d(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,
                   uint8_t *mask, void *scratch, int pointwise) {
  const uint32_t pixels = (uint32_t)conv->out_height * conv->out_width, channels = conv->in_channels;
  const uint32_t terms = (uint32_t)conv->kernel_height * conv->kernel_width * channels, field = TB_TERMS(terms);
  const uint32_t bytes = tb_conv2d_block(conv, weights->channels != NULL, pointwise).scratch;
  const uint32_t least = pointwise ? 0 : PIXELS * field; /* scratch for receptive fields */
  const output_t out = {y, mask, conv->out_channels, conv->shift, tb_rounding(conv->out_zero)};
  if (mask != NULL) tb_mask_clear(mask, pixels * out.channels);
  if (bytes < TB_WIDE * field + least) {
    slow(conv, x, weights, bias, out);
    return;
  }
  const uint32_t most = bytes < VECTORS * TB_WIDE * field + least ? 1 : VECTORS;
  columns_t columns;
  columns.terms = terms;
  for (uint32_t chunk = 0; chunk < pixels; chunk += CHUNK) {
    const uint32_t end = tb_minimum(pixels, chunk + CHUNK);
    int32_t sums[CHUNK];
    if (pointwise) sum_terms(x + (size_t)chunk * channels, channels, terms, end - chunk, sums);
    for (columns.first = 0; columns.first < out.channels; columns.first += columns.lanes) {
      const uint32_t left = out.channels - columns.first;
      columns.lanes = left > TB_WIDE ? most * TB_WIDE : TB_WIDE;
      columns.count = tb_minimum(left, columns.lanes);
      open_columns(&columns, conv, weights, bias, (uint32_t *)scratch);
      if (pointwise) {
        const rows_t rows = {x + (size_t)chunk * channels, channels, sums, chunk};
        product(&columns, &rows, end - chunk, out);
        continue;
      }
      int8_t *fields = (int8_t *)scratch + (size_t)columns.lanes * field;
      const uint32_t room = tb_minimum((bytes - columns.lanes * field) / field, CHUNK) & ~3u;
      for (uint32_t first = chunk, count; first < end; first += count) {
        const rows_t rows = {fields, field, sums, first};
        count = tb_minimum(room, end - first);
        if (conv->kernel_width * channels == 9) {
          take_stem_fields(conv, x, first, count, field, fields);
        } else {
          take_any_fields(conv, x, first, count, field, fields);
        }
        sum_terms(fields, field, terms, count, sums);
        product(&columns, &rows, count, out);
      }
    }
  }
}

TB_CONV2D_ENTRIES
#endif
