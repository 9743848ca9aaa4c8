/* tb_depthwise_grad_tiles.h: runs of tiles of an int16 input gradient: 1 x 4 pixels of one channel each. */
#ifndef TB_DEPTHWISE_GRAD_TILES_H
#define TB_DEPTHWISE_GRAD_TILES_H

#include "tb_depthwise_grad_dsp.h"

#if TB_DSP
#define TB_GRADIENT_SLOTS 12u /* rows of the window */

/* Tiles one below the other. */
typedef struct {
  tb_stored_t *stored;
  uint32_t next;           /* channels in progress */
  const uint32_t *weights; /* rows of pairs (tb_depthwise_tile.h) */
  const uint32_t *planes;  /* the first quad of the first tile */
  const uint32_t *end;     /* where the next tile's first quad would be */
  int16_t *dx;             /* the first pixel */
  uint32_t tile_step;      /* of dx, from tile to tile */
  uint32_t steps[3];       /* from a tile's first pixel to the others; 0: there is none */
} tb_gradient_run_t;

/* At least one tile. Of so many rows of weights, and so many in a row. */
typedef void tb_run_gradient_t(const tb_gradient_run_t *run);
tb_run_gradient_t tb_run_gradient_1x1, tb_run_gradient_1x2, tb_run_gradient_2x1, tb_run_gradient_2x2;
tb_run_gradient_t tb_run_gradient_2x3, tb_run_gradient_3x3, tb_run_gradient_3x4, tb_run_gradient_4x3;
tb_run_gradient_t tb_run_gradient_4x4, tb_run_gradient_5x5, tb_run_gradient_7x7;
#endif

#endif
