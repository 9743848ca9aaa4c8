/* tb_shared_exponent.h: int16 gradients with one exponent a tensor. Definition: docs/numerics.md, Integer gradients.
 *
 * An operator computes exact int32 values and stores round_to_odd(value, shift), with the smallest shift at which all fit an
 * int16. The shift is only known at the end, but rounding to odd twice is rounding to odd once: a kernel may start with
 * the shift that its first values need and, whenever a larger value comes, halve what it has stored so far.
 */
#ifndef TB_SHARED_EXPONENT_H
#define TB_SHARED_EXPONENT_H

#include "tb_dsp.h"
#include "tb_internal.h"

#define TB_GRADIENT_BITS 15
#define TB_ALIGNMENT 14u /* bits by which a sum of two gradients may shift the larger one up */
#define TB_ZERO_EXPONENT (-4096) /* of a tensor whose values are all 0: below any other */

/* value / 2^shift; where bits are lost, the last one kept is set. */
static inline int16_t tb_round_to_odd(int32_t value, uint32_t shift) {
  const uint32_t lost = (uint32_t)value & ((1u << shift) - 1u);
  return (int16_t)((value >> shift) | (lost != 0));
}

/* What tells the shift: OR it over all values. Where a bit differs from the one below: 0 for 0 alone, not for -1. */
static inline uint32_t tb_magnitude(int32_t value) { return (uint32_t)value ^ ((uint32_t)value << 1); }

/* Smallest shift at which values of these magnitudes fit an int16. */
static inline uint32_t tb_shift_for(uint32_t magnitudes) {
#if defined(__GNUC__)
  const uint32_t bits = magnitudes == 0 ? 0 : 32u - (uint32_t)__builtin_clz(magnitudes);
#else
  uint32_t bits = 0;
  while (bits < 32u && magnitudes >> bits != 0) bits++;
#endif
  return bits > TB_GRADIENT_BITS + 1 ? bits - (TB_GRADIENT_BITS + 1) : 0;
}

/* Shift stored values further by `by`: the rare path of a kernel that met a larger value. */
static inline void tb_shift_stored(int16_t *stored, uint32_t count, uint32_t by) {
#if TB_DSP
  for (; by > 0; by--) {
    int16_t *pair = stored;
    TB_UNROLL
    for (uint32_t i = count / 2; i != 0; i--, pair += 2) {
      const uint32_t word = tb_load32(pair);
      tb_store32(pair, tb_shadd16(word, 0) | (word & 0x00010001u));
    }
    if ((count & 1u) != 0) *pair = tb_round_to_odd(*pair, 1);
  }
#else
  for (uint32_t i = 0; i < count; i++) stored[i] = tb_round_to_odd(stored[i], by);
#endif
}

/* Exponent of the result: that of the exact values plus the shift. */
static inline int32_t tb_exponent(int32_t exponent, uint32_t magnitudes, uint32_t shift) {
  return magnitudes == 0 ? TB_ZERO_EXPONENT : exponent + (int32_t)shift;
}

/* 2^exponent as a float, the exponent kept within [-126, 56] so that no sum of gradients leaves a float. */
static inline float tb_power_of_two(int32_t exponent) {
  const uint32_t bits = (uint32_t)(tb_clamp_i32(exponent, -126, 56) + 127) << 23;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

#endif
