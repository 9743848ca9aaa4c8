/* tb_conv2d_update_vector.c: weight gradient of a convolution from an int16 gradient, and the update, on a host with vectors
 * (tb_vector.h). Definition: docs/numerics.md, Integer gradients.
 *
 * Neighbouring input channels lie side by side in a vector; two pixels of the gradient are paired for some output channels, two
 * pixels of the input on the way.
 */
#include "tb_apply.h"
#include "tb_fits.h"
#include "tb_pairs.h"
#include "tb_shared_exponent.h"
#include "tb_vector.h"

#if !TB_DSP && TB_VECTOR
enum { CHANNELS = 8 }; /* output channels that share a load of the inputs */
enum { CHUNK = 256 };  /* pixels whose sums fit an int32 */
enum { BLOCK = CHANNELS * TB_WIDE };

/* Some of the pixels that a kernel position pairs, two in a row at a time. */
typedef struct {
  int32_t g[CHUNK][CHANNELS]; /* pairs of gradients of some output channels */
  const int8_t *x;            /* at the first pixel */
  uint32_t rows, columns;
} chunk_t;

/* Pixels of which the lines follow each other everywhere are one line. */
static tb_pairs_t merged(tb_pairs_t pairs) {
  if (pairs.g_row == pairs.columns * pairs.g_column && pairs.x_row == pairs.columns * pairs.x_column) {
    pairs.columns *= pairs.rows;
    pairs.rows = pairs.rows != 0;
  }
  return pairs;
}

TB_NOINLINE void pair_gradients(const tb_pairs_t *pairs, chunk_t *chunk, const int16_t *g_row, uint32_t channels) {
  int32_t(*to)[CHANNELS] = chunk->g;
  for (uint32_t row = 0; row < chunk->rows; row++, g_row += pairs->g_row) {
    const int16_t *g = g_row;
    for (uint32_t column = 0; column < chunk->columns; column += 2, g += 2 * pairs->g_column, to++) {
      const int both = column + 1 < chunk->columns;
      if (channels == CHANNELS) {
        const __m128i first = _mm_loadu_si128((const __m128i *)(const void *)g);
        const __m128i second = both ? _mm_loadu_si128((const __m128i *)(const void *)(g + pairs->g_column)) : _mm_setzero_si128();
        _mm_storeu_si128((__m128i *)(void *)to[0], _mm_unpacklo_epi16(first, second));
        _mm_storeu_si128((__m128i *)(void *)(to[0] + 4), _mm_unpackhi_epi16(first, second));
        continue;
      }
      for (uint32_t o = 0; o < CHANNELS; o++) {
        const int32_t second = both && o < channels ? g[pairs->g_column + o] : 0;
        to[0][o] = (int32_t)tb_pair(o < channels ? g[o] : 0, second);
      }
    }
  }
}

/* Which trainable input channels: `lanes` neighbours, or those of a list. */
typedef struct {
  uint32_t lanes;
  const uint16_t *list; /* NULL: neighbours */
} inputs_t;

