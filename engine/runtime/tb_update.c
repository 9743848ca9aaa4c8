/* tb_update.c: weight gradients and stochastic gradient descent in one pass. No weight gradient is ever stored: the
 * kernels sum a block of it in registers and apply it at once. */
#include "tb_internal.h"

uint32_t tb_mix(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  x ^= x >> 16;
  return x;
}

/* A tensor's updates within one step. */
typedef struct {
  const tb_update_t *update;
  const tb_step_t *step;
  uint32_t key; /* of the tensor's stream */
} stream_t;

static stream_t open_stream(const tb_update_t *update, const tb_step_t *step) {
  stream_t stream;
  stream.update = update;
  stream.step = step;
  stream.key = tb_mix(step->step_key ^ (update->stream * 0x85ebca6bu));
  return stream;
}

/* In [0, 1). */
static inline float uniform(const stream_t *stream, uint32_t index) {
  return (float)(tb_mix(stream->key + index) >> 8) * 5.9604644775390625e-8f; /* 2^-24 */
}

/* Pass one gradient through its accumulator. Returns 0 if the value is not to be updated in this step. */
static inline int accumulated(const tb_step_t *step, float *accumulator, uint32_t index, float *gradient) {
  if (step->accumulate) {
    const float sum = accumulator[index] + *gradient;
    accumulator[index] = step->apply ? 0.0f : sum;
    *gradient = sum * step->mean;
  }
  return step->apply;
}

/* Move one int8 weight by -rate * gradient; rate = learning rate * scale of its channel. */
static inline void apply_i8(const stream_t *stream, int8_t *weights, uint32_t index, float gradient, float rate) {
  const tb_update_t *update = stream->update;
  if (!accumulated(stream->step, update->accumulator, index, &gradient)) return;
  const float d = -(rate * gradient);
  if (update->rounding == TB_EXTENDED) {
    const int32_t n = tb_floor_f32(tb_clamp_f32(d * 256.0f, -65536.0f, 65536.0f) + 0.5f);
    const int32_t value = tb_clamp_i32(weights[index] * 256 + update->low[index] + n, -32768, 32767);
    weights[index] = (int8_t)(value >> 8);
    update->low[index] = (uint8_t)(value & 255);
    return;
  }
  const float offset = update->rounding == TB_STOCHASTIC ? uniform(stream, index) : 0.5f;
  const int32_t n = tb_floor_f32(tb_clamp_f32(d, -256.0f, 256.0f) + offset);
  weights[index] = (int8_t)tb_clamp_i32(weights[index] + n, -128, 127);
}

enum { CHANNELS = 4 }; /* output channels that share a load of the inputs */

/* Update `channels` output channels from oc on, `lanes` stored input channels from j on, of one kernel position. */
static inline void conv2d_block(const tb_conv_t *conv, const float *gradient, const int8_t *x, const tb_part_t *part,
                                const stream_t *stream, int8_t *weights, int32_t ky, int32_t kx, uint32_t oc,
                                uint32_t j, uint32_t channels, uint32_t lanes) {
  const int32_t stride = conv->stride, in_width = conv->in_width, out_width = conv->out_width;
  const uint32_t out_channels = conv->out_channels, in_channels = conv->in_channels;
  const tb_range_t rows = tb_outputs_inside(ky, stride, conv->padding, conv->in_height, conv->out_height);
  const tb_range_t columns = tb_outputs_inside(kx, stride, conv->padding, in_width, out_width);
  uint32_t offsets[TB_LANES];
  float acc[CHANNELS][TB_LANES];
  for (uint32_t l = 0; l < lanes; l++) offsets[l] = tb_channel(part, j + l);
  const int neighbours = offsets[lanes - 1] - offsets[0] == lanes - 1;
  for (uint32_t o = 0; o < channels; o++) {
    for (uint32_t l = 0; l < lanes; l++) acc[o][l] = 0.0f;
  }
  for (int32_t oy = rows.first; oy < rows.end; oy++) {
    const int32_t iy = oy * stride + ky - conv->padding;
    const int32_t ix = columns.first * stride + kx - conv->padding;
    const float *g = gradient + (uint32_t)(oy * out_width + columns.first) * out_channels + oc;
    const int8_t *pixel = x + (uint32_t)(iy * in_width + ix) * in_channels;
    for (int32_t ox = columns.first; ox < columns.end; ox++) {
      float value[TB_LANES];
      if (neighbours) {
        for (uint32_t l = 0; l < lanes; l++) value[l] = (float)(pixel[offsets[0] + l] - conv->in_zero);
      } else {
        for (uint32_t l = 0; l < lanes; l++) value[l] = (float)(pixel[offsets[l]] - conv->in_zero);
      }
      for (uint32_t o = 0; o < channels; o++) {
        for (uint32_t l = 0; l < lanes; l++) acc[o][l] += g[o] * value[l];
      }
      g += out_channels;
      pixel += (uint32_t)stride * in_channels;
    }
  }
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  const uint32_t tap = (uint32_t)(ky * conv->kernel_width + kx);
  for (uint32_t o = 0; o < channels; o++) {
    const float rate = stream->step->learning_rate * stream->update->scale[oc + o];
    const uint32_t index = ((oc + o) * taps + tap) * part->count + j;
    for (uint32_t l = 0; l < lanes; l++) apply_i8(stream, weights, index + l, acc[o][l], rate);
  }
}

