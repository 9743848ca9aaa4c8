/* tb_gemm.h: the one tile that forward, input gradient and weight gradient of a convolution are made of.
 *
 * A tile is 2 rows (output channels) by 4 columns (pixels), its sums in 8 registers. Both operands are int16, in pairs along the
 * summed axis: `rows` holds [pair][2 rows] words, `columns` [pair][4 columns] words, both 8-byte aligned.
 */
#ifndef TB_GEMM_H
#define TB_GEMM_H

#include "tb_dsp.h"
#include "tb_internal.h"

#define TB_TILE_ROWS 2u
#define TB_TILE_COLUMNS 4u

/* acc[row * 4 + column] += sum over pairs of rows * columns; `pairs` is even and not 0. */
TB_INLINE void tb_gemm_tile(const uint32_t *rows, const uint32_t *columns, uint32_t pairs, int32_t acc[8]) {
  for (uint32_t i = 0; i < pairs; i++, rows += TB_TILE_ROWS, columns += TB_TILE_COLUMNS) {
    for (uint32_t c = 0; c < TB_TILE_COLUMNS; c++) {
      acc[c] = tb_smlad(rows[0], columns[c], acc[c]);
      acc[TB_TILE_COLUMNS + c] = tb_smlad(rows[1], columns[c], acc[TB_TILE_COLUMNS + c]);
    }
  }
}

#endif
