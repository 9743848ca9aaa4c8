/* tb_gemm.h: the one tile that forward, input gradient and weight gradient of a convolution are made of.
 *
 * A tile is 2 rows (output channels) by 4 columns (pixels), its sums in 8 registers. Both operands are int16, in pairs along
 * the summed axis: `rows` holds [pair][2 rows] words, `columns` [pair][4 columns] words, both 4-byte aligned.
 */
#ifndef TB_GEMM_H
#define TB_GEMM_H

#include "tb_dsp.h"
#include "tb_internal.h"

#define TB_TILE_ROWS 2u
#define TB_TILE_COLUMNS 4u

/* acc[row * 4 + column] += sum over pairs of rows * columns; `pairs` is not 0. */
#if TB_DSP_ASM
void tb_gemm_tile(const uint32_t *rows, const uint32_t *columns, uint32_t pairs, int32_t acc[8]);
#else
TB_INLINE void tb_gemm_tile(const uint32_t *rows, const uint32_t *columns, uint32_t pairs, int32_t acc[8]) {
  for (uint32_t i = 0; i < pairs; i++, rows += TB_TILE_ROWS, columns += TB_TILE_COLUMNS) {
    for (uint32_t c = 0; c < TB_TILE_COLUMNS; c++) {
      acc[c] = tb_smlad(rows[0], columns[c], acc[c]);
      acc[TB_TILE_COLUMNS + c] = tb_smlad(rows[1], columns[c], acc[TB_TILE_COLUMNS + c]);
    }
  }
}
#endif

/* The tile in assembly, all 14 registers: rows r0, columns r1, weights r2 r3, pixels r4 r5, sums r6-r9 and r10 r11 r12 lr.
 * One pair is 44 bytes of code. TB_ASM_PAIRS sums up to the end of the rows, kept at `rows_end` of the stack, and is entered
 * at the address that TB_ASM_ENTRY works out (16 pairs a round, so the first round skips some). */
#if TB_DSP_ASM
#define TB_ASSEMBLY __attribute__((naked, noinline)) /* of a function that is all assembly */
#define TB_ASM_PAIR_OF(a, b, c, d, e, f, g, h)                                  \
  "ldrd r2, r3, [r0], #8\n"                                                     \
  "ldrd r4, r5, [r1], #8\n"                                                     \
  "smlad r6, r2, r4, " a "\n smlad r7, r2, r5, " b "\n"                         \
  "smlad r10, r3, r4, " e "\n smlad r11, r3, r5, " f "\n"                       \
  "ldrd r4, r5, [r1], #8\n"                                                     \
  "smlad r8, r2, r4, " c "\n smlad r9, r2, r5, " d "\n"                         \
  "smlad r12, r3, r4, " g "\n smlad lr, r3, r5, " h "\n"
#define TB_ASM_PAIR TB_ASM_PAIR_OF("r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr")
/* The first pair of sums that start at r9 (row 0) and lr (row 1). */
#define TB_ASM_FIRST_PAIR TB_ASM_PAIR_OF("r9", "r9", "r9", "r9", "lr", "lr", "lr", "lr")
#define TB_ASM_PAIRS(rows_end)                                                  \
  "1:\n .rept 16\n" TB_ASM_PAIR ".endr\n"                                       \
  "2: ldr r2, [sp, #" rows_end "]\n cmp r0, r2\n bne 1b\n"
/* `entry` = where to enter for `pairs`; both are registers, `other` is overwritten. ADR counts from a multiple of 4, so the
 * section must begin at one, at -Os too. */
#define TB_ASM_ENTRY(entry, pairs, other)                                       \
  "and " pairs ", " pairs ", #15\n mov " other ", #44\n"                        \
  "mul " pairs ", " pairs ", " other "\n"                                       \
  ".p2align 2\n adr.w " entry ", 2f\n sub " entry ", " entry ", " pairs "\n"    \
  "orr " entry ", " entry ", #1\n"
#endif

#endif
