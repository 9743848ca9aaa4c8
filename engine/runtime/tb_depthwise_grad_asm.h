/* tb_depthwise_grad_asm.h: tiles of four pixels of an int16 input gradient, in assembly; included by tb_depthwise_grad_tiles.c.
 *
 * Sums start at 2^(15 + shift), so that those that need no larger shift are the ones within 16 + shift bits: one test for all
 * four. A product by 2^(31 - shift) splits a sum: its upper word is half the value to store, rounded down, and the lower one
 * says whether that takes 1 more, be it a bit that is kept or one that is lost: rounded to odd by the carry of a comparison.
 * As long as nothing but 0 was met there is no bias, and any other sum is too large.
 */
#ifndef TB_DEPTHWISE_GRAD_ASM_H
#define TB_DEPTHWISE_GRAD_ASM_H

#include "tb_depthwise_grad_tiles.h"

#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly finds it in r0 */

/* Where the first tile lies that was not computed; else the end of the last channel. */
typedef const uint32_t *tiles_t(const tb_gradient_run_t *run);
_Static_assert(offsetof(tb_gradient_run_t, planes) == 52, "the assembly knows where each member lies");
_Static_assert(TB_GRADIENT_SLOTS == 12 && TB_GRADIENT_TABLE_WORDS == 42, "the assembly knows both");

/* Registers: r0 planes, r1 weights, r2-r5 sums, r6 and r7 columns, r8-r12 and lr a row's weights. Stack: the members of the run
 * up to `channels`. r5 holds the bias until it is a sum. */
#define TILES(name, sums)                                                              \
  __attribute__((naked, noipa)) static const uint32_t *name(const tb_gradient_run_t *run) { \
    __asm volatile(BEGIN sums END);                                                       \
  }
#define BEGIN                                                                \
  "push {r4-r11, lr}\n"                                                      \
  "add r12, r0, #32\n ldm r12, {r1-r6}\n push {r1-r5}\n mov r12, r6\n"       \
  "ldm r0, {r1-r8}\n push {r1-r8}\n mov r0, r12\n"                           \
  "3: ldrd r1, r5, [sp, #32]\n"
#define STORE(a, to)                                                         \
  "umull r6, " a ", " a ", r8\n cmp r6, #1\n"                                \
  "adc " a ", r10, " a ", lsl #1\n strh " a ", [r1" to "]\n"
#define END                                                                  \
  "ldm sp, {r1, r7-r12, lr}\n" /* dx, too_large, scale, third, unbias, step, tile_step, end */ \
  "orr r6, r2, r3\n orr r6, r6, r4\n orr r6, r6, r5\n"                       \
  "tst r6, r7\n bne 4f\n"                                                    \
  STORE("r2", "") STORE("r3", ", r11") STORE("r4", ", r11, lsl #1") STORE("r5", ", r9") \
  "add r1, r1, r12\n str r1, [sp]\n"                                         \
  "cmp r0, lr\n bne 3b\n"                                                    \
  "add r2, sp, #40\n ldm r2, {r3-r5}\n" /* planes_back, dx_back, channels */ \
  "subs r5, r5, #1\n beq 5f\n"                                               \
  "str r5, [sp, #48]\n"                                                      \
  "add r0, r0, r3\n"                                                         \
  "add r1, r1, r4\n str r1, [sp]\n"                                          \
  "add lr, lr, #96\n str lr, [sp, #28]\n"                                    \
  "ldr r3, [sp, #32]\n add r3, r3, #168\n str r3, [sp, #32]\n"               \
  "b 3b\n"                                                                   \
  "4: sub r0, r0, #8\n"                                                      \
  "5: add sp, sp, #52\n"                                                     \
  "pop {r4-r11, pc}\n"

/* Columns of a row, whose first ones pass r0 on to the next tile. */
#define FIRST "ldrd r6, r7, [r0], #8\n"
#define START(row) "ldrd r6, r7, [r0, #8 * " #row " - 8]\n"
#define PAIR(quad, row) "ldrd r6, r7, [r0, #384 * " #quad " + 8 * " #row " - 8]\n"
#define LAST(quad, row) "ldr r6, [r0, #384 * " #quad " + 8 * " #row " - 8]\n"
#define ADD(how, acc, w, column, to) "sml" how " " acc ", " w ", " column ", " to "\n"
/* What the first two columns give all sums. a: the first two weights; f, g: how they meet the second column at pixels 0 and 1, by
 * weights b and c. */
#define HEAD(a, f, b, g, c, from)                                            \
  ADD("ad", "r2", a, "r6", from("r2")) ADD("abt", "r3", a, "r6", from("r3")) \
  ADD(f, "r2", b, "r7", "r2") ADD(g, "r3", c, "r7", "r3")                    \
  ADD("ad", "r4", a, "r7", from("r4")) ADD("abt", "r5", a, "r7", "r5")
/* A column gives a pair of pixels. */
#define GIVE(column, even, f, b, odd, g, c) ADD(f, even, b, column, even) ADD(g, odd, c, column, odd)
#define BIAS(sum) "r5"
#define SUM(sum) sum

#define ROW_1(load, row, a, from)                                            \
  load ADD("abb", "r2", a, "r6", from("r2")) ADD("abt", "r3", a, "r6", from("r3")) \
  ADD("abb", "r4", a, "r7", from("r4")) ADD("abt", "r5", a, "r7", "r5")
#define ROW_2(load, row, a, from)                                            \
  load ADD("ad", "r2", a, "r6", from("r2")) ADD("abt", "r3", a, "r6", from("r3")) \
  LAST(1, row) ADD("ad", "r4", a, "r7", from("r4")) ADD("atb", "r3", a, "r7", "r3") \
  ADD("abt", "r5", a, "r7", "r5") ADD("atb", "r5", a, "r6", "r5")
