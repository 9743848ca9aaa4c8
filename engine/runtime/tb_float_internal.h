/* tb_float_internal.h: what the kernels of float32 networks share. Private to engine/runtime.
 *
 * Vectors are the compilers' own (gcc, clang), so that it does not depend on an optimizer whether a kernel is fast. Each lane
 * is a sum of its own: no bit depends on their number.
 */
#ifndef TB_FLOAT_INTERNAL_H
#define TB_FLOAT_INTERNAL_H

#include "tb_float.h"
#include "tb_internal.h"

#if !defined(__GNUC__)
#error "the kernels of float32 networks need gcc or clang"
#endif

#if defined(__AVX__)
#define TB_FLOAT_LANES 8
#else
#define TB_FLOAT_LANES 4 /* 8 at the most: engine/operators/floating/scratch.py */
#endif

/* Anywhere in an array of floats. */
typedef float tb_lanes_t __attribute__((vector_size(4 * TB_FLOAT_LANES), aligned(4), may_alias));

TB_INLINE tb_lanes_t tb_load_lanes(const float *from) { return *(const tb_lanes_t *)from; }
TB_INLINE void tb_store_lanes(float *to, tb_lanes_t lanes) { *(tb_lanes_t *)to = lanes; }

#define TB_FLOAT_LIMIT 1099511627776.0f /* 2^40: no activation and no gradient of one is larger */

/* Clamp in place. mask: which values lay strictly between; may be NULL. */
void tb_float_clamp(float *values, tb_float_clamp_t clamp, uint8_t *mask, uint32_t count);

/* To +-TB_FLOAT_LIMIT, in place. */
void tb_float_limit(float *values, uint32_t count);

/* The `row` weights of tap `tap` that belong to the channel stored as number i of `total`. */
static inline const float *tb_float_row(const tb_float_weights_t *weights, uint32_t tap, uint32_t i, uint32_t total,
                                        uint32_t row) {
  const uint32_t trainable = weights->channels == NULL ? total : weights->trainable_count;
  if (weights->trainable == NULL) return weights->frozen + (tap * total + i) * row;
  if (i < trainable) return weights->trainable + (tap * trainable + i) * row;
  return weights->frozen + (tap * (total - trainable) + (i - trainable)) * row;
}

/* All weights [taps][total][row] in the network's order: gathered in `scratch` where they lie in two places. */
const float *tb_float_merged(const tb_float_weights_t *weights, uint32_t taps, uint32_t total, uint32_t row,
                             float *scratch);

#endif
