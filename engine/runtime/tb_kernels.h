/* tb_kernels.h: the portable kernels of a generated trainer. Definitions: docs/numerics.md. Layout HWC, batch 1.
 *
 * Weights of a partly trainable layer lie in two places: `trainable` (SRAM) and `frozen` (flash). `channels` lists the
 * input channels (of a depthwise layer: the channels), trainable ones first, each part ascending; NULL means that all of
 * them are in one place and in order. Stored order of a part with n channels: conv2d [OC][KH][KW][n], depthwise [n][KH][KW].
 * Nothing here allocates; `scratch` has the size the compiler planned and is 4-byte aligned.
 *
 * Kernels of one operator that differ in the path they take: `general` takes any shape, the others those for which
 * engine/operators/kernel_choice.py names them. They do not look; built with -DTB_CHECKS they trap (tb_fits.h).
 */
#ifndef TB_KERNELS_H
#define TB_KERNELS_H

#include <stdint.h>

typedef struct {
  uint16_t in_height, in_width, in_channels;
  uint16_t out_height, out_width, out_channels;
  uint16_t kernel_height, kernel_width, stride, padding;
  uint16_t pad_top;           /* rows of padding above the first row given: `padding`, or 0 within an image */
  int32_t in_zero, out_zero;
  uint8_t shift;              /* left shift of the accumulator before `multiplier` */
  const int32_t *multiplier;  /* [out_channels] */
} tb_conv_t;

typedef struct {
  const int8_t *frozen;      /* NULL if all channels are trainable */
  int8_t *trainable;         /* NULL if none is */
  const uint16_t *channels;  /* NULL if one part holds everything, in order */
  uint16_t trainable_count;  /* number of trainable (input) channels */
} tb_weights_t;

typedef struct {
  int32_t multiplier_a, multiplier_b, offset;
  uint8_t shift;
} tb_add_t;

typedef enum { TB_NEAREST = 0, TB_STOCHASTIC = 1, TB_EXTENDED = 2 } tb_rounding_t;

/* What all updates of one training step share. */
typedef struct {
  float learning_rate;
  uint32_t step_key;   /* mix(seed + 0x9e3779b9 * t) */
  uint8_t apply;       /* 1: update the weights; 0: only accumulate */
  uint8_t accumulate;  /* 1: gradients go through the accumulators */
  float mean;          /* 1 / images per update, used where accumulate = 1 */
  float rate;          /* learning rate of rules other than sgd, under which learning_rate is 1 */
  uint8_t whole;       /* lars: 1 where tensors are updated now that the kernels, which saw apply = 0, have accumulated */
  float correction[2]; /* of adam's moments, after its t-th update: 1 / (1 - 0.9^t), 1 / sqrt(1 - 0.999^t) */
} tb_step_t;

/* A rule other than sgd, for one tensor: how its gradients become steps (docs/numerics.md, Updates). */
typedef struct tb_rule tb_rule_t;
typedef struct tb_stream tb_stream_t; /* tb_apply.h */
struct tb_rule {
  /* `values` are -scale * gradient of stored values index, index + stride, ...; becomes what they are moved by. */
  void (*descend)(const tb_rule_t *rule, const tb_step_t *step, uint32_t index, uint32_t stride, float *values,
                  uint32_t count);
  /* The same of biases, which it moves, from their gradients; a pointer so that sgd needs none of it. */
  void (*move_biases)(const tb_stream_t *stream, int32_t *biases, float *gradients, uint32_t count, int32_t limit);
  float *momentum;      /* one per trained value */
  float *second_moment; /* of adam */
  float rate;           /* on the learning rate */
  float decay;          /* of momentum */
  float trust;          /* on gradients: 1; lars finds its own */
};

