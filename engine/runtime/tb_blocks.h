/* tb_blocks.h: how the tiles of a kernel are shared out among blocks that fit its scratch. */
#ifndef TB_BLOCKS_H
#define TB_BLOCKS_H

#include "tb_internal.h"

/* Tiles of one block, where as many blocks as `most` tiles a block ask for share them evenly; most is not 0. */
static inline uint32_t tb_tiles_per_block(uint32_t tiles, uint32_t most) {
  const uint32_t blocks = (tiles + most - 1) / most;
  return (tiles + blocks - 1) / blocks;
}

/* How many tiles fit: as many as `bytes` hold, but no more than `most`. Where that is less than `least`, up to so many in
 * `more_bytes`; one in any case. The twin that plans the scratch: engine/operators/scratch.py. */
static inline uint32_t tb_fitting_tiles(uint32_t tile_bytes, uint32_t bytes, uint32_t most, uint32_t more_bytes,
                                        uint32_t least) {
  uint32_t tiles = tb_minimum(most, bytes / tile_bytes);
  if (tiles < least) tiles = tb_minimum(least, more_bytes / tile_bytes);
  return tiles > 0 ? tiles : 1;
}

#endif
