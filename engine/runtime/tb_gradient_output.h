/* tb_gradient_output.h: where the gradient of a convolution's input goes while its shift is still being found. */
#ifndef TB_GRADIENT_OUTPUT_H
#define TB_GRADIENT_OUTPUT_H

#include "tb_shared_exponent.h"

/* Where the gradient goes, and how much of it is stored: pixels before `first` whole; of the pixels of the block, [first,
 * end), the stored channels before (part, row). */
typedef struct {
  int16_t *dx;
  int32_t *sums; /* not NULL: nothing is stored but added there, [pixel][channel] */
  uint32_t channels;
  tb_part_t parts[2];
  uint32_t magnitudes, shift;
  uint32_t first, end, part, row;
} tb_gradient_output_t;

static inline tb_gradient_output_t tb_gradient_output(const tb_conv_t *conv, const tb_weights_t *weights, int16_t *dx) {
  tb_gradient_output_t out;
  out.dx = dx;
  out.sums = NULL;
  out.channels = conv->in_channels;
  out.magnitudes = out.shift = out.first = out.end = out.part = out.row = 0;
  out.parts[1].count = 0;
  (void)tb_parts(weights, conv->in_channels, out.parts);
  return out;
}

/* The largest magnitude that the shift is enough for. */
static inline uint32_t tb_gradient_limit(const tb_gradient_output_t *out) { return 0xffffffffu >> (16u - out->shift); }

/* Stored channels [j, j + count) of pixels [first, end). */
static inline void tb_shift_channels(const tb_gradient_output_t *out, const tb_part_t *part, uint32_t j, uint32_t count,
                                     uint32_t end, uint32_t by) {
  for (uint32_t run; count > 0; j += run, count -= run) {
    run = tb_minimum(count, tb_neighbours(part, j));
    int16_t *values = out->dx + out->first * out->channels + tb_channel(part, j);
    for (uint32_t p = out->first; p < end; p++, values += out->channels) tb_shift_stored(values, run, by);
  }
}

/* A value came that needs a larger shift: halve all that is stored. Of the `rows` stored channels from out->row on, that is
 * what lies before `pixel`. */
static inline void tb_raise_shift(tb_gradient_output_t *out, uint32_t rows, uint32_t pixel) {
  const uint32_t by = tb_shift_for(out->magnitudes) - out->shift;
  tb_shift_stored(out->dx, out->first * out->channels, by);
  for (uint32_t i = 0; i < out->part; i++) {
    tb_shift_channels(out, &out->parts[i], 0, out->parts[i].count, out->end, by);
  }
  tb_shift_channels(out, &out->parts[out->part], 0, out->row, out->end, by);
  tb_shift_channels(out, &out->parts[out->part], out->row, rows, pixel, by);
  out->shift += by;
}

/* The gradient of a pointwise convolution's input, its values stored and its shift found in `out`. */
void tb_pointwise_grad_i16(const tb_conv_t *conv, const int16_t *gradient, tb_gradient_output_t *out, uint32_t *scratch);

#endif
