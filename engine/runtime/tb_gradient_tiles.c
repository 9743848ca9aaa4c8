/* tb_gradient_tiles.c: the inner loops of tb_conv2d_grad_i16.c; in assembly so that no register is spilled between tiles. */
#include "tb_gradient_tiles.h"

#if TB_DSP_ASM
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly finds it in r0 */
/* Stack: step 0, up 4, limit 8, magnitudes 12, dx 16, second 20, rows 24, entry 28, rows_end 32, columns_end 36, columns 40,
 * tiles 44. At label 3 a tile begins, r1 at its columns. Sums that need a larger shift leave at label 4. */
#define MAGNITUDE(a) "eor r2, " a ", " a ", lsl #1\n orr r0, r0, r2\n"
#define BEGIN                                                                \
  "push {r0, r4-r11, lr}\n"                                                  \
  "ldm r0, {r1-r11}\n"                                                       \
  "push {r1-r11}\n"                                                          \
  "mov r1, r11\n"                                                            \
  "sub r8, #1\n" TB_ASM_ENTRY("r4", "r8", "r5")                              \
  "str r4, [sp, #28]\n"                                                      \
  "3: ldr r0, [sp, #24]\n"                                                   \
  "mov r9, #0\n mov lr, #0\n" TB_ASM_FIRST_PAIR                              \
  "ldr pc, [sp, #28]\n" TB_ASM_PAIRS("32")                                   \
  "eor r0, r6, r6, lsl #1\n" MAGNITUDE("r7") MAGNITUDE("r8")                 \
  MAGNITUDE("r9") MAGNITUDE("r10") MAGNITUDE("r11") MAGNITUDE("r12")         \
  MAGNITUDE("lr")                                                            \
  "ldm sp, {r2-r5}\n" /* step, up, limit, magnitudes */                      \
  "orr r5, r5, r0\n"                                                         \
  "str r5, [sp, #12]\n"                                                      \
  "cmp r0, r4\n"                                                             \
  "bhi 4f\n"                                                                 \
  "ldr r0, [sp, #16]\n"                                                      \
  "movw r4, #65535\n"
#define END                                                                  \
  "add r0, r0, r2, lsl #2\n"                                                 \
  "str r0, [sp, #16]\n"                                                      \
  "ldr r2, [sp, #36]\n"                                                      \
  "cmp r1, r2\n"                                                             \
  "bne 3b\n"                                                                 \
  "movs r0, #0\n"                                                            \
  "b 5f\n"                                                                   \
  "4: ldr r2, [sp, #44]\n"                                                   \
  "add r2, #44\n"                                                            \
  "stm r2, {r6-r12, lr}\n"                                                   \
  "movs r0, #1\n"                                                            \
  "5: ldr r2, [sp, #44]\n"                                                   \
  "ldrd r3, r4, [sp, #12]\n"                                                 \
  "strd r3, r4, [r2, #12]\n"                                                 \
  "str r1, [r2, #40]\n"                                                      \
  "add sp, #48\n"                                                            \
  "pop {r4-r11, pc}\n"

/* The two channels of a pixel, neighbours, as one word in a. */
#define NEIGHBOURS(a, b)                                                     \
  "lsl " a ", " a ", r3\n lsl " b ", " b ", r3\n"                            \
  "uxtah r5, r4, " a "\n orr " a ", " a ", r5\n"                             \
  "uxtah r5, r4, " b "\n orr " b ", " b ", r5\n"                             \
  "pkhtb " a ", " b ", " a ", asr #16\n"

__attribute__((naked, noinline)) static int neighbours(tb_gradient_tiles_t *tiles) {
  __asm volatile(BEGIN
                 NEIGHBOURS("r6", "r10") "str r6, [r0]\n"
                 NEIGHBOURS("r7", "r11") "str r7, [r0, r2]\n"
                 NEIGHBOURS("r8", "r12") "str r8, [r0, r2, lsl #1]\n"
                 NEIGHBOURS("r9", "lr") "add r5, r0, r2\n str r9, [r5, r2, lsl #1]\n" END);
}

#define SINGLE(a)                                                            \
  "lsl " a ", " a ", r3\n uxtah r5, r4, " a "\n"                             \
  "orr " a ", " a ", r5\n lsr " a ", " a ", #16\n"
#define CHANNEL(y, a, b, c, d)                                               \
  SINGLE(a) "strh " a ", [" y "]\n" SINGLE(b) "strh " b ", [" y ", r2]\n"    \
  SINGLE(c) "strh " c ", [" y ", r2, lsl #1]\n"                              \
  SINGLE(d) "add r5, " y ", r2\n strh " d ", [r5, r2, lsl #1]\n"

__attribute__((naked, noinline)) static int apart(tb_gradient_tiles_t *tiles) {
  __asm volatile(BEGIN CHANNEL("r0", "r6", "r7", "r8", "r9")
                 "ldr r6, [sp, #20]\n add r6, r6, r0\n" CHANNEL("r6", "r10", "r11", "r12", "lr") END);
}

_Static_assert(offsetof(tb_gradient_tiles_t, sums) == 44, "the assembly knows where each member lies");
#endif

int tb_gradient_tiles(tb_gradient_tiles_t *tiles) {
#if TB_DSP_ASM
  if (tiles->columns == tiles->columns_end) return 0;
  return tiles->second == sizeof(int16_t) ? neighbours(tiles) : apart(tiles);
#else
  while (tiles->columns != tiles->columns_end) {
    if (tb_gradient_sums(tiles)) return 1;
    tb_gradient_store(tiles, TB_TILE_ROWS, TB_TILE_COLUMNS);
  }
  return 0;
#endif
}