void tb_conv2d_update_f32(const tb_conv_t *conv, const float *gradient, const int8_t *x, const tb_weights_t *weights,
                          const tb_update_t *update, const tb_step_t *step, void *scratch) {
  const tb_part_t part = tb_trainable_part(weights, conv->in_channels);
  const stream_t stream = open_stream(update, step);
  int8_t *w = weights->trainable;
  (void)scratch; /* a block's gradient stays in registers */
  for (int32_t ky = 0; ky < conv->kernel_height; ky++) {
    for (int32_t kx = 0; kx < conv->kernel_width; kx++) {
      for (uint32_t oc = 0; oc < conv->out_channels;) {
        uint32_t j = 0;
        if (conv->out_channels - oc >= CHANNELS) {
          for (; part.count - j >= TB_LANES; j += TB_LANES) {
            conv2d_block(conv, gradient, x, &part, &stream, w, ky, kx, oc, j, CHANNELS, TB_LANES);
          }
          for (; part.count - j >= 4; j += 4) {
            conv2d_block(conv, gradient, x, &part, &stream, w, ky, kx, oc, j, CHANNELS, 4);
          }
          for (; j < part.count; j++) conv2d_block(conv, gradient, x, &part, &stream, w, ky, kx, oc, j, CHANNELS, 1);
          oc += CHANNELS;
        } else {
          for (; j < part.count; j++) conv2d_block(conv, gradient, x, &part, &stream, w, ky, kx, oc, j, 1, 1);
          oc += 1;
        }
      }
    }
  }
}

/* Update `lanes` neighbouring channels from stored channel j on, of one kernel position. */
static inline void depthwise_block(const tb_conv_t *conv, const float *gradient, const int8_t *x, const tb_part_t *part,
                                   const stream_t *stream, int8_t *weights, int32_t ky, int32_t kx, uint32_t j,
                                   uint32_t lanes) {
  const int32_t stride = conv->stride, in_width = conv->in_width, out_width = conv->out_width;
  const uint32_t channels = conv->in_channels, channel = tb_channel(part, j);
  const tb_range_t rows = tb_outputs_inside(ky, stride, conv->padding, conv->in_height, conv->out_height);
  const tb_range_t columns = tb_outputs_inside(kx, stride, conv->padding, in_width, out_width);
  float acc[TB_LANES];
  for (uint32_t l = 0; l < lanes; l++) acc[l] = 0.0f;
  for (int32_t oy = rows.first; oy < rows.end; oy++) {
    const int32_t iy = oy * stride + ky - conv->padding;
    const int32_t ix = columns.first * stride + kx - conv->padding;
    const float *g = gradient + (uint32_t)(oy * out_width + columns.first) * channels + channel;
    const int8_t *pixel = x + (uint32_t)(iy * in_width + ix) * channels + channel;
    for (int32_t ox = columns.first; ox < columns.end; ox++) {
      for (uint32_t l = 0; l < lanes; l++) acc[l] += g[l] * (float)(pixel[l] - conv->in_zero);
      g += channels;
      pixel += (uint32_t)stride * channels;
    }
  }
  const uint32_t taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  const uint32_t tap = (uint32_t)(ky * conv->kernel_width + kx);
  for (uint32_t l = 0; l < lanes; l++) {
    const float rate = stream->step->learning_rate * stream->update->scale[channel + l];
    apply_i8(stream, weights, (j + l) * taps + tap, acc[l], rate);
  }
}

