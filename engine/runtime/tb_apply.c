/* tb_apply.c: one step of stochastic gradient descent on stored integers. */
#include "tb_apply.h"

#include "tb_dsp.h"

uint32_t tb_mix(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  x ^= x >> 16;
  return x;
}

tb_stream_t tb_open_stream(const tb_update_t *update, const tb_step_t *step) {
  tb_stream_t stream;
  stream.update = update;
  stream.step = step;
  stream.key = tb_mix(step->step_key ^ (update->stream * 0x85ebca6bu));
  return stream;
}

/* In [0, 1); position = key of the stream + index of the element. */
TB_INLINE float uniform(uint32_t position) {
  return (float)(tb_mix(position) >> 8) * 5.9604644775390625e-8f; /* 2^-24 */
}

void tb_apply_i8(const tb_stream_t *stream, int8_t *weights, uint32_t index, uint32_t stride,
                             float *gradients, const float *rates, uint32_t count) {
  const tb_rounding_t rounding = stream->update->rounding;
  const uint32_t key = stream->key + index;
  uint8_t *low = stream->update->low;
  uint32_t applied = 0;
  for (uint32_t i = 0; i < count; i++) {
    applied += tb_accumulated(stream->step, stream->update->accumulator, index + i * stride, &gradients[i]);
    gradients[i] = -(rates[i] * gradients[i]);
  }
  if (applied == 0) return;
  weights += index;
  if (rounding == TB_EXTENDED) {
    low += index;
    for (uint32_t i = 0; i < count; i++, weights += stride, low += stride) {
      const int32_t n = tb_floor_f32(tb_clamp_f32(gradients[i] * 256.0f, -65536.0f, 65536.0f) + 0.5f);
      const int32_t value = tb_clamp_i32(*weights * 256 + *low + n, -32768, 32767);
      *weights = (int8_t)(value >> 8);
      *low = (uint8_t)(value & 255);
    }
    return;
  }
  for (uint32_t i = 0; i < count; i++, weights += stride) {
    const float offset = rounding == TB_STOCHASTIC ? uniform(key + i * stride) : 0.5f;
    const int32_t n = tb_floor_f32(tb_clamp_f32(gradients[i], -256.0f, 256.0f) + offset);
    *weights = (int8_t)tb_clamp_i32(*weights + n, -128, 127);
  }
}

/* steps[k] = rate * sum + what rounds it, in the place of the sums: groups of four, every `step`. */
TB_INLINE void rounded_steps(int32_t *sums, uint32_t step, uint32_t groups, float rate, uint32_t position, int stochastic) {
  for (; groups > 0; groups--, sums += step, position += 4) {
    TB_UNROLL_BLOCK
    for (uint32_t k = 0; k < 4; k++) {
      const float moved = rate * (float)sums[k] + (stochastic ? uniform(position + k) : 0.5f);
      memcpy(&sums[k], &moved, sizeof moved);
    }
  }
}

TB_NOINLINE void nearest_steps(int32_t *sums, uint32_t step, uint32_t groups, float rate) {
  rounded_steps(sums, step, groups, rate, 0, 0);
}

TB_NOINLINE void stochastic_steps(int32_t *sums, uint32_t step, uint32_t groups, float rate, uint32_t position) {
  rounded_steps(sums, step, groups, rate, position, 1);
}

