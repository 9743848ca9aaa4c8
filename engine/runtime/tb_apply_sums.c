/* tb_apply_sums.c: the update of a row of weights from integer sums, in two passes: steps of float32 in the place of the sums,
 * then their floors. The same bits as tb_apply_i8. */
#include "tb_apply.h"
#include "tb_dsp.h"
#include "tb_vector.h"

/* steps = rate * sum + 1/2 or a random number. */
TB_INLINE void plain_steps(int32_t *sums, uint32_t step, uint32_t groups, float rate, uint32_t position, int stochastic) {
  for (; groups > 0; groups--, sums += step, position += 4) {
    TB_UNROLL_BLOCK
    for (uint32_t k = 0; k < 4; k++) {
      const float moved = rate * (float)sums[k] + (stochastic ? tb_uniform(position + k) : 0.5f);
      memcpy(&sums[k], &moved, sizeof moved);
    }
  }
}

#if TB_DSP_ASM && defined(__ARM_FP)
TB_NOINLINE void nearest_steps(int32_t *sums, uint32_t step, uint32_t groups, float rate) {
  const float half = 0.5f;
  __asm volatile(
      "1: vldmia %[sums], {s4-s7}\n"
      "vcvt.f32.s32 s4, s4\n vcvt.f32.s32 s5, s5\n vcvt.f32.s32 s6, s6\n vcvt.f32.s32 s7, s7\n"
      "vmul.f32 s4, s4, %[rate]\n vmul.f32 s5, s5, %[rate]\n vmul.f32 s6, s6, %[rate]\n vmul.f32 s7, s7, %[rate]\n"
      "vadd.f32 s4, s4, %[half]\n vadd.f32 s5, s5, %[half]\n vadd.f32 s6, s6, %[half]\n vadd.f32 s7, s7, %[half]\n"
      "vstmia %[sums], {s4-s7}\n"
      "add %[sums], %[sums], %[step]\n subs %[groups], #1\n bne 1b\n"
      : [sums] "+r"(sums), [groups] "+l"(groups)
      : [step] "r"(4 * step), [rate] "t"(rate), [half] "t"(half)
      : "s4", "s5", "s6", "s7", "cc", "memory");
}

/* Move whole groups by stochastic steps: tb_uniform of four neighbours at once; VMLA rounds the product before it adds; while the
 * processor rounds towards minus infinity, VCVTR is floor. Steps are below 2^31, so no sum wraps.
 * r0: weights; r1: sums; r2: bytes from group to group; r3: groups; r4: position; r11, r12: to nearest, towards minus infinity. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly finds them in r0 to r3 and on the stack */
__attribute__((naked, noinline)) static void move_stochastic(int8_t *weights, const int32_t *sums, uint32_t bytes, uint32_t groups,
                                                             uint32_t position, uint32_t rate) {
  __asm volatile(
      "push {r4-r11, lr}\n"
      "ldrd r4, r5, [sp, #36]\n"
      "vmov s15, r5\n"
      "movw r9, #0x352d\n movt r9, #0x7feb\n movw r10, #0xa68b\n movt r10, #0x846c\n"
      "vmrs r11, fpscr\n orr r12, r11, #0x800000\n"
      "1:\n" TB_RANDOM_OF_FOUR
      "vldmia r1, {s8-s11}\n"
      "vcvt.f32.u32 s4, s4, #24\n vcvt.f32.u32 s5, s5, #24\n vcvt.f32.u32 s6, s6, #24\n vcvt.f32.u32 s7, s7, #24\n"
      "vcvt.f32.s32 s8, s8\n vcvt.f32.s32 s9, s9\n vcvt.f32.s32 s10, s10\n vcvt.f32.s32 s11, s11\n"
      "vmla.f32 s4, s8, s15\n vmla.f32 s5, s9, s15\n vmla.f32 s6, s10, s15\n vmla.f32 s7, s11, s15\n"
      "ldr lr, [r0]\n"
      "vmsr fpscr, r12\n"
      "vcvtr.s32.f32 s4, s4\n vcvtr.s32.f32 s5, s5\n vcvtr.s32.f32 s6, s6\n vcvtr.s32.f32 s7, s7\n"
      "vmsr fpscr, r11\n"
      "vmov r5, r6, s4, s5\n vmov r7, r8, s6, s7\n"
      "sxtab r5, r5, lr\n sxtab r6, r6, lr, ror #8\n sxtab r7, r7, lr, ror #16\n sxtab r8, r8, lr, ror #24\n"
      "ssat r5, #8, r5\n ssat r6, #8, r6\n ssat r7, #8, r7\n ssat r8, #8, r8\n"
      "bfi r5, r6, #8, #8\n bfi r5, r7, #16, #8\n bfi r5, r8, #24, #8\n"
      "str r5, [r0], #4\n"
      "add r1, r2\n subs r3, #1\n bne 1b\n"
      "pop {r4-r11, pc}\n");
}
#pragma GCC diagnostic pop

