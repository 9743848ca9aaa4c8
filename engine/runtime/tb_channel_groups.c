/* tb_channel_groups.c: backward operators by groups of channels: the kernels, called with a part of each operand. */
#include "tb_channel_groups.h"

#include "tb_conv2d_grad.h"
#include "tb_gradient_output.h"
#include "tb_shared_exponent.h"

/* The update of the group's channels, which have `each` values. */
static tb_update_t update_of(const tb_channel_group_t *group, const tb_update_t *update, uint32_t each) {
  tb_update_t slice = *update;
  const uint32_t first = group->first * each;
  slice.scale += group->first;
  slice.first += first;
  if (slice.low != NULL) slice.low += first;
  if (slice.accumulator != NULL) slice.accumulator += first;
  return slice;
}

/* Weights from a position on, different in the two places they lie in. */
static tb_weights_t weights_from(const tb_weights_t *weights, size_t trainable, size_t frozen) {
  tb_weights_t slice = *weights;
  if (slice.trainable != NULL) slice.trainable += trainable;
  if (slice.frozen != NULL) slice.frozen += frozen;
  return slice;
}

/* A convolution of the group's output channels, and their rows of weights. */
static tb_conv_t rows_of(const tb_channel_group_t *group, const tb_conv_t *conv, const tb_weights_t *weights,
                         tb_weights_t *slice) {
  const size_t first = (size_t)group->first * conv->kernel_height * conv->kernel_width, all = conv->in_channels;
  const size_t trainable = weights->channels == NULL ? all : weights->trainable_count;
  tb_conv_t rows = *conv;
  rows.out_channels = (uint16_t)group->count;
  *slice = weights_from(weights, first * trainable, first * (weights->channels == NULL ? all : all - trainable));
  return rows;
}

/* A depthwise convolution of the group's channels, whose gradient's pixels are `distance` values apart. */
static tb_conv_t depthwise_of(const tb_channel_group_t *group, const tb_conv_t *conv, uint32_t distance,
                              const tb_weights_t *weights, tb_weights_t *slice) {
  const size_t first = (size_t)group->first * conv->kernel_height * conv->kernel_width;
  tb_conv_t channels = *conv;
  channels.in_channels = (uint16_t)group->count;
  channels.out_channels = (uint16_t)distance;
  *slice = weights_from(weights, first, first);
  return channels;
}

void tb_group_output_grad_f32(const tb_channel_group_t *group, const tb_conv_t *conv, const float *gradient,
                              const tb_weights_t *weights, float *dx) {
  tb_part_t parts[2];
  tb_conv_t columns = *conv;
  (void)tb_parts(weights, conv->in_channels, parts);
  parts[0].data += group->first;
  parts[0].count = group->count;
  columns.in_channels = (uint16_t)group->count;
  tb_pointwise_grad_f32(&columns, gradient, &parts[0], conv->in_channels, dx, 0);
}

void tb_group_depthwise_grad_f32(tb_grad_input_f32_t *kernel, const tb_channel_group_t *group, const tb_conv_t *conv,
                                 const float *gradient, uint32_t distance, const tb_weights_t *weights, float *dx) {
  tb_weights_t slice;
  const tb_conv_t channels = depthwise_of(group, conv, distance, weights, &slice);
  kernel(&channels, gradient, &slice, dx);
}

int32_t tb_group_depthwise_exponent_i16(tb_depthwise_grad_t *kernel, const tb_conv_t *conv, const int16_t *gradient,
                                        int32_t exponent, const tb_weights_t *weights, uint32_t count, int16_t *dx,
                                        void *scratch) {
  uint32_t magnitudes = 0;
  for (uint32_t first = 0; first < conv->in_channels; first += count) {
    const tb_channel_group_t group = tb_channel_group(first, count, conv->in_channels);
    tb_weights_t slice;
    const tb_conv_t channels = depthwise_of(&group, conv, group.total, weights, &slice);
    magnitudes = kernel(&channels, gradient + first, magnitudes, &slice, dx, scratch);
  }
  return tb_exponent(exponent, magnitudes, tb_shift_for(magnitudes));
}

void tb_group_depthwise_grad_i16(tb_depthwise_grad_t *kernel, const tb_channel_group_t *group, const tb_conv_t *conv,
                                 const int16_t *gradient, int32_t exponent, uint32_t distance, const tb_weights_t *weights,
                                 int16_t *dx, int32_t dx_exponent, void *scratch) {
  tb_weights_t slice;
  const tb_conv_t channels = depthwise_of(group, conv, distance, weights, &slice);
  const uint32_t magnitudes = dx_exponent == TB_ZERO_EXPONENT ? 0 : 0xffffu << (uint32_t)(dx_exponent - exponent);
  (void)kernel(&channels, gradient, magnitudes, &slice, dx, scratch);
}

