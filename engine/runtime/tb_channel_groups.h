/* tb_channel_groups.h: backward operators around a depthwise convolution run by groups of its channels, so that the gradients
 * between them never exist whole. The generated code holds the loop over groups; these are its steps.
 *
 * A gradient that exists one group at a time is compact: [pixel][channel of the group]. Everything else is given whole: `conv`,
 * weights, masks, scales and what an update changes. Results have the bits of the operators run one after the other.
 */
#ifndef TB_CHANNEL_GROUPS_H
#define TB_CHANNEL_GROUPS_H

#include "tb_kernels.h"

/* Channels [first, first + count) of `total`, all of them multiples of 8. */
typedef struct {
  uint32_t first, count, total;
} tb_channel_group_t;

static inline tb_channel_group_t tb_channel_group(uint32_t first, uint32_t count, uint32_t total) {
  const tb_channel_group_t group = {first, count < total - first ? count : total - first, total};
  return group;
}

/* Gradient of the group's channels of a pointwise convolution's input; `gradient` is whole. No channel list. */
void tb_group_output_grad_f32(const tb_channel_group_t *group, const tb_conv_t *conv, const float *gradient,
                              const tb_weights_t *weights, float *dx);

/* Gradient of a depthwise convolution's input; `gradient` at the group's first channel, its pixels `distance` values apart. No
 * channel list. */
void tb_group_depthwise_grad_f32(tb_grad_input_f32_t *kernel, const tb_channel_group_t *group, const tb_conv_t *conv,
                                 const float *gradient, uint32_t distance, const tb_weights_t *weights, float *dx);
/* `exponent` of the gradient; `dx_exponent` that of all groups: tb_group_depthwise_exponent_i16, which computes all of them
 * in a compact `dx` of `count` channels first. */
int32_t tb_group_depthwise_exponent_i16(tb_depthwise_grad_t *kernel, const tb_conv_t *conv, const int16_t *gradient,
                                        int32_t exponent, const tb_weights_t *weights, uint32_t count, int16_t *dx,
                                        void *scratch);
void tb_group_depthwise_grad_i16(tb_depthwise_grad_t *kernel, const tb_channel_group_t *group, const tb_conv_t *conv,
                                 const int16_t *gradient, int32_t exponent, uint32_t distance, const tb_weights_t *weights,
                                 int16_t *dx, int32_t dx_exponent, void *scratch);

/* In place. */
void tb_group_masked_scale_f32(const tb_channel_group_t *group, float *gradient, const uint8_t *mask, const float *scale,
                               uint32_t pixels);
void tb_group_masked_scale_i16(const tb_channel_group_t *group, int16_t *gradient, const uint8_t *mask,
                               const int32_t *multiplier, uint32_t pixels);

void tb_group_bias_update_f32(const tb_channel_group_t *group, const float *gradient, int32_t *bias,
                              const tb_update_t *update, const tb_step_t *step, uint32_t pixels, int32_t limit,
                              void *scratch);
void tb_group_bias_update_i16(const tb_channel_group_t *group, const int16_t *gradient, int32_t exponent, int32_t *bias,
                              const tb_update_t *update, const tb_step_t *step, uint32_t pixels, int32_t limit,
                              void *scratch);

/* What the group's channels give to the gradient of a pointwise convolution's input, which is whole: the first group sets it,
 * later ones add. int16: to sums [pixel][channel], which tb_group_share_i16 turns into the gradient in the end: it takes the
 * place of the first half of the sums; returns its exponent. */
void tb_group_input_grad_f32(const tb_channel_group_t *group, const tb_conv_t *conv, const float *gradient,
                             const tb_weights_t *weights, float *dx);
void tb_group_input_grad_i16(const tb_channel_group_t *group, const tb_conv_t *conv, const int16_t *gradient,
                             const tb_weights_t *weights, int32_t *sums, void *scratch);
int32_t tb_group_share_i16(int32_t *sums, uint32_t count, int32_t exponent);

/* Update of the group's rows of weights. */
void tb_group_conv2d_update_f32(const tb_channel_group_t *group, const tb_conv_t *conv, const float *gradient,
                                const int8_t *x, const tb_weights_t *weights, const tb_update_t *update,
                                const tb_step_t *step);
void tb_group_conv2d_update_i16(tb_update_i16_t *kernel, const tb_channel_group_t *group, const tb_conv_t *conv,
                                const int16_t *gradient, int32_t exponent, const int8_t *x, const tb_weights_t *weights,
                                const tb_update_t *update, const tb_step_t *step, void *scratch);

#endif
