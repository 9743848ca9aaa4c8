/* tb_adam.c: Adam (Kingma and Ba, 2015). */
#include "tb_rules.h"
#include "tb_square_root.h"

#define FIRST_DECAY 0.9f
#define SECOND_DECAY 0.999f
#define EPSILON 1e-8f

void tb_adam_begin(tb_step_t *step, float powers[2]) {
  if (!step->apply) return;
  powers[0] *= FIRST_DECAY;
  powers[1] *= SECOND_DECAY;
  step->correction[0] = 1.0f / (1.0f - powers[0]);
  step->correction[1] = 1.0f / tb_square_root(1.0f - powers[1]);
}

void tb_adam_descend(const tb_rule_t *rule, const tb_step_t *step, uint32_t index, uint32_t stride, float *values,
                     uint32_t count) {
  const float rate = (step->rate * rule->rate) * step->correction[0], correction = step->correction[1];
  float *momentum = rule->momentum + index, *second_moment = rule->second_moment + index;
  for (uint32_t i = 0; i < count; i++, momentum += stride, second_moment += stride) {
    const float gradient = tb_rule_gradient(values[i]);
    const float m = FIRST_DECAY * *momentum + (1.0f - FIRST_DECAY) * gradient;
    const float v = SECOND_DECAY * *second_moment + (1.0f - SECOND_DECAY) * (gradient * gradient);
    *momentum = m;
    *second_moment = v;
    values[i] = -((rate * m) / (tb_square_root(v) * correction + EPSILON));
  }
}
