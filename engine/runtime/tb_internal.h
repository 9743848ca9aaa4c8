/* tb_internal.h: what the kernels share. Private to engine/runtime; definitions: docs/numerics.md.
 *
 * Build with -ffp-contract=off and without -ffast-math: a fused or reordered operation changes the bits.
 */
#ifndef TB_INTERNAL_H
#define TB_INTERNAL_H

#include "tb_kernels.h"

#include <float.h>
#include <stddef.h>
#include <string.h>

#if defined(__FAST_MATH__)
#error "trainbench kernels must not be built with -ffast-math"
#endif
#if FLT_EVAL_METHOD != 0
#error "trainbench kernels need float arithmetic in float precision (on x86: SSE, not x87)"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

/* Channels that one block of a kernel computes side by side: as many as the registers hold. */
#if !defined(TB_LANES)
#if defined(__arm__)
#define TB_LANES 4
#else
#define TB_LANES 8
#endif
#endif

/* Inner loops stand on their own (TB_NOINLINE) and are made from one source with constant block sizes (TB_INLINE):
 * only so do compilers keep a block in registers and vectorise it. Unrolling pays where nothing is vectorised. */
#if defined(__GNUC__)
#define TB_INLINE static inline __attribute__((always_inline))
#define TB_NOINLINE static __attribute__((noinline))
#else
#define TB_INLINE static inline
#define TB_NOINLINE static
#endif
#if defined(__arm__) && defined(__GNUC__) && !defined(__clang__)
#define TB_UNROLL _Pragma("GCC unroll 4")
#define TB_UNROLL_BLOCK _Pragma("GCC unroll 16") /* completely: no block is larger */
#else
#define TB_UNROLL
#define TB_UNROLL_BLOCK
#endif

#define TB_LIMIT 1152921504606846976.0f /* 2^60: no gradient is larger */

static inline int32_t tb_clamp_i32(int32_t value, int32_t low, int32_t high) {
  return value < low ? low : (value > high ? high : value);
}

static inline uint32_t tb_minimum(uint32_t a, uint32_t b) { return a < b ? a : b; }

static inline float tb_clamp_f32(float value, float low, float high) {
  return value < low ? low : (value > high ? high : value);
}

/* Largest integer <= value, for |value| < 2^31. */
static inline int32_t tb_floor_f32(float value) {
  int32_t truncated = (int32_t)value;
  return truncated - ((float)truncated > value ? 1 : 0);
}

/* What is added before the shift right by 32: the zero point of the output, and a half for rounding. */
static inline int64_t tb_rounding(int32_t out_zero) { return (int64_t)out_zero * 4294967296 + 2147483648; }

/* round(acc * s) + zero, s = multiplier / 2^(32 - shift); |acc| < 2^(31 - shift). Not clamped.
 * Shifts are of unsigned numbers; the conversions back to signed ones wrap on every compiler we build with. */
static inline int32_t tb_requantize(int32_t acc, int32_t multiplier, uint32_t shift, int64_t rounding) {
  int64_t scaled = (int64_t)(int32_t)((uint32_t)acc << shift) * multiplier;
  return (int32_t)(uint32_t)((uint64_t)(scaled + rounding) >> 32);
}

static inline uint32_t tb_mask_bytes(uint32_t count) { return (count + 7u) >> 3; }

static inline void tb_mask_clear(uint8_t *mask, uint32_t count) {
  for (uint32_t i = 0; i < tb_mask_bytes(count); i++) mask[i] = 0;
}

static inline uint32_t tb_mask_bit(const uint8_t *mask, uint32_t index) {
  return ((uint32_t)mask[index >> 3] >> (index & 7u)) & 1u;
}

/* Set bits [index, index + 24) of a cleared mask, at the most, to `bits`. */
static inline void tb_mask_set(uint8_t *mask, uint32_t index, uint32_t bits) {
  uint8_t *byte = mask + (index >> 3);
  for (bits <<= index & 7u; bits != 0; bits >>= 8, byte++) *byte = (uint8_t)(*byte | bits);
}

