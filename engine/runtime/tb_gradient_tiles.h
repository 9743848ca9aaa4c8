/* tb_gradient_tiles.h: two input channels of a block of pixels, from paired operands to an int16 gradient. */
#ifndef TB_GRADIENT_TILES_H
#define TB_GRADIENT_TILES_H

#include "tb_gemm.h"
#include "tb_shared_exponent.h"

/* The assembly copies the first 11 words to its stack as they are. */
typedef struct {
  uint32_t step;       /* bytes from pixel to pixel of dx */
  uint32_t up;         /* 16 - shift */
  uint32_t limit;      /* largest magnitude that the shift is enough for */
  uint32_t magnitudes; /* of all sums */
  int16_t *dx;         /* of the next pixel, first channel */
  uint32_t second;     /* bytes from the first to the second channel */
  const uint32_t *rows;
  uint32_t pairs;
  const uint32_t *rows_end;    /* behind the last pair */
  const uint32_t *columns_end; /* behind the last whole tile */
  const uint32_t *columns;     /* of the next tile */
  int32_t sums[8];             /* of the tile that needs a larger shift */
} tb_gradient_tiles_t;

/* The high half of the result is the value shifted right by 16 - up and rounded to odd. */
TB_INLINE uint32_t tb_odd_high(int32_t value, uint32_t up) {
  const uint32_t shifted = (uint32_t)value << up;
  return shifted | ((shifted & 0xffffu) + tb_in_register(0xffffu));
}

/* Sums of the next tile. Returns 1, with the sums still to be stored, if they need a larger shift. */
TB_INLINE int tb_gradient_sums(tb_gradient_tiles_t *tiles) {
  uint32_t magnitudes = 0;
  for (uint32_t i = 0; i < 8; i++) tiles->sums[i] = 0;
  tb_gemm_tile(tiles->rows, tiles->columns, tiles->pairs, tiles->sums);
  TB_UNROLL_BLOCK
  for (uint32_t i = 0; i < 8; i++) magnitudes |= tb_magnitude(tiles->sums[i]);
  tiles->columns += tiles->pairs * TB_TILE_COLUMNS;
  tiles->magnitudes |= magnitudes;
  return magnitudes > tiles->limit;
}

/* Store sums of `channels` <= 2 channels and `pixels` <= 4. */
TB_INLINE void tb_gradient_store(tb_gradient_tiles_t *tiles, uint32_t channels, uint32_t pixels) {
  uint8_t *y = (uint8_t *)tiles->dx;
  for (uint32_t p = 0; p < pixels; p++, y += tiles->step) {
    for (uint32_t c = 0; c < channels; c++) {
      const int16_t value = (int16_t)(tb_odd_high(tiles->sums[c * TB_TILE_COLUMNS + p], tiles->up) >> 16);
      memcpy(y + c * tiles->second, &value, sizeof value);
    }
  }
  tiles->dx = (int16_t *)(void *)y;
}

/* Whole tiles, up to columns_end. Returns 1 where a tile needs a larger shift: its sums are still to be stored. */
int tb_gradient_tiles(tb_gradient_tiles_t *tiles);

#endif
