/* tb_sum_tiles.h: two input channels of a block of pixels, from paired operands to sums that are added to. */
#ifndef TB_SUM_TILES_H
#define TB_SUM_TILES_H

#include "tb_gemm.h"

/* The assembly copies the first six words to its stack as they are. */
typedef struct {
  const uint32_t *rows;
  uint32_t step;   /* bytes from pixel to pixel of the sums */
  uint32_t second; /* bytes from the first to the second channel */
  int32_t *sums;   /* of the next pixel, first channel */
  const uint32_t *rows_end;    /* behind the last pair */
  const uint32_t *columns_end; /* behind the last tile */
  const uint32_t *columns;     /* of the next tile */
  uint32_t pairs;
} tb_sum_tiles_t;

/* Add rows times columns of whole tiles, one at least. */
void tb_sum_tiles(const tb_sum_tiles_t *tiles);

#endif
