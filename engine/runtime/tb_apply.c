/* tb_apply.c: one step of stored integers, by stochastic gradient descent or another rule. */
#include "tb_apply.h"

#include "tb_dsp.h"

uint32_t tb_mix(uint32_t x) { return tb_mixed(x); }

tb_stream_t tb_open_stream(const tb_update_t *update, const tb_step_t *step) {
  tb_stream_t stream;
  stream.update = update;
  stream.step = step;
  stream.key = tb_mix(step->step_key ^ (update->stream * 0x85ebca6bu)) + update->first;
  return stream;
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
  tb_descend(stream, index, stride, gradients, count);
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
    const float offset = rounding == TB_STOCHASTIC ? tb_uniform(key + i * stride) : 0.5f;
    const int32_t n = tb_floor_f32(tb_clamp_f32(gradients[i], -256.0f, 256.0f) + offset);
    *weights = (int8_t)tb_clamp_i32(*weights + n, -128, 127);
  }
}

#if TB_DSP_ASM && defined(__ARM_FP)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly finds them in r0 to r3 and on the stack */
/* Move whole groups of four biases by stochastic steps, up to one that a limit might keep: a step of 2^30 or more, or a bias of
 * `limit` or more. Returns how many groups are left. rate: a float, as its bits.
 * r0: biases; r1: gradients; r2: scales; r3: groups; r4: position; r11, r12: to nearest, towards minus infinity. */
__attribute__((naked, noinline)) static uint32_t move_bias_groups(int32_t *biases, const float *gradients, const float *scale,
                                                             uint32_t groups, uint32_t position, uint32_t rate, int32_t limit) {
  __asm volatile(
      "push {r4-r11, lr}\n"
      "ldrd r4, r5, [sp, #36]\n"
      "vmov s3, r5\n"
      "movw r9, #0x352d\n movt r9, #0x7feb\n movw r10, #0xa68b\n movt r10, #0x846c\n"
      "vmrs r11, fpscr\n orr r12, r11, #0x800000\n"
      "1:\n" TB_RANDOM_OF_FOUR
      "vldmia r1!, {s8-s11}\n vldmia r2!, {s12-s15}\n"
      "vcvt.f32.u32 s4, s4, #24\n vcvt.f32.u32 s5, s5, #24\n vcvt.f32.u32 s6, s6, #24\n vcvt.f32.u32 s7, s7, #24\n"
      "vmul.f32 s12, s12, s3\n vmul.f32 s13, s13, s3\n vmul.f32 s14, s14, s3\n vmul.f32 s15, s15, s3\n"
      "vnmul.f32 s8, s12, s8\n vnmul.f32 s9, s13, s9\n vnmul.f32 s10, s14, s10\n vnmul.f32 s11, s15, s11\n"
      "vadd.f32 s4, s8, s4\n vadd.f32 s5, s9, s5\n vadd.f32 s6, s10, s6\n vadd.f32 s7, s11, s7\n"
      "vmsr fpscr, r12\n"
      "vcvtr.s32.f32 s4, s4\n vcvtr.s32.f32 s5, s5\n vcvtr.s32.f32 s6, s6\n vcvtr.s32.f32 s7, s7\n"
      "vmsr fpscr, r11\n"
      "vmov r5, r6, s4, s5\n vmov r7, r8, s6, s7\n"
      "eor lr, r5, r5, asr #31\n cmp lr, #0x40000000\n bhs 2f\n"
      "eor lr, r6, r6, asr #31\n cmp lr, #0x40000000\n bhs 2f\n"
      "eor lr, r7, r7, asr #31\n cmp lr, #0x40000000\n bhs 2f\n"
      "eor lr, r8, r8, asr #31\n cmp lr, #0x40000000\n bhs 2f\n"
      "ldr lr, [r0]\n add r5, lr\n ldr lr, [r0, #4]\n add r6, lr\n"
      "ldr lr, [r0, #8]\n add r7, lr\n ldr lr, [r0, #12]\n add r8, lr\n"
      "vmov s4, s5, r5, r6\n vmov s6, s7, r7, r8\n"
      "eor r5, r5, r5, asr #31\n eor r6, r6, r6, asr #31\n eor r7, r7, r7, asr #31\n eor r8, r8, r8, asr #31\n"
      "orr r5, r5, r6\n orr r7, r7, r8\n orr r5, r5, r7\n"
      "ldr lr, [sp, #44]\n cmp r5, lr\n bhs 2f\n"
      "vstmia r0!, {s4-s7}\n"
      "subs r3, #1\n bne 1b\n"
      "2: mov r0, r3\n"
      "pop {r4-r11, pc}\n");
}
#pragma GCC diagnostic pop
#else
static uint32_t move_bias_groups(const int32_t *biases, const float *gradients, const float *scale, uint32_t groups,
                            uint32_t position, uint32_t rate, int32_t limit) {
  (void)biases, (void)gradients, (void)scale, (void)position, (void)rate, (void)limit;
  return groups;
}
#endif

void tb_apply_biases(const tb_stream_t *stream, int32_t *biases, float *gradients, uint32_t count, int32_t limit) {
  const float learning_rate = stream->step->learning_rate, *scale = stream->update->scale;
  const int stochastic = stream->update->rounding == TB_STOCHASTIC;
  const uint32_t key = stream->key;
  for (uint32_t i = 0; stream->step->accumulate && i < count; i++) {
    tb_accumulated(stream->step, stream->update->accumulator, i, &gradients[i]);
  }
  if (!stream->step->apply) return;
  if (stream->update->rule != NULL) {
    stream->update->rule->move_biases(stream, biases, gradients, count, limit);
    return;
  }
  uint32_t rate;
  memcpy(&rate, &learning_rate, sizeof rate);
  for (uint32_t i = 0; i < count;) {
    const uint32_t groups = stochastic ? (count - i) / 4 : 0;
    if (groups != 0) i += 4 * (groups - move_bias_groups(biases + i, gradients + i, scale + i, groups, key + i, rate, limit));
    for (const uint32_t end = groups == 0 ? count : tb_minimum(count, i + 4); i < end; i++) {
      if (TB_DSP && gradients[i] == 0.0f) continue; /* as of a channel clamped everywhere: no rounding of 0 moves a bias */
      const float d = -((learning_rate * scale[i]) * gradients[i]);
      biases[i] = tb_moved_bias(biases[i], d, stochastic ? tb_uniform(key + i) : 0.5f, limit);
    }
  }
}
