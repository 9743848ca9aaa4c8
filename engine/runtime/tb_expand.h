/* tb_expand.h: int8 weights and activations widened into the operands of a GEMM tile (tb_gemm.h).
 *
 * Four neighbouring terms t0 t1 t2 t3 of a sum become the pairs (t0, t2) and (t1, t3), as SXTB16 makes them of a word. The
 * number of terms is rounded up to a multiple of 4 (TB_TERMS): the weights of the missing ones are 0. Activations are widened
 * minus their zero point: `add` is the pair (-zero, -zero).
 */
#ifndef TB_EXPAND_H
#define TB_EXPAND_H

#include "tb_gemm.h"

#define TB_TERMS(count) (((count) + 3u) & ~3u)

/* The next `count` < 4 bytes, the others 0. */
TB_INLINE uint32_t tb_load_bytes(const int8_t *from, uint32_t count) {
  uint32_t word = 0;
  for (uint32_t i = 0; i < count; i++) word |= (uint32_t)(uint8_t)from[i] << (8 * i);
  return word;
}

TB_INLINE uint32_t *tb_expand_row_words(uint32_t w0, uint32_t w1, uint32_t *rows) {
  rows[0] = tb_sxtb16(w0), rows[1] = tb_sxtb16(w1);
  rows[2] = tb_sxtb16_odd(w0), rows[3] = tb_sxtb16_odd(w1);
  return rows + 4;
}

/* Two rows of 4 * `groups` weights, at any addresses; groups > 0. Returns the end of what it wrote. */
#if TB_DSP_ASM
uint32_t *tb_expand_row_groups(const int8_t *row0, const int8_t *row1, uint32_t groups, uint32_t *rows);
#else
TB_INLINE uint32_t *tb_expand_row_groups(const int8_t *row0, const int8_t *row1, uint32_t groups, uint32_t *rows) {
  for (; groups != 0; groups--, row0 += 4, row1 += 4) {
    rows = tb_expand_row_words(tb_load32(row0), tb_load32(row1), rows);
  }
  return rows;
}
#endif

/* The same of `count` weights, any number of them: TB_TERMS(count) words. */
TB_INLINE uint32_t *tb_expand_rows(const int8_t *row0, const int8_t *row1, uint32_t count, uint32_t *rows) {
  const uint32_t whole = count & ~3u, left = count & 3u;
  if (whole != 0) rows = tb_expand_row_groups(row0, row1, whole / 4, rows);
  if (left == 0) return rows;
  return tb_expand_row_words(tb_load_bytes(row0 + whole, left), tb_load_bytes(row1 + whole, left), rows);
}

TB_INLINE uint32_t *tb_expand_column_words(const uint32_t x[4], uint32_t add, uint32_t *columns) {
  for (uint32_t p = 0; p < TB_TILE_COLUMNS; p++) {
    columns[p] = tb_sxtab16(add, x[p]), columns[TB_TILE_COLUMNS + p] = tb_sxtab16_odd(add, x[p]);
  }
  return columns + 2 * TB_TILE_COLUMNS;
}

/* A tile of four pixels of `count` channels each. Returns the end of what it wrote, 2 * TB_TERMS(count) words. */
TB_INLINE uint32_t *tb_expand_columns(const int8_t *const pixel[4], uint32_t count, uint32_t add, uint32_t *columns) {
  uint32_t x[TB_TILE_COLUMNS];
  for (uint32_t i = 0; i < count; i += 4) {
    for (uint32_t p = 0; p < TB_TILE_COLUMNS; p++) {
      x[p] = count - i >= 4 ? tb_load32(pixel[p] + i) : tb_load_bytes(pixel[p] + i, count - i);
    }
    columns = tb_expand_column_words(x, add, columns);
  }
  return columns;
}

/* Two pairs of one pixel. */
TB_INLINE uint32_t *tb_expand_pixel_word(uint32_t x, uint32_t add, uint32_t *columns) {
  columns[0] = tb_sxtab16(add, x), columns[TB_TILE_COLUMNS] = tb_sxtab16_odd(add, x);
  return columns + 2 * TB_TILE_COLUMNS;
}

/* One pixel of a tile: `count` listed channels in the order of the list, in each of `taps` runs of `run` bytes. */
TB_INLINE void tb_expand_listed_pixel(const int8_t *x, const uint16_t *list, uint32_t count, uint32_t taps, uint32_t run,
                                      uint32_t add, uint32_t *columns) {
  const uint8_t *bytes = (const uint8_t *)x;
  uint32_t word = 0, filled = 0;
  for (uint32_t tap = 0; tap < taps; tap++, bytes += run) {
    uint32_t i = 0;
    for (; filled == 0 && i + 4 <= count; i += 4) {
      word = bytes[list[i]] | (uint32_t)bytes[list[i + 1]] << 8;
      word |= (uint32_t)bytes[list[i + 2]] << 16 | (uint32_t)bytes[list[i + 3]] << 24;
      columns = tb_expand_pixel_word(word, add, columns);
    }
    for (; i < count; i++) {
      word = word >> 8 | (uint32_t)bytes[list[i]] << 24;
      filled = (filled + 1) % 4;
      if (filled == 0) columns = tb_expand_pixel_word(word, add, columns);
    }
  }
  if (filled != 0) tb_expand_pixel_word(word >> (8 * (4 - filled)), add, columns);
}

/* Whole tiles of neighbouring pixels of `terms` channels, a multiple of 4. `gap` bytes are left free behind each tile, `end` is
 * behind the last gap. At least one tile. */
#if TB_DSP_ASM
void tb_expand_tiles(const int8_t *x, uint32_t terms, uint32_t *columns, const uint32_t *end, uint32_t gap, uint32_t add);
#else
TB_INLINE void tb_expand_tiles(const int8_t *x, uint32_t terms, uint32_t *columns, const uint32_t *end, uint32_t gap,
                               uint32_t add) {
  for (; columns != end; x += 4 * terms, columns += gap / 4) {
    const int8_t *const pixel[TB_TILE_COLUMNS] = {x, x + terms, x + 2 * terms, x + 3 * terms};
    columns = tb_expand_columns(pixel, terms, add, columns);
  }
}
#endif

#if TB_DSP_ASM
/* Whole tiles of neighbouring pixels of a 3 x 3 convolution of 3 channels at stride 2: what they see of three rows, `row` bytes
 * apart, the first of them at x; nothing of it is outside the image. The rest as for tb_expand_tiles. */
void tb_expand_stem_tiles(const int8_t *x, uint32_t row, uint32_t *columns, const uint32_t *end, uint32_t gap, uint32_t add);
#endif

#endif
