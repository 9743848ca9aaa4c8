/* tb_float_depthwise.c: a float32 depthwise convolution and its gradients, TB_FLOAT_LANES channels at a time.
 *
 * The channels of a block are copied to a plane of their own, with zeros around the image: neighbours lie side by side there,
 * and no border is a special case. What zeros add changes no sum that starts at anything but -0.
 */
#include "tb_float_internal.h"

enum { LANES = TB_FLOAT_LANES, PIXELS = 4 };

/* Channels `first` to first + count - 1 of the stored ones; channels: their numbers, NULL: 0, 1, 2, ... */
typedef struct {
  const uint16_t *channels;
  uint32_t first, count;
} block_t;

static block_t block_at(const uint16_t *channels, uint32_t first, uint32_t total) {
  const block_t block = {channels, first, tb_minimum(LANES, total - first)};
  return block;
}

static uint32_t channel_of(const block_t *block, uint32_t lane) {
  return block->channels == NULL ? block->first + lane : block->channels[block->first + lane];
}

/* to[p][lane] = from[p][channel of the lane], 0 in lanes without a channel; pixels of `to` are `step` apart. */
static void take_lanes(const block_t *block, const float *from, uint32_t channels, float *to, uint32_t step,
                       uint32_t pixels) {
  if (block->channels == NULL && block->count == LANES) {
    from += block->first;
    for (uint32_t p = 0; p < pixels; p++, from += channels, to += step) tb_store_lanes(to, tb_load_lanes(from));
    return;
  }
  for (uint32_t p = 0; p < pixels; p++, from += channels, to += step) {
    for (uint32_t l = 0; l < LANES; l++) to[l] = l < block->count ? from[channel_of(block, l)] : 0.0f;
  }
}

typedef struct {
  float *data; /* [rows][columns][LANES] */
  uint32_t rows, columns;
} plane_t;

/* An image of height x width pixels from (top, left) on, `spread` apart, in a plane of zeros. What does not fit is left out. */
static void fill_plane(const plane_t *plane, const block_t *block, const float *image, uint32_t height, uint32_t width,
                       uint32_t channels, uint32_t top, uint32_t left, uint32_t spread) {
  const uint32_t fitting = plane->columns > left ? (plane->columns - left + spread - 1) / spread : 0;
  memset(plane->data, 0, plane->rows * plane->columns * LANES * sizeof *plane->data);
  for (uint32_t y = 0; y < height && top + y * spread < plane->rows; y++) {
    float *row = plane->data + ((top + y * spread) * plane->columns + left) * LANES;
    take_lanes(block, image + y * width * channels, channels, row, spread * LANES, tb_minimum(width, fitting));
  }
}

/* What a kernel slides over: `rows` x `columns` results, each from the pixels `stride` further on. */
typedef struct {
  uint32_t rows, columns, stride, kernel_height, kernel_width;
} slide_t;

/* `pixels` neighbouring results: the first + sum over the kernel's positions in row-major order. */
TB_INLINE void slide_block(const slide_t *slide, const plane_t *plane, const float *corner, const float *kernel,
                           tb_lanes_t first, float *y, uint32_t pixel, uint32_t pixels, uint32_t count) {
  const uint32_t step = slide->stride * LANES;
  tb_lanes_t sums[PIXELS];
  for (uint32_t p = 0; p < pixels; p++) sums[p] = first;
  for (uint32_t ky = 0; ky < slide->kernel_height; ky++, corner += plane->columns * LANES) {
    const float *from = corner;
    for (uint32_t kx = 0; kx < slide->kernel_width; kx++, from += LANES, kernel += LANES) {
      const tb_lanes_t weight = tb_load_lanes(kernel);
      for (uint32_t p = 0; p < pixels; p++) sums[p] += tb_load_lanes(from + p * step) * weight;
    }
  }
  for (uint32_t p = 0; p < pixels; p++, y += pixel) {
    if (count == LANES) {
      tb_store_lanes(y, sums[p]);
    } else {
      for (uint32_t l = 0; l < count; l++) y[l] = sums[p][l];
    }
  }
}

