/* tb_gemm.c: the tile in assembly, since GCC leaves too few registers for it. Its plain twin: tb_gemm.h. */
#include "tb_gemm.h"

#if TB_DSP_ASM
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly finds them in r0 to r3 */
TB_ASSEMBLY void tb_gemm_tile(const uint32_t *rows, const uint32_t *columns, uint32_t pairs, int32_t acc[8]) {
  __asm volatile(
      "push {r3-r11, lr}\n" /* [sp]: acc */
      "add r4, r0, r2, lsl #3\n"
      "push {r4, lr}\n" /* [sp]: end of the rows; lr keeps the stack aligned */
      TB_ASM_ENTRY("r4", "r2", "r5")
      "ldm r3, {r6-r12, lr}\n"
      "bx r4\n" TB_ASM_PAIRS("0")
      "ldr r2, [sp, #8]\n"
      "stm r2, {r6-r12, lr}\n"
      "add sp, #8\n"
      "pop {r3-r11, pc}\n");
}
#endif
