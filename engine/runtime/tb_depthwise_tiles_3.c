/* tb_depthwise_tiles_3.c: runs of tiles of a 3 x 3 kernel in assembly: all weights, sums and two pairs of columns fill the
 * registers, of which GCC needs more. What a tile is: tb_depthwise_tile.h. */
#include "tb_depthwise_tiles.h"

#include <stddef.h>

#if TB_DSP_ASM
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly finds it in r0 */
_Static_assert(offsetof(tb_tiles_t, bits_back) == 56, "the assembly knows where each member lies");
/* r0-r5: weights, u and v of each row; r6-r9: sums; r10, r11: columns; r12: planes; lr: y.
 * Stack: end 0, bias 4, multiplier 8, zero 12, step 16, tile_step 20, three_steps 24, bits 28; then of the next channel, where
 * there is one: channels 32 (left), weights 36, biases 40, multipliers 44, planes_back 48, y_back 52, bits_back 56. */
#define BEGIN                                     \
  "push {r4-r11, lr}\n"                           \
  "add r1, r0, #44\n"                             \
  "ldm r1, {r1, r5-r7}\n" /* channels, planes_back, y_back, bits_back */ \
  "ldr r2, [r0]\n"                                \
  "ldrd r3, r4, [r0, #16]\n"                      \
  "push {r1-r7}\n"                                \
  "ldr r12, [r0, #4]\n"                           \
  "ldrd lr, r1, [r0, #8]\n" /* y, end */          \
  "add r0, #24\n"                                 \
  "ldm r0, {r4-r8}\n" /* zero, step, tile_step, three_steps, bits */ \
  "add r12, #16\n"                                \
  "add r1, #16\n"                                 \
  "mov r0, r2\n"                                  \
  "ldr r2, [sp, #8]\n ldr r2, [r2]\n"            \
  "ldr r3, [sp, #12]\n ldr r3, [r3]\n"           \
  "push {r1-r8}\n"                                \
  "ldm r0, {r0-r5}\n"                             \
  "1: ldr r9, [sp, #4]\n"
#define SCALE                                     \
  "ldrd r10, r11, [sp, #8]\n"                     \
  "smmlar r6, r6, r10, r11\n"                     \
  "smmlar r7, r7, r10, r11\n"                     \
  "smmlar r8, r8, r10, r11\n"                     \
  "smmlar r9, r9, r10, r11\n"
/* The next tile, or the first one of the next channel: its table is 40 bytes on, its plane 24. */
#define NEXT(move_bits)                           \
  "ldr r10, [sp]\n"                               \
  "cmp r12, r10\n"                                \
  "bne 1b\n"                                      \
  "add r0, sp, #32\n"                             \
  "ldm r0, {r1-r7}\n"                             \
  "subs r1, #1\n"                                 \
  "beq 2f\n"                                      \
  "add r2, #40\n"                                 \
  "ldr r8, [r3, #4]!\n"                           \
  "ldr r9, [r4, #4]!\n"                           \
  "stm r0, {r1-r4}\n"                             \
  "add r12, r5\n"                                 \
  "add lr, r6\n"                                  \
  "add r6, r10, #24\n"                            \
  "stm sp, {r6, r8, r9}\n" move_bits              \
  "ldm r2, {r0-r5}\n"                             \
  "b 1b\n"                                        \
  "2: add sp, #60\n"                              \
  "pop {r4-r11, pc}\n"
#define MOVE_BITS "ldr r3, [sp, #28]\n add r3, r7\n str r3, [sp, #28]\n"
#define STORE                                     \
  SCALE                                           \
  "ldrd r10, r11, [sp, #16]\n"                    \
  "ssat r6, #8, r6\n"                             \
  "ssat r7, #8, r7\n"                             \
  "ssat r8, #8, r8\n"                             \
  "ssat r9, #8, r9\n"                             \
  "strb r6, [lr]\n"                               \
  "strb r7, [lr, r10]\n"                          \
  "strb r8, [lr, r10, lsl #1]\n"                  \
  "add r6, r10, r10, lsl #1\n"                    \
  "strb r9, [lr, r6]\n"                           \
  "add lr, r11\n" NEXT("")