/* Write the channels of a block, neighbours, of y; `pixel`: channels of a pixel of y. */
TB_NOINLINE void slide_over(const slide_t *slide, const plane_t *plane, const float *kernel, tb_lanes_t first, float *y,
                            uint32_t pixel, uint32_t count) {
  for (uint32_t row = 0; row < slide->rows; row++) {
    const float *corner = plane->data + row * slide->stride * plane->columns * LANES;
    uint32_t column = 0;
    for (; column + PIXELS <= slide->columns; column += PIXELS, y += PIXELS * pixel) {
      slide_block(slide, plane, corner + column * slide->stride * LANES, kernel, first, y, pixel, PIXELS, count);
    }
    for (; column < slide->columns; column++, y += pixel) {
      slide_block(slide, plane, corner + column * slide->stride * LANES, kernel, first, y, pixel, 1, count);
    }
  }
}

static uint32_t taps_of(const tb_conv_t *conv) { return (uint32_t)conv->kernel_height * conv->kernel_width; }

/* Of what the taps of all outputs see. */
static plane_t input_plane(const tb_conv_t *conv, float *data) {
  const plane_t plane = {data, (uint32_t)(conv->out_height - 1) * conv->stride + conv->kernel_height,
                         (uint32_t)(conv->out_width - 1) * conv->stride + conv->kernel_width};
  return plane;
}

void tb_float_depthwise_conv2d(const tb_conv_t *conv, const float *x, const tb_float_weights_t *weights,
                               const float *bias, tb_float_clamp_t clamp, float *y, uint8_t *mask, void *scratch) {
  const uint32_t taps = taps_of(conv), channels = conv->in_channels;
  const slide_t slide = {conv->out_height, conv->out_width, conv->stride, conv->kernel_height, conv->kernel_width};
  float *kernel = (float *)scratch, *data = kernel + taps * LANES;
  const plane_t plane = input_plane(conv, data);
  const float *merged = tb_float_merged(weights, taps, channels, 1, data + plane.rows * plane.columns * LANES);
  for (uint32_t first = 0; first < channels; first += LANES) {
    const block_t block = block_at(NULL, first, channels);
    float start[LANES];
    take_lanes(&block, bias, channels, start, 0, 1);
    take_lanes(&block, merged, channels, kernel, LANES, taps);
    fill_plane(&plane, &block, x, conv->in_height, conv->in_width, channels, conv->padding, conv->padding, 1);
    slide_over(&slide, &plane, kernel, tb_load_lanes(start), y + first, channels, block.count);
  }
  tb_float_clamp(y, clamp, mask, (uint32_t)conv->out_height * conv->out_width * channels);
}

void tb_float_depthwise_conv2d_grad_input(const tb_conv_t *conv, const float *gradient,
                                          const tb_float_weights_t *weights, float *dx, void *scratch) {
  const uint32_t taps = taps_of(conv), channels = conv->in_channels;
  const uint32_t top = conv->kernel_height - 1u - conv->padding, left = conv->kernel_width - 1u - conv->padding;
  const slide_t slide = {conv->in_height, conv->in_width, 1, conv->kernel_height, conv->kernel_width};
  float *kernel = (float *)scratch, *data = kernel + taps * LANES;
  const plane_t plane = {data, conv->in_height + conv->kernel_height - 1u, conv->in_width + conv->kernel_width - 1u};
  const float *merged = tb_float_merged(weights, taps, channels, 1, data + plane.rows * plane.columns * LANES);
  const tb_lanes_t zero = {0.0f};
  for (uint32_t first = 0; first < channels; first += LANES) {
    const block_t block = block_at(NULL, first, channels);
    for (uint32_t tap = 0; tap < taps; tap++) {
      take_lanes(&block, merged + tap * channels, channels, kernel + (taps - 1 - tap) * LANES, 0, 1);
    }
    fill_plane(&plane, &block, gradient, conv->out_height, conv->out_width, channels, top, left, conv->stride);
    slide_over(&slide, &plane, kernel, zero, dx + first, channels, block.count);
  }
  tb_float_limit(dx, (uint32_t)conv->in_height * conv->in_width * channels);
}

