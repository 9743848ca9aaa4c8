/* tb_depthwise_grad_tiles.h: runs of tiles of an int16 input gradient: 1 x 4 pixels of one channel each. */
#ifndef TB_DEPTHWISE_GRAD_TILES_H
#define TB_DEPTHWISE_GRAD_TILES_H

#include "tb_depthwise_stored.h"

#if TB_DSP
#define TB_GRADIENT_SLOTS 12u /* rows of the window */

#define TB_GRADIENT_TABLE_WORDS 42u /* of a channel's weights, at the most: 7 rows of 7 */

/* Tiles one below the other, of neighbouring channels. The assembly knows where each member lies, up to `planes`. */
typedef struct {
  int16_t *dx;       /* the first pixel */
  uint32_t too_large; /* bits that a sum, biased, does not have unless it needs a larger shift */
  uint32_t scale;     /* 2^(31 - shift) */
  uint32_t third;     /* of dx in bytes, from the first to the fourth pixel */
  uint32_t unbias;    /* what takes the bias away, modulo 2^16 */
  uint32_t step;     /* of dx in bytes, from pixel to pixel */
  uint32_t tile_step;  /* of dx in bytes, from tile to tile */
  const uint32_t *end; /* where the next tile's first quad would be */
  const uint32_t *weights; /* rows of pairs (tb_depthwise_tile.h) */
  uint32_t bias;           /* so that no sum is negative unless it needs a larger shift */
  uint32_t planes_back;    /* bytes from `end` to the next channel's first quad */
  uint32_t dx_back;        /* the same of dx, modulo 2^32 */
  uint32_t channels;
  const uint32_t *planes; /* the first quad of the first tile */
  uint32_t pixels;        /* of a tile */
  uint32_t rows;
  tb_stored_t *stored;
} tb_gradient_run_t;

/* At least one tile. Of so many rows of weights, and so many in a row. */
typedef void tb_run_gradient_t(tb_gradient_run_t *run);
tb_run_gradient_t tb_run_gradient_1x1, tb_run_gradient_1x2, tb_run_gradient_2x1, tb_run_gradient_2x2;
tb_run_gradient_t tb_run_gradient_2x3, tb_run_gradient_3x3, tb_run_gradient_3x4, tb_run_gradient_4x3;
tb_run_gradient_t tb_run_gradient_4x4, tb_run_gradient_5x5, tb_run_gradient_7x7;
#endif

#endif
