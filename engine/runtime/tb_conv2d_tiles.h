/* tb_conv2d_tiles.h: two output channels of a block of pixels, from widened operands to int8 outputs. */
#ifndef TB_CONV2D_TILES_H
#define TB_CONV2D_TILES_H

#include "tb_gemm.h"

/* Where a mask is wanted, the columns of a tile are followed by a word of its bits and an unused one. Each row pair shifts 8
 * bits in from the top: 2 channels of the first pixel, 2 of the second ...; 1 means clamped. */
#define TB_TILE_MASK_WORDS 2u

/* The assembly copies the first 12 words to its stack as they are. */
typedef struct {
  uint32_t step; /* bytes from pixel to pixel of the outputs */
  int32_t multiplier[2];
  int32_t zero; /* of the outputs; plus 128 where a mask is wanted */
  int8_t *y;    /* output of the first pixel and channel */
  int32_t bias[2];
  const uint32_t *rows;
  uint32_t pairs;
  const uint32_t *rows_end;    /* behind the last pair */
  const uint32_t *columns_end; /* behind the last whole tile */
  uint32_t *columns;
  uint32_t shift;
} tb_conv2d_tiles_t;

/* One tile of `channels` <= 2 and `pixels` <= 4. Moves `y` and `columns` behind it. Mask bits of outputs that are not there
 * are undefined. */
void tb_conv2d_tile(tb_conv2d_tiles_t *tiles, int masked, uint32_t channels, uint32_t pixels);

#if TB_DSP_ASM
/* The whole tiles up to columns_end, at least one; shift must be 0. */
typedef void tb_conv2d_run_t(tb_conv2d_tiles_t *tiles);
tb_conv2d_run_t tb_conv2d_whole_tiles, tb_conv2d_masked_tiles;
/* Without a mask, and of so many pairs. */
tb_conv2d_run_t tb_conv2d_whole_tiles_4, tb_conv2d_whole_tiles_8, tb_conv2d_whole_tiles_12, tb_conv2d_whole_tiles_14;
#define TB_CONV2D_RUN(pairs) tb_conv2d_whole_tiles##pairs
#else
typedef int tb_conv2d_run_t; /* tiles are computed one by one */
#define TB_CONV2D_RUN(pairs) NULL
#endif

#endif
