/* tb_momentum.c: stochastic gradient descent with momentum, and the second half of lars. */
#include "tb_rules.h"

void tb_momentum_descend(const tb_rule_t *rule, const tb_step_t *step, uint32_t index, uint32_t stride, float *values,
                         uint32_t count) {
  const float rate = step->rate * rule->rate, decay = rule->decay, trust = rule->trust;
  float *momentum = rule->momentum + index;
  for (uint32_t i = 0; i < count; i++, momentum += stride) {
    *momentum = tb_clamp_f32(decay * *momentum + trust * tb_rule_gradient(values[i]), -TB_LIMIT, TB_LIMIT);
    values[i] = -(rate * *momentum);
  }
}
