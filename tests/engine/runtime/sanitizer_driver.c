/* sanitizer_driver.c: calls every kernel on random layers, each buffer allocated at its exact size, for the address and
 * undefined-behaviour sanitizers. Results are compared elsewhere; here only finite gradients are required. */
#include "tb_conv2d_block.h"
#include "tb_fits.h"
#include "tb_kernels.h"

#include <stdio.h>
#include <stdlib.h>

enum { LAYERS = 600, LARGEST_POOL = 64 };

static uint32_t random_state = 1;
static void *pool[LARGEST_POOL];
static size_t pool_size;

static uint32_t draw(uint32_t below) {
  random_state = random_state * 1664525u + 1013904223u;
  return (random_state >> 8) % below;
}

static void *allocate(size_t bytes) {
  void *block = malloc(bytes > 0 ? bytes : 1);
  if (block == NULL || pool_size == LARGEST_POOL) abort();
  pool[pool_size++] = block;
  return block;
}

static void release(void) {
  while (pool_size > 0) free(pool[--pool_size]);
}

static int8_t *bytes(size_t count) {
  int8_t *data = allocate(count);
  for (size_t i = 0; i < count; i++) data[i] = (int8_t)((int)draw(256) - 128);
  return data;
}

/* Up to +-2^60, the largest a gradient becomes. */
static float *gradients(size_t count) {
  float *data = allocate(4 * count);
  float size = draw(3) == 0 ? 1152921504606846976.0f : 0.01f;
  for (size_t i = 0; i < count; i++) data[i] = size * (float)((int)draw(3) - 1);
  return data;
}

static float *zeros(size_t count) {
  float *data = allocate(4 * count);
  for (size_t i = 0; i < count; i++) data[i] = 0.0f;
  return data;
}

static void require_finite(const float *data, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (data[i] - data[i] != 0.0f) abort();
  }
}

static tb_step_t random_step(void) {
  tb_step_t step = {draw(2) ? 1e3f : 1e-3f, draw(1u << 24), (uint8_t)draw(2), (uint8_t)draw(2), 0.25f, 0.0f, 0, {1.0f, 1.0f}};
  return step;
}

/* engine/operators/kernel_choice.py: the windows of fast depthwise kernels, smallest first; the rest is a ring of rows, slots 0. */
typedef struct {
  uint32_t kernel, stride, slots;
  tb_convolution_t *function;
} depthwise_path_t;

static const depthwise_path_t *depthwise_path(const tb_conv_t *conv) {
  static const depthwise_path_t paths[] = {
      {3, 1, 4, tb_depthwise_3x3_s1_window4_i8},   {3, 1, 6, tb_depthwise_3x3_s1_window6_i8},
      {3, 1, 10, tb_depthwise_3x3_s1_window10_i8}, {3, 1, 18, tb_depthwise_3x3_s1_window18_i8},
      {3, 1, 0, tb_depthwise_3x3_s1_rows_i8},      {3, 2, 5, tb_depthwise_3x3_s2_window5_i8},
      {3, 2, 9, tb_depthwise_3x3_s2_window9_i8},   {3, 2, 18, tb_depthwise_3x3_s2_window18_i8},
      {3, 2, 0, tb_depthwise_3x3_s2_rows_i8},      {5, 1, 20, tb_depthwise_5x5_s1_window20_i8},
      {5, 1, 0, tb_depthwise_5x5_s1_rows_i8},      {5, 2, 20, tb_depthwise_5x5_s2_window20_i8},
      {5, 2, 0, tb_depthwise_5x5_s2_rows_i8},      {7, 1, 14, tb_depthwise_7x7_s1_window14_i8},
      {7, 1, 0, tb_depthwise_7x7_s1_rows_i8},      {7, 2, 14, tb_depthwise_7x7_s2_window14_i8},
      {7, 2, 0, tb_depthwise_7x7_s2_rows_i8}};
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
    if (tb_fits_depthwise(conv, paths[i].kernel, paths[i].stride, paths[i].slots)) return &paths[i];
  }
  return NULL;
}