TB_INLINE __m128i load_inputs(const int8_t *x, const inputs_t *inputs, int whole) {
  if (whole) return tb_load_some(x, TB_WIDE);
  if (inputs->list == NULL) return tb_load_some(x, inputs->lanes);
  int8_t bytes[16] = {0};
  for (uint32_t l = 0; l < inputs->lanes; l++) bytes[l] = x[inputs->list[l]];
  return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* sums[channel][lane] += sum over pixels of g * (x - zero) */
TB_INLINE void sum_block(const tb_pairs_t *pairs, const chunk_t *chunk, const inputs_t *inputs, int32_t *sums, int whole) {
  const int32_t(*g)[CHANNELS] = (const int32_t(*)[CHANNELS])chunk->g;
  const int8_t *x_row = chunk->x;
  tb_wide_t acc[CHANNELS];
  TB_UNROLL_VECTORS
  for (uint32_t o = 0; o < CHANNELS; o++) acc[o] = tb_all_wide(0);
  for (uint32_t row = 0; row < chunk->rows; row++, x_row += pairs->x_row) {
    const int8_t *x = x_row;
    for (uint32_t column = 0; column < chunk->columns; column += 2, x += 2 * pairs->x_column, g++) {
      const int8_t *second = column + 1 < chunk->columns ? x + pairs->x_column : x; /* its gradient is 0 then */
      const tb_wide_t both = tb_pair_bytes_wide(load_inputs(x, inputs, whole), load_inputs(second, inputs, whole));
      const tb_wide_t values = tb_subtract_pairs_wide(both, pairs->zero);
      TB_UNROLL_VECTORS
      for (uint32_t o = 0; o < CHANNELS; o++) acc[o] = tb_dot2_wide(acc[o], values, tb_all_wide(g[0][o]));
    }
  }
  TB_UNROLL_VECTORS
  for (uint32_t o = 0; o < CHANNELS; o++) tb_store_wide(sums + o * TB_WIDE, acc[o]);
}

TB_NOINLINE void whole_block(const tb_pairs_t *pairs, const chunk_t *chunk, const inputs_t *inputs, int32_t *sums) {
  sum_block(pairs, chunk, inputs, sums, 1);
}

TB_NOINLINE void some_block(const tb_pairs_t *pairs, const chunk_t *chunk, const inputs_t *inputs, int32_t *sums) {
  sum_block(pairs, chunk, inputs, sums, 0);
}

static void any_block(const tb_pairs_t *pairs, const chunk_t *chunk, const inputs_t *inputs, int32_t *sums) {
  if (inputs->list == NULL && inputs->lanes == TB_WIDE) {
    whole_block(pairs, chunk, inputs, sums);
  } else {
    some_block(pairs, chunk, inputs, sums);
  }
}

/* The sums over more pixels than an int32 holds the sum of; x: at the first channel. */
static void sum_chunks(const tb_pairs_t *pairs, const int16_t *g, const int8_t *x, uint32_t channels, const inputs_t *inputs,
                       chunk_t *chunk, int64_t *totals) {
  const uint32_t columns = tb_minimum(pairs->columns, CHUNK), rows = CHUNK / columns;
  for (uint32_t i = 0; i < BLOCK; i++) totals[i] = 0;
  for (uint32_t row = 0; row < pairs->rows; row += rows) {
    for (uint32_t column = 0; column < pairs->columns; column += columns) {
      int32_t sums[BLOCK];
      chunk->rows = tb_minimum(rows, pairs->rows - row);
      chunk->columns = tb_minimum(columns, pairs->columns - column);
      chunk->x = x + row * pairs->x_row + column * pairs->x_column;
      pair_gradients(pairs, chunk, g + row * pairs->g_row + column * pairs->g_column, channels);
      any_block(pairs, chunk, inputs, sums);
      for (uint32_t i = 0; i < BLOCK; i++) totals[i] += sums[i];
    }
  }
}

static void conv2d_update(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,
                          const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step, int many) {
  const tb_part_t part = tb_trainable_part(weights, conv->in_channels);
  const tb_stream_t stream = tb_open_stream(update, step);
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  const float power = tb_power_of_two(exponent);
  chunk_t chunk;
  if (part.count == 0) return;
  for (uint32_t tap = 0; tap < taps; tap++) {
    const tb_pairs_t pairs = merged(tb_pairs_of(conv, tap));
    for (uint32_t oc = 0; oc < conv->out_channels; oc += CHANNELS) {
      const uint32_t channels = tb_minimum(CHANNELS, conv->out_channels - oc);
      const int16_t *g = gradient + pairs.g + oc;
      const int empty = pairs.rows == 0 || pairs.columns == 0;
      if (!many) {
        chunk.rows = empty ? 0 : pairs.rows, chunk.columns = pairs.columns;
        pair_gradients(&pairs, &chunk, g, channels);
      }
      for (uint32_t j = 0; j < part.count; j += TB_WIDE) {
        inputs_t inputs = {tb_minimum(TB_WIDE, part.count - j), NULL};
        const int8_t *values = x + pairs.x;
        int32_t sums[BLOCK];
        int64_t totals[BLOCK];
        if (tb_are_neighbours(&part, j, inputs.lanes)) {
          values += tb_channel(&part, j);
        } else {
          inputs.list = part.channels + j;
        }
        if (!many) {
          chunk.x = values;
          any_block(&pairs, &chunk, &inputs, sums);
        } else if (empty) {
          memset(totals, 0, sizeof totals);
        } else {
          sum_chunks(&pairs, g, values, channels, &inputs, &chunk, totals);
        }
        for (uint32_t o = 0; o < channels; o++) {
          const uint32_t index = ((oc + o) * taps + tap) * part.count + j;
          const float rate = step->learning_rate * update->scale[oc + o];
          if (!many) {
            tb_apply_sums_i8(&stream, weights->trainable, index, sums + o * TB_WIDE, 4, power, rate, inputs.lanes,
                             index + inputs.lanes);
            continue;
          }
          for (uint32_t l = 0; l < inputs.lanes; l++) {
            float of_one = tb_float_of(totals[o * TB_WIDE + l]) * power;
            tb_apply_i8(&stream, weights->trainable, index + l, 1, &of_one, &rate, 1);
          }
        }
      }
    }
  }
}

#define KERNEL(name, many, condition)                                                                                  \
  void name(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,                         \
            const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step, void *scratch) {            \
    TB_EXPECT(condition);                                                                                              \
    (void)scratch;                                                                                                     \
    conv2d_update(conv, gradient, exponent, x, weights, update, step, many);                                           \
  }
KERNEL(tb_conv2d_update_pointwise_i16, 0, tb_is_pointwise(conv) && tb_fits_short_sum(conv))
KERNEL(tb_conv2d_update_general_i16, 0, tb_fits_short_sum(conv))
KERNEL(tb_conv2d_update_pointwise_long_i16, 1, tb_is_pointwise(conv))
KERNEL(tb_conv2d_update_general_long_i16, 1, 1)
#endif
