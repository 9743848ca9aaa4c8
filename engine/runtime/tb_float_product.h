/* tb_float_product.h: the matrix product that float32 convolutions and their gradients consist of. */
#ifndef TB_FLOAT_PRODUCT_H
#define TB_FLOAT_PRODUCT_H

#include <stdint.h>

/* c[i][j] = first[i][j] + sum over k of a[i][k] * b[k][j], k ascending, one accumulator a result.
 *
 * Element (i, k) of a lies at i * a_row + k * a_step; rows of b, c and `first` are b_row, c_row and first_row apart.
 * `first` may be c, or one row for all (first_row = 0). */
typedef struct {
  const float *a, *b, *first;
  float *c;
  uint32_t a_row, a_step, b_row, c_row, first_row;
  uint32_t rows, terms, columns;
} tb_product_t;

void tb_float_product(const tb_product_t *product);

#endif
