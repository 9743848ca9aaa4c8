/* tb_stream.h: a chain of forward operators run by strips of rows, what lies between them kept in windows of a few rows.
 * The generated code holds the loop over strips; these are its steps.
 */
#ifndef TB_STREAM_H
#define TB_STREAM_H

#include "tb_kernels.h"

/* Rows [first, end) of an int8 HWC tensor, one after the other from `data` on. */
typedef struct {
  int8_t *data;
  uint32_t row_bytes;
  uint32_t first, end;
  uint32_t whole; /* 1: it exists whole, so nothing is dropped from it */
} tb_window_t;

/* Input rows [0, result) are what output rows [0, end) of a convolution of a whole image see. */
uint32_t tb_rows_until(const tb_conv_t *conv, uint32_t end);

/* Compute output rows [y->end, end) from the rows in x, then drop the rows of x that no later row needs. `conv` is that of the
 * whole image, `mask` of the whole output; a row of outputs has a multiple of 8 elements where `mask` is not NULL. */
void tb_stream_convolution(tb_convolution_t *kernel, const tb_conv_t *conv, tb_window_t *x, const tb_weights_t *weights,
                           const int32_t *bias, tb_window_t *y, uint32_t end, uint8_t *mask, void *scratch);

/* The same for y = a + b; `a` exists whole, b is dropped. y may lie over a. */
void tb_stream_add(tb_addition_t *kernel, const tb_add_t *add, const tb_window_t *a, tb_window_t *b, tb_window_t *y,
                   uint32_t end, uint8_t *mask);

#endif
