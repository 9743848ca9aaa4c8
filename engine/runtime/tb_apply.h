/* tb_apply.h: what every weight update ends in, whatever its gradient came from. Definition: docs/numerics.md, Updates. */
#ifndef TB_APPLY_H
#define TB_APPLY_H

#include "tb_internal.h"

/* A tensor's updates within one step. */
struct tb_stream {
  const tb_update_t *update;
  const tb_step_t *step;
  uint32_t key; /* of the tensor's stream, and of the first value given */
};

/* tb_mix */
TB_INLINE uint32_t tb_mixed(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  x ^= x >> 16;
  return x;
}

/* In [0, 1); position = key of the stream + index of the element. */
TB_INLINE float tb_uniform(uint32_t position) {
  return (float)(tb_mixed(position) >> 8) * 5.9604644775390625e-8f; /* 2^-24 */
}

/* In assembly: 24 bits of tb_mixed(r4) to tb_mixed(r4 + 3) as integers in s4 to s7; r4 moves on by 4. r9, r10: the factors of
 * tb_mixed; r5 to r8 are lost. */
#define TB_RANDOM_OF_FOUR \
  "add r6, r4, #1\n add r7, r4, #2\n add r8, r4, #3\n" \
  "eor r5, r4, r4, lsr #16\n eor r6, r6, r6, lsr #16\n eor r7, r7, r7, lsr #16\n eor r8, r8, r8, lsr #16\n" \
  "add r4, #4\n" \
  "mul r5, r5, r9\n mul r6, r6, r9\n mul r7, r7, r9\n mul r8, r8, r9\n" \
  "eor r5, r5, r5, lsr #15\n eor r6, r6, r6, lsr #15\n eor r7, r7, r7, lsr #15\n eor r8, r8, r8, lsr #15\n" \
  "mul r5, r5, r10\n mul r6, r6, r10\n mul r7, r7, r10\n mul r8, r8, r10\n" \
  "eor r5, r5, r5, lsr #16\n eor r6, r6, r6, lsr #16\n eor r7, r7, r7, lsr #16\n eor r8, r8, r8, lsr #16\n" \
  "lsr r5, r5, #8\n lsr r6, r6, #8\n lsr r7, r7, #8\n lsr r8, r8, #8\n" \
  "vmov s4, s5, r5, r6\n vmov s6, s7, r7, r8\n"

tb_stream_t tb_open_stream(const tb_update_t *update, const tb_step_t *step);

/* Move int8 weights index, index + stride, ... by -rates[i] * gradients[i], or what the update's rule makes of that; a rate
 * is learning rate * scale of the weight's channel. `gradients` is overwritten. */
void tb_apply_i8(const tb_stream_t *stream, int8_t *weights, uint32_t index, uint32_t stride, float *gradients,
                 const float *rates, uint32_t count);

/* The same with gradients sum * power (a power of two), for neighbouring weights of one rate. Sums lie in groups of four,
 * every `step`, the last one filled up with 0, and are overwritten. Up to weight `end` may be read, and written as it is. */
void tb_apply_sums_i8(const tb_stream_t *stream, int8_t *weights, uint32_t index, int32_t *sums, uint32_t step,
                      float power, float rate, uint32_t count, uint32_t end);

/* Move biases by -rate * gradient, kept within +-limit, which is 2^30 at the most. `gradients` is overwritten. */
void tb_apply_biases(const tb_stream_t *stream, int32_t *biases, float *gradients, uint32_t count, int32_t limit);

/* Move float32 values, which have no scale. `gradients` is overwritten. */
void tb_apply_f32(const tb_stream_t *stream, float *values, uint32_t index, float *gradients, uint32_t count);

/* What a rule makes of `values`, in their place; stochastic gradient descent leaves them. */
TB_INLINE void tb_descend(const tb_stream_t *stream, uint32_t index, uint32_t stride, float *values, uint32_t count) {
  const tb_rule_t *rule = stream->update->rule;
  if (rule != NULL) rule->descend(rule, stream->step, stream->update->first + index, stride, values, count);
}

/* A bias after a step d, rounded with an offset in [0, 1). */
TB_INLINE int32_t tb_moved_bias(int32_t bias, float d, float offset, int32_t limit) {
  const int32_t n = tb_floor_f32(tb_clamp_f32(d, -1073741824.0f, 1073741824.0f) + offset);
  /* 2^31 at the most, one more than an int32 holds: then the sum is too large whatever the limit. */
  const int32_t moved = (int32_t)((uint32_t)bias + (uint32_t)n);
  return n > 0 && moved < bias ? limit : tb_clamp_i32(moved, -limit, limit);
}

/* A sum as a float, rounded once. */
static inline float tb_float_of(int64_t sum) {
  float unit = 1.0f;
  for (; sum < INT32_MIN || sum > INT32_MAX; unit *= 32.0f) sum = (sum >> 5) | ((sum & 31) != 0); /* to odd: no rounding */
  return (float)(int32_t)sum * unit;
}

/* Pass one gradient through its accumulator. Returns 0 if the value is not to be updated in this step. */
TB_INLINE uint32_t tb_accumulated(const tb_step_t *step, float *accumulator, uint32_t index, float *gradient) {
  if (step->accumulate) {
    const float sum = accumulator[index] + *gradient;
    accumulator[index] = step->apply ? 0.0f : sum;
    *gradient = sum * step->mean;
  }
  return step->apply;
}

#endif
