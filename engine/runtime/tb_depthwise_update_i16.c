/* tb_depthwise_update_i16.c: weight gradient of a depthwise convolution from an int16 gradient, and the update. Definition:
 * docs/numerics.md, Integer gradients. A block of neighbouring channels at a time. Where 32 bits hold a sum, those of all kernel
 * positions are kept and a channel's weights updated at once; else one position after the other. */
#include "tb_apply.h"
#include "tb_dsp.h"
#include "tb_fits.h"
#include "tb_pairs.h"
#include "tb_shared_exponent.h"
#include "tb_vector.h"

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

void tb_depthwise_update_general_i16(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,
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

#if TB_DSP
/* sums[0], sums[distance], ...: of LANES neighbouring channels. */
TB_NOINLINE void sum_lanes(const tb_pairs_t *pairs, const int16_t *g_row, const int8_t *x_row, int32_t *sums, uint32_t distance) {
  const uint32_t g_column = pairs->g_column, x_column = pairs->x_column, add = tb_pair(-pairs->zero, -pairs->zero);
  int32_t a = 0, b = 0, c = 0, d = 0;
  g_row += pairs->g;
  x_row += pairs->x;
  for (uint32_t row = pairs->columns == 0 ? 0 : pairs->rows; row != 0; row--, g_row += pairs->g_row, x_row += pairs->x_row) {
    const int16_t *g = g_row;
    const int8_t *x = x_row;
    TB_UNROLL
    for (uint32_t i = pairs->columns; i != 0; i--, g += g_column, x += x_column) {
      const uint32_t low = tb_load32(g), high = tb_load32(g + 2), word = tb_load32(x);
      const uint32_t even = tb_sxtab16(add, word), odd = tb_sxtab16_odd(add, word); /* channels 0 and 2, 1 and 3 */
      a = tb_smlabb(low, even, a);
      b = tb_smlatb(low, odd, b);
      c = tb_smlabt(high, even, c);
      d = tb_smlatt(high, odd, d);
    }
  }
  sums[0] = a, sums[distance] = b, sums[2 * distance] = c, sums[3 * distance] = d;
}
#define LANES 4u
#elif TB_VECTOR
#define LANES 8u
TB_NOINLINE void sum_lanes(const tb_pairs_t *pairs, const int16_t *g_row, const int8_t *x_row, int32_t *sums, uint32_t distance) {
  const uint32_t g_column = pairs->g_column, x_column = pairs->x_column;
  const tb_int8x_t zero = _mm256_set1_epi32(pairs->zero);
  tb_int8x_t acc = _mm256_setzero_si256();
  int32_t values[LANES];
  g_row += pairs->g;
  x_row += pairs->x;
  for (uint32_t row = 0; row < pairs->rows; row++, g_row += pairs->g_row, x_row += pairs->x_row) {
    const int16_t *g = g_row;
    const int8_t *x = x_row;
    for (uint32_t i = pairs->columns; i != 0; i--, g += g_column, x += x_column) {
      acc = tb_dot2_8x(acc, tb_load_i16_8x(g), _mm256_sub_epi32(tb_load_i8_8x(x), zero));
    }
  }
  tb_store_8x(values, acc);
  for (uint32_t l = 0; l < LANES; l++) sums[l * distance] = values[l];
}
#else
#define LANES TB_LANES
TB_NOINLINE void sum_lanes(const tb_pairs_t *pairs, const int16_t *g, const int8_t *x, int32_t *sums, uint32_t distance) {
  int64_t wide[TB_LANES];
  sum_block(pairs, g, x, wide, TB_LANES);
  for (uint32_t l = 0; l < TB_LANES; l++) sums[l * distance] = (int32_t)wide[l];
}
#endif

/* Of one channel. */
TB_NOINLINE int32_t sum_one(const tb_pairs_t *pairs, const int16_t *g_row, const int8_t *x_row) {
  const uint32_t g_column = pairs->g_column, x_column = pairs->x_column;
  const int32_t zero = pairs->zero;
  int32_t acc = 0;
  g_row += pairs->g;
  x_row += pairs->x;
  for (uint32_t row = pairs->columns == 0 ? 0 : pairs->rows; row != 0; row--, g_row += pairs->g_row, x_row += pairs->x_row) {
    const int16_t *g = g_row;
    const int8_t *x = x_row;
    for (uint32_t i = pairs->columns; i != 0; i--, g += g_column, x += x_column) acc += *g * (*x - zero);
  }
  return acc;
}

/* Add what a row of one channel gives three neighbouring kernel positions, at stride 1 and padded by 1: an input meets the
 * gradients behind it, above it and before it. `width` > 0 pixels, `distance` values apart. */
TB_INLINE void add_three(const int16_t *g, const int8_t *x, uint32_t width, uint32_t distance, int32_t zero, int32_t *sums) {
  int32_t before = 0, here = *g, a = 0, b = 0, c = 0;
  for (uint32_t left = width - 1; left != 0; left--, x += distance) {
    const int32_t value = *x - zero, behind = *(g += distance);
    a += value * behind;
    b += value * here;
    c += value * before;
    before = here, here = behind;
  }
  sums[0] += a;
  sums[1] += b + (*x - zero) * here;
  sums[2] += c + (*x - zero) * before;
}

/* sums of the 9 kernel positions of one channel, 0 at first. */
TB_NOINLINE void sum_nine(const tb_conv_t *conv, const int16_t *g, const int8_t *x, int32_t *sums) {
  const uint32_t width = conv->out_width, height = conv->out_height, distance = conv->out_channels, row = width * distance;
  const int32_t zero = conv->in_zero;
  for (uint32_t y = 0; y < height; y++, g += row, x += row) {
    if (y > 0) add_three(g, x - row, width, distance, zero, sums);
    add_three(g, x, width, distance, zero, sums + 3);
    if (y + 1 < height) add_three(g, x + row, width, distance, zero, sums + 6);
  }
}

/* `square`: 3 x 3, stride 1, padded by 1. */
TB_INLINE void update_short(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,
                            const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step, void *scratch,
                            int square) {
  const tb_part_t part = tb_trainable_part(weights, conv->in_channels);
  const tb_stream_t stream = tb_open_stream(update, step);
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width, distance = (taps + 3u) & ~3u;
  const float power = tb_power_of_two(exponent);
  int32_t *const sums = (int32_t *)scratch; /* [channel][tap], a channel's in groups of four */
  for (uint32_t j = 0, lanes; j < part.count; j += lanes) {
    lanes = tb_minimum(LANES, part.count - j);
    const int neighbours = lanes == LANES && tb_are_neighbours(&part, j, LANES);
    for (uint32_t i = 0; i < lanes * distance; i++) sums[i] = 0;
    for (uint32_t l = 0; square && !neighbours && l < lanes; l++) {
      const uint32_t channel = tb_channel(&part, j + l);
      sum_nine(conv, gradient + channel, x + channel, sums + l * distance);
    }
    for (uint32_t tap = 0; (!square || neighbours) && tap < taps; tap++) {
      const tb_pairs_t pairs = tb_pairs_of(conv, tap);
      if (neighbours) {
        sum_lanes(&pairs, gradient + tb_channel(&part, j), x + tb_channel(&part, j), sums + tap, distance);
        continue;
      }
      for (uint32_t l = 0; l < lanes; l++) {
        const uint32_t channel = tb_channel(&part, j + l);
        sums[l * distance + tap] = sum_one(&pairs, gradient + channel, x + channel);
      }
    }
    for (uint32_t l = 0; l < lanes; l++) {
      const float rate = step->learning_rate * update->scale[tb_channel(&part, j + l)];
      tb_apply_sums_i8(&stream, weights->trainable, (j + l) * taps, sums + l * distance, 4, power, rate, taps,
                       part.count * taps);
    }
  }
}

#define KERNEL(name, square, condition)                                                                                \
  void name(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,                         \
            const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step, void *scratch) {            \
    TB_EXPECT(condition);                                                                                              \
    update_short(conv, gradient, exponent, x, weights, update, step, scratch, square);                                 \
  }
KERNEL(tb_depthwise_update_short_i16, 0, tb_fits_short_sum(conv))
KERNEL(tb_depthwise_update_short_3x3_i16, 1, tb_fits_short_sum(conv) && tb_fits_square(conv, 3, 1))