/* Store one output clamped. Returns 1 if the clamp changed nothing. */
static inline uint32_t tb_store_i8(int32_t value, int8_t *y) {
  const int32_t clamped = tb_clamp_i32(value, -128, 127);
  *y = (int8_t)clamped;
  return value == clamped;
}

/* One of the places a layer's weights lie in. */
typedef struct {
  const int8_t *data;       /* stored order */
  const uint16_t *channels; /* channel of each stored one; NULL: 0, 1, 2, ... */
  uint32_t count;           /* of channels */
} tb_part_t;

/* The parts of `total` channels: returns their number, 1 or 2. */
static inline uint32_t tb_parts(const tb_weights_t *weights, uint32_t total, tb_part_t parts[2]) {
  uint32_t trainable = weights->trainable_count;
  if (weights->channels == NULL) {
    parts[0].data = weights->trainable != NULL ? weights->trainable : weights->frozen;
    parts[0].channels = NULL;
    parts[0].count = total;
    return 1;
  }
  parts[0].data = weights->trainable;
  parts[0].channels = weights->channels;
  parts[0].count = trainable;
  parts[1].data = weights->frozen;
  parts[1].channels = weights->channels + trainable;
  parts[1].count = total - trainable;
  return 2;
}

/* The trainable part alone; count 0 where nothing is trainable. */
static inline tb_part_t tb_trainable_part(const tb_weights_t *weights, uint32_t total) {
  tb_part_t part;
  part.data = weights->trainable;
  part.channels = weights->channels;
  part.count = weights->trainable == NULL ? 0 : (weights->channels == NULL ? total : weights->trainable_count);
  return part;
}

static inline uint32_t tb_channel(const tb_part_t *part, uint32_t stored) {
  return part->channels == NULL ? stored : part->channels[stored];
}

/* How many of the stored channels from j on are neighbours in the network's order too. */
static inline uint32_t tb_neighbours(const tb_part_t *part, uint32_t j) {
  if (part->channels == NULL) return part->count - j;
  uint32_t run = 1;
  while (j + run < part->count && part->channels[j + run] == part->channels[j] + run) run++;
  return run;
}

/* Whether the stored channels [j, j + count) are. */
static inline int tb_are_neighbours(const tb_part_t *part, uint32_t j, uint32_t count) {
  return tb_channel(part, j + count - 1) == tb_channel(part, j) + count - 1;
}

/* Positions [first, end) of a kernel (or of an image) that pair with the other side. */
typedef struct {
  int32_t first, end;
} tb_range_t;

/* Kernel positions k for which origin + k lies in [0, size). */
static inline tb_range_t tb_taps_inside(int32_t origin, int32_t kernel, int32_t size) {
  tb_range_t range;
  range.first = origin < 0 ? -origin : 0;
  range.end = size - origin < kernel ? size - origin : kernel;
  return range;
}

/* Output positions o for which o * stride + k - padding lies in [0, in_size). */
static inline tb_range_t tb_outputs_inside(int32_t k, int32_t stride, int32_t padding, int32_t in_size,
                                           int32_t out_size) {
  int32_t low = padding - k, high = in_size - 1 + padding - k;
  tb_range_t range;
  range.first = low > 0 ? (low + stride - 1) / stride : 0;
  range.end = high < 0 ? 0 : high / stride + 1;
  if (range.end > out_size) range.end = out_size;
  return range;
}

/* Kernel positions k = first, first + stride, ... < end through which the input at `position` (plus padding) reaches
 * an output (position - k) / stride in [0, out_size). */
static inline tb_range_t tb_taps_reaching(int32_t position, int32_t kernel, int32_t stride, int32_t out_size) {
  int32_t low = position - (out_size - 1) * stride;
  tb_range_t range;
  range.first = low > 0 ? low : position % stride; /* low and position are equal modulo stride */
  range.end = position + 1 < kernel ? position + 1 : kernel;
  return range;
}

static inline int tb_is_pointwise(const tb_conv_t *conv) {
  return conv->kernel_height == 1 && conv->kernel_width == 1 && conv->stride == 1 && conv->padding == 0;
}

#endif
