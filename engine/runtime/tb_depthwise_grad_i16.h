/* tb_depthwise_grad_i16.h: int16 gradient of the input of some channels of a depthwise convolution. */
#ifndef TB_DEPTHWISE_GRAD_I16_H
#define TB_DEPTHWISE_GRAD_I16_H

#include "tb_kernels.h"

/* tb_depthwise_conv2d_grad_input_i16 where values of these magnitudes share the exponent: the shift is that of all. Returns all
 * magnitudes. A pixel of the gradient has conv->out_channels values, of which the first conv->in_channels count. */
uint32_t tb_depthwise_grad_i16(const tb_conv_t *conv, const int16_t *gradient, uint32_t magnitudes,
                               const tb_weights_t *weights, int16_t *dx, void *scratch);

#endif
