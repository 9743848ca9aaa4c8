/* tb_update.c: weight gradients and stochastic gradient descent in one pass. No weight gradient is ever stored: the
 * kernels sum a block of it in registers and apply it at once. */
#include "tb_apply.h"
#include "tb_pairs.h"

enum { CHANNELS = 4 }; /* output channels that share a load of the inputs */

/* block[channel][lane] = sum over pixels of g * (x - zero). The lanes of x lie at `offsets`, or are `neighbours`. */
TB_INLINE void conv2d_block(const tb_pairs_t *pairs, const float *g_row, const int8_t *x_row,
                                const uint32_t *offsets, float *block, uint32_t channels, uint32_t lanes,
                                int neighbours) {
  const uint32_t g_column = pairs->g_column, x_column = pairs->x_column, columns = pairs->columns;
  const int32_t zero = pairs->zero;
  float acc[CHANNELS * TB_LANES];
  TB_UNROLL_BLOCK
  for (uint32_t i = 0; i < channels * lanes; i++) acc[i] = 0.0f;
  for (uint32_t row = 0; row < pairs->rows; row++, g_row += pairs->g_row, x_row += pairs->x_row) {
    const float *g = g_row;
    const int8_t *x = x_row;
    for (uint32_t column = 0; column < columns; column++, g += g_column, x += x_column) {
      float value[TB_LANES];
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) value[l] = (float)(x[neighbours ? l : offsets[l]] - zero);
      TB_UNROLL_BLOCK
      for (uint32_t o = 0; o < channels; o++) {
        TB_UNROLL_BLOCK
        for (uint32_t l = 0; l < lanes; l++) acc[o * lanes + l] += g[o] * value[l];
      }
    }
  }
  TB_UNROLL_BLOCK
  for (uint32_t i = 0; i < channels * lanes; i++) block[i] = acc[i];
}

TB_NOINLINE void full_conv2d_block(const tb_pairs_t *pairs, const float *g, const int8_t *x, float *block) {
  conv2d_block(pairs, g, x, NULL, block, CHANNELS, TB_LANES, 1);
}

TB_NOINLINE void gather_conv2d_block(const tb_pairs_t *pairs, const float *g, const int8_t *x,
                                            const uint32_t *offsets, float *block) {
  conv2d_block(pairs, g, x, offsets, block, CHANNELS, TB_LANES, 0);
}

TB_NOINLINE void narrow_conv2d_block(const tb_pairs_t *pairs, const float *g, const int8_t *x, float *block) {
  conv2d_block(pairs, g, x, NULL, block, CHANNELS, 1, 1);
}

TB_NOINLINE void single_conv2d_block(const tb_pairs_t *pairs, const float *g, const int8_t *x, float *block) {
  conv2d_block(pairs, g, x, NULL, block, 1, 1, 1);
}

void tb_conv2d_update_f32(const tb_conv_t *conv, const float *gradient, const int8_t *x, const tb_weights_t *weights,
                          const tb_update_t *update, const tb_step_t *step) {
  const tb_part_t part = tb_trainable_part(weights, conv->in_channels);
  const tb_stream_t stream = tb_open_stream(update, step);
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  for (uint32_t tap = 0; tap < taps; tap++) {
    const tb_pairs_t pairs = tb_pairs_of(conv, tap);
    for (uint32_t oc = 0, channels; oc < conv->out_channels; oc += channels) {
      const float *g = gradient + pairs.g + oc;
      channels = conv->out_channels - oc >= CHANNELS ? CHANNELS : 1;
      for (uint32_t j = 0, lanes; j < part.count; j += lanes) {
        uint32_t offsets[TB_LANES];
        float block[CHANNELS * TB_LANES];
        lanes = channels == CHANNELS && part.count - j >= TB_LANES ? TB_LANES : 1;
        for (uint32_t l = 0; l < lanes; l++) offsets[l] = tb_channel(&part, j + l);
        if (channels == 1) {
          single_conv2d_block(&pairs, g, x + pairs.x + offsets[0], block);
        } else if (lanes == 1) {
          narrow_conv2d_block(&pairs, g, x + pairs.x + offsets[0], block);
        } else if (offsets[TB_LANES - 1] - offsets[0] == TB_LANES - 1) {
          full_conv2d_block(&pairs, g, x + pairs.x + offsets[0], block);
        } else {
          gather_conv2d_block(&pairs, g, x + pairs.x, offsets, block);
        }
        for (uint32_t o = 0; o < channels; o++) {
          const uint32_t index = ((oc + o) * taps + tap) * part.count + j;
          float rates[TB_LANES];
          for (uint32_t l = 0; l < lanes; l++) rates[l] = step->learning_rate * update->scale[oc + o];
          tb_apply_i8(&stream, weights->trainable, index, 1, block + o * lanes, rates, lanes);
        }
      }
    }
  }
}