/* engine/operators/scratch.py */
static size_t depthwise_scratch(const tb_conv_t *conv) {
  const size_t kh = conv->kernel_height, kw = conv->kernel_width, stride = conv->stride, tiles = (conv->out_width + 3u) / 4u;
  const int slides = 2u * conv->padding < (kh < kw ? kh : kw);
  const size_t rows = slides ? kh : (conv->out_height - 1u) * stride + kh, columns = (conv->out_width - 1u) * stride + kw;
  const size_t plain = 8 * (rows * columns + kh * kw), words = stride == 1 ? (kh + 4) / 2 : (kh + 7) / 2;
  const depthwise_path_t *path = depthwise_path(conv);
  if (path == NULL) return plain;
  const size_t quads = (tiles - 1) * stride + (words + 1) / 2;
  const size_t tables = kh == 3 && path->slots != 0 ? 0 : 16 * (2 * kh - 1) * (kh - 1);
  const size_t bits = 4 * tiles * (path->slots != 0 ? conv->out_height : 1u);
  const size_t planes = 32 * quads * (path->slots != 0 ? path->slots : kh) + tables + bits;
  return planes > plain ? planes : plain;
}

/* The same, of the int16 gradients. */
static size_t tiles_per_block(size_t tiles, size_t most) {
  const size_t blocks = (tiles + most - 1) / most;
  return (tiles + blocks - 1) / blocks;
}

static size_t grad_scratch(const tb_conv_t *conv) {
  const size_t pairs = (conv->out_channels + 1u) / 2, fitting = 8192 / (16 * pairs), pixels = (size_t)conv->in_height * conv->in_width;
  if (conv->kernel_height * conv->kernel_width > 1 || conv->stride > 1 || conv->padding > 0) return 0;
  const size_t tiles = tiles_per_block((pixels + 3) / 4, fitting < 16 ? fitting : 16);
  return (tiles > 1 ? 16 * tiles + 8 : 32) * pairs;
}

static size_t update_scratch(const tb_conv_t *conv, size_t trainable) {
  const size_t pairs = ((size_t)conv->out_height * conv->out_width + 1) / 2, fitting = 8192 / (16 * pairs);
  const size_t columns = (size_t)conv->kernel_height * conv->kernel_width * trainable;
  if (trainable == 0) return 0;
  const size_t tiles = tiles_per_block((columns + 3) / 4, fitting < 32 ? fitting : 32);
  return 8 * pairs + 16 * pairs * tiles + 32 * tiles;
}

/* engine/operators/kernel_choice.py */
static tb_convolution_t *forward_kernel(const tb_conv_t *conv, const tb_weights_t *weights, int depthwise) {
  const depthwise_path_t *path = depthwise ? depthwise_path(conv) : NULL;
  if (path != NULL) return path->function;
  if (depthwise) return tb_depthwise_general_i8;
  if (tb_fits_stem(conv, weights)) return conv->stride == 2 ? tb_conv2d_stem_s2_i8 : tb_conv2d_stem_i8;
  if (!tb_is_pointwise(conv)) return tb_conv2d_general_i8;
  if (weights->channels != NULL) return tb_conv2d_pointwise_split_i8;
  if (conv->in_channels == 8) return tb_conv2d_pointwise_8_i8;
  return conv->in_channels % 4 == 0 ? tb_conv2d_pointwise_i8 : tb_conv2d_pointwise_odd_i8;
}

static tb_depthwise_grad_t *depthwise_grad_kernel(const tb_conv_t *conv) {
  static tb_depthwise_grad_t *const square[3][2] = {{tb_depthwise_grad_3x3_s1_i16, tb_depthwise_grad_3x3_s2_i16},
                                                    {tb_depthwise_grad_5x5_s1_i16, tb_depthwise_grad_5x5_s2_i16},
                                                    {tb_depthwise_grad_7x7_s1_i16, tb_depthwise_grad_7x7_s2_i16}};
  for (uint32_t kernel = 3; kernel <= 7 && conv->stride <= 2; kernel += 2) {
    if (tb_fits_square(conv, kernel, conv->stride)) return square[kernel / 2 - 1][conv->stride - 1];
  }
  return tb_depthwise_grad_general_i16;
}

