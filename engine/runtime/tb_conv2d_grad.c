/* tb_conv2d_grad.c: gradient of the input of a convolution with int8 weights. */
#include "tb_conv2d_grad.h"

#include "tb_fits.h"

#define PIXELS 4 /* neighbouring pixels that share a load of the weights */

/* block[pixel][lane] += sum over oc of g * w: `pixels` neighbouring pixels, `lanes` of
 * the n stored channels of a row of weights. */
TB_INLINE void grad_block(const float *gradient, const int8_t *w, uint32_t out_channels, uint32_t n, float *block,
                              uint32_t pixels, uint32_t lanes) {
  float acc[PIXELS * TB_LANES];
  TB_UNROLL_BLOCK
  for (uint32_t i = 0; i < pixels * lanes; i++) acc[i] = block[i];
  for (uint32_t oc = 0; oc < out_channels; oc++, w += n) {
    float weight[TB_LANES];
    TB_UNROLL_BLOCK
    for (uint32_t l = 0; l < lanes; l++) weight[l] = (float)w[l];
    TB_UNROLL_BLOCK
    for (uint32_t p = 0; p < pixels; p++) {
      const float g = gradient[p * out_channels + oc];
      TB_UNROLL_BLOCK
      for (uint32_t l = 0; l < lanes; l++) acc[p * lanes + l] += g * weight[l];
    }
  }
  TB_UNROLL_BLOCK
  for (uint32_t i = 0; i < pixels * lanes; i++) block[i] = acc[i];
}

TB_NOINLINE void full_grad_block(const float *gradient, const int8_t *w, uint32_t out_channels, uint32_t n,
                                        float *block) {
  grad_block(gradient, w, out_channels, n, block, PIXELS, TB_LANES);
}

TB_NOINLINE void narrow_grad_block(const float *gradient, const int8_t *w, uint32_t out_channels, uint32_t n,
                                   float *block) {
  grad_block(gradient, w, out_channels, n, block, PIXELS, 1);
}

TB_NOINLINE void single_grad_block(const float *gradient, const int8_t *w, uint32_t out_channels, uint32_t n,
                                   float *block) {
  grad_block(gradient, w, out_channels, n, block, 1, 1);
}

/* Where `lanes` stored channels from j on lie within a pixel. */
TB_INLINE uint32_t place_of(const tb_part_t *part, uint32_t j, uint32_t lane, int neighbours) {
  return neighbours ? tb_channel(part, j) + lane : tb_channel(part, j + lane);
}

/* block[pixel][lane] = dx where the gradient adds to it, else 0. */
TB_INLINE void open_block(float *block, const float *dx, uint32_t step, const tb_part_t *part, uint32_t j,
                          uint32_t pixels, uint32_t lanes, int neighbours, int add) {
  for (uint32_t l = 0; l < lanes; l++) {
    const float *from = dx + place_of(part, j, l, neighbours);
    for (uint32_t p = 0; p < pixels; p++) block[p * lanes + l] = add ? from[p * step] : 0.0f;
  }
}

TB_INLINE void close_block(const float *block, float *dx, uint32_t step, const tb_part_t *part, uint32_t j,
                           uint32_t pixels, uint32_t lanes, int neighbours) {
  for (uint32_t l = 0; l < lanes; l++) {
    float *to = dx + place_of(part, j, l, neighbours);
    for (uint32_t p = 0; p < pixels; p++) to[p * step] = block[p * lanes + l];
  }
}

