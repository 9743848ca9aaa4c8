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
  for (uint32_t i = 0; i < count; i++) {
    if (TB_DSP && gradients[i] == 0.0f) continue; /* as of a channel clamped everywhere: no rounding of 0 moves a bias */
    const float d = -((learning_rate * scale[i]) * gradients[i]);
    biases[i] = tb_moved_bias(biases[i], d, stochastic ? tb_uniform(key + i) : 0.5f, limit);
  }
}