/* While the processor rounds towards minus infinity, VCVTR is floor. */
TB_NOINLINE void floor_steps(int32_t *steps, uint32_t step, uint32_t groups) {
  uint32_t mode, floored;
  __asm volatile(
      "vmrs %[mode], fpscr\n orr %[floored], %[mode], #0x800000\n vmsr fpscr, %[floored]\n"
      "1: vldmia %[steps], {s0-s3}\n"
      "vcvtr.s32.f32 s0, s0\n vcvtr.s32.f32 s1, s1\n vcvtr.s32.f32 s2, s2\n vcvtr.s32.f32 s3, s3\n"
      "vstmia %[steps], {s0-s3}\n"
      "add %[steps], %[steps], %[step]\n subs %[groups], #1\n bne 1b\n"
      "vmsr fpscr, %[mode]\n"
      : [steps] "+r"(steps), [groups] "+l"(groups), [mode] "=&r"(mode), [floored] "=&r"(floored)
      : [step] "r"(4 * step)
      : "s0", "s1", "s2", "s3", "cc", "memory");
}

/* floor_steps and the weights in one. */
TB_NOINLINE void add_floors(int8_t *weights, const int32_t *steps, uint32_t step, uint32_t groups) {
  uint32_t mode, word;
  __asm volatile(
      "vmrs %[mode], fpscr\n orr %[word], %[mode], #0x800000\n vmsr fpscr, %[word]\n"
      "1: vldmia %[steps], {s0-s3}\n"
      "ldr %[word], [%[weights]]\n"
      "vcvtr.s32.f32 s0, s0\n vcvtr.s32.f32 s1, s1\n vcvtr.s32.f32 s2, s2\n vcvtr.s32.f32 s3, s3\n"
      "vmov r4, r5, s0, s1\n vmov r6, r8, s2, s3\n"
      "sxtab r4, r4, %[word]\n sxtab r5, r5, %[word], ror #8\n"
      "sxtab r6, r6, %[word], ror #16\n sxtab r8, r8, %[word], ror #24\n"
      "ssat r4, #8, r4\n ssat r5, #8, r5\n ssat r6, #8, r6\n ssat r8, #8, r8\n"
      "bfi r4, r5, #8, #8\n bfi r4, r6, #16, #8\n bfi r4, r8, #24, #8\n"
      "str r4, [%[weights]], #4\n"
      "add %[steps], %[steps], %[step]\n subs %[groups], #1\n bne 1b\n"
      "vmsr fpscr, %[mode]\n"
      : [weights] "+r"(weights), [steps] "+r"(steps), [groups] "+l"(groups), [mode] "=&r"(mode), [word] "=&r"(word)
      : [step] "r"(4 * step)
      : "r4", "r5", "r6", "r8", "s0", "s1", "s2", "s3", "cc", "memory");
}
#else
TB_NOINLINE void nearest_steps(int32_t *sums, uint32_t step, uint32_t groups, float rate) {
  plain_steps(sums, step, groups, rate, 0, 0);
}

/* The largest integers not above the steps, in their place. */
TB_NOINLINE void floor_steps(int32_t *steps, uint32_t step, uint32_t groups) {
  for (; groups > 0; groups--, steps += step) {
    for (uint32_t k = 0; k < 4; k++) {
      float moved;
      memcpy(&moved, &steps[k], sizeof moved);
      steps[k] = tb_floor_f32(moved);
    }
  }
}

/* Move whole groups of four neighbouring weights by the largest integers not above their steps. */
TB_NOINLINE void add_floors(int8_t *weights, const int32_t *steps, uint32_t step, uint32_t groups) {
  for (; groups > 0; groups--, steps += step, weights += 4) {
    for (uint32_t k = 0; k < 4; k++) {
      float moved;
      memcpy(&moved, &steps[k], sizeof moved);
      weights[k] = (int8_t)tb_clamp_i32(weights[k] + tb_floor_f32(moved), -128, 127);
    }
  }
}

/* Move whole groups of weights by stochastic steps; `bytes` from group to group of sums. rate: a float, as its bits. */
TB_NOINLINE void move_stochastic(int8_t *weights, int32_t *sums, uint32_t bytes, uint32_t groups, uint32_t position, uint32_t rate) {
  float factor;
  memcpy(&factor, &rate, sizeof factor);
  plain_steps(sums, bytes / 4, groups, factor, position, 1);
  add_floors(weights, sums, bytes / 4, groups);
}
#endif

#if TB_VECTOR
TB_INLINE __m256i mixed(__m256i x) {
  x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
  x = _mm256_mullo_epi32(x, _mm256_set1_epi32(0x7feb352d));
  x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 15));
  x = _mm256_mullo_epi32(x, _mm256_set1_epi32((int32_t)0x846ca68bu));
  return _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
}

