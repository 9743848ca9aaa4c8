/* tb_float_conv2d.c: a float32 convolution and its gradients: a matrix product a tap and row, or one where there is one tap. */
#include "tb_float_internal.h"
#include "tb_float_product.h"

/* What a tap pairs: `columns` pixels in each of `rows` rows, of the output from (out_y, out_x) on, of the input from
 * (in_y, in_x) on in steps of the stride. A pointwise layer has all its pixels in one row. */
typedef struct {
  uint32_t rows, columns, out_y, out_x, in_y, in_x;
} pairs_t;

static pairs_t pairs_of(const tb_conv_t *conv, uint32_t tap) {
  pairs_t pairs = {1, (uint32_t)conv->out_height * conv->out_width, 0, 0, 0, 0};
  if (tb_is_pointwise(conv)) return pairs;
  const int32_t ky = (int32_t)(tap / conv->kernel_width), kx = (int32_t)(tap % conv->kernel_width);
  const int32_t stride = conv->stride, padding = conv->padding;
  const tb_range_t rows = tb_outputs_inside(ky, stride, padding, conv->in_height, conv->out_height);
  const tb_range_t columns = tb_outputs_inside(kx, stride, padding, conv->in_width, conv->out_width);
  pairs.rows = rows.end > rows.first && columns.end > columns.first ? (uint32_t)(rows.end - rows.first) : 0;
  pairs.columns = (uint32_t)(columns.end - columns.first);
  pairs.out_y = (uint32_t)rows.first;
  pairs.out_x = (uint32_t)columns.first;
  pairs.in_y = (uint32_t)(rows.first * stride + ky - padding);
  pairs.in_x = (uint32_t)(columns.first * stride + kx - padding);
  return pairs;
}

static uint32_t taps_of(const tb_conv_t *conv) { return (uint32_t)conv->kernel_height * conv->kernel_width; }

/* Of pixels, in row `row` of the pairs. */
static uint32_t output_of(const tb_conv_t *conv, const pairs_t *pairs, uint32_t row) {
  return (pairs->out_y + row) * conv->out_width + pairs->out_x;
}

static uint32_t input_of(const tb_conv_t *conv, const pairs_t *pairs, uint32_t row) {
  return (pairs->in_y + row * conv->stride) * conv->in_width + pairs->in_x;
}

const float *tb_float_merged(const tb_float_weights_t *weights, uint32_t taps, uint32_t total, uint32_t row,
                             float *scratch) {
  if (weights->channels == NULL) return tb_float_row(weights, 0, 0, total, row);
  for (uint32_t tap = 0; tap < taps; tap++) {
    for (uint32_t i = 0; i < total; i++) {
      const float *from = tb_float_row(weights, tap, i, total, row);
      float *to = scratch + (tap * total + weights->channels[i]) * row;
      for (uint32_t k = 0; k < row; k++) to[k] = from[k];
    }
  }
  return scratch;
}

void tb_float_conv2d(const tb_conv_t *conv, const float *x, const tb_float_weights_t *weights, const float *bias,
                     tb_float_clamp_t clamp, float *y, uint8_t *mask, void *scratch) {
  const uint32_t taps = taps_of(conv), inputs = conv->in_channels, outputs = conv->out_channels;
  const uint32_t count = (uint32_t)conv->out_height * conv->out_width * outputs;
  const float *merged = tb_float_merged(weights, taps, inputs, outputs, (float *)scratch);
  const int pointwise = tb_is_pointwise(conv);
  if (!pointwise) {
    for (uint32_t i = 0; i < count; i++) y[i] = bias[i % outputs];
  }
  for (uint32_t tap = 0; tap < taps; tap++) {
    const pairs_t pairs = pairs_of(conv, tap);
    for (uint32_t row = 0; row < pairs.rows; row++) {
      float *results = y + output_of(conv, &pairs, row) * outputs;
      const tb_product_t product = {
          .a = x + input_of(conv, &pairs, row) * inputs, .a_row = conv->stride * inputs, .a_step = 1,
          .b = merged + tap * inputs * outputs, .b_row = outputs,
          .first = pointwise ? bias : results, .first_row = pointwise ? 0 : outputs,
          .c = results, .c_row = outputs, .rows = pairs.columns, .terms = inputs, .columns = outputs};
      tb_float_product(&product);
    }
  }
  tb_float_clamp(y, clamp, mask, count);
}

enum { BLOCK = 8 };

/* [taps][outputs][inputs] in the network's order, by blocks that fit the cache. */
static void transpose(const tb_float_weights_t *weights, uint32_t taps, uint32_t inputs, uint32_t outputs, float *to) {
  for (uint32_t tap = 0; tap < taps; tap++, to += inputs * outputs) {
    for (uint32_t first = 0; first < outputs; first += BLOCK) {
      const uint32_t end = tb_minimum(first + BLOCK, outputs);
      for (uint32_t i = 0; i < inputs; i++) {
        const float *from = tb_float_row(weights, tap, i, inputs, outputs);
        const uint32_t channel = weights->channels == NULL ? i : weights->channels[i];
        for (uint32_t o = first; o < end; o++) to[o * inputs + channel] = from[o];
      }
    }
  }
}

void tb_float_conv2d_grad_input(const tb_conv_t *conv, const float *gradient, const tb_float_weights_t *weights,
                                float *dx, void *scratch) {
  const uint32_t taps = taps_of(conv), inputs = conv->in_channels, outputs = conv->out_channels;
  const uint32_t count = (uint32_t)conv->in_height * conv->in_width * inputs;
  float *transposed = (float *)scratch;
  transpose(weights, taps, inputs, outputs, transposed);
  memset(dx, 0, count * sizeof *dx);
  for (uint32_t tap = 0; tap < taps; tap++) {
    const pairs_t pairs = pairs_of(conv, tap);
    for (uint32_t row = 0; row < pairs.rows; row++) {
      float *results = dx + input_of(conv, &pairs, row) * inputs;
      const uint32_t step = conv->stride * inputs;
      const tb_product_t product = {
          .a = gradient + output_of(conv, &pairs, row) * outputs, .a_row = outputs, .a_step = 1,
          .b = transposed + tap * inputs * outputs, .b_row = inputs,
          .first = results, .first_row = step,
          .c = results, .c_row = step, .rows = pairs.columns, .terms = outputs, .columns = inputs};
      tb_float_product(&product);
    }
  }
  tb_float_limit(dx, count);
}

void tb_float_conv2d_grad_weight(const tb_conv_t *conv, const float *gradient, const float *x, float *dw, uint32_t count) {
  const uint32_t taps = taps_of(conv), outputs = conv->out_channels;
  memset(dw, 0, taps * count * outputs * sizeof *dw);
  for (uint32_t tap = 0; tap < taps; tap++, dw += count * outputs) {
    const pairs_t pairs = pairs_of(conv, tap);
    for (uint32_t row = 0; row < pairs.rows; row++) {
      const tb_product_t product = {
          .a = x + input_of(conv, &pairs, row) * count, .a_row = 1, .a_step = conv->stride * count,
          .b = gradient + output_of(conv, &pairs, row) * outputs, .b_row = outputs,
          .first = dw, .first_row = outputs,
          .c = dw, .c_row = outputs, .rows = count, .terms = pairs.columns, .columns = outputs};
      tb_float_product(&product);
    }
  }
}