/* How one tensor is updated. */
typedef struct {
  const float *scale;      /* [out_channels] quantization-aware scaling; 0 freezes the channel */
  uint32_t stream;         /* of stochastic rounding: number of the tensor in state order */
  tb_rounding_t rounding;
  uint8_t *low;            /* low bytes of int8 weights where rounding is extended, else NULL */
  float *accumulator;      /* one per trainable value where gradients are accumulated, else NULL */
  uint32_t first;          /* position of the first value given in its stored tensor: 0, or that of a slice */
  const tb_rule_t *rule;   /* NULL: sgd */
} tb_update_t;

uint32_t tb_mix(uint32_t x);
float tb_expf(float x); /* x <= 0 */
float tb_logf(float x); /* x >= 1 */

/* Forward. `mask` may be NULL. Scratch: engine/operators/scratch.py. The rows given may be a part of an image, with a `conv` of
 * their own: in_height and out_height count the rows given, and what lies above the first of them is padding only if
 * pad_top is not 0. Depthwise: y may be x, whatever the stride. */
typedef void tb_convolution_t(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias,
                              int8_t *y, uint8_t *mask, void *scratch);
tb_convolution_t tb_conv2d_pointwise_i8;       /* weights in one place, input channels a multiple of 4 */
tb_convolution_t tb_conv2d_pointwise_8_i8, tb_conv2d_pointwise_16_i8, tb_conv2d_pointwise_24_i8; /* so many of them */
tb_convolution_t tb_conv2d_pointwise_odd_i8;   /* any number of them */
tb_convolution_t tb_conv2d_pointwise_split_i8; /* weights in two places */
tb_convolution_t tb_conv2d_stem_i8;            /* 3 x 3 of 3 channels */
tb_convolution_t tb_conv2d_stem_s2_i8;         /* the same at stride 2 */
tb_convolution_t tb_conv2d_general_i8;
/* Square kernels padded by half, by stride; `windowN`: a window of N rows, padding included, holds all rows given at once;
 * `rows`: one of as many rows as the kernel has. */
tb_convolution_t tb_depthwise_3x3_s1_window4_i8, tb_depthwise_3x3_s1_window6_i8, tb_depthwise_3x3_s1_window10_i8;
tb_convolution_t tb_depthwise_3x3_s1_window18_i8, tb_depthwise_3x3_s2_window5_i8, tb_depthwise_3x3_s2_window9_i8;
tb_convolution_t tb_depthwise_3x3_s2_window18_i8, tb_depthwise_3x3_s1_rows_i8, tb_depthwise_3x3_s2_rows_i8;
tb_convolution_t tb_depthwise_5x5_s1_rows_i8, tb_depthwise_5x5_s1_window20_i8, tb_depthwise_5x5_s2_rows_i8;
tb_convolution_t tb_depthwise_5x5_s2_window20_i8, tb_depthwise_7x7_s1_rows_i8, tb_depthwise_7x7_s1_window14_i8;
tb_convolution_t tb_depthwise_7x7_s2_rows_i8, tb_depthwise_7x7_s2_window14_i8;
tb_convolution_t tb_depthwise_general_i8;
typedef void tb_addition_t(const tb_add_t *add, const int8_t *a, const int8_t *b, int8_t *y, uint8_t *mask, uint32_t count);
tb_addition_t tb_add_s22_i8, tb_add_s21_i8, tb_add_s20_i8, tb_add_s19_i8; /* by `shift` */
tb_addition_t tb_add_general_i8;
void tb_global_average_pool_i8(const int8_t *x, int8_t *y, uint32_t pixels, uint32_t channels, int32_t in_zero,
                               int32_t out_zero, int32_t multiplier, uint8_t shift);
void tb_dequantize_i8_f32(const int8_t *x, float *y, uint32_t count, int32_t zero, float scale);
void tb_fully_connected_f32(const float *x, const float *weight, const float *bias, float *y, uint32_t classes,
                            uint32_t features);
void tb_select_channels_i8(const int8_t *x, const uint16_t *channels, int8_t *y, uint32_t pixels, uint32_t in_channels,
                           uint32_t count); /* y[p][i] = x[p][channels[i]] */
