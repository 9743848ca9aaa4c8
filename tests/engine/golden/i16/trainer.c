/* Trainer for tiny, scheme sparse. Generated.
 * half of the weights of two layers
 *
 * Multiply-accumulates per training step: forward 1452, backward 156, weight updates 246.
 * Updates: sgd, with quantization-aware scaling; stochastic rounding.
 *
 * Memory plan of the arena (bytes; a buffer lives in operators [first, last)):
 *   offset   end  size  first  last  buffer
 *        0   920   920      0     1  stem.scratch
 *        0   396   396      1     2  block00.depthwise.scratch
 *        0   248   248      3     4  block00.pointwise2.scratch
 *        0    16    16      6    11  features
 *        0    16    16     15    16  block00.pointwise2.bias_update.scratch
 *        0   112   112     16    17  block00.pointwise2.grad_input.scratch
 *        0   152   152     17    18  block00.pointwise2.weight_update.scratch
 *        0    16    16     19    20  block00.depthwise.bias_update.scratch
 *        0   384   384     20    21  block00.depthwise.weight_update.scratch
 *       16    20     4      5     7  pool.output
 *       16    32    16      9    13  features.gradient_from_classifier
 *       32    44    12      8    11  logits.gradient
 *       44    49     5      4    14  block00.sum.mask
 *      152   224    72     12    18  block00.sum.gradient_from_pool
 *      248   284    36      3     6  block00.pointwise2.output
 *      284   302    18      2    18  block00.pointwise2.trained_input
 *      304   309     5      3    15  block00.pointwise2.output.mask
 *      384   456    72     16    21  block00.depthwise.output.gradient_from_block00.pointwise2
 *      396   432    36      1     4  block00.depthwise.output
 *      456   468    12      7    21  logits
 *      468   473     5      1    19  block00.depthwise.output.mask
 *      920   995    75      0     1  image
 *      996  1032    36      0    21  stem.output
 *
 *   order: size; alignment 4 bytes
 *   peak 1032 bytes, lower bound 1032 bytes, gap 0 bytes; optimal: equals the lower bound
 */
#include "trainer.h"

#include <string.h>

#include "constants.h"
#include "tb_channel_groups.h"
#include "tb_kernels.h"
#include "tb_stream.h"

#ifdef TRAINER_PROFILE
/* Whoever links these reads a clock there: at the start of a step; where an operator begins to run (each
 * time if it runs by strips of rows or groups of channels); and, with the number of operators, at the end. */
void trainer_profile_start(void);
void trainer_profile_mark(uint32_t operator_index);
#define TRAINER_START() trainer_profile_start()
#define TRAINER_MARK(index) trainer_profile_mark(index)
#else
#define TRAINER_START() ((void)0)
#define TRAINER_MARK(index) ((void)0)
#endif

#define ARENA_BYTES 1032u

extern uint8_t trainer_arena[ARENA_BYTES];
uint8_t trainer_arena[ARENA_BYTES] __attribute__((section(".arena"), aligned(16)));

static struct {
  int32_t block00_depthwise_bias[4]; /* [4] */
  int32_t block00_pointwise2_bias[4]; /* [4] */
  float classifier_weight[12]; /* [3, 4] */
  float classifier_bias[3]; /* [3] */
  int8_t block00_depthwise_weight[18]; /* [2, 3, 3] */
  int8_t block00_pointwise2_weight[8]; /* [4, 1, 1, 2] */
} state __attribute__((section(".state"), aligned(16)));

static float learning_rate;
static uint32_t seed;
static uint32_t steps;

static const tb_conv_t stem_geometry = {
    .in_height = 5, .in_width = 5, .in_channels = 3,
    .out_height = 3, .out_width = 3, .out_channels = 4,
    .kernel_height = 3, .kernel_width = 3, .stride = 2, .padding = 1, .pad_top = 1,
    .in_zero = 0, .out_zero = -4, .shift = 0,
    .multiplier = stem_multiplier};
static const tb_weights_t stem_weights = {
    .frozen = stem_weight, .trainable = 0,
    .channels = 0, .trainable_count = 0};
