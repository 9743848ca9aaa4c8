/* tb_float.h: kernels of float32 networks. Definitions: docs/numerics.md, Float32 networks. Layout HWC, batch 1.
 *
 * Stored order of weights: conv2d [KH][KW][n][OC], depthwise [KH][KW][n], so that neighbours in memory belong to sums of
 * their own and vectors never reorder a sum. n channels are trainable (SRAM) or frozen (flash), as in tb_kernels.h.
 * Of tb_conv_t only the geometry is read. `scratch` has the size the compiler planned and is 4-byte aligned.
 */
#ifndef TB_FLOAT_H
#define TB_FLOAT_H

#include "tb_kernels.h"

typedef struct {
  const float *frozen;       /* NULL if all channels are trainable */
  const float *trainable;    /* NULL if none is */
  const uint16_t *channels;  /* trainable ones first, each part ascending; NULL if one part holds everything, in order */
  uint16_t trainable_count;
} tb_float_weights_t;

/* What a convolution's output is clamped to. mask: which outputs lie strictly between; may be NULL. */
typedef struct {
  float low, high;
} tb_float_clamp_t;

/* Forward. tb_float_depthwise_conv2d: y may be x where the stride is 1. */
void tb_float_conv2d(const tb_conv_t *conv, const float *x, const tb_float_weights_t *weights, const float *bias,
                     tb_float_clamp_t clamp, float *y, uint8_t *mask, void *scratch);
void tb_float_depthwise_conv2d(const tb_conv_t *conv, const float *x, const tb_float_weights_t *weights,
                               const float *bias, tb_float_clamp_t clamp, float *y, uint8_t *mask, void *scratch);
void tb_float_add(const float *a, const float *b, float *y, uint32_t count); /* y may be a or b */
void tb_float_average_pool(const float *x, float *y, uint32_t pixels, uint32_t channels, float factor);
void tb_float_select_channels(const float *x, const uint16_t *channels, float *y, uint32_t pixels, uint32_t in_channels,
                              uint32_t count); /* y[p][i] = x[p][channels[i]] */

/* Backward. */
void tb_float_average_pool_grad(const float *df, float *dx, uint32_t pixels, uint32_t channels, float factor);
void tb_float_masked(const float *gradient, const uint8_t *mask, float *y, uint32_t count); /* y may be gradient */
void tb_float_conv2d_grad_input(const tb_conv_t *conv, const float *gradient, const tb_float_weights_t *weights,
                                float *dx, void *scratch);
/* dx may be gradient where the stride is 1 */
void tb_float_depthwise_conv2d_grad_input(const tb_conv_t *conv, const float *gradient,
                                          const tb_float_weights_t *weights, float *dx, void *scratch);

/* Gradients of what is trained. x of tb_float_conv2d_grad_weight: those `count` channels of the input whose weights are;
 * tb_float_depthwise_conv2d_grad_weight takes the whole input and the channels' numbers (NULL: all, in order). */
void tb_float_conv2d_grad_weight(const tb_conv_t *conv, const float *gradient, const float *x, float *dw, uint32_t count);
void tb_float_depthwise_conv2d_grad_weight(const tb_conv_t *conv, const float *gradient, const float *x,
                                           const uint16_t *channels, float *dw, uint32_t count, void *scratch);
void tb_float_bias_grad(const float *gradient, float *db, uint32_t pixels, uint32_t channels);

/* Move values by what the update's rule makes of factor * gradient. `gradient` is overwritten. */
void tb_float_update(float *gradient, float factor, float *values, const tb_update_t *update, const tb_step_t *step,
                     uint32_t count);

#endif
