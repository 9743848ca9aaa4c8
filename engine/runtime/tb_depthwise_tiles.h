/* tb_depthwise_tiles.h: runs of tiles of a depthwise convolution: 1 x 4 outputs of one channel each, from its plane. */
#ifndef TB_DEPTHWISE_TILES_H
#define TB_DEPTHWISE_TILES_H

#include "tb_dsp.h"

#if TB_DSP
/* A run of each of some neighbouring channels: tiles side by side in a row, or one below the other in the window of a small
 * image. The assembly knows where each member lies. */
typedef struct {
  const uint32_t *weights; /* rows of pairs (tb_depthwise_tile.h), from the one on that meets slot 0; then those of the next channel */
  const uint32_t *planes;  /* the first quad of the first tile of the first channel */
  int8_t *y;               /* the first output */
  const uint32_t *end;     /* where the next tile's first quad would be */
  const int32_t *bias, *multiplier; /* of the first channel */
  int32_t zero;
  uint32_t step, tile_step; /* of y, from output to output and from tile to tile */
  uint32_t three_steps;
  uint8_t *bits; /* a byte a tile, four apart: bit i is set where output i was clamped. Unless masked: not used */
  uint32_t channels;
  uint32_t planes_back, y_back, bits_back; /* bytes from behind the run of a channel to that of the next */
} tb_tiles_t;

typedef void tb_run_tiles_t(const tb_tiles_t *tiles); /* at least one tile, at least one channel */

/* By kernel, stride and slots of the window: as many as the kernel has rows, or those of a small image. */
tb_run_tiles_t tb_tiles_3_1_3, tb_tiles_3_2_3, tb_tiles_masked_3_1_3, tb_tiles_masked_3_2_3;
tb_run_tiles_t tb_tiles_5_1_5, tb_tiles_5_2_5, tb_tiles_5_1_20, tb_tiles_5_2_20;
tb_run_tiles_t tb_tiles_masked_5_1_5, tb_tiles_masked_5_2_5, tb_tiles_masked_5_1_20, tb_tiles_masked_5_2_20;
tb_run_tiles_t tb_tiles_7_1_7, tb_tiles_7_2_7, tb_tiles_7_1_14, tb_tiles_7_2_14;
tb_run_tiles_t tb_tiles_masked_7_1_7, tb_tiles_masked_7_2_7, tb_tiles_masked_7_1_14, tb_tiles_masked_7_2_14;
#endif

#endif