static const tb_conv_t block00_depthwise_geometry = {
    .in_height = 3, .in_width = 3, .in_channels = 4,
    .out_height = 3, .out_width = 3, .out_channels = 4,
    .kernel_height = 3, .kernel_width = 3, .stride = 1, .padding = 1, .pad_top = 1,
    .in_zero = -4, .out_zero = -4, .shift = 0,
    .multiplier = block00_depthwise_multiplier};
static const tb_weights_t block00_depthwise_weights = {
    .frozen = block00_depthwise_weight_frozen, .trainable = state.block00_depthwise_weight,
    .channels = block00_depthwise_channels, .trainable_count = 2};
static const tb_conv_t block00_pointwise2_geometry = {
    .in_height = 3, .in_width = 3, .in_channels = 4,
    .out_height = 3, .out_width = 3, .out_channels = 4,
    .kernel_height = 1, .kernel_width = 1, .stride = 1, .padding = 0, .pad_top = 0,
    .in_zero = -4, .out_zero = -4, .shift = 0,
    .multiplier = block00_pointwise2_multiplier};
static const tb_weights_t block00_pointwise2_weights = {
    .frozen = block00_pointwise2_weight_frozen, .trainable = state.block00_pointwise2_weight,
    .channels = block00_pointwise2_channels, .trainable_count = 2};
static const tb_add_t block00_residual_parameters = {
    .multiplier_a = 3495253, .multiplier_b = 3495253, .offset = 34253483, .shift = 22};
static const tb_update_t block00_pointwise2_bias_update = {
    .scale = block00_pointwise2_bias_update_scale, .stream = 3u, .rounding = TB_STOCHASTIC,
    .low = 0, .accumulator = 0};
static const tb_conv_t block00_pointwise2_trained_geometry = {
    .in_height = 3, .in_width = 3, .in_channels = 2,
    .out_height = 3, .out_width = 3, .out_channels = 4,
    .kernel_height = 1, .kernel_width = 1, .stride = 1, .padding = 0, .pad_top = 0,
    .in_zero = -4, .out_zero = 0, .shift = 0,
    .multiplier = 0};
static const tb_weights_t block00_pointwise2_trained_weights = {
    .frozen = 0, .trainable = state.block00_pointwise2_weight,
    .channels = 0, .trainable_count = 2};
static const tb_update_t block00_pointwise2_weight_update = {
    .scale = block00_pointwise2_weight_update_scale, .stream = 2u, .rounding = TB_STOCHASTIC,
    .low = 0, .accumulator = 0};
static const tb_update_t block00_depthwise_bias_update = {
    .scale = block00_depthwise_bias_update_scale, .stream = 1u, .rounding = TB_STOCHASTIC,
    .low = 0, .accumulator = 0};
static const tb_conv_t block00_depthwise_trained_geometry = {
    .in_height = 3, .in_width = 3, .in_channels = 4,
    .out_height = 3, .out_width = 3, .out_channels = 4,
    .kernel_height = 3, .kernel_width = 3, .stride = 1, .padding = 1, .pad_top = 1,
    .in_zero = -4, .out_zero = 0, .shift = 0,
    .multiplier = 0};
static const tb_weights_t block00_depthwise_trained_weights = {
    .frozen = 0, .trainable = state.block00_depthwise_weight,
    .channels = block00_depthwise_channels, .trainable_count = 2};
static const tb_update_t block00_depthwise_weight_update = {
    .scale = block00_depthwise_weight_update_scale, .stream = 0u, .rounding = TB_STOCHASTIC,
    .low = 0, .accumulator = 0};

