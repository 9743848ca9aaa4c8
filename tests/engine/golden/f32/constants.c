/* Generated; see trainer.c for what uses them. */
#include "constants.h"

const int8_t stem_weight[108] = {
    -50, -20, 10, -13, 17, 47, 24, -47, -17, -40, -10, 20, -3, 27, -44, 34, -37, -7, -30, 0, 30, 7, 37, -34, 44, -27, 3, 40, -31, -1, -24, 6,
    36, 13, 43, -28, 50, -21, 9, -14, 16, 46, 23, -48, -18, -41, -11, 19, -4, 26, -45, 33, -38, -8, 29, -42, -12, -35, -5, 25, 2, 32, -39, 39,
    -32, -2, -25, 5, 35, 12, 42, -29, 49, -22, 8, -15, 15, 45, 22, -49, -19, 18, 48, -23, -46, -16, 14, -9, 21, -50, 28, -43, -13, -36, -6, 24,
    1, 31, -40, 38, -33, -3, -26, 4, 34, 11, 41, -30,
};

const int32_t stem_bias[4] = {
    -40, -10, 20, 50,
};

const int32_t stem_multiplier[4] = {
    6737203, 8084644, 9432085, 10779526,
};

const int8_t block00_depthwise_weight_frozen[18] = {
    -50, -13, 24, -40, -3, 34, -30, 7, 44, -20, 17, -47, -10, 27, -37, 0, 37, -27,
};

const int8_t initial_block00_depthwise_weight[18] = {
    10, 47, -17, 20, -44, -7, 30, -34, 3, 40, -24, 13, 50, -14, 23, -41, -4, 33,
};

const uint16_t block00_depthwise_channels[4] = {
    2, 3, 0, 1,
};

const int32_t initial_block00_depthwise_bias[4] = {
    -40, -10, 20, 50,
};

const int32_t block00_depthwise_multiplier[4] = {
    42949672, 51539608, 60129544, 68719480,
};

const float block00_depthwise_gradient_scale[4] = {
    0.00999999978f, 0.0120000001f, 0.0140000004f, 0.0160000008f,
};

const float block00_depthwise_weight_update_scale[4] = {
    10000.0f, 6944.44434f, 5102.04053f, 3906.24951f,
};

const float block00_depthwise_bias_update_scale[4] = {
    4000000.25f, 2777777.75f, 2040816.25f, 1562499.88f,
};

const int8_t block00_pointwise2_weight_frozen[8] = {
    -13, -40, 34, 7, -20, -47, 27, 0,
};

const int8_t initial_block00_pointwise2_weight[8] = {
    -50, 24, -3, -30, 44, 17, -10, -37,
};

const uint16_t block00_pointwise2_channels[4] = {
    0, 2, 1, 3,
};

const int32_t initial_block00_pointwise2_bias[4] = {
    -40, -10, 20, 50,
};

const int32_t block00_pointwise2_multiplier[4] = {
    42949672, 51539608, 60129544, 68719480,
};

const float block00_pointwise2_gradient_scale[4] = {
    0.00999999978f, 0.0120000001f, 0.0140000004f, 0.0160000008f,
};

const float block00_pointwise2_weight_update_scale[4] = {
    10000.0f, 6944.44434f, 5102.04053f, 3906.24951f,
};

const float block00_pointwise2_bias_update_scale[4] = {
    4000000.25f, 2777777.75f, 2040816.25f, 1562499.88f,
};