enum { MOST = 7 }; /* taps of a row whose sums are kept at once */

/* sums[tap] = sum over all outputs of gradient * pixel, `taps` neighbouring taps; corner: where the first output sees the
 * first of them. */
TB_INLINE void weigh_taps(const slide_t *slide, const plane_t *plane, const float *corner, const float *gradient,
                          float *sums, uint32_t taps) {
  tb_lanes_t totals[MOST];
  for (uint32_t k = 0; k < taps; k++) totals[k] = (tb_lanes_t){0.0f};
  for (uint32_t row = 0; row < slide->rows; row++, corner += slide->stride * plane->columns * LANES) {
    const float *from = corner;
    for (uint32_t column = 0; column < slide->columns; column++, from += slide->stride * LANES, gradient += LANES) {
      const tb_lanes_t factor = tb_load_lanes(gradient);
      for (uint32_t k = 0; k < taps; k++) totals[k] += factor * tb_load_lanes(from + k * LANES);
    }
  }
  for (uint32_t k = 0; k < taps; k++) tb_store_lanes(sums + k * LANES, totals[k]);
}

TB_NOINLINE void weigh_7(const slide_t *slide, const plane_t *plane, const float *corner, const float *gradient,
                         float *sums) {
  weigh_taps(slide, plane, corner, gradient, sums, 7);
}
TB_NOINLINE void weigh_5(const slide_t *slide, const plane_t *plane, const float *corner, const float *gradient,
                         float *sums) {
  weigh_taps(slide, plane, corner, gradient, sums, 5);
}
TB_NOINLINE void weigh_3(const slide_t *slide, const plane_t *plane, const float *corner, const float *gradient,
                         float *sums) {
  weigh_taps(slide, plane, corner, gradient, sums, 3);
}
TB_NOINLINE void weigh_1(const slide_t *slide, const plane_t *plane, const float *corner, const float *gradient,
                         float *sums) {
  weigh_taps(slide, plane, corner, gradient, sums, 1);
}

void tb_float_depthwise_conv2d_grad_weight(const tb_conv_t *conv, const float *gradient, const float *x,
                                           const uint16_t *channels, float *dw, uint32_t count, void *scratch) {
  const slide_t slide = {conv->out_height, conv->out_width, conv->stride, conv->kernel_height, conv->kernel_width};
  const uint32_t pixels = slide.rows * slide.columns, total = conv->in_channels, taps = taps_of(conv);
  float *sums = (float *)scratch, *data = sums + taps * LANES;
  const plane_t plane = input_plane(conv, data);
  float *lanes = data + plane.rows * plane.columns * LANES; /* of the gradient */
  for (uint32_t first = 0; first < count; first += LANES) {
    const block_t block = block_at(channels, first, count);
    fill_plane(&plane, &block, x, conv->in_height, conv->in_width, total, conv->padding, conv->padding, 1);
    take_lanes(&block, gradient, total, lanes, LANES, pixels);
    for (uint32_t ky = 0; ky < slide.kernel_height; ky++) {
      for (uint32_t kx = 0, some; kx < slide.kernel_width; kx += some) {
        const uint32_t left = slide.kernel_width - kx;
        const float *corner = data + (ky * plane.columns + kx) * LANES;
        float *to = sums + (ky * slide.kernel_width + kx) * LANES;
        some = left >= 7 ? 7 : left >= 5 ? 5 : left >= 3 ? 3 : 1;
        (some == 7 ? weigh_7 : some == 5 ? weigh_5 : some == 3 ? weigh_3 : weigh_1)(&slide, &plane, corner, lanes, to);
      }
    }
    for (uint32_t tap = 0; tap < taps; tap++) {
      for (uint32_t l = 0; l < block.count; l++) dw[tap * count + first + l] = sums[tap * LANES + l];
    }
  }
}
