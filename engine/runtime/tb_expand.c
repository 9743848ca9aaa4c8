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

/* Four pixels, 6 bytes apart, of rows r0, r1, r2; r3: columns up to lr; r12: add. What a pixel sees are 9 bytes of each row: words
 * of four, of which two are made of the end of a row and the start of the next. Stack: gap 0. */
#define OF_PIXELS(of) of("r4", "0") of("r5", "6") of("r6", "12") of("r7", "18")
#define WORD(to, row, at, pixel) "ldr " to ", [" row ", #" at "+" pixel "]\n"
#define WORD_0(to, pixel) WORD(to, "r0", "0", pixel)
#define WORD_1(to, pixel) WORD(to, "r0", "4", pixel)
#define WORD_2(to, pixel) "ldrb " to ", [r0, #8+" pixel "]\n" WORD("r8", "r1", "0", pixel) "orr " to ", " to ", r8, lsl #8\n"
#define WORD_3(to, pixel) WORD(to, "r1", "3", pixel)
#define WORD_4(to, pixel) "ldrh " to ", [r1, #7+" pixel "]\n ldrh r8, [r2, #" pixel "]\n orr " to ", " to ", r8, lsl #16\n"
#define WORD_5(to, pixel) WORD(to, "r2", "2", pixel)
#define WORD_6(to, pixel) WORD(to, "r2", "5", pixel) "lsr " to ", #8\n"
#define WIDEN                                                                                      \
  "sxtab16 r8, r12, r4\n sxtab16 r9, r12, r5\n sxtab16 r10, r12, r6\n sxtab16 r11, r12, r7\n"      \
  "stm r3!, {r8-r11}\n"                                                                            \
  "sxtab16 r8, r12, r4, ror #8\n sxtab16 r9, r12, r5, ror #8\n"                                    \
  "sxtab16 r10, r12, r6, ror #8\n sxtab16 r11, r12, r7, ror #8\n"                                  \
  "stm r3!, {r8-r11}\n"
TB_ASSEMBLY void tb_expand_stem_tiles(const int8_t *x, uint32_t row, uint32_t *columns, const uint32_t *end, uint32_t gap,
                                      uint32_t add) {
  __asm volatile(
      "push {r4-r11, lr}\n"
      "mov lr, r3\n"
      "ldrd r4, r12, [sp, #36]\n"
      "mov r3, r2\n"
      "add r2, r0, r1, lsl #1\n"
      "add r1, r0\n"
      "push {r4}\n"
      "1: " OF_PIXELS(WORD_0) WIDEN OF_PIXELS(WORD_1) WIDEN OF_PIXELS(WORD_2) WIDEN OF_PIXELS(WORD_3) WIDEN
      OF_PIXELS(WORD_4) WIDEN OF_PIXELS(WORD_5) WIDEN OF_PIXELS(WORD_6) WIDEN
      "ldr r4, [sp]\n"
      "add r0, #24\n add r1, #24\n add r2, #24\n"
      "add r3, r4\n"
      "cmp r3, lr\n"
      "bne 1b\n"
      "add sp, #4\n"
      "pop {r4-r11, pc}\n");
}
#endif
