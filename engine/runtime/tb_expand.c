/* tb_expand.c: weights and activations widened, in assembly: GCC neither stores four registers at once nor keeps 14 of them.
 * The plain twins: tb_expand.h. */
#include "tb_expand.h"

#if TB_DSP_ASM
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly finds them in r0 to r3 and on the stack */

TB_ASSEMBLY uint32_t *tb_expand_row_groups(const int8_t *row0, const int8_t *row1, uint32_t groups,
                                                                uint32_t *rows) {
  __asm volatile(
      "push {r4-r7, lr}\n"
      "1: ldr r12, [r0], #4\n ldr lr, [r1], #4\n"
      "sxtb16 r4, r12\n sxtb16 r5, lr\n sxtb16 r6, r12, ror #8\n sxtb16 r7, lr, ror #8\n"
      "stm r3!, {r4-r7}\n"
      "subs r2, #1\n"
      "bne 1b\n"
      "mov r0, r3\n"
      "pop {r4-r7, pc}\n");
}

/* r1 bytes of a pixel, r3 three times that, r12 add, lr groups left. Stack: end 0, then 9 registers, gap 40, add 44. Within a
 * tile r0 moves by one pixel; three more lead to the next tile. */
TB_ASSEMBLY void tb_expand_tiles(const int8_t *x, uint32_t terms, uint32_t *columns,
                                                      const uint32_t *end, uint32_t gap, uint32_t add) {
  __asm volatile(
      "push {r3-r11, lr}\n"
      "ldr r12, [sp, #44]\n"
      "add r3, r1, r1, lsl #1\n"
      "1: lsr lr, r1, #2\n"
      "2: ldr r5, [r0, r1]\n ldr r6, [r0, r1, lsl #1]\n ldr r7, [r0, r3]\n ldr r4, [r0], #4\n"
      "sxtab16 r8, r12, r4\n sxtab16 r9, r12, r5\n sxtab16 r10, r12, r6\n sxtab16 r11, r12, r7\n"
      "stm r2!, {r8-r11}\n"
      "sxtab16 r8, r12, r4, ror #8\n sxtab16 r9, r12, r5, ror #8\n"
      "sxtab16 r10, r12, r6, ror #8\n sxtab16 r11, r12, r7, ror #8\n"
      "stm r2!, {r8-r11}\n"
      "subs lr, #1\n"
      "bne 2b\n"
      "ldr r4, [sp, #40]\n"
      "ldr r5, [sp]\n"
      "add r0, r3\n"
      "add r2, r4\n"
      "cmp r2, r5\n"
      "bne 1b\n"
      "pop {r3-r11, pc}\n");
}
#endif
