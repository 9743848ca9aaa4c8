/* tb_conv2d_grad.h: the gradient of a pointwise convolution's input, a part of its weights at a time. */
#ifndef TB_CONV2D_GRAD_H
#define TB_CONV2D_GRAD_H

#include "tb_internal.h"

/* dx of the channels of a part; `row`: stored channels from one row of weights to the next. `add`: to what dx holds, as if all
 * were one sum. */
void tb_pointwise_grad_f32(const tb_conv_t *conv, const float *gradient, const tb_part_t *part, uint32_t row, float *dx,
                           int add);

#endif
