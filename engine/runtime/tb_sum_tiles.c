/* tb_sum_tiles.c: the inner loop of sums that are added to; in assembly so that no register is spilled between tiles. */
#include "tb_sum_tiles.h"

#if TB_DSP_ASM
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly finds it in r0 */
/* The four pixels of both channels, by LDR or STR: r4 at the first, r2 from pixel to pixel, r3 from channel to channel. */
#define PIXEL(access, a, b) access " " a ", [r4]\n " access " " b ", [r4, r3]\n"
#define PIXELS(access)                                                                                \
  PIXEL(access, "r6", "r10") "add r4, r4, r2\n" PIXEL(access, "r7", "r11") "add r4, r4, r2\n"         \
  PIXEL(access, "r8", "r12") "add r4, r4, r2\n" PIXEL(access, "r9", "lr")

/* Stack: rows 0, step 4, second 8, sums 12, rows_end 16, columns_end 20, entry 24. */
TB_ASSEMBLY void tb_sum_tiles(const tb_sum_tiles_t *tiles) {
  __asm volatile(
      "push {r4-r11, lr}\n"
      "sub sp, #28\n"
      "ldm r0, {r4-r11}\n"
      "stm sp, {r4-r9}\n"
      "mov r1, r10\n" TB_ASM_ENTRY("r4", "r11", "r5")
      "str r4, [sp, #24]\n"
      "3: ldm sp, {r0, r2, r3, r4}\n" PIXELS("ldr")
      "ldr pc, [sp, #24]\n" TB_ASM_PAIRS("16")
      "ldm sp, {r0, r2, r3, r4}\n" PIXELS("str")
      "add r4, r4, r2\n"
      "str r4, [sp, #12]\n"
      "ldr r2, [sp, #20]\n"
      "cmp r1, r2\n"
      "bne 3b\n"
      "add sp, #28\n"
      "pop {r4-r11, pc}\n");
}
#else
void tb_sum_tiles(const tb_sum_tiles_t *tiles) {
  const uint32_t *columns = tiles->columns;
  uint8_t *pixel = (uint8_t *)tiles->sums;
  for (; columns != tiles->columns_end; columns += TB_TILE_COLUMNS * tiles->pairs) {
    int32_t acc[TB_TILE_ROWS * TB_TILE_COLUMNS] = {0};
    tb_gemm_tile(tiles->rows, columns, tiles->pairs, acc);
    for (uint32_t p = 0; p < TB_TILE_COLUMNS; p++, pixel += tiles->step) {
      int32_t *const sums = (int32_t *)(void *)pixel;
      sums[0] += acc[p];
      sums[tiles->second / sizeof *sums] += acc[TB_TILE_COLUMNS + p];
    }
  }
}
#endif