static void convolution_i16(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, int32_t *bias,
                            const tb_update_t *update, const tb_update_t *bias_update, const tb_step_t *step) {
  const uint32_t pixels = (uint32_t)conv->out_height * conv->out_width, outputs = pixels * conv->out_channels;
  const uint32_t inputs = (uint32_t)conv->in_height * conv->in_width * conv->in_channels;
  int16_t *g = allocate(2 * outputs), *dx = allocate(2 * inputs);
  for (uint32_t i = 0; i < outputs; i++) g[i] = (int16_t)((int)draw(32769) - 16384);
  const int pointwise = tb_is_pointwise(conv), few = tb_fits_short_sum(conv);
  tb_grad_input_i16_t *const grad = pointwise ? tb_conv2d_grad_input_pointwise_i16 : tb_conv2d_grad_input_general_i16;
  tb_update_i16_t *const update_kernel = pointwise ? (few ? tb_conv2d_update_pointwise_i16 : tb_conv2d_update_pointwise_long_i16)
                                                   : (few ? tb_conv2d_update_general_i16 : tb_conv2d_update_general_long_i16);
  const int32_t exponent = grad(conv, g, 3, weights, dx, allocate(grad_scratch(conv)));
  if (exponent > 3 + 16) abort();
  void *scratch = allocate(update_scratch(conv, weights->trainable_count));
  update_kernel(conv, g, -25, x, weights, update, step, scratch);
  tb_bias_update_i16(g, -10, bias, bias_update, step, pixels, conv->out_channels, 1073741824, zeros(conv->out_channels));
}

static size_t depthwise_grad_scratch(const tb_conv_t *conv) {
  const size_t kh = conv->kernel_height, kw = conv->kernel_width, stride = conv->stride, plain = 8 * kh * kw;
  if (kh != kw || (kh != 3 && kh != 5 && kh != 7) || conv->padding != kh / 2) return plain;
  const size_t tiles = (conv->in_width + 4 * stride - 1) / (4 * stride), taps = stride == 1 ? kh : kh / 2 + 1;
  return 32 * 12 * (tiles - 1 + ((taps + 4) / 2 + 1) / 2) + 4 * 168;
}

static void depthwise_i16(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights,
                          const tb_update_t *update, const tb_step_t *step) {
  const uint32_t outputs = (uint32_t)conv->out_height * conv->out_width * conv->out_channels;
  const uint32_t inputs = (uint32_t)conv->in_height * conv->in_width * conv->in_channels;
  int16_t *g = allocate(2 * outputs), *dx = allocate(2 * inputs);
  for (uint32_t i = 0; i < outputs; i++) g[i] = (int16_t)((int)draw(65536) - 32768);
  const int32_t exponent =
      tb_depthwise_conv2d_grad_input_i16(depthwise_grad_kernel(conv), conv, g, 3, weights, dx, allocate(depthwise_grad_scratch(conv)));
  if (exponent > 3 + 16) abort();
  const size_t sums = 4 * 8 * (size_t)((conv->kernel_height * conv->kernel_width + 3) / 4 * 4);
  if (tb_fits_short_sum(conv)) tb_depthwise_update_short_i16(conv, g, -25, x, weights, update, step, allocate(sums));
  if (tb_fits_short_sum(conv) && tb_fits_square(conv, 3, 1)) {
    tb_depthwise_update_short_3x3_i16(conv, g, -25, x, weights, update, step, allocate(sums));
  }
  tb_depthwise_update_general_i16(conv, g, -25, x, weights, update, step, NULL);
}

