/* tb_conv2d_update_i16.c: weight gradient of a convolution from an int16 gradient, and the update. Definition:
 * docs/numerics.md, Integer gradients. The path for hosts, which compilers vectorise.
 */
#include "tb_apply.h"
#include "tb_fits.h"
#include "tb_pairs.h"
#include "tb_shared_exponent.h"
#include "tb_vector.h"

#if !TB_DSP && !TB_VECTOR /* tb_conv2d_update_vector.c */
enum { CHANNELS = 4 }; /* output channels that share a load of the inputs */
enum { CHUNK = 256 };  /* pixels whose sums fit an int32 */
enum { BLOCK = CHANNELS * TB_LANES };

/* Some of the pixels that a kernel position pairs, from the first of some output and input channels on. */
typedef struct {
  const int16_t *g;
  const int8_t *x;
  const uint32_t *offsets; /* of the input channels from x; NULL: neighbours */
  uint32_t rows, columns;
} chunk_t;

/* sums[channel][lane] = sum over pixels of g * (x - zero) */
TB_INLINE void sum_block(const tb_pairs_t *pairs, const chunk_t *chunk, int32_t *sums, uint32_t channels, uint32_t lanes,
                         int neighbours) {
  const uint32_t g_column = pairs->g_column, x_column = pairs->x_column, columns = chunk->columns;
  const uint32_t *offsets = chunk->offsets;
  const int32_t zero = pairs->zero;
  const int16_t *g_row = chunk->g;
  const int8_t *x_row = chunk->x;
  int32_t acc[BLOCK];
  TB_UNROLL_BLOCK
  for (uint32_t i = 0; i < channels * lanes; i++) acc[i] = 0;
  for (uint32_t row = 0; row < chunk->rows; row++, g_row += pairs->g_row, x_row += pairs->x_row) {
    const int16_t *g = g_row;
    const int8_t *x = x_row;
    for (uint32_t column = 0; column < columns; column++, g += g_column, x += x_column) {
      int32_t value[TB_LANES];
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) value[l] = x[neighbours ? l : offsets[l]] - zero;
      TB_UNROLL_BLOCK
      for (uint32_t o = 0; o < channels; o++) {
        const int32_t factor = g[o];
        TB_UNROLL_BLOCK
        for (uint32_t l = 0; l < lanes; l++) acc[o * lanes + l] += factor * value[l];
      }
    }
  }
  TB_UNROLL_BLOCK
  for (uint32_t o = 0; o < channels; o++) {
    TB_UNROLL_BLOCK
    for (uint32_t l = 0; l < lanes; l++) sums[o * TB_LANES + l] = acc[o * lanes + l];
  }
}

TB_NOINLINE void full_block(const tb_pairs_t *pairs, const chunk_t *chunk, int32_t *sums) {
  sum_block(pairs, chunk, sums, CHANNELS, TB_LANES, 1);
}

TB_NOINLINE void gather_block(const tb_pairs_t *pairs, const chunk_t *chunk, int32_t *sums) {
  sum_block(pairs, chunk, sums, CHANNELS, TB_LANES, 0);
}

TB_NOINLINE void narrow_block(const tb_pairs_t *pairs, const chunk_t *chunk, int32_t *sums) {
  sum_block(pairs, chunk, sums, CHANNELS, 1, 1);
}

TB_NOINLINE void single_block(const tb_pairs_t *pairs, const chunk_t *chunk, int32_t *sums) {
  sum_block(pairs, chunk, sums, 1, 1, 1);
}

static void any_block(const tb_pairs_t *pairs, const chunk_t *chunk, int32_t *sums, uint32_t channels, uint32_t lanes) {
  if (channels == 1) {
    single_block(pairs, chunk, sums);
  } else if (lanes == 1) {
    narrow_block(pairs, chunk, sums);
  } else if (chunk->offsets == NULL) {
    full_block(pairs, chunk, sums);
  } else {
    gather_block(pairs, chunk, sums);
  }
}

/* The sums over more pixels than an int32 holds the sum of. */
static void sum_chunks(const tb_pairs_t *pairs, const chunk_t *whole, int64_t *totals, uint32_t channels, uint32_t lanes) {
  const uint32_t columns = tb_minimum(whole->columns, CHUNK), rows = CHUNK / columns;
  for (uint32_t i = 0; i < BLOCK; i++) totals[i] = 0;
  for (uint32_t row = 0; row < whole->rows; row += rows) {
    for (uint32_t column = 0; column < whole->columns; column += columns) {
      chunk_t chunk = *whole;
      int32_t sums[BLOCK] = {0};
      chunk.g += row * pairs->g_row + column * pairs->g_column;
      chunk.x += row * pairs->x_row + column * pairs->x_column;
      chunk.rows = tb_minimum(rows, whole->rows - row);
      chunk.columns = tb_minimum(columns, whole->columns - column);
      any_block(pairs, &chunk, sums, channels, lanes);
      for (uint32_t i = 0; i < BLOCK; i++) totals[i] += sums[i];
    }
  }
}

