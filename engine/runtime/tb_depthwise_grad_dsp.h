/* tb_depthwise_grad_dsp.h: what both paths of tb_depthwise_conv2d_grad_input_i16 share. */
#ifndef TB_DEPTHWISE_GRAD_DSP_H
#define TB_DEPTHWISE_GRAD_DSP_H

#include "tb_dsp.h"
#include "tb_shared_exponent.h"

/* The int16 gradient as far as it is stored: of each pixel, channels before `channels` and some of those that are next. */
typedef struct {
  int16_t *dx;
  uint32_t pixels, distance; /* from pixel to pixel */
  uint32_t channels;
  uint32_t magnitudes; /* of the largest values so far */
  uint32_t shift;
} tb_stored_t;

/* The largest magnitude that needs nothing done: 0 as long as nothing but 0 was met. */
static inline uint32_t tb_limit_of(const tb_stored_t *stored) {
  return stored->magnitudes == 0 ? 0 : 0xffffffffu >> (16u - stored->shift);
}

/* A larger value came: halve all that is stored, as often as its magnitude asks for. `next`: how many of the next channels are
 * in progress; what they have not stored yet is overwritten anyway. */
void tb_raise_shift(tb_stored_t *stored, uint32_t magnitudes, uint32_t next);

#if TB_DSP
/* Whether the layer's shape has a fast path. */
int tb_depthwise_grad_is_fast(const tb_conv_t *conv);

/* The gradient of such a layer. */
void tb_depthwise_grad_fast(const tb_conv_t *conv, const int16_t *gradient, const tb_weights_t *weights, tb_stored_t *stored,
                            void *scratch);
#endif

#endif
