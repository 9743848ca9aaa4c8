/* tb_depthwise_update_i16.c: weight gradient of a depthwise convolution from an int16 gradient, and the update. Definition:
 * docs/numerics.md, Integer gradients. One kernel position of a block of neighbouring channels at a time; no weight gradient is
 * ever stored. */
#include "tb_apply.h"
#include "tb_pairs.h"
#include "tb_shared_exponent.h"

#define CHUNK 256u /* products whose sum fits an int32 */

/* sums[lane] = exact sum over pixels of g * (x - zero), neighbouring channels. */
TB_INLINE void sum_block(const tb_pairs_t *pairs, const int16_t *g_row, const int8_t *x_row, int64_t *sums,
                         uint32_t lanes) {
  const int32_t zero = pairs->zero;
  const uint32_t g_column = pairs->g_column, x_column = pairs->x_column;
  g_row += pairs->g;
  x_row += pairs->x;
  TB_UNROLL_BLOCK
  for (uint32_t l = 0; l < lanes; l++) sums[l] = 0;
  for (uint32_t row = 0; row < pairs->rows; row++, g_row += pairs->g_row, x_row += pairs->x_row) {
    const int16_t *g = g_row;
    const int8_t *x = x_row;
    for (uint32_t left = pairs->columns, count; left != 0; left -= count) {
      int32_t acc[TB_LANES];
      count = tb_minimum(left, CHUNK);
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) acc[l] = 0;
      for (uint32_t i = count; i != 0; i--, g += g_column, x += x_column) {
        TB_UNROLL_BLOCK
        for (uint32_t l = 0; l < lanes; l++) acc[l] += g[l] * (x[l] - zero);
      }
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) sums[l] += acc[l];
    }
  }
}

TB_NOINLINE void full_block(const tb_pairs_t *pairs, const int16_t *g, const int8_t *x, int64_t *sums) {
  sum_block(pairs, g, x, sums, TB_LANES);
}

TB_NOINLINE void single_block(const tb_pairs_t *pairs, const int16_t *g, const int8_t *x, int64_t *sums) {
  sum_block(pairs, g, x, sums, 1);
}

void tb_depthwise_conv2d_update_i16(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,
                                    const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step,
                                    void *scratch) {
  const tb_part_t part = tb_trainable_part(weights, conv->in_channels);
  const tb_stream_t stream = tb_open_stream(update, step);
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  const float power = tb_power_of_two(exponent);
  (void)scratch;
  for (uint32_t tap = 0; tap < taps; tap++) {
    const tb_pairs_t pairs = tb_pairs_of(conv, tap);
    for (uint32_t j = 0, lanes; j < part.count; j += lanes) {
      const uint32_t channel = tb_channel(&part, j);
      int64_t sums[TB_LANES];
      float gradients[TB_LANES], rates[TB_LANES];
      lanes = tb_neighbours(&part, j) >= TB_LANES ? TB_LANES : 1;
      if (lanes == TB_LANES) {
        full_block(&pairs, gradient + channel, x + channel, sums);
      } else {
        single_block(&pairs, gradient + channel, x + channel, sums);
      }
      for (uint32_t l = 0; l < lanes; l++) {
        gradients[l] = tb_float_of(sums[l]) * power;
        rates[l] = step->learning_rate * update->scale[channel + l];
      }
      tb_apply_i8(&stream, weights->trainable, j * taps + tap, taps, gradients, rates, lanes);
    }
  }
}
