/* tb_depthwise_dsp.h: the fast path of tb_depthwise_conv2d_i8. */
#ifndef TB_DEPTHWISE_DSP_H
#define TB_DEPTHWISE_DSP_H

#include "tb_dsp.h"
#include "tb_internal.h"

#if TB_DSP
/* Whether the layer's shape has a fast path. */
int tb_depthwise_is_fast(const tb_conv_t *conv);

/* tb_depthwise_conv2d_i8 of such a layer. */
void tb_depthwise_fast(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y,
                       uint8_t *mask, void *scratch);
#endif

#endif