static void convolution(int depthwise) {
  static const uint16_t kernels[] = {1, 1, 1, 3, 5, 7, 9};
  const uint32_t kh = kernels[draw(7)], kw = draw(2) ? kh : kernels[draw(7)], padding = draw(kh / 2 + 1);
  const uint32_t stride = 1 + draw(2), ic = 1 + draw(40), oc = depthwise ? ic : 1 + draw(12);
  const uint32_t low_h = kh > 2 * padding ? kh - 2 * padding : 1, low_w = kw > 2 * padding ? kw - 2 * padding : 1;
  const uint32_t ih = low_h + draw(6), iw = low_w + draw(6);
  const uint32_t oh = (ih + 2 * padding - kh) / stride + 1, ow = (iw + 2 * padding - kw) / stride + 1;
  const uint32_t pixels = oh * ow, outputs = pixels * oc, inputs = ih * iw * ic, rows = depthwise ? 1 : oc;
  const uint32_t trainable = draw(ic + 1);
  int32_t *multiplier = allocate(4 * oc), *bias = allocate(4 * oc);
  uint16_t *channels = allocate(2 * ic);
  float *scale = zeros(oc);
  for (uint32_t c = 0; c < oc; c++) {
    multiplier[c] = draw(4) == 0 ? 2147483647 : (int32_t)draw(1u << 24);
    bias[c] = draw(2) ? 1073741824 : -1073741824;
    scale[c] = (float)draw(3) * 1e5f;
  }
  uint32_t first = 0, second = trainable;
  for (uint32_t c = 0; c < ic; c++) { /* a random choice of `trainable` channels, both parts ascending */
    if (draw(ic - c) < trainable - first) {
      channels[first++] = (uint16_t)c;
    } else {
      channels[second++] = (uint16_t)c;
    }
  }
  tb_conv_t conv = {(uint16_t)ih, (uint16_t)iw, (uint16_t)ic, (uint16_t)oh,     (uint16_t)ow,      (uint16_t)oc, (uint16_t)kh,
                    (uint16_t)kw, (uint16_t)stride, (uint16_t)padding, (uint16_t)padding, (int32_t)draw(256) - 128, -128, 0, multiplier};
  const size_t per_channel = (size_t)rows * kh * kw, count = per_channel * trainable;
  tb_weights_t weights = {bytes(per_channel * (ic - trainable)), bytes(count), channels, (uint16_t)trainable};
  int8_t *x = bytes(inputs), *y = allocate(outputs);
  uint8_t *mask = allocate((outputs + 7) / 8);
  float *g = gradients(outputs), *dx = allocate(4 * inputs);
  void *scratch = allocate(tb_conv2d_block(&conv, 1, tb_is_pointwise(&conv)).scratch);
  tb_rounding_t rounding = (tb_rounding_t)draw(3);
  tb_update_t update = {scale, 9, rounding, rounding == TB_EXTENDED ? (uint8_t *)bytes(count) : NULL, zeros(count), 0, NULL};
  tb_update_t bias_update = {scale, 10, rounding, NULL, zeros(oc), 0, NULL};
  tb_step_t step = random_step();
  const tb_weights_t whole = {bytes(per_channel * ic), NULL, NULL, 0}, *const stored = draw(2) ? &whole : &weights;
  tb_convolution_t *const forward = forward_kernel(&conv, stored, depthwise);
  if (depthwise) {
    forward(&conv, x, stored, bias, y, draw(4) ? mask : NULL, allocate(depthwise_scratch(&conv)));
    (kh * kw <= 49 ? tb_depthwise_grad_copied_f32 : tb_depthwise_grad_general_f32)(&conv, g, &weights, dx);
    tb_depthwise_conv2d_update_f32(&conv, g, x, &weights, &update, &step);
    depthwise_i16(&conv, x, &weights, &update, &step);
  } else {
    forward(&conv, x, stored, bias, y, draw(4) ? mask : NULL, scratch);
    (tb_is_pointwise(&conv) ? tb_conv2d_grad_input_pointwise_f32 : tb_conv2d_grad_input_general_f32)(&conv, g, &weights, dx);
    tb_conv2d_update_f32(&conv, g, x, &weights, &update, &step);
    convolution_i16(&conv, x, &weights, bias, &update, &bias_update, &step);
  }
  tb_bias_update_f32(g, bias, &bias_update, &step, pixels, oc, 1073741824, zeros(oc));
  require_finite(dx, inputs);
  require_finite(update.accumulator, count);
  require_finite(bias_update.accumulator, oc);
  for (uint32_t i = 0; i < (outputs + 7) / 8; i++) mask[i] = 0x5a;
  (oc % 8 == 0 ? tb_masked_scale_bytes_f32 : tb_masked_scale_general_f32)(g, mask, scale, pixels, oc);
  require_finite(g, outputs);
  release();
}