/* Move whole groups of eight neighbouring weights whose sums are neighbours, too. */
TB_NOINLINE void apply_eights(int8_t *weights, const int32_t *sums, uint32_t eights, float rate, uint32_t position,
                              int stochastic) {
  const __m256 factor = _mm256_set1_ps(rate), unit = _mm256_set1_ps(5.9604644775390625e-8f);
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  for (; eights != 0; eights--, weights += 8, sums += 8, position += 8) {
    __m256 offset = _mm256_set1_ps(0.5f);
    if (stochastic) {
      const __m256i random = mixed(_mm256_add_epi32(_mm256_set1_epi32((int32_t)position), lanes));
      offset = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(random, 8)), unit);
    }
    const __m256 moved = _mm256_add_ps(_mm256_mul_ps(factor, _mm256_cvtepi32_ps(tb_load_8x(sums))), offset);
    const __m256i n = _mm256_cvttps_epi32(_mm256_floor_ps(moved));
    (void)tb_store_i8_8x(weights, _mm256_add_epi32(tb_load_i8_8x(weights), n), 8);
  }
}
#endif

/* Move weights of 16 bits, `low` their low bytes, by their steps of 1/256. */
static void add_extended(int8_t *weights, uint8_t *low, const int32_t *steps, uint32_t step, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    const int32_t n = tb_clamp_i32(steps[i / 4 * step + i % 4], -65536, 65536);
    const int32_t value = tb_clamp_i32(weights[i] * 256 + low[i] + n, -32768, 32767);
    weights[i] = (int8_t)(value >> 8);
    low[i] = (uint8_t)(value & 255);
  }
}

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

/* Groups of weights, the first of them weight `index` of its tensor; no rule, rounded to the nearest or stochastically. */
TB_INLINE void move_groups(const tb_stream_t *stream, int8_t *weights, uint32_t index, int32_t *sums, uint32_t step, uint32_t groups,
                           float rate) {
  if (groups == 0) return;
  if (stream->update->rounding == TB_STOCHASTIC) {
    uint32_t bits;
    memcpy(&bits, &rate, sizeof bits);
    move_stochastic(weights, sums, 4 * step, groups, stream->key + index, bits);
  } else {
    nearest_steps(sums, step, groups, rate);
    add_floors(weights, sums, step, groups);
  }
}

void tb_apply_sums_i8(const tb_stream_t *stream, int8_t *weights, uint32_t index, int32_t *sums, uint32_t step,
                      float power, float rate, uint32_t count, uint32_t end) {
  const tb_rounding_t rounding = stream->update->rounding;
  /* Exact unless it underflows, since power is one of two; where it is 1/4 at most, no step needs more than an int32. */
  const float together = rate * power, factor = rounding == TB_EXTENDED ? together * 256.0f : together;
  const uint32_t groups = (count + 3) / 4;
  if (!stream->step->accumulate && (!stream->step->apply || rate == 0.0f)) return;
  if (stream->step->accumulate || stream->update->rule != NULL || !(together >= FLT_MIN && factor <= 0.25f)) {
    apply_groups(stream, weights, index, sums, step, power, rate, count);
    return;
  }
  weights += index;
#if TB_VECTOR
  if (rounding != TB_EXTENDED && step == 4) {
    const uint32_t whole = count / 8, rest = count % 8;
    const uint32_t position = stream->key + index;
    apply_eights(weights, sums, whole, -factor, position, rounding == TB_STOCHASTIC);
    if (rest != 0) {
      int8_t last[8] = {0};
      int32_t last_sums[8] = {0};
      for (uint32_t k = 0; k < rest; k++) last[k] = weights[8 * whole + k], last_sums[k] = sums[8 * whole + k];
      apply_eights(last, last_sums, 1, -factor, position + 8 * whole, rounding == TB_STOCHASTIC);
      for (uint32_t k = 0; k < rest; k++) weights[8 * whole + k] = last[k];
    }
    return;
  }
#endif
  if (rounding == TB_EXTENDED) {
    nearest_steps(sums, step, groups, -factor);
    floor_steps(sums, step, groups);
    add_extended(weights, stream->update->low + index, sums, step, count);
    return;
  }
  /* Sums of 0 move nothing, so the last group is a whole one too where weights of others follow. */
  const uint32_t whole = index + 4 * groups <= end ? groups : count / 4;
  move_groups(stream, weights, index, sums, step, whole, -factor);
  if (whole < groups) {
    int8_t last[4] = {0, 0, 0, 0};
    const uint32_t rest = count % 4;
    for (uint32_t k = 0; k < rest; k++) last[k] = weights[4 * whole + k];
    move_groups(stream, last, index + 4 * whole, sums + whole * step, step, 1, -factor);
    for (uint32_t k = 0; k < rest; k++) weights[4 * whole + k] = last[k];
  }
}