#define ROW_3(load, row, a, l, from)                                            \
  load HEAD(a, "atb", l, "ad", l, from) LAST(1, row)                           \
  GIVE("r6", "r4", "atb", l, "r5", "ad", l)
#define ROW_4(load, row, a, b, o, from)                                         \
  load HEAD(a, "ad", b, "ad", o, from) PAIR(1, row)                            \
  ADD("atb", "r3", b, "r6", "r3")                                            \
  GIVE("r6", "r4", "ad", b, "r5", "ad", o) ADD("atb", "r5", b, "r7", "r5")
#define ROW_5(load, row, a, b, l, o, from)                                      \
  load HEAD(a, "ad", b, "ad", o, from) PAIR(1, row)                            \
  GIVE("r6", "r2", "atb", l, "r3", "ad", l) GIVE("r6", "r4", "ad", b, "r5", "ad", o) \
  GIVE("r7", "r4", "atb", l, "r5", "ad", l)
#define ROW_7(load, row, a, b, c, l, o, q, from)                                \
  load HEAD(a, "ad", b, "ad", o, from) PAIR(1, row)                            \
  GIVE("r6", "r2", "ad", c, "r3", "ad", q) GIVE("r6", "r4", "ad", b, "r5", "ad", o)   \
  GIVE("r7", "r2", "atb", l, "r3", "ad", l) GIVE("r7", "r4", "ad", c, "r5", "ad", q)  \
  LAST(2, row) GIVE("r6", "r4", "atb", l, "r5", "ad", l)

#define SIX "ldm r1!, {r8-r12, lr}\n"
#define FOUR "ldm r1!, {r8-r11}\n"
#define THREE "ldm r1!, {r8-r10}\n"
#define WEIGHTS2 "ldrd r8, r9, [r1]\n"
#define WEIGHT "ldr r8, [r1]\n"
#define SUMS_1x1 \
  WEIGHT \
  ROW_1(FIRST, 0, "r8", BIAS)
#define SUMS_1x2 \
  WEIGHT \
  ROW_2(FIRST, 0, "r8", BIAS)
#define SUMS_2x1 \
  WEIGHTS2 \
  ROW_1(FIRST, 0, "r8", BIAS) \
  ROW_1(START(1), 1, "r9", SUM)
#define SUMS_2x2 \
  WEIGHTS2 \
  ROW_2(FIRST, 0, "r8", BIAS) \
  ROW_2(START(1), 1, "r9", SUM)
#define SUMS_2x3 \
  FOUR \
  ROW_3(FIRST, 0, "r8", "r9", BIAS) \
  ROW_3(START(1), 1, "r10", "r11", SUM)
#define SUMS_3x3 \
  SIX \
  ROW_3(FIRST, 0, "r8", "r9", BIAS) \
  ROW_3(START(1), 1, "r10", "r11", SUM) \
  ROW_3(START(2), 2, "r12", "lr", SUM)
#define SUMS_3x4 \
  SIX \
  ROW_4(FIRST, 0, "r8", "r9", "r10", BIAS) \
  ROW_4(START(1), 1, "r11", "r12", "lr", SUM) \
  THREE \
  ROW_4(START(2), 2, "r8", "r9", "r10", SUM)
#define SUMS_4x3 \
  SIX \
  ROW_3(FIRST, 0, "r8", "r9", BIAS) \
  ROW_3(START(1), 1, "r10", "r11", SUM) \
  ROW_3(START(2), 2, "r12", "lr", SUM) \
  WEIGHTS2 \
  ROW_3(START(3), 3, "r8", "r9", SUM)
#define SUMS_4x4 \
  SIX \
  ROW_4(FIRST, 0, "r8", "r9", "r10", BIAS) \
  ROW_4(START(1), 1, "r11", "r12", "lr", SUM) \
  SIX \
  ROW_4(START(2), 2, "r8", "r9", "r10", SUM) \
  ROW_4(START(3), 3, "r11", "r12", "lr", SUM)
#define SUMS_5x5 \
  FOUR \
  ROW_5(FIRST, 0, "r8", "r9", "r10", "r11", BIAS) \
  FOUR \
  ROW_5(START(1), 1, "r8", "r9", "r10", "r11", SUM) \
  FOUR \
  ROW_5(START(2), 2, "r8", "r9", "r10", "r11", SUM) \
  FOUR \
  ROW_5(START(3), 3, "r8", "r9", "r10", "r11", SUM) \
  FOUR \
  ROW_5(START(4), 4, "r8", "r9", "r10", "r11", SUM)
#define SUMS_7x7 \
  SIX \
  ROW_7(FIRST, 0, "r8", "r9", "r10", "r11", "r12", "lr", BIAS) \
  SIX \
  ROW_7(START(1), 1, "r8", "r9", "r10", "r11", "r12", "lr", SUM) \
  SIX \
  ROW_7(START(2), 2, "r8", "r9", "r10", "r11", "r12", "lr", SUM) \
  SIX \
  ROW_7(START(3), 3, "r8", "r9", "r10", "r11", "r12", "lr", SUM) \
  SIX \
  ROW_7(START(4), 4, "r8", "r9", "r10", "r11", "r12", "lr", SUM) \
  SIX \
  ROW_7(START(5), 5, "r8", "r9", "r10", "r11", "r12", "lr", SUM) \
  SIX \
  ROW_7(START(6), 6, "r8", "r9", "r10", "r11", "r12", "lr", SUM)

#endif