float tb_softmax_cross_entropy_f32(const float *logits, uint32_t label, float *gradient, uint32_t classes);

/* Backward, float32 gradients. In-place operators take one buffer. */
typedef void tb_masked_scale_f32_t(float *gradient, const uint8_t *mask, const float *scale, uint32_t pixels,
                                   uint32_t channels);
tb_masked_scale_f32_t tb_masked_scale_bytes_f32; /* channels are a multiple of 8 */
tb_masked_scale_f32_t tb_masked_scale_general_f32;
typedef void tb_grad_input_f32_t(const tb_conv_t *conv, const float *gradient, const tb_weights_t *weights, float *dx);
tb_grad_input_f32_t tb_conv2d_grad_input_pointwise_f32, tb_conv2d_grad_input_general_f32;
tb_grad_input_f32_t tb_depthwise_grad_copied_f32; /* no more than 49 taps */
tb_grad_input_f32_t tb_depthwise_grad_general_f32;
void tb_global_average_pool_grad_f32(const float *df, float *dx, uint32_t pixels, uint32_t channels, float factor);
void tb_dequantize_grad_f32(const float *df, float *dx, uint32_t count, float scale);
void tb_add_grad_f32(const float *gradient, const uint8_t *mask, float factor_a, float factor_b, float *ga, float *gb,
                     uint32_t count); /* ga or gb may be `gradient`; either may be NULL: not needed */
void tb_accumulate_f32(const float *a, const float *b, float *y, uint32_t count); /* y may be a or b */
void tb_fully_connected_grad_input_f32(const float *dz, const float *weight, float *df, uint32_t classes,
                                       uint32_t features);

/* Backward, int16 gradients: value * 2^exponent (docs/numerics.md). Those that return an exponent choose it so that the
 * largest value fills an int16; the others leave it to a constant known at compile time. In-place operators take one buffer. */
int32_t tb_global_average_pool_grad_i16(const float *df, int16_t *dx, uint32_t pixels, uint32_t channels, float factor);
typedef void tb_masked_scale_i16_t(int16_t *gradient, const uint8_t *mask, const int32_t *multiplier, uint32_t pixels,
                                   uint32_t channels);
tb_masked_scale_i16_t tb_masked_scale_bytes_i16; /* channels are a multiple of 8 */
tb_masked_scale_i16_t tb_masked_scale_general_i16;
void tb_add_grad_i16(const int16_t *gradient, const uint8_t *mask, int32_t multiplier, int16_t *dx,
                     uint32_t count); /* dx may be gradient */
int32_t tb_accumulate_i16(const int16_t *a, int32_t exponent_a, const int16_t *b, int32_t exponent_b, int16_t *y,
                          uint32_t count); /* y may be a or b */
typedef int32_t tb_grad_input_i16_t(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent,
                                    const tb_weights_t *weights, int16_t *dx, void *scratch);
tb_grad_input_i16_t tb_conv2d_grad_input_pointwise_i16, tb_conv2d_grad_input_general_i16;
/* The gradient of a depthwise convolution's input where values of these magnitudes (tb_shared_exponent.h) share the exponent: the
 * shift is that of all. Returns all magnitudes. A pixel of the gradient has conv->out_channels values, of which the first
 * conv->in_channels count. dx may be gradient where engine/operators/scratch.py says that the kernel reads ahead. */
typedef uint32_t tb_depthwise_grad_t(const tb_conv_t *conv, const int16_t *gradient, uint32_t magnitudes,
                                     const tb_weights_t *weights, int16_t *dx, void *scratch);
