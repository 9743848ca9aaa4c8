/* tb_pairs.h: which pixels of gradient and input a weight gradient multiplies. */
#ifndef TB_PAIRS_H
#define TB_PAIRS_H

#include "tb_internal.h"

/* The pixels that one kernel position pairs: where the first lies in gradient and input, and how far it is to the next. */
typedef struct {
  uint32_t g, x;
  uint32_t rows, columns;
  uint32_t g_column, g_row, x_column, x_row;
  int32_t zero;
} tb_pairs_t;

static inline tb_pairs_t tb_pairs_of(const tb_conv_t *conv, uint32_t tap) {
  const int32_t ky = (int32_t)(tap / conv->kernel_width), kx = (int32_t)(tap % conv->kernel_width);
  const int32_t stride = conv->stride, padding = conv->padding;
  const int32_t in_width = conv->in_width, out_width = conv->out_width;
  const tb_range_t rows = tb_outputs_inside(ky, stride, padding, conv->in_height, conv->out_height);
  const tb_range_t columns = tb_outputs_inside(kx, stride, padding, in_width, out_width);
  tb_pairs_t pairs;
  pairs.rows = rows.end > rows.first ? (uint32_t)(rows.end - rows.first) : 0;
  pairs.columns = columns.end > columns.first ? (uint32_t)(columns.end - columns.first) : 0;
  pairs.g_column = conv->out_channels;
  pairs.g_row = (uint32_t)out_width * conv->out_channels;
  pairs.x_column = (uint32_t)stride * conv->in_channels;
  pairs.x_row = (uint32_t)(stride * in_width) * conv->in_channels;
  pairs.zero = conv->in_zero;
  pairs.g = pairs.x = 0;
  if (pairs.rows == 0 || pairs.columns == 0) return pairs;
  pairs.g = (uint32_t)(rows.first * out_width + columns.first) * conv->out_channels;
  const int32_t iy = rows.first * stride + ky - padding, ix = columns.first * stride + kx - padding;
  pairs.x = (uint32_t)(iy * in_width + ix) * conv->in_channels;
  return pairs;
}

#endif