/* Clamp a to r10, and a bit to r11: whether that changed it. */
#define CLAMP(a) "ssat r10, #8, " a "\n eor " a ", " a ", r10\n cmp " a ", #1\n adc r11, r11, r11\n"
#define STORE_MASKED                              \
  SCALE                                           \
  "mov r11, #0\n"                                 \
  CLAMP("r9")                                     \
  "ldr r9, [sp, #24]\n"                           \
  "strb r10, [lr, r9]\n"                          \
  CLAMP("r8")                                     \
  "ldrd r8, r9, [sp, #16]\n"                      \
  "strb r10, [lr, r8, lsl #1]\n"                  \
  CLAMP("r7")                                     \
  "strb r10, [lr, r8]\n"                          \
  CLAMP("r6")                                     \
  "strb r10, [lr]\n"                              \
  "add lr, r9\n"                                  \
  "ldr r10, [sp, #28]\n"                          \
  "strb r11, [r10], #4\n"                         \
  "str r10, [sp, #28]\n" NEXT(MOVE_BITS)

/* One row at stride 1. a, b, c, d: what the sums start from; from, last: where its first four columns and its last two lie. */
#define ROW_1(u, v, a, b, c, d, from, last)       \
  "ldrd r10, r11, " from "\n"                     \
  "smlad r6, " u ", r10, " a "\n"                 \
  "smlabt r7, " u ", r10, " b "\n"                \
  "smlad r8, " u ", r11, " c "\n"                 \
  "smlabt r9, " u ", r11, " d "\n"                \
  "ldr r10, " last "\n"                           \
  "smlatb r6, " v ", r11, r6\n"                   \
  "smlad r7, " v ", r11, r7\n"                    \
  "smlatb r8, " v ", r10, r8\n"                   \
  "smlad r9, " v ", r10, r9\n"
#define FIRST_1(from, last) ROW_1("r0", "r1", "r9", "r9", "r9", "r9", from, last)
#define SECOND_1(from, last) ROW_1("r2", "r3", "r6", "r7", "r8", "r9", from, last)
#define THIRD_1(from, last) ROW_1("r4", "r5", "r6", "r7", "r8", "r9", from, last)

/* One row at stride 2. */
#define ROW_2(u, v, a, b, c, d, from, next, last) \
  "ldrd r10, r11, " from "\n"                     \
  "smlad r6, " u ", r10, " a "\n"                 \
  "smlatb r6, " v ", r11, r6\n"                   \
  "smlad r7, " u ", r11, " b "\n"                 \
  "ldrd r10, r11, " next "\n"                     \
  "smlatb r7, " v ", r10, r7\n"                   \
  "smlad r8, " u ", r10, " c "\n"                 \
  "smlatb r8, " v ", r11, r8\n"                   \
  "smlad r9, " u ", r11, " d "\n"                 \
  "ldr r10, " last "\n"                           \
  "smlatb r9, " v ", r10, r9\n"
#define FIRST_2(from, next, last) ROW_2("r0", "r1", "r9", "r9", "r9", "r9", from, next, last)
#define SECOND_2(from, next, last) ROW_2("r2", "r3", "r6", "r7", "r8", "r9", from, next, last)
#define THIRD_2(from, next, last) ROW_2("r4", "r5", "r6", "r7", "r8", "r9", from, next, last)

/* With 3 slots quads are 96 bytes apart. r12 is 16 bytes ahead, so that the last load moves it on. */
#define TILES_1_3                                                                                 \
  BEGIN FIRST_1("[r12, #-16]", "[r12, #80]") SECOND_1("[r12, #-8]", "[r12, #88]") THIRD_1("[r12]", "[r12, #96]!")
#define TILES_2_3                                                                                 \
  BEGIN FIRST_2("[r12, #-16]", "[r12, #80]", "[r12, #176]")                                 \
      SECOND_2("[r12, #-8]", "[r12, #88]", "[r12, #184]") THIRD_2("[r12]", "[r12, #96]", "[r12, #192]!")
#define KERNEL(name, tiles, store) \
  __attribute__((naked)) void name(const tb_tiles_t *run) { __asm volatile(tiles store); }
KERNEL(tb_tiles_3_1_3, TILES_1_3, STORE)
KERNEL(tb_tiles_3_2_3, TILES_2_3, STORE)
KERNEL(tb_tiles_masked_3_1_3, TILES_1_3, STORE_MASKED)
KERNEL(tb_tiles_masked_3_2_3, TILES_2_3, STORE_MASKED)
#else
typedef int tb_depthwise_tiles_3_is_empty; /* a file of C needs a declaration */
#endif