void tb_pointwise_grad_f32(const tb_conv_t *conv, const float *gradient, const tb_part_t *part, uint32_t row, float *dx,
                           int add) {
  const uint32_t pixel_count = (uint32_t)conv->out_height * conv->out_width;
  const uint32_t out_channels = conv->out_channels, in_channels = conv->in_channels;
  for (uint32_t first = 0, pixels; first < pixel_count; first += pixels) {
    pixels = pixel_count - first >= PIXELS ? PIXELS : 1;
    for (uint32_t j = 0, lanes; j < part->count; j += lanes) {
      const int8_t *w = part->data + j;
      float block[PIXELS * TB_LANES];
      lanes = pixels == PIXELS && part->count - j >= TB_LANES ? TB_LANES : 1;
      if (lanes > 1 && tb_are_neighbours(part, j, lanes)) {
        open_block(block, dx, in_channels, part, j, PIXELS, TB_LANES, 1, add);
        full_grad_block(gradient, w, out_channels, row, block);
        close_block(block, dx, in_channels, part, j, PIXELS, TB_LANES, 1);
        continue;
      }
      open_block(block, dx, in_channels, part, j, pixels, lanes, 0, add);
      if (lanes > 1) {
        full_grad_block(gradient, w, out_channels, row, block);
      } else if (pixels > 1) {
        narrow_grad_block(gradient, w, out_channels, row, block);
      } else {
        single_grad_block(gradient, w, out_channels, row, block);
      }
      close_block(block, dx, in_channels, part, j, pixels, lanes, 0);
    }
    gradient += pixels * out_channels;
    dx += pixels * in_channels;
  }
}

/* dx of one input pixel and `lanes` stored input channels from j on, for any kernel and stride. */
TB_INLINE void general_grad_block(const tb_conv_t *conv, const float *gradient, const tb_part_t *part, float *dx,
                                      int32_t y, int32_t x, uint32_t j, uint32_t lanes) {
  const int32_t stride = conv->stride, kernel_width = conv->kernel_width, out_width = conv->out_width;
  const tb_range_t rows = tb_taps_reaching(y, conv->kernel_height, stride, conv->out_height);
  const tb_range_t columns = tb_taps_reaching(x, kernel_width, stride, out_width);
  const uint32_t n = part->count, taps = (uint32_t)conv->kernel_height * conv->kernel_width;
  float acc[TB_LANES];
  TB_UNROLL_BLOCK
  for (uint32_t l = 0; l < lanes; l++) acc[l] = 0.0f;
  for (uint32_t oc = 0; oc < conv->out_channels; oc++) {
    const int8_t *w = part->data + (size_t)oc * taps * n + j;
    for (int32_t ky = rows.first; ky < rows.end; ky += stride) {
      for (int32_t kx = columns.first; kx < columns.end; kx += stride) {
        const int32_t pixel = (y - ky) / stride * out_width + (x - kx) / stride;
        const float g = gradient[(uint32_t)pixel * conv->out_channels + oc];
        const int8_t *tap = w + (uint32_t)(ky * kernel_width + kx) * n;
        TB_UNROLL_BLOCK
        for (uint32_t l = 0; l < lanes; l++) acc[l] += g * (float)tap[l];
      }
    }
  }
  for (uint32_t l = 0; l < lanes; l++) dx[tb_channel(part, j + l)] = acc[l];
}

void tb_conv2d_grad_input_pointwise_f32(const tb_conv_t *conv, const float *gradient, const tb_weights_t *weights, float *dx) {
  tb_part_t parts[2];
  const uint32_t part_count = tb_parts(weights, conv->in_channels, parts);
  TB_EXPECT(tb_is_pointwise(conv));
  for (uint32_t i = 0; i < part_count; i++) tb_pointwise_grad_f32(conv, gradient, &parts[i], parts[i].count, dx, 0);
}

void tb_conv2d_grad_input_general_f32(const tb_conv_t *conv, const float *gradient, const tb_weights_t *weights, float *dx) {
  tb_part_t parts[2];
  const uint32_t part_count = tb_parts(weights, conv->in_channels, parts);
  for (uint32_t i = 0; i < part_count; i++) {
    for (int32_t iy = 0; iy < conv->in_height; iy++) {
      for (int32_t ix = 0; ix < conv->in_width; ix++) {
        float *pixel = dx + (size_t)(iy * conv->in_width + ix) * conv->in_channels;
        const int32_t y = iy + conv->padding, x = ix + conv->padding;
        uint32_t j = 0;
        for (; parts[i].count - j >= TB_LANES; j += TB_LANES) {
          general_grad_block(conv, gradient, &parts[i], pixel, y, x, j, TB_LANES);
        }
        for (; j < parts[i].count; j++) general_grad_block(conv, gradient, &parts[i], pixel, y, x, j, 1);
      }
    }
  }
}