void tb_group_masked_scale_f32(const tb_channel_group_t *group, float *gradient, const uint8_t *mask, const float *scale,
                               uint32_t pixels) {
  mask += group->first / 8u;
  for (uint32_t p = 0; p < pixels; p++, gradient += group->count, mask += group->total / 8u) {
    tb_masked_scale_bytes_f32(gradient, mask, scale + group->first, 1, group->count);
  }
}

void tb_group_masked_scale_i16(const tb_channel_group_t *group, int16_t *gradient, const uint8_t *mask,
                               const int32_t *multiplier, uint32_t pixels) {
  mask += group->first / 8u;
  for (uint32_t p = 0; p < pixels; p++, gradient += group->count, mask += group->total / 8u) {
    tb_masked_scale_bytes_i16(gradient, mask, multiplier + group->first, 1, group->count);
  }
}

void tb_group_bias_update_f32(const tb_channel_group_t *group, const float *gradient, int32_t *bias,
                              const tb_update_t *update, const tb_step_t *step, uint32_t pixels, int32_t limit,
                              void *scratch) {
  const tb_update_t slice = update_of(group, update, 1);
  tb_bias_update_f32(gradient, bias + group->first, &slice, step, pixels, group->count, limit, scratch);
}

void tb_group_bias_update_i16(const tb_channel_group_t *group, const int16_t *gradient, int32_t exponent, int32_t *bias,
                              const tb_update_t *update, const tb_step_t *step, uint32_t pixels, int32_t limit,
                              void *scratch) {
  const tb_update_t slice = update_of(group, update, 1);
  tb_bias_update_i16(gradient, exponent, bias + group->first, &slice, step, pixels, group->count, limit, scratch);
}

void tb_group_input_grad_f32(const tb_channel_group_t *group, const tb_conv_t *conv, const float *gradient,
                             const tb_weights_t *weights, float *dx) {
  tb_weights_t slice;
  tb_part_t parts[2];
  const tb_conv_t rows = rows_of(group, conv, weights, &slice);
  const uint32_t count = tb_parts(&slice, conv->in_channels, parts);
  for (uint32_t i = 0; i < count; i++) {
    tb_pointwise_grad_f32(&rows, gradient, &parts[i], parts[i].count, dx, group->first != 0);
  }
}

void tb_group_input_grad_i16(const tb_channel_group_t *group, const tb_conv_t *conv, const int16_t *gradient,
                             const tb_weights_t *weights, int32_t *sums, void *scratch) {
  tb_weights_t slice;
  const tb_conv_t rows = rows_of(group, conv, weights, &slice);
  tb_gradient_output_t out = tb_gradient_output(&rows, &slice, NULL);
  const uint32_t count = (uint32_t)conv->in_height * conv->in_width * conv->in_channels;
  for (uint32_t i = 0; group->first == 0 && i < count; i++) sums[i] = 0;
  out.sums = sums;
  tb_pointwise_grad_i16(&rows, gradient, &out, (uint32_t *)scratch);
}

int32_t tb_group_share_i16(int32_t *sums, uint32_t count, int32_t exponent) {
  int16_t *dx = (int16_t *)sums;
  uint32_t magnitudes = 0;
  for (uint32_t i = 0; i < count; i++) magnitudes |= tb_magnitude(sums[i]);
  const uint32_t shift = tb_shift_for(magnitudes);
  for (uint32_t i = 0; i < count; i++) dx[i] = tb_round_to_odd(sums[i], shift);
  return tb_exponent(exponent, magnitudes, shift);
}

void tb_group_conv2d_update_f32(const tb_channel_group_t *group, const tb_conv_t *conv, const float *gradient,
                                const int8_t *x, const tb_weights_t *weights, const tb_update_t *update,
                                const tb_step_t *step) {
  tb_weights_t slice;
  const tb_conv_t rows = rows_of(group, conv, weights, &slice);
  const uint32_t each = tb_trainable_part(weights, conv->in_channels).count * conv->kernel_height * conv->kernel_width;
  const tb_update_t update_slice = update_of(group, update, each);
  tb_conv2d_update_f32(&rows, gradient, x, &slice, &update_slice, step);
}

void tb_group_conv2d_update_i16(tb_update_i16_t *kernel, const tb_channel_group_t *group, const tb_conv_t *conv,
                                const int16_t *gradient, int32_t exponent, const int8_t *x, const tb_weights_t *weights,
                                const tb_update_t *update, const tb_step_t *step, void *scratch) {
  tb_weights_t slice;
  const tb_conv_t rows = rows_of(group, conv, weights, &slice);
  const uint32_t each = tb_trainable_part(weights, conv->in_channels).count * conv->kernel_height * conv->kernel_width;
  const tb_update_t update_slice = update_of(group, update, each);
  kernel(&rows, gradient, exponent, x, &slice, &update_slice, step, scratch);
}
