/* tb_conv2d_grad_i16_vector.c: int16 gradient of the input of a pointwise convolution on a host with vectors (tb_vector.h).
 *
 * Neighbouring input channels lie side by side in a vector; the weights of two output channels are paired on the way, and so
 * are the gradients by nature.
 */
#include "tb_gradient_output.h"
#include "tb_vector.h"

#if !TB_DSP && TB_VECTOR
enum { PIXELS = 8 }; /* that share a load of the weights */

/* acc[pixel] = sum over oc of g * w, of `lanes` neighbours of n stored channels. */
TB_INLINE void sum_block(const int16_t *gradient, const int8_t *w, uint32_t out_channels, uint32_t n, uint32_t lanes,
                         tb_wide_t *sums, uint32_t pixels) {
  const uint32_t even = out_channels & ~1u;
  tb_wide_t acc[PIXELS];
  TB_UNROLL_VECTORS
  for (uint32_t p = 0; p < pixels; p++) acc[p] = tb_all_wide(0);
  for (uint32_t oc = 0; oc < even; oc += 2, w += 2 * n) {
    const tb_wide_t weights = tb_pair_bytes_wide(tb_load_some(w, lanes), tb_load_some(w + n, lanes));
    TB_UNROLL_VECTORS
    for (uint32_t p = 0; p < pixels; p++) {
      acc[p] = tb_dot2_wide(acc[p], weights, tb_all_wide((int32_t)tb_load32(gradient + p * out_channels + oc)));
    }
  }
  if (even != out_channels) {
    const tb_wide_t weights = tb_pair_bytes_wide(tb_load_some(w, lanes), _mm_setzero_si128());
    TB_UNROLL_VECTORS
    for (uint32_t p = 0; p < pixels; p++) {
      acc[p] = tb_dot2_wide(acc[p], weights, tb_all_wide((uint16_t)gradient[p * out_channels + even]));
    }
  }
  TB_UNROLL_VECTORS
  for (uint32_t p = 0; p < pixels; p++) sums[p] = acc[p];
}

TB_NOINLINE void full_block(const int16_t *gradient, const int8_t *w, uint32_t out_channels, uint32_t n, tb_wide_t *sums) {
  sum_block(gradient, w, out_channels, n, TB_WIDE, sums, PIXELS);
}

TB_NOINLINE void some_block(const int16_t *gradient, const int8_t *w, uint32_t out_channels, uint32_t n, uint32_t lanes,
                            tb_wide_t *sums) {
  sum_block(gradient, w, out_channels, n, lanes, sums, PIXELS);
}

TB_NOINLINE void single_block(const int16_t *gradient, const int8_t *w, uint32_t out_channels, uint32_t n, uint32_t lanes,
                              tb_wide_t *sums) {
  sum_block(gradient, w, out_channels, n, lanes, sums, 1);
}

/* Store sums of the block's pixels and `lanes` stored channels from out->row on; lanes beyond them are 0. */
static void store_block(tb_gradient_output_t *out, const tb_wide_t *sums, uint32_t pixels, uint32_t lanes) {
  const tb_part_t *part = &out->parts[out->part];
  if (out->sums != NULL) {
    int32_t *sum = out->sums + out->first * out->channels;
    for (uint32_t p = 0; p < pixels; p++, sum += out->channels) {
      int32_t values[TB_WIDE];
      tb_store_wide(values, sums[p]);
      for (uint32_t l = 0; l < lanes; l++) sum[tb_channel(part, out->row + l)] += values[l];
    }
    return;
  }
  const int whole = lanes == TB_WIDE && tb_are_neighbours(part, out->row, lanes);
  tb_wide_t seen = tb_all_wide(0);
  for (uint32_t p = 0; p < pixels; p++) seen = tb_magnitudes_wide(seen, sums[p]);
  const uint32_t magnitudes = tb_or_of_wide(seen);
  out->magnitudes |= magnitudes;
  if (magnitudes > tb_gradient_limit(out)) tb_raise_shift(out, 0, out->first);
  int16_t *pixel = out->dx + out->first * out->channels;
  for (uint32_t p = 0; p < pixels; p++, pixel += out->channels) {
    if (whole) {
      tb_store_odd_wide(pixel + tb_channel(part, out->row), sums[p], out->shift);
    } else {
      int16_t values[TB_WIDE];
      tb_store_odd_wide(values, sums[p], out->shift);
      for (uint32_t l = 0; l < lanes; l++) pixel[tb_channel(part, out->row + l)] = values[l];
    }
  }
}

void tb_pointwise_grad_i16(const tb_conv_t *conv, const int16_t *gradient, tb_gradient_output_t *out, uint32_t *scratch) {
  const uint32_t pixel_count = (uint32_t)conv->out_height * conv->out_width, out_channels = conv->out_channels;
  tb_wide_t sums[PIXELS];
  (void)scratch;
  for (out->first = 0; out->first < pixel_count; out->first = out->end) {
    const uint32_t pixels = pixel_count - out->first >= PIXELS ? PIXELS : 1;
    out->end = out->first + pixels;
    for (out->part = 0; out->part < 2; out->part++) {
      const tb_part_t *part = &out->parts[out->part];
      for (out->row = 0; out->row < part->count; out->row += TB_WIDE) {
        const uint32_t lanes = tb_minimum(part->count - out->row, TB_WIDE);
        const int8_t *w = part->data + out->row;
        if (pixels == 1) {
          single_block(gradient, w, out_channels, part->count, lanes, sums);
        } else if (lanes == TB_WIDE) {
          full_block(gradient, w, out_channels, part->count, sums);
        } else {
          some_block(gradient, w, out_channels, part->count, lanes, sums);
        }
        store_block(out, sums, pixels, lanes);
      }
    }
    gradient += pixels * out_channels;
  }
}
#endif
