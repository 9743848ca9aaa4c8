/* tb_rules.h: what update rules other than sgd share. Definition: docs/numerics.md, Updates. */
#ifndef TB_RULES_H
#define TB_RULES_H

#include "tb_apply.h"

#define TB_RULE_LIMIT 281474976710656.0f /* 2^48: sums of squares of scaled gradients stay finite */

/* A scaled gradient from what tb_rule_t's descend is given. */
TB_INLINE float tb_rule_gradient(float value) { return tb_clamp_f32(-value, -TB_RULE_LIMIT, TB_RULE_LIMIT); }

#endif
