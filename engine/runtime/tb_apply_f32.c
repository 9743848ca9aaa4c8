/* tb_apply_f32.c: one step of float32 values; of the classifier and of biases by rules other than sgd. */
#include "tb_apply.h"

enum { CHUNK = 16 }; /* values that a rule is given at once */

void tb_apply_f32(const tb_stream_t *stream, float *values, uint32_t index, float *gradients, uint32_t count) {
  const tb_step_t *step = stream->step;
  for (uint32_t i = 0; i < count; i++) {
    (void)tb_accumulated(step, stream->update->accumulator, index + i, &gradients[i]);
    gradients[i] = -(step->learning_rate * gradients[i]);
  }
  if (!step->apply) return;
  tb_descend(stream, index, 1, gradients, count);
  values += index;
  for (uint32_t i = 0; i < count; i++) values[i] = tb_clamp_f32(values[i] + gradients[i], -TB_LIMIT, TB_LIMIT);
}

void tb_move_biases_by_rule(const tb_stream_t *stream, int32_t *biases, float *gradients, uint32_t count, int32_t limit) {
  const tb_update_t *update = stream->update;
  const int stochastic = update->rounding == TB_STOCHASTIC;
  for (uint32_t i = 0; i < count; i++) {
    gradients[i] = -((stream->step->learning_rate * update->scale[i]) * gradients[i]);
  }
  tb_descend(stream, 0, 1, gradients, count);
  for (uint32_t i = 0; i < count; i++) {
    biases[i] = tb_moved_bias(biases[i], gradients[i], stochastic ? tb_uniform(stream->key + i) : 0.5f, limit);
  }
}

void tb_fully_connected_update_by_rule_f32(const float *dz, const float *features, float *weight, float *bias,
                                           const tb_update_t *weight_update, const tb_update_t *bias_update,
                                           const tb_step_t *step, uint32_t classes, uint32_t feature_count) {
  const tb_stream_t weights = tb_open_stream(weight_update, step), biases = tb_open_stream(bias_update, step);
  for (uint32_t k = 0; k < classes; k++) {
    float gradients[CHUNK];
    for (uint32_t c = 0, count; c < feature_count; c += count) {
      count = tb_minimum(CHUNK, feature_count - c);
      for (uint32_t i = 0; i < count; i++) gradients[i] = dz[k] * features[c + i];
      tb_apply_f32(&weights, weight, k * feature_count + c, gradients, count);
    }
    gradients[0] = dz[k];
    tb_apply_f32(&biases, bias, k, gradients, 1);
  }
}
