/* tb_float_product.c: blocks of results stay in registers while their sums grow. */
#include "tb_float_product.h"

#include "tb_float_internal.h"

enum { VECTORS = 2, WIDE = VECTORS * TB_FLOAT_LANES };
#if defined(__arm__)
enum { ROWS = 2 };
#else
enum { ROWS = 4 };
#endif

/* Rows [i, i + rows), columns from j on. */
TB_INLINE void vector_block(const tb_product_t *product, uint32_t i, uint32_t j, uint32_t rows, uint32_t vectors) {
  const uint32_t a_row = product->a_row, a_step = product->a_step, b_row = product->b_row;
  const float *a = product->a + i * a_row, *b = product->b + j;
  const float *first = product->first + i * product->first_row + j;
  float *c = product->c + i * product->c_row + j;
  tb_lanes_t sums[ROWS][VECTORS];
  for (uint32_t r = 0; r < rows; r++, first += product->first_row) {
    for (uint32_t v = 0; v < vectors; v++) sums[r][v] = tb_load_lanes(first + v * TB_FLOAT_LANES);
  }
  for (uint32_t k = 0; k < product->terms; k++, a += a_step, b += b_row) {
    tb_lanes_t factors[VECTORS];
    for (uint32_t v = 0; v < vectors; v++) factors[v] = tb_load_lanes(b + v * TB_FLOAT_LANES);
    for (uint32_t r = 0; r < rows; r++) {
      for (uint32_t v = 0; v < vectors; v++) sums[r][v] += a[r * a_row] * factors[v];
    }
  }
  for (uint32_t r = 0; r < rows; r++, c += product->c_row) {
    for (uint32_t v = 0; v < vectors; v++) tb_store_lanes(c + v * TB_FLOAT_LANES, sums[r][v]);
  }
}

TB_INLINE void column_block(const tb_product_t *product, uint32_t i, uint32_t j, uint32_t rows) {
  const float *a = product->a + i * product->a_row, *b = product->b + j;
  float sums[ROWS];
  for (uint32_t r = 0; r < rows; r++) sums[r] = product->first[(i + r) * product->first_row + j];
  for (uint32_t k = 0; k < product->terms; k++, a += product->a_step, b += product->b_row) {
    for (uint32_t r = 0; r < rows; r++) sums[r] += a[r * product->a_row] * *b;
  }
  for (uint32_t r = 0; r < rows; r++) product->c[(i + r) * product->c_row + j] = sums[r];
}

TB_NOINLINE void wide_rows(const tb_product_t *product, uint32_t i, uint32_t j) {
  vector_block(product, i, j, ROWS, VECTORS);
}
TB_NOINLINE void narrow_rows(const tb_product_t *product, uint32_t i, uint32_t j) { vector_block(product, i, j, ROWS, 1); }
TB_NOINLINE void column_rows(const tb_product_t *product, uint32_t i, uint32_t j) { column_block(product, i, j, ROWS); }
TB_NOINLINE void wide_row(const tb_product_t *product, uint32_t i, uint32_t j) { vector_block(product, i, j, 1, VECTORS); }
TB_NOINLINE void narrow_row(const tb_product_t *product, uint32_t i, uint32_t j) { vector_block(product, i, j, 1, 1); }
TB_NOINLINE void column_row(const tb_product_t *product, uint32_t i, uint32_t j) { column_block(product, i, j, 1); }

typedef void block_t(const tb_product_t *product, uint32_t i, uint32_t j);

static void column_of_blocks(const tb_product_t *product, uint32_t j, block_t *rows, block_t *row) {
  uint32_t i = 0;
  for (; i + ROWS <= product->rows; i += ROWS) rows(product, i, j);
  for (; i < product->rows; i++) row(product, i, j);
}

void tb_float_product(const tb_product_t *product) {
  uint32_t j = 0;
  for (; j + WIDE <= product->columns; j += WIDE) column_of_blocks(product, j, wide_rows, wide_row);
  for (; j + TB_FLOAT_LANES <= product->columns; j += TB_FLOAT_LANES) {
    column_of_blocks(product, j, narrow_rows, narrow_row);
  }
  for (; j < product->columns; j++) column_of_blocks(product, j, column_rows, column_row);
}