/* Square kernels padded by half, by stride. */
tb_depthwise_grad_t tb_depthwise_grad_3x3_s1_i16, tb_depthwise_grad_3x3_s2_i16, tb_depthwise_grad_5x5_s1_i16;
tb_depthwise_grad_t tb_depthwise_grad_5x5_s2_i16, tb_depthwise_grad_7x7_s1_i16, tb_depthwise_grad_7x7_s2_i16;
tb_depthwise_grad_t tb_depthwise_grad_general_i16;
int32_t tb_depthwise_conv2d_grad_input_i16(tb_depthwise_grad_t *kernel, const tb_conv_t *conv, const int16_t *gradient,
                                           int32_t exponent, const tb_weights_t *weights, int16_t *dx, void *scratch);
typedef void tb_update_i16_t(const tb_conv_t *conv, const int16_t *gradient, int32_t exponent, const int8_t *x,
                             const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step, void *scratch);
tb_update_i16_t tb_conv2d_update_pointwise_i16, tb_conv2d_update_general_i16;
tb_update_i16_t tb_conv2d_update_pointwise_long_i16, tb_conv2d_update_general_long_i16; /* sums over more than 256 pixels */
tb_update_i16_t tb_depthwise_update_short_i16; /* sums over no more than 256 pixels */
tb_update_i16_t tb_depthwise_update_short_3x3_i16; /* the same, 3 x 3, stride 1, padded by 1 */
tb_update_i16_t tb_depthwise_update_general_i16;
/* gradient: scaled, so within [-2^14, 2^14). */
void tb_bias_update_i16(const int16_t *gradient, int32_t exponent, int32_t *bias, const tb_update_t *update,
                        const tb_step_t *step, uint32_t pixels, uint32_t channels, int32_t limit, void *scratch);

/* Updates. scratch of tb_bias_update_f32: 4 * channels bytes. */
void tb_conv2d_update_f32(const tb_conv_t *conv, const float *gradient, const int8_t *x, const tb_weights_t *weights,
                          const tb_update_t *update, const tb_step_t *step);
void tb_depthwise_conv2d_update_f32(const tb_conv_t *conv, const float *gradient, const int8_t *x,
                                    const tb_weights_t *weights, const tb_update_t *update, const tb_step_t *step);
void tb_bias_update_f32(const float *gradient, int32_t *bias, const tb_update_t *update, const tb_step_t *step,
                        uint32_t pixels, uint32_t channels, int32_t limit, void *scratch);
void tb_fully_connected_update_f32(const float *dz, const float *features, float *weight, float *bias,
                                   float *weight_accumulator, float *bias_accumulator, const tb_step_t *step,
                                   uint32_t classes, uint32_t feature_count);

/* Rules other than sgd. */
void tb_move_biases_by_rule(const tb_stream_t *stream, int32_t *biases, float *gradients, uint32_t count, int32_t limit);
void tb_momentum_descend(const tb_rule_t *rule, const tb_step_t *step, uint32_t index, uint32_t stride, float *values,
                         uint32_t count);
/* Under lars the kernels of updates only accumulate, and then each tensor is updated as a whole. Rows of weights [rows][columns]
 * have a scale each, that of channel row, or channels[row]. */
void tb_lars_i8(int8_t *weights, const tb_update_t *update, const tb_step_t *step, const uint16_t *channels, uint32_t rows,
                uint32_t columns);
void tb_lars_i32(int32_t *biases, const tb_update_t *update, const tb_step_t *step, uint32_t count, int32_t limit);
void tb_lars_f32(float *values, const tb_update_t *update, const tb_step_t *step, uint32_t rows, uint32_t columns);
void tb_adam_descend(const tb_rule_t *rule, const tb_step_t *step, uint32_t index, uint32_t stride, float *values,
                     uint32_t count);
void tb_adam_begin(tb_step_t *step, float powers[2]); /* powers of 0.9 and 0.999 so far: 1 at first */
void tb_fully_connected_update_by_rule_f32(const float *dz, const float *features, float *weight, float *bias,
                                           const tb_update_t *weight_update, const tb_update_t *bias_update,
                                           const tb_step_t *step, uint32_t classes, uint32_t feature_count);

#endif
