/* tb_fits.h: which shapes a kernel takes, as engine/operators/kernel_choice.py has it: what TB_EXPECT holds the kernels to, and
 * what tests choose by. No kernel chooses. */
#ifndef TB_FITS_H
#define TB_FITS_H

#include "tb_internal.h"

/* A condition that the compiler of trainers keeps; looked at only where tests ask for it. */
#if defined(TB_CHECKS)
#define TB_EXPECT(condition) ((condition) ? (void)0 : __builtin_trap())
#else
#define TB_EXPECT(condition) ((void)0)
#endif

static inline int tb_fits_channels(const tb_conv_t *conv, const tb_weights_t *weights, uint32_t in_channels) {
  return tb_is_pointwise(conv) && conv->in_channels == in_channels && weights->channels == 0;
}

static inline int tb_fits_stem(const tb_conv_t *conv, const tb_weights_t *weights) {
  return conv->kernel_height == 3 && conv->kernel_width == 3 && conv->in_channels == 3 && weights->channels == 0;
}

/* The gradient of a square depthwise kernel, and its forward kernel, which is particular about more. */
static inline int tb_fits_square(const tb_conv_t *conv, uint32_t kernel, uint32_t stride) {
  return conv->kernel_height == kernel && conv->kernel_width == kernel && conv->stride == stride &&
         conv->padding == kernel / 2;
}

/* Whether a window of so many slots holds the rows given. */
static inline int tb_fits_window(const tb_conv_t *conv, uint32_t slots) {
  const uint32_t kernel = conv->kernel_height, stride = conv->stride, tiles = (conv->out_width + 3u) / 4u;
  const uint32_t words = stride == 1 ? (kernel + 4) / 2 : (kernel + 7) / 2;
  const uint32_t quads = (tiles - 1) * stride + (words + 1) / 2;
  return (conv->out_height - 1u) * stride + kernel <= slots && 32 * quads * slots <= 5632;
}

/* slots: of the window, 0 for a ring of rows. */
static inline int tb_fits_depthwise(const tb_conv_t *conv, uint32_t kernel, uint32_t stride, uint32_t slots) {
  return tb_fits_square(conv, kernel, stride) && conv->shift <= 8 && (slots == 0 || tb_fits_window(conv, slots));
}

static inline int tb_fits_short_sum(const tb_conv_t *conv) { return (uint32_t)conv->out_height * conv->out_width <= 256; }

static inline int tb_fits_add(const tb_add_t *add, uint32_t shift) {
  return add->shift == shift && add->multiplier_a < 1 << 23 && add->multiplier_b < 1 << 23;
}

/* The entry points of a static conv2d that is told whether it is pointwise, of plain C and of vectors. */
#define TB_CONV2D_ENTRY(name, pointwise, condition) \
  void name(const tb_conv_t *conv, const int8_t *x, const tb_weights_t *weights, const int32_t *bias, int8_t *y, \
            uint8_t *mask, void *scratch) { \
    TB_EXPECT(condition); \
    conv2d(conv, x, weights, bias, y, mask, scratch, pointwise); \
  }
#define TB_CONV2D_ENTRIES \
  TB_CONV2D_ENTRY(tb_conv2d_pointwise_i8, 1, tb_is_pointwise(conv) && conv->in_channels % 4 == 0 && weights->channels == NULL) \
  TB_CONV2D_ENTRY(tb_conv2d_pointwise_8_i8, 1, tb_fits_channels(conv, weights, 8)) \
  TB_CONV2D_ENTRY(tb_conv2d_pointwise_16_i8, 1, tb_fits_channels(conv, weights, 16)) \
  TB_CONV2D_ENTRY(tb_conv2d_pointwise_24_i8, 1, tb_fits_channels(conv, weights, 24)) \
  TB_CONV2D_ENTRY(tb_conv2d_pointwise_odd_i8, 1, tb_is_pointwise(conv) && weights->channels == NULL) \
  TB_CONV2D_ENTRY(tb_conv2d_pointwise_split_i8, 1, tb_is_pointwise(conv) && weights->channels != NULL) \
  TB_CONV2D_ENTRY(tb_conv2d_stem_i8, 0, tb_fits_stem(conv, weights)) \
  TB_CONV2D_ENTRY(tb_conv2d_stem_s2_i8, 0, tb_fits_stem(conv, weights) && conv->stride == 2) \
  TB_CONV2D_ENTRY(tb_conv2d_general_i8, 0, 1)

#endif
