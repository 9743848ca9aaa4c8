/* tb_expand.h: int8 weights and activations widened into the operands of a GEMM tile (tb_gemm.h).
 *
 * Four neighbouring terms t0 t1 t2 t3 of a sum become the pairs (t0, t2) and (t1, t3), as SXTB16 makes them of a word. The
 * number of terms is rounded up to a multiple of 4 (TB_TERMS): the weights of the missing ones are 0.
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

/* Two rows of `count` weights, anywhere. Returns the end of what it wrote, TB_TERMS(count) words. */
TB_INLINE uint32_t *tb_expand_rows(const int8_t *row0, const int8_t *row1, uint32_t count, uint32_t *rows) {
  for (uint32_t i = count >> 2; i != 0; i--, row0 += 4, row1 += 4) {
    rows = tb_expand_row_words(tb_load32(row0), tb_load32(row1), rows);
  }
  if ((count & 3u) == 0) return rows;
  return tb_expand_row_words(tb_load_bytes(row0, count & 3u), tb_load_bytes(row1, count & 3u), rows);
}

/* `add`: the pair (-zero, -zero). */
TB_INLINE uint32_t *tb_expand_column_words(const uint32_t x[4], uint32_t add, uint32_t *columns) {
  const uint32_t a = tb_sxtab16(add, x[0]), b = tb_sxtab16(add, x[1]);
  const uint32_t c = tb_sxtab16(add, x[2]), d = tb_sxtab16(add, x[3]);
  columns[0] = a, columns[1] = b, columns[2] = c, columns[3] = d;
  columns[4] = tb_sxtab16_odd(add, x[0]), columns[5] = tb_sxtab16_odd(add, x[1]);
  columns[6] = tb_sxtab16_odd(add, x[2]), columns[7] = tb_sxtab16_odd(add, x[3]);
  return columns + 8;
}

/* Four pixels of `count` channels, minus the zero point. Returns the end of what it wrote, 2 * TB_TERMS(count) words. */
TB_INLINE uint32_t *tb_expand_columns(const int8_t *const pixel[4], uint32_t count, int32_t zero, uint32_t *columns) {
  const uint32_t add = tb_pair(-zero, -zero);
  const int8_t *p0 = pixel[0], *p1 = pixel[1], *p2 = pixel[2], *p3 = pixel[3];
  for (uint32_t i = count >> 2; i != 0; i--, p0 += 4, p1 += 4, p2 += 4, p3 += 4) {
    const uint32_t x[4] = {tb_load32(p0), tb_load32(p1), tb_load32(p2), tb_load32(p3)};
    columns = tb_expand_column_words(x, add, columns);
  }
  const uint32_t left = count & 3u;
  if (left == 0) return columns;
  const uint32_t x[4] = {tb_load_bytes(p0, left), tb_load_bytes(p1, left), tb_load_bytes(p2, left),
                         tb_load_bytes(p3, left)};
  return tb_expand_column_words(x, add, columns);
}

/* The same of listed channels: `count` of them in the order of the list, for each of `taps` runs of `run` bytes. */
TB_INLINE uint32_t *tb_expand_listed_columns(const int8_t *const pixel[4], const uint16_t *list, uint32_t count,
                                             uint32_t taps, uint32_t run, int32_t zero, uint32_t *columns) {
  const uint32_t add = tb_pair(-zero, -zero);
  uint32_t x[4] = {0, 0, 0, 0}, filled = 0;
  for (uint32_t tap = 0, offset = 0; tap < taps; tap++, offset += run) {
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t at = offset + list[i];
      for (uint32_t p = 0; p < 4; p++) x[p] = x[p] >> 8 | (uint32_t)(uint8_t)pixel[p][at] << 24;
      if ((++filled & 3u) == 0) columns = tb_expand_column_words(x, add, columns);
    }
  }
  if ((filled & 3u) == 0) return columns;
  for (uint32_t p = 0; p < 4; p++) x[p] >>= 8 * (4 - (filled & 3u));
  return tb_expand_column_words(x, add, columns);
}

#endif