static void elementwise_i16(void) {
  const uint32_t pixels = 1 + draw(20), channels = 1 + draw(40), count = pixels * channels;
  int16_t *a = (int16_t *)bytes(2 * count), *b = (int16_t *)bytes(2 * count), *dx = allocate(2 * count);
  uint8_t *mask = (uint8_t *)bytes((count + 7) / 8);
  int32_t *multiplier = allocate(4 * channels);
  for (uint32_t c = 0; c < channels; c++) multiplier[c] = draw(2) ? 2147483647 : (int32_t)draw(1u << 24);
  (channels % 8 == 0 ? tb_masked_scale_bytes_i16 : tb_masked_scale_general_i16)(a, mask, multiplier, pixels, channels);
  tb_add_grad_i16(a, mask, multiplier[0], dx, count);
  const int32_t exponent = tb_accumulate_i16(dx, (int32_t)draw(60), b, (int32_t)draw(60), draw(2) ? dx : b, count);
  if (exponent > 80) abort();
  tb_global_average_pool_grad_i16(gradients(channels), dx, pixels, channels, draw(2) ? 3.0f : 1e-9f);
  release();
}

static void head(void) {
  const uint32_t pixels = 1 + draw(20), channels = 1 + draw(40), classes = 1 + draw(10), count = pixels * channels;
  tb_add_t add = {4194304, 4194304, -1000, 22};
  int8_t *a = bytes(count), *b = bytes(count), *y = allocate(count), *pooled = allocate(channels);
  uint8_t *mask = allocate((count + 7) / 8);
  float *g = gradients(count), *gb = allocate(4 * count), *features = zeros(channels), *dx = zeros(count);
  float *weight = zeros(classes * channels), *bias = gradients(classes), *logits = zeros(classes), *dz = zeros(classes);
  tb_step_t step = random_step();
  tb_add_s22_i8(&add, a, b, y, mask, count);
  tb_add_grad_f32(g, mask, 3.0f, 0.1f, g, gb, count);
  tb_accumulate_f32(g, gb, g, count);
  tb_global_average_pool_i8(y, pooled, pixels, channels, -128, 127, 2147483647, 0);
  tb_dequantize_i8_f32(pooled, features, channels, -3, 0.1f);
  tb_fully_connected_f32(features, weight, bias, logits, classes, channels);
  const float loss = tb_softmax_cross_entropy_f32(logits, draw(classes), dz, classes);
  tb_fully_connected_grad_input_f32(dz, weight, features, classes, channels);
  tb_fully_connected_update_f32(dz, features, weight, bias, zeros(classes * channels), zeros(classes), &step, classes,
                                channels);
  tb_dequantize_grad_f32(features, features, channels, 0.1f);
  tb_global_average_pool_grad_f32(features, dx, pixels, channels, 0.01f);
  require_finite(&loss, 1);
  require_finite(g, count);
  require_finite(dx, count);
  require_finite(weight, classes * channels);
  release();
}

int main(void) {
  for (uint32_t i = 0; i < LAYERS; i++) {
    convolution(i & 1);
    head();
    elementwise_i16();
  }
  printf("%d layers\n", LAYERS);
  return 0;
}
