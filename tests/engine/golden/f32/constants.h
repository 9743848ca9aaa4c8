/* Weights, biases, multipliers and scales of the network: flash. Generated. */
#ifndef CONSTANTS_H
#define CONSTANTS_H

#include <stdint.h>

extern const int8_t stem_weight[108]; /* stem.weight i8[4, 3, 3, 3] */
extern const int32_t stem_bias[4]; /* stem.bias i32[4] */
extern const int32_t stem_multiplier[4]; /* stem.multiplier i32[4] */
extern const int8_t block00_depthwise_weight_frozen[18]; /* block00.depthwise.weight_frozen i8[2, 3, 3] */
extern const int8_t initial_block00_depthwise_weight[18]; /* block00.depthwise.weight i8[2, 3, 3] */
extern const uint16_t block00_depthwise_channels[4]; /* block00.depthwise.channels u16[4] */
extern const int32_t initial_block00_depthwise_bias[4]; /* block00.depthwise.bias i32[4] */
extern const int32_t block00_depthwise_multiplier[4]; /* block00.depthwise.multiplier i32[4] */
extern const float block00_depthwise_gradient_scale[4]; /* block00.depthwise.gradient_scale f32[4] */
extern const float block00_depthwise_weight_update_scale[4]; /* block00.depthwise.weight_update_scale f32[4] */
extern const float block00_depthwise_bias_update_scale[4]; /* block00.depthwise.bias_update_scale f32[4] */
extern const int8_t block00_pointwise2_weight_frozen[8]; /* block00.pointwise2.weight_frozen i8[4, 1, 1, 2] */
extern const int8_t initial_block00_pointwise2_weight[8]; /* block00.pointwise2.weight i8[4, 1, 1, 2] */
extern const uint16_t block00_pointwise2_channels[4]; /* block00.pointwise2.channels u16[4] */
extern const int32_t initial_block00_pointwise2_bias[4]; /* block00.pointwise2.bias i32[4] */
extern const int32_t block00_pointwise2_multiplier[4]; /* block00.pointwise2.multiplier i32[4] */
extern const float block00_pointwise2_gradient_scale[4]; /* block00.pointwise2.gradient_scale f32[4] */
extern const float block00_pointwise2_weight_update_scale[4]; /* block00.pointwise2.weight_update_scale f32[4] */
extern const float block00_pointwise2_bias_update_scale[4]; /* block00.pointwise2.bias_update_scale f32[4] */

#endif