/* Move whole groups of four neighbouring weights by the largest integers not above `steps`. */
#if TB_DSP_ASM && defined(__ARM_FP)
/* While the processor rounds towards minus infinity, VCVTR is floor; it saturates, as QADD and SSAT do. */
TB_NOINLINE void add_floors(int8_t *weights, const int32_t *steps, uint32_t step, uint32_t groups) {
  uint32_t mode, other;
  step *= 4;
  __asm volatile(
      "vmrs %[mode], fpscr\n orr %[other], %[mode], #0x800000\n vmsr fpscr, %[other]\n"
      "1: vldmia %[steps], {s0-s3}\n add %[steps], %[steps], %[step]\n"
      "vcvtr.s32.f32 s0, s0\n vcvtr.s32.f32 s1, s1\n vcvtr.s32.f32 s2, s2\n vcvtr.s32.f32 s3, s3\n"
      "vmov r4, r5, s0, s1\n vmov r6, r8, s2, s3\n"
      "ldrsb r9, [%[w]]\n ldrsb r10, [%[w], #1]\n ldrsb r11, [%[w], #2]\n ldrsb %[other], [%[w], #3]\n"
      "qadd r4, r4, r9\n qadd r5, r5, r10\n qadd r6, r6, r11\n qadd r8, r8, %[other]\n"
      "ssat r4, #8, r4\n ssat r5, #8, r5\n ssat r6, #8, r6\n ssat r8, #8, r8\n"
      "strb r4, [%[w]], #1\n strb r5, [%[w]], #1\n strb r6, [%[w]], #1\n strb r8, [%[w]], #1\n"
      "subs %[groups], #1\n bne 1b\n"
      "vmsr fpscr, %[mode]\n"
      : [w] "+r"(weights), [steps] "+r"(steps), [groups] "+l"(groups), [mode] "=&r"(mode), [other] "=&r"(other)
      : [step] "r"(step)
      : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "s0", "s1", "s2", "s3", "cc", "memory");
}
#else
TB_NOINLINE void add_floors(int8_t *weights, const int32_t *steps, uint32_t step, uint32_t groups) {
  for (; groups > 0; groups--, steps += step, weights += 4) {
    for (uint32_t k = 0; k < 4; k++) {
      float moved;
      memcpy(&moved, &steps[k], sizeof moved);
      const int32_t n = tb_floor_f32(tb_clamp_f32(moved, -512.0f, 512.0f));
      weights[k] = (int8_t)tb_clamp_i32(weights[k] + n, -128, 127);
    }
  }
}
#endif

/* The general way, a group at a time. */
static void apply_groups(const tb_stream_t *stream, int8_t *weights, uint32_t index, const int32_t *sums, uint32_t step,
                         float power, float rate, uint32_t count) {
  const float rates[4] = {rate, rate, rate, rate};
  for (uint32_t i = 0; i < count; i += 4, sums += step) {
    const uint32_t group = tb_minimum(4, count - i);
    float gradients[4];
    for (uint32_t k = 0; k < group; k++) gradients[k] = (float)sums[k] * power;
    tb_apply_i8(stream, weights, index + i, 1, gradients, rates, group);
  }
}

void tb_apply_sums_i8(const tb_stream_t *stream, int8_t *weights, uint32_t index, int32_t *sums, uint32_t step,
                      float power, float rate, uint32_t count) {
  const tb_rounding_t rounding = stream->update->rounding;
  const float together = rate * power; /* exact unless it underflows: power is one of two */
  const uint32_t groups = count / 4, rest = count % 4;
  if (!stream->step->accumulate && (!stream->step->apply || rate == 0.0f)) return;
  if (stream->step->accumulate || rounding == TB_EXTENDED || !(together >= FLT_MIN && together <= FLT_MAX)) {
    apply_groups(stream, weights, index, sums, step, power, rate, count);
    return;
  }
  if (rounding == TB_STOCHASTIC) {
    stochastic_steps(sums, step, (count + 3) / 4, -together, stream->key + index);
  } else {
    nearest_steps(sums, step, (count + 3) / 4, -together);
  }
  weights += index;
  if (groups > 0) add_floors(weights, sums, step, groups);
  if (rest > 0) {
    int8_t last[4] = {0, 0, 0, 0};
    for (uint32_t k = 0; k < rest; k++) last[k] = weights[4 * groups + k];
    add_floors(last, sums + groups * step, step, 1);
    for (uint32_t k = 0; k < rest; k++) weights[4 * groups + k] = last[k];
  }
}

void tb_apply_bias(const tb_stream_t *stream, int32_t *bias, uint32_t channel, float gradient, int32_t limit) {
  const tb_update_t *update = stream->update;
  if (!tb_accumulated(stream->step, update->accumulator, channel, &gradient)) return;
  const float d = -((stream->step->learning_rate * update->scale[channel]) * gradient);
  const float offset = update->rounding == TB_STOCHASTIC ? uniform(stream->key + channel) : 0.5f;
  const int32_t n = tb_floor_f32(tb_clamp_f32(d, -1073741824.0f, 1073741824.0f) + offset);
  const int64_t moved = (int64_t)bias[channel] + n; /* 2^31 at the most: one more than an int32 holds */
  bias[channel] = (int32_t)(moved < -limit ? -limit : (moved > limit ? limit : moved));
}