/* Clamp masks are written only where a backward pass follows. */
static void forward(int training) {
  /* 0 stem: conv2d i8 5x5x3 (scale 0.00784314, zero 0) -> i8 3x3x4 (scale 0.05, zero -4), 3x3 stride 2, 972 MACs; path stem_s2 */
  TRAINER_MARK(0u);
  tb_conv2d_stem_s2_i8(&stem_geometry, (int8_t *)(trainer_arena + 920), &stem_weights, stem_bias, (int8_t *)(trainer_arena + 996), 0, trainer_arena + 0);
  /* 1 block00.depthwise: depthwise_conv2d i8 3x3x4 (scale 0.05, zero -4) -> i8 3x3x4 (scale 0.05, zero -4), 3x3 stride 1, 324 MACs; path 3x3_s1_window6 */
  TRAINER_MARK(1u);
  tb_depthwise_3x3_s1_window6_i8(&block00_depthwise_geometry, (int8_t *)(trainer_arena + 996), &block00_depthwise_weights, state.block00_depthwise_bias, (int8_t *)(trainer_arena + 396), training ? (uint8_t *)(trainer_arena + 468) : 0, trainer_arena + 0);
  /* 2 block00.pointwise2.select: select_channels i8 3x3x4 (scale 0.05, zero -4) -> i8 3x3x2 (scale 0.05, zero -4) */
  TRAINER_MARK(2u);
  if (training) tb_select_channels_i8((int8_t *)(trainer_arena + 396), block00_pointwise2_channels, (int8_t *)(trainer_arena + 284), 9u, 4u, 2u);
  /* 3 block00.pointwise2: conv2d i8 3x3x4 (scale 0.05, zero -4) -> i8 3x3x4 (scale 0.05, zero -4), 1x1 stride 1, 144 MACs; path pointwise_split */
  TRAINER_MARK(3u);
  tb_conv2d_pointwise_split_i8(&block00_pointwise2_geometry, (int8_t *)(trainer_arena + 396), &block00_pointwise2_weights, state.block00_pointwise2_bias, (int8_t *)(trainer_arena + 248), training ? (uint8_t *)(trainer_arena + 304) : 0, trainer_arena + 0);
  /* 4 block00.residual: add i8 3x3x4 (scale 0.05, zero -4), i8 3x3x4 (scale 0.05, zero -4) -> i8 3x3x4 (scale 0.06, zero 1); path s22 */
  TRAINER_MARK(4u);
  tb_add_s22_i8(&block00_residual_parameters, (int8_t *)(trainer_arena + 996), (int8_t *)(trainer_arena + 248), (int8_t *)(trainer_arena + 248), training ? (uint8_t *)(trainer_arena + 44) : 0, 36u);
  /* 5 pool: global_average_pool i8 3x3x4 (scale 0.06, zero 1) -> i8 4 (scale 0.06, zero 1) */
  TRAINER_MARK(5u);
  tb_global_average_pool_i8((int8_t *)(trainer_arena + 248), (int8_t *)(trainer_arena + 16), 9u, 4u, 1, 1, 477218588, 0);
  /* 6 features: dequantize i8 4 (scale 0.06, zero 1) -> f32 4 */
  TRAINER_MARK(6u);
  tb_dequantize_i8_f32((int8_t *)(trainer_arena + 16), (float *)(trainer_arena + 0), 4u, 1, 0.0599999987f);
  /* 7 classifier: fully_connected f32 4 -> f32 3, 12 MACs */
  TRAINER_MARK(7u);
  tb_fully_connected_f32((float *)(trainer_arena + 0), state.classifier_weight, state.classifier_bias, (float *)(trainer_arena + 456), 3u, 4u);
  (void)training;
}

const trainer_info_t *trainer_info(void) {
  static const trainer_info_t info = {
      .abi_version = TRAINER_ABI_VERSION,
      .network = "tiny",
      .scheme = "sparse",
      .plan_digest = "16a5703d25ccab510c091f96779c0b98a66ccf14fd8391dc4318c83759b51ac7",
      .input_height = 5u,
      .input_width = 5u,
      .input_channels = 3u,
      .input_bytes = 75u,
      .classes = 3u,
      .arena_bytes = ARENA_BYTES,
      .state_bytes = 120u,
  };
  return &info;
}

