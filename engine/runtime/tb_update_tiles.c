/* tb_update_tiles.c: the inner loops of tb_conv2d_update_i16.c; in assembly so that no register is spilled between tiles. */
#include "tb_update_tiles.h"

#if TB_DSP_ASM
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly finds them in r0 to r3 and on the stack */
/* Stack: sums 0, rows_end 4, entry 8, rows 12, columns 16, columns_end 20. */
__attribute__((naked, noinline)) void tb_update_tiles(const uint32_t *rows, const uint32_t *columns,
                                                      const uint32_t *columns_end, uint32_t pairs, int32_t *sums) {
  __asm volatile(
      "push {r4-r11, lr}\n"
      "ldr r4, [sp, #36]\n" /* sums */
      "add r5, r0, r3, lsl #3\n"
      "sub r3, #1\n" TB_ASM_ENTRY("r6", "r3", "r7")
      "push {r0-r2}\n"
      "push {r4-r6}\n"
      "3: ldr r0, [sp, #12]\n"
      "mov r9, #0\n mov lr, #0\n" TB_ASM_FIRST_PAIR
      "ldr pc, [sp, #8]\n" TB_ASM_PAIRS("4")
      "ldr r2, [sp]\n"
      "stm r2!, {r6-r12, lr}\n"
      "str r2, [sp]\n"
      "ldr r2, [sp, #20]\n"
      "cmp r1, r2\n"
      "bne 3b\n"
      "add sp, #24\n"
      "pop {r4-r11, pc}\n");
}
#else
void tb_update_tiles(const uint32_t *rows, const uint32_t *columns, const uint32_t *columns_end, uint32_t pairs,
                     int32_t *sums) {
  for (; columns != columns_end; columns += TB_TILE_COLUMNS * pairs, sums += TB_TILE_ROWS * TB_TILE_COLUMNS) {
    for (uint32_t i = 0; i < TB_TILE_ROWS * TB_TILE_COLUMNS; i++) sums[i] = 0;
    tb_gemm_tile(rows, columns, pairs, sums);
  }
}
#endif