/* One kernel position of some output channels and trainable input channels. */
typedef void update_block_t(const tb_stream_t *stream, int8_t *weights, const tb_pairs_t *pairs, const chunk_t *chunk,
                            float power, const float *rates, uint32_t index, uint32_t step, uint32_t channels,
                            uint32_t lanes);

static void update_block(const tb_stream_t *stream, int8_t *weights, const tb_pairs_t *pairs, const chunk_t *chunk,
                         float power, const float *rates, uint32_t index, uint32_t step, uint32_t channels, uint32_t lanes) {
  int32_t sums[BLOCK] = {0};
  any_block(pairs, chunk, sums, channels, lanes);
  for (uint32_t o = 0; o < channels; o++) {
    tb_apply_sums_i8(stream, weights, index + o * step, sums + o * TB_LANES, 4, power, rates[o], lanes,
                     index + o * step + lanes);
  }
}

/* The same of any number of pixels. */
static void update_block_of_many(const tb_stream_t *stream, int8_t *weights, const tb_pairs_t *pairs, const chunk_t *chunk,
                                 float power, const float *rates, uint32_t index, uint32_t step, uint32_t channels,
                                 uint32_t lanes) {
  int64_t totals[BLOCK];
  sum_chunks(pairs, chunk, totals, channels, lanes);
  for (uint32_t o = 0; o < channels; o++) {
    for (uint32_t l = 0; l < lanes; l++) {
      float gradient = tb_float_of(totals[o * TB_LANES + l]) * power;
      tb_apply_i8(stream, weights, index + o * step + l, 1, &gradient, rates + o, 1);
    }
  }
}

static void conv2d_update(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,
                          const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step,
                          update_block_t *update_some) {
  const tb_part_t part = tb_trainable_part(weights, conv->in_channels);
  const tb_stream_t stream = tb_open_stream(update, step);
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  const float power = tb_power_of_two(exponent);
  for (uint32_t tap = 0; tap < taps; tap++) {
    const tb_pairs_t pairs = tb_pairs_of(conv, tap);
    for (uint32_t oc = 0, channels; oc < conv->out_channels; oc += channels) {
      float rates[CHANNELS];
      channels = conv->out_channels - oc >= CHANNELS ? CHANNELS : 1;
      for (uint32_t o = 0; o < channels; o++) rates[o] = step->learning_rate * update->scale[oc + o];
      for (uint32_t j = 0, lanes; j < part.count; j += lanes) {
        uint32_t offsets[TB_LANES];
        chunk_t chunk = {gradient + pairs.g + oc, x + pairs.x, NULL, pairs.rows, pairs.columns};
        lanes = channels == CHANNELS && part.count - j >= TB_LANES ? TB_LANES : 1;
        if (tb_are_neighbours(&part, j, lanes)) {
          chunk.x += tb_channel(&part, j);
        } else {
          for (uint32_t l = 0; l < lanes; l++) offsets[l] = tb_channel(&part, j + l);
          chunk.offsets = offsets;
        }
        const uint32_t index = (oc * taps + tap) * part.count + j;
        update_some(&stream, weights->trainable, &pairs, &chunk, power, rates, index, taps * part.count, channels, lanes);
      }
    }
  }
}

#define KERNEL(name, update_some, condition)                                                                           \
  void name(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,                         \
            const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step, void *scratch) {            \
    TB_EXPECT(condition);                                                                                              \
    (void)scratch;                                                                                                     \
    conv2d_update(conv, gradient, exponent, x, weights, update, step, update_some);                                    \
  }
KERNEL(tb_conv2d_update_pointwise_i16, update_block, tb_is_pointwise(conv) && tb_fits_short_sum(conv))
KERNEL(tb_conv2d_update_pointwise_long_i16, update_block_of_many, tb_is_pointwise(conv))
KERNEL(tb_conv2d_update_general_i16, update_block, tb_fits_short_sum(conv))
KERNEL(tb_conv2d_update_general_long_i16, update_block_of_many, 1)
#endif
