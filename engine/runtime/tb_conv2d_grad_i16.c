/* tb_conv2d_grad_i16.c: int16 gradient of the input of a convolution. Definition: docs/numerics.md, Integer gradients. */
#include "tb_fits.h"
#include "tb_gradient_output.h"
#include "tb_vector.h"

/* Store sums [pixel][TB_LANES] of the block's pixels and `lanes` stored channels from out->row on. */
TB_INLINE void store_block(tb_gradient_output_t *out, const int32_t *sums, uint32_t pixels, uint32_t lanes) {
  const tb_part_t *part = &out->parts[out->part];
  const uint32_t channel = tb_channel(part, out->row);
  const int neighbours = tb_are_neighbours(part, out->row, lanes);
  uint32_t magnitudes = 0;
  if (out->sums != NULL) {
    int32_t *sum = out->sums + out->first * out->channels;
    for (uint32_t p = 0; p < pixels; p++, sum += out->channels, sums += TB_LANES) {
      for (uint32_t l = 0; l < lanes; l++) sum[tb_channel(part, out->row + l)] += sums[l];
    }
    return;
  }
  for (uint32_t p = 0; p < pixels; p++) {
    for (uint32_t l = 0; l < lanes; l++) magnitudes |= tb_magnitude(sums[p * TB_LANES + l]);
  }
  out->magnitudes |= magnitudes;
  if (magnitudes > tb_gradient_limit(out)) tb_raise_shift(out, 0, out->first);
  int16_t *pixel = out->dx + out->first * out->channels;
  for (uint32_t p = 0; p < pixels; p++, pixel += out->channels, sums += TB_LANES) {
    if (neighbours) {
      for (uint32_t l = 0; l < lanes; l++) pixel[channel + l] = tb_round_to_odd(sums[l], out->shift);
    } else {
      for (uint32_t l = 0; l < lanes; l++) pixel[tb_channel(part, out->row + l)] = tb_round_to_odd(sums[l], out->shift);
    }
  }
}

#if !TB_DSP && !TB_VECTOR /* tb_conv2d_grad_i16_vector.c */
#define PIXELS 4 /* that share a load of the weights */

/* sums[pixel][lane] = sum over oc of g * w: `pixels` neighbouring pixels, `lanes` of a part's n stored channels. */
TB_INLINE void pointwise_block(const int32_t *gradient, const int8_t *w, uint32_t out_channels, uint32_t n, int32_t *sums,
                               uint32_t pixels, uint32_t lanes) {
  int32_t acc[PIXELS * TB_LANES];
  TB_UNROLL_BLOCK
  for (uint32_t i = 0; i < pixels * lanes; i++) acc[i] = 0;
  for (uint32_t oc = 0; oc < out_channels; oc++, w += n) {
    int32_t weight[TB_LANES];
    TB_UNROLL_BLOCK
    for (uint32_t l = 0; l < lanes; l++) weight[l] = w[l];
    TB_UNROLL_BLOCK
    for (uint32_t p = 0; p < pixels; p++) {
      const int32_t g = gradient[p * out_channels + oc];
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) acc[p * lanes + l] += g * weight[l];
    }
  }
  TB_UNROLL_BLOCK
  for (uint32_t p = 0; p < pixels; p++) {
    TB_UNROLL_BLOCK
    for (uint32_t l = 0; l < lanes; l++) sums[p * TB_LANES + l] = acc[p * lanes + l];
  }
}

TB_NOINLINE void full_block(const int32_t *gradient, const int8_t *w, uint32_t out_channels, uint32_t n, int32_t *sums) {
  pointwise_block(gradient, w, out_channels, n, sums, PIXELS, TB_LANES);
}

TB_NOINLINE void narrow_block(const int32_t *gradient, const int8_t *w, uint32_t out_channels, uint32_t n, int32_t *sums) {
  pointwise_block(gradient, w, out_channels, n, sums, PIXELS, 1);
}

TB_NOINLINE void single_block(const int32_t *gradient, const int8_t *w, uint32_t out_channels, uint32_t n, int32_t *sums) {
  pointwise_block(gradient, w, out_channels, n, sums, 1, 1);
}

void tb_pointwise_grad_i16(const tb_conv_t *conv, const int16_t *gradient, tb_gradient_output_t *out, uint32_t *scratch) {
  const uint32_t pixel_count = (uint32_t)conv->out_height * conv->out_width, out_channels = conv->out_channels;
  int32_t sums[PIXELS * TB_LANES], *wide = (int32_t *)scratch; /* a vector's lanes are filled from 32 bits of memory */
  for (out->first = 0; out->first < pixel_count; out->first = out->end) {
    const uint32_t pixels = pixel_count - out->first >= PIXELS ? PIXELS : 1;
    out->end = out->first + pixels;
    for (uint32_t i = 0; i < pixels * out_channels; i++) wide[i] = *gradient++;
    for (out->part = 0; out->part < 2; out->part++) {
      const tb_part_t *part = &out->parts[out->part];
      uint32_t lanes;
      for (out->row = 0; out->row < part->count; out->row += lanes) {
        lanes = pixels == PIXELS && part->count - out->row >= TB_LANES ? TB_LANES : 1;
        const int8_t *w = part->data + out->row;
        if (lanes > 1) {
          full_block(wide, w, out_channels, part->count, sums);
          store_block(out, sums, PIXELS, TB_LANES);
        } else if (pixels > 1) {
          narrow_block(wide, w, out_channels, part->count, sums);
          store_block(out, sums, PIXELS, 1);
        } else {
          single_block(wide, w, out_channels, part->count, sums);
          store_block(out, sums, 1, 1);
        }
      }
    }
  }
}
#endif

/* The sums of one input pixel and `lanes` stored input channels from out->row on, for any kernel and stride. */
TB_INLINE void general_block(const tb_conv_t *conv, const int16_t *gradient, tb_gradient_output_t *out, int32_t y, int32_t x,
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
  store_block(out, sums, 1, lanes);
}

int32_t tb_conv2d_grad_input_pointwise_i16(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent,
                                           const tb_weights_t *weights, int16_t *dx, void *scratch) {
  tb_gradient_output_t out = tb_gradient_output(conv, weights, dx);
  TB_EXPECT(tb_is_pointwise(conv));
  tb_pointwise_grad_i16(conv, gradient, &out, (uint32_t *)scratch);
  return tb_exponent(exponent, out.magnitudes, out.shift);
}

int32_t tb_conv2d_grad_input_general_i16(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent,
                                         const tb_weights_t *weights, int16_t *dx, void *scratch) {
  const uint32_t pixels = (uint32_t)conv->in_height * conv->in_width;
  tb_gradient_output_t out = tb_gradient_output(conv, weights, dx);
  (void)scratch;
  for (out.first = 0; out.first < pixels; out.first++) {
    out.end = out.first + 1;
    const int32_t y = (int32_t)(out.first / conv->in_width) + conv->pad_top;
    const int32_t x = (int32_t)(out.first % conv->in_width) + conv->padding;
    for (out.part = 0; out.part < 2; out.part++) {
      const uint32_t count = out.parts[out.part].count;
      for (out.row = 0; count - out.row >= TB_LANES; out.row += TB_LANES) {
        general_block(conv, gradient, &out, y, x, TB_LANES);
      }
      for (; out.row < count; out.row++) general_block(conv, gradient, &out, y, x, 1);
    }
  }
  return tb_exponent(exponent, out.magnitudes, out.shift);
}
