/* tb_update_tiles.h: two output channels of a weight gradient: both rows times all columns of a block. */
#ifndef TB_UPDATE_TILES_H
#define TB_UPDATE_TILES_H

#include "tb_gemm.h"

/* sums [tile][2 rows][4 columns] = rows times columns [tile][pair][4 columns], which end at columns_end. At least one tile. */
void tb_update_tiles(const uint32_t *rows, const uint32_t *columns, const uint32_t *columns_end, uint32_t pairs,
                     int32_t *sums);

#endif