void tb_depthwise_conv2d_update_f32(const tb_conv_t *conv, const float *gradient, const int8_t *x,
                                    const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step) {
  const tb_part_t part = tb_trainable_part(weights, conv->in_channels);
  const stream_t stream = open_stream(update, step);
  int8_t *w = weights->trainable;
  for (uint32_t j = 0; j < part.count;) {
    const uint32_t run = tb_neighbours(&part, j);
    const uint32_t lanes = run >= TB_LANES ? TB_LANES : (run >= 4 ? 4 : 1);
    for (int32_t ky = 0; ky < conv->kernel_height; ky++) {
      for (int32_t kx = 0; kx < conv->kernel_width; kx++) {
        if (lanes == TB_LANES) {
          depthwise_block(conv, gradient, x, &part, &stream, w, ky, kx, j, TB_LANES);
        } else if (lanes == 4) {
          depthwise_block(conv, gradient, x, &part, &stream, w, ky, kx, j, 4);
        } else {
          depthwise_block(conv, gradient, x, &part, &stream, w, ky, kx, j, 1);
        }
      }
    }
    j += lanes;
  }
}

void tb_bias_update_f32(const float *gradient, int32_t *bias, const tb_update_t *update, const tb_step_t *step,
                        uint32_t pixels, uint32_t channels, int32_t limit, void *scratch) {
  const stream_t stream = open_stream(update, step);
  float *sum = (float *)scratch;
  for (uint32_t c = 0; c < channels; c++) sum[c] = 0.0f;
  for (uint32_t p = 0; p < pixels; p++) {
    for (uint32_t c = 0; c < channels; c++) sum[c] += *gradient++;
  }
  for (uint32_t c = 0; c < channels; c++) {
    float value = sum[c];
    if (!accumulated(step, update->accumulator, c, &value)) continue;
    const float d = -((step->learning_rate * update->scale[c]) * value);
    const float offset = update->rounding == TB_STOCHASTIC ? uniform(&stream, c) : 0.5f;
    const int32_t n = tb_floor_f32(tb_clamp_f32(d, -1073741824.0f, 1073741824.0f) + offset);
    const int64_t moved = (int64_t)bias[c] + n; /* 2^31 at the most: one more than an int32 holds */
    bias[c] = (int32_t)(moved < -limit ? -limit : (moved > limit ? limit : moved));
  }
}

void tb_fully_connected_update_f32(const float *dz, const float *features, float *weight, float *bias,
                                   float *weight_accumulator, float *bias_accumulator, const tb_step_t *step,
                                   uint32_t classes, uint32_t feature_count) {
  const float rate = step->learning_rate;
  uint32_t i = 0;
  for (uint32_t k = 0; k < classes; k++) {
    if (!step->accumulate) {
      const float t = rate * dz[k];
      if (!step->apply) continue;
      for (uint32_t c = 0; c < feature_count; c++, i++) weight[i] -= t * features[c];
      bias[k] -= t;
      continue;
    }
    for (uint32_t c = 0; c < feature_count; c++, i++) {
      float value = dz[k] * features[c];
      if (accumulated(step, weight_accumulator, i, &value)) weight[i] -= rate * value;
    }
    float value = dz[k];
    if (accumulated(step, bias_accumulator, k, &value)) bias[k] -= rate * value;
  }
}
