/* tb_blocks.h: how the tiles of a kernel are shared out among blocks that fit its scratch. */
#ifndef TB_BLOCKS_H
#define TB_BLOCKS_H

#include "tb_internal.h"

/* Tiles of one block: at most `most`, and as many as fit `bytes` but at least one; as many blocks as that asks for share the
 * tiles evenly. The twin that plans the scratch: engine/operators/scratch.py. */
static inline uint32_t tb_tiles_per_block(uint32_t tiles, uint32_t most, uint32_t tile_bytes, uint32_t bytes) {
  const uint32_t fitting = tb_minimum(most, bytes / tile_bytes), limit = fitting > 0 ? fitting : 1;
  const uint32_t blocks = (tiles + limit - 1) / limit;
  return (tiles + blocks - 1) / blocks;
}

#endif
