/* tb_conv2d.c: convolution with int8 weights, forward. With DSP instructions: tb_conv2d_dsp.c; with vectors: tb_conv2d_vector.c. */
#include "tb_dsp.h"
#include "tb_fits.h"
#include "tb_vector.h"

#if !TB_DSP && !TB_VECTOR
#define PIXELS 4 /* output pixels that share a load of the weights */

/* A layer's row of weights [KH][KW][IC] for one output channel, its two parts put together in network order. */
static const int8_t *weight_row(const tb_weights_t *weights, uint32_t oc, uint32_t taps, uint32_t channels,
                                int8_t *scratch) {
  tb_part_t parts[2];
  uint32_t part_count = tb_parts(weights, channels, parts);
  if (part_count == 1) return parts[0].data + (size_t)oc * taps * channels;
  for (uint32_t p = 0; p < part_count; p++) {
    const int8_t *stored = parts[p].data + (size_t)oc * taps * parts[p].count;
    for (uint32_t tap = 0; tap < taps; tap++) {
      for (uint32_t j = 0; j < parts[p].count; j++) scratch[tap * channels + parts[p].channels[j]] = *stored++;
    }
  }
  return scratch;
}

/* acc[p] += sum of w[i] * x[p * step + i] */
TB_INLINE void dot_pixels(const int8_t *w, const int8_t *x, uint32_t step, uint32_t count, int32_t acc[PIXELS]) {
  const int8_t *x0 = x, *x1 = x0 + step, *x2 = x1 + step, *x3 = x2 + step;
  int32_t acc0 = acc[0], acc1 = acc[1], acc2 = acc[2], acc3 = acc[3];
  TB_UNROLL
  for (uint32_t i = 0; i < count; i++) {
    int32_t weight = w[i];
    acc0 += weight * x0[i];
    acc1 += weight * x1[i];
    acc2 += weight * x2[i];
    acc3 += weight * x3[i];
  }
  acc[0] = acc0, acc[1] = acc1, acc[2] = acc2, acc[3] = acc3;
}

/* What is the same for all pixels of one output channel. */
typedef struct {
  const int8_t *row;
  int32_t bias, folded; /* folded: bias - in_zero * sum of the row, for pixels with no tap outside the image */
  int32_t height, width, in_width, channels; /* of the outputs; a pointwise layer is one long row */
  int32_t kernel_height, run;                /* run: elements of one kernel row, KW * IC */
} channel_t;

static int32_t border_pixel(const tb_conv_t *conv, const channel_t *c, const int8_t *x, int32_t oy, int32_t ox) {
  int32_t iy = oy * conv->stride - conv->pad_top, ix = ox * conv->stride - conv->padding;
  tb_range_t rows = tb_taps_inside(iy, c->kernel_height, conv->in_height);
  tb_range_t columns = tb_taps_inside(ix, conv->kernel_width, c->in_width);
  int32_t acc = c->bias;
  for (int32_t ky = rows.first; ky < rows.end; ky++) {
    const int8_t *w = c->row + ky * c->run + columns.first * c->channels;
    const int8_t *pixel = x + ((iy + ky) * c->in_width + ix + columns.first) * c->channels;
    int32_t count = (columns.end - columns.first) * c->channels;
    for (int32_t i = 0; i < count; i++) acc += w[i] * (pixel[i] - conv->in_zero);
  }
  return acc;
}

/* Where the outputs of one channel go. */
typedef struct {
  int8_t *y;
  uint8_t *mask;
  uint32_t channels;
  int32_t multiplier;
  uint32_t shift;
  int64_t rounding;
} output_t;

/* Store `count` neighbouring pixels, the first at y[index]. */
TB_INLINE void store_pixels(output_t out, const int32_t *acc, uint32_t index, uint32_t count) {
  for (uint32_t p = 0; p < count; p++, index += out.channels) {
    const uint32_t kept = tb_store_i8(tb_requantize(acc[p], out.multiplier, out.shift, out.rounding), out.y + index);
    if (out.mask != NULL) out.mask[index >> 3] = (uint8_t)(out.mask[index >> 3] | (kept << (index & 7u)));
  }
}

/* One row of outputs; those in `interior` see no tap outside the image. */
static void conv2d_row(const tb_conv_t *conv, const channel_t *c, const int8_t *x, int32_t oy, tb_range_t interior,
                       output_t out, uint32_t index) {
  const int32_t step = conv->stride * c->channels, row = c->in_width * c->channels;
  const int32_t origin = ((oy * conv->stride - conv->pad_top) * c->in_width - conv->padding) * c->channels;
  for (int32_t ox = 0; ox < c->width;) {
    int32_t acc[PIXELS];
    if (ox >= interior.first && ox + PIXELS <= interior.end) {
      for (int32_t p = 0; p < PIXELS; p++) acc[p] = c->folded;
      for (int32_t ky = 0; ky < c->kernel_height; ky++) {
        const int8_t *pixel = x + (origin + ox * step + ky * row);
        dot_pixels(c->row + ky * c->run, pixel, (uint32_t)step, (uint32_t)c->run, acc);
      }
      store_pixels(out, acc, index, PIXELS);
      index += PIXELS * out.channels;
      ox += PIXELS;
    } else {
      acc[0] = border_pixel(conv, c, x, oy, ox);
      store_pixels(out, acc, index, 1);
      index += out.channels;
      ox += 1;
    }
  }
}

static void conv2d(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,
                   uint8_t *mask, void *scratch, int pointwise) {
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  const uint32_t pixels = (uint32_t)conv->out_height * conv->out_width;
  const int32_t stride = conv->stride, padding = conv->padding, last = conv->kernel_width - 1;
  const tb_range_t nothing = {0, 0};
  output_t out = {y, mask, conv->out_channels, 0, conv->shift, tb_rounding(conv->out_zero)};
  channel_t c;
  c.height = pointwise ? 1 : conv->out_height;
  c.width = pointwise ? (int32_t)pixels : conv->out_width;
  c.in_width = pointwise ? (int32_t)pixels : conv->in_width;
  c.channels = conv->in_channels;
  c.kernel_height = conv->kernel_height;
  c.run = conv->kernel_width * conv->in_channels;
  /* Columns of outputs for which every tap lies inside the image. */
  tb_range_t columns = tb_outputs_inside(0, stride, padding, c.in_width, c.width);
  columns.end = tb_outputs_inside(last, stride, padding, c.in_width, c.width).end;
  if (mask != NULL) tb_mask_clear(mask, pixels * out.channels);
  for (uint32_t oc = 0; oc < out.channels; oc++) {
    int32_t sum = 0;
    c.row = weight_row(weights, oc, taps, conv->in_channels, (int8_t *)scratch);
    for (int32_t i = 0; i < c.kernel_height * c.run; i++) sum += c.row[i];
    c.bias = bias[oc];
    c.folded = c.bias - conv->in_zero * sum;
    out.multiplier = conv->multiplier[oc];
    for (int32_t oy = 0; oy < c.height; oy++) {
      const int32_t iy = oy * stride - conv->pad_top;
      const int inside = iy >= 0 && iy + c.kernel_height <= conv->in_height;
      const uint32_t index = (uint32_t)(oy * c.width) * out.channels + oc;
      conv2d_row(conv, &c, x, oy, inside ? columns : nothing, out, index);
    }
  }
}

TB_CONV2D_ENTRIES
#endif