void trainer_reset(uint32_t new_seed) {
  memcpy(state.block00_depthwise_weight, initial_block00_depthwise_weight, sizeof state.block00_depthwise_weight);
  memcpy(state.block00_depthwise_bias, initial_block00_depthwise_bias, sizeof state.block00_depthwise_bias);
  memcpy(state.block00_pointwise2_weight, initial_block00_pointwise2_weight, sizeof state.block00_pointwise2_weight);
  memcpy(state.block00_pointwise2_bias, initial_block00_pointwise2_bias, sizeof state.block00_pointwise2_bias);
  memset(state.classifier_weight, 0, sizeof state.classifier_weight);
  memset(state.classifier_bias, 0, sizeof state.classifier_bias);
  learning_rate = 0.0f;
  seed = new_seed;
  steps = 0u;
}

void trainer_set_learning_rate(float new_learning_rate) { learning_rate = new_learning_rate; }

int8_t *trainer_input(void) { return (int8_t *)(trainer_arena + 920); }

const float *trainer_logits(void) { return (float *)(trainer_arena + 456); }

const float *trainer_predict(void) {
  forward(0);
  return trainer_logits();
}

float trainer_train_step(uint32_t label) {
  float loss;
  const tb_step_t step = {
      .learning_rate = learning_rate,
      .step_key = tb_mix(seed + 0x9e3779b9u * steps),
      .apply = 1u,
      .accumulate = 0u,
      .mean = 1.0f / 1.0f,
  };
  TRAINER_START();
  forward(1);
  /* 8 loss: softmax_cross_entropy f32 3 -> f32 scalar, f32 3 */
  TRAINER_MARK(8u);
  loss = tb_softmax_cross_entropy_f32((float *)(trainer_arena + 456), label, (float *)(trainer_arena + 32), 3u);
  /* 9 classifier.grad_input: fully_connected_grad_input f32 3 -> f32 4, 12 MACs */
  TRAINER_MARK(9u);
  tb_fully_connected_grad_input_f32((float *)(trainer_arena + 32), state.classifier_weight, (float *)(trainer_arena + 16), 3u, 4u);
  /* 10 classifier.update: fully_connected_update f32 3, f32 4 -> f32 3x4, f32 3, 12 MACs */
  TRAINER_MARK(10u);
  tb_fully_connected_update_f32((float *)(trainer_arena + 32), (float *)(trainer_arena + 0), state.classifier_weight, state.classifier_bias, 0, 0, &step, 3u, 4u);
  /* 11 features.grad: dequantize_grad f32 4 -> f32 4 */
  TRAINER_MARK(11u);
  tb_dequantize_grad_f32((float *)(trainer_arena + 16), (float *)(trainer_arena + 16), 4u, 0.0599999987f);
  /* 12 pool.grad: global_average_pool_grad_i16 f32 4 -> i16 3x3x4 */
  TRAINER_MARK(12u);
  const int32_t block00_sum_gradient_from_pool_exponent = tb_global_average_pool_grad_i16((float *)(trainer_arena + 16), (int16_t *)(trainer_arena + 152), 9u, 4u, 0.111111112f);
  /* 13 block00.residual.grad_b: add_grad_i16 i16 3x3x4, bit 3x3x4 -> i16 3x3x4 */
  TRAINER_MARK(13u);
  tb_add_grad_i16((int16_t *)(trainer_arena + 152), (uint8_t *)(trainer_arena + 44), 1789569664, (int16_t *)(trainer_arena + 152), 36u);
  const int32_t block00_pointwise2_output_gradient_from_block00_residual_exponent = block00_sum_gradient_from_pool_exponent + 1;
  /* 14 block00.pointwise2.masked_scale: masked_scale_i16 i16 3x3x4, bit 3x3x4 -> i16 3x3x4; path general: 4 channels */
  TRAINER_MARK(14u);
  tb_masked_scale_general_i16((int16_t *)(trainer_arena + 152), (uint8_t *)(trainer_arena + 304), block00_pointwise2_gradient_multiplier, 9u, 4u);
  const int32_t block00_pointwise2_output_accumulator_gradient_exponent = block00_pointwise2_output_gradient_from_block00_residual_exponent - 4;
  /* 15 block00.pointwise2.bias_update: bias_update_i16 i16 3x3x4 -> i32 4 */
  TRAINER_MARK(15u);
  tb_bias_update_i16((int16_t *)(trainer_arena + 152), block00_pointwise2_output_accumulator_gradient_exponent, state.block00_pointwise2_bias, &block00_pointwise2_bias_update, &step, 9u, 4u, 1073741824, trainer_arena + 0);
  /* 16 block00.pointwise2.grad_input: conv2d_grad_input_i16 i16 3x3x4 -> i16 3x3x4, 1x1 stride 1, 144 MACs; path pointwise */
  TRAINER_MARK(16u);
  const int32_t block00_depthwise_output_gradient_from_block00_pointwise2_exponent = tb_conv2d_grad_input_pointwise_i16(&block00_pointwise2_geometry, (int16_t *)(trainer_arena + 152), block00_pointwise2_output_accumulator_gradient_exponent, &block00_pointwise2_weights, (int16_t *)(trainer_arena + 384), trainer_arena + 0);
  /* 17 block00.pointwise2.weight_update: conv2d_update_i16 i16 3x3x4, i8 3x3x2 (scale 0.05, zero -4) -> i8 4x1x1x2, 1x1 stride 1, 72 MACs; path pointwise */
  TRAINER_MARK(17u);
  tb_conv2d_update_pointwise_i16(&block00_pointwise2_trained_geometry, (int16_t *)(trainer_arena + 152), block00_pointwise2_output_accumulator_gradient_exponent, (int8_t *)(trainer_arena + 284), &block00_pointwise2_trained_weights, &block00_pointwise2_weight_update, &step, trainer_arena + 0);
  /* 18 block00.depthwise.masked_scale: masked_scale_i16 i16 3x3x4, bit 3x3x4 -> i16 3x3x4; path general: 4 channels */
  TRAINER_MARK(18u);
  tb_masked_scale_general_i16((int16_t *)(trainer_arena + 384), (uint8_t *)(trainer_arena + 468), block00_depthwise_gradient_multiplier, 9u, 4u);
  const int32_t block00_depthwise_output_accumulator_gradient_exponent = block00_depthwise_output_gradient_from_block00_pointwise2_exponent - 4;
  /* 19 block00.depthwise.bias_update: bias_update_i16 i16 3x3x4 -> i32 4 */
  TRAINER_MARK(19u);
  tb_bias_update_i16((int16_t *)(trainer_arena + 384), block00_depthwise_output_accumulator_gradient_exponent, state.block00_depthwise_bias, &block00_depthwise_bias_update, &step, 9u, 4u, 1073741824, trainer_arena + 0);
  /* 20 block00.depthwise.weight_update: depthwise_conv2d_update_i16 i16 3x3x4, i8 3x3x4 (scale 0.05, zero -4) -> i8 2x3x3, 3x3 stride 1, 162 MACs; path short_3x3 */
  TRAINER_MARK(20u);
  tb_depthwise_update_short_3x3_i16(&block00_depthwise_trained_geometry, (int16_t *)(trainer_arena + 384), block00_depthwise_output_accumulator_gradient_exponent, (int8_t *)(trainer_arena + 996), &block00_depthwise_trained_weights, &block00_depthwise_weight_update, &step, trainer_arena + 0);
  TRAINER_MARK(21u);
  steps += 1u;
  return loss;
}

static const trainer_span_t spans[] = {
    {"block00.depthwise.weight", state.block00_depthwise_weight, 18u},
    {"block00.depthwise.bias", state.block00_depthwise_bias, 16u},
    {"block00.pointwise2.weight", state.block00_pointwise2_weight, 8u},
    {"block00.pointwise2.bias", state.block00_pointwise2_bias, 16u},
    {"classifier.weight", state.classifier_weight, 48u},
    {"classifier.bias", state.classifier_bias, 12u},
};

uint32_t trainer_state_count(void) { return sizeof spans / sizeof spans[0]; }

trainer_span_t trainer_state_span(uint32_t index) { return spans[index]; }

trainer_span_t trainer_arena_span(void) {
  const trainer_span_t span = {"arena", trainer_arena, ARENA_BYTES};
  return span;
}
