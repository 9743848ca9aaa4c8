/* tb_depthwise_tiles.h: runs of tiles of a depthwise convolution: 1 x 4 outputs of one channel each, from its plane. */
#ifndef TB_DEPTHWISE_TILES_H
#define TB_DEPTHWISE_TILES_H

#include "tb_dsp.h"

#if TB_DSP
/* Slots of the window of a small image, by kernel. Else as many as the kernel has rows. */
#define TB_SLOTS_3 18u
#define TB_SLOTS_5 20u
#define TB_SLOTS_7 14u

/* A run: tiles side by side in a row, or one below the other in the window of a small image. The assembly knows where each
 * member lies. */
typedef struct {
  const uint32_t *weights; /* rows of pairs (tb_depthwise_tile.h), from the one on that meets slot 0 */
  const uint32_t *planes;  /* the first quad of the first tile */
  int8_t *y;               /* the first output */
  const uint32_t *end;     /* where the next tile's first quad would be */
  int32_t bias, multiplier, zero;
  uint32_t step, tile_step; /* of y, from output to output and from tile to tile */
  uint32_t three_steps;
  uint8_t *bits; /* a byte a tile, four apart: bit i is set where output i was clamped. Unless masked: not used */
} tb_tiles_t;

typedef void tb_run_tiles_t(const tb_tiles_t *tiles); /* at least one tile */

/* Kernel 3, 5 or 7, stride 1 or 2. */
tb_run_tiles_t *tb_tiles_function(uint32_t kernel, uint32_t stride, int small, int masked);

#if TB_DSP_ASM
tb_run_tiles_t tb_tiles_3_1_3, tb_tiles_3_2_3, tb_tiles_3_1_18, tb_tiles_3_2_18;
tb_run_tiles_t tb_tiles_masked_3_1_3, tb_tiles_masked_3_2_3, tb_tiles_masked_3_1_18, tb_tiles_masked_3_2_18;
#endif
#endif

#endif