/* block[lane] = sum over pixels of g * (x - zero), neighbouring channels. */
TB_INLINE void depthwise_block(const tb_pairs_t *pairs, const float *g_row, const int8_t *x_row, float *block, uint32_t lanes) {
  const uint32_t g_column = pairs->g_column, x_column = pairs->x_column, columns = pairs->columns;
  const int32_t zero = pairs->zero;
  float acc[TB_LANES];
  TB_UNROLL_BLOCK
  for (uint32_t l = 0; l < lanes; l++) acc[l] = 0.0f;
  for (uint32_t row = 0; row < pairs->rows; row++, g_row += pairs->g_row, x_row += pairs->x_row) {
    const float *g = g_row;
    const int8_t *x = x_row;
    for (uint32_t column = 0; column < columns; column++, g += g_column, x += x_column) {
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) acc[l] += g[l] * (float)(x[l] - zero);
    }
  }
  TB_UNROLL_BLOCK
  for (uint32_t l = 0; l < lanes; l++) block[l] = acc[l];
}

TB_NOINLINE void full_depthwise_block(const tb_pairs_t *pairs, const float *g, const int8_t *x, float *block) {
  depthwise_block(pairs, g, x, block, TB_LANES);
}

TB_NOINLINE void single_depthwise_block(const tb_pairs_t *pairs, const float *g, const int8_t *x, float *block) {
  depthwise_block(pairs, g, x, block, 1);
}

void tb_depthwise_conv2d_update_f32(const tb_conv_t *conv, const float *gradient, const int8_t *x,
                                    const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step) {
  const tb_part_t part = tb_trainable_part(weights, conv->in_channels);
  const tb_stream_t stream = tb_open_stream(update, step);
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  for (uint32_t tap = 0; tap < taps; tap++) {
    const tb_pairs_t pairs = tb_pairs_of(conv, tap);
    for (uint32_t j = 0, lanes; j < part.count; j += lanes) {
      const uint32_t channel = tb_channel(&part, j);
      const float *g = gradient + pairs.g + channel;
      const int8_t *inputs = x + pairs.x + channel;
      float block[TB_LANES], rates[TB_LANES];
      lanes = tb_neighbours(&part, j) >= TB_LANES ? TB_LANES : 1;
      if (lanes == TB_LANES) {
        full_depthwise_block(&pairs, g, inputs, block);
      } else {
        single_depthwise_block(&pairs, g, inputs, block);
      }
      for (uint32_t l = 0; l < lanes; l++) rates[l] = step->learning_rate * update->scale[channel + l];
      tb_apply_i8(&stream, weights->trainable, j * taps + tap, taps, block, rates, lanes);
    }
  }
}

void tb_bias_update_f32(const float *gradient, int32_t *bias, const tb_update_t *update, const tb_step_t *step,
                        uint32_t pixels, uint32_t channels, int32_t limit, void *scratch) {
  const tb_stream_t stream = tb_open_stream(update, step);
  float *sum = (float *)scratch;
  for (uint32_t c = 0; c < channels; c++) sum[c] = 0.0f;
  for (uint32_t p = 0; p < pixels; p++) {
    for (uint32_t c = 0; c < channels; c++) sum[c] += *gradient++;
  }
  tb_apply_biases(&stream, bias, sum, channels, limit);
}

/* Saturated: a classifier that diverges stays finite, since infinities end in NaN, whose bits differ by machine. */
static float descended(float value, float step) { return tb_clamp_f32(value - step, -TB_LIMIT, TB_LIMIT); }

void tb_fully_connected_update_f32(const float *dz, const float *features, float *weight, float *bias,
                                   float *weight_accumulator, float *bias_accumulator, const tb_step_t *step,
                                   uint32_t classes, uint32_t feature_count) {
  const float rate = step->learning_rate;
  uint32_t i = 0;
  for (uint32_t k = 0; k < classes; k++) {
    if (!step->accumulate) {
      const float t = rate * dz[k];
      if (!step->apply) continue;
      for (uint32_t c = 0; c < feature_count; c++, i++) weight[i] = descended(weight[i], t * features[c]);
      bias[k] = descended(bias[k], t);
      continue;
    }
    for (uint32_t c = 0; c < feature_count; c++, i++) {
      float value = dz[k] * features[c];
      if (tb_accumulated(step, weight_accumulator, i, &value)) weight[i] = descended(weight[i], rate * value);
    }
    float value = dz[k];
    if (tb_accumulated(step, bias_accumulator, k, &value)) bias[k] = descended(bias[k], rate * value);
  }
}
