/* tb_depthwise_window_tiles.c: the inner loops of tb_depthwise_window.c in assembly, for all channels of a group: weights,
 * sums and two pairs of columns fill the registers, of which GCC needs more. Their plain twin is at the end. */
#include "tb_depthwise_window.h"

#include <stddef.h>

#if TB_DSP_ASM
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly finds them in r0 to r3 */
_Static_assert(offsetof(tb_window_run_t, planes) == 80, "the assembly knows where each member lies");
/* r0-r5: weights, u = (w0, w1) and v = (w1, w2) of each row; r6-r9: sums; r10, r11: columns; r12: planes; lr: y.
 * Stack: the members of the run up to `shift`. */
#define BEGIN                                     \
  "push {r4-r11, lr}\n"                           \
  "sub sp, #80\n"                                 \
  "mov r12, sp\n"                                 \
  "ldm r0!, {r1-r10}\n stm r12!, {r1-r10}\n"      \
  "ldm r0!, {r1-r10}\n stm r12, {r1-r10}\n"       \
  "ldm r0, {r12, lr}\n"
/* A word without its upper half, and the upper half, shifted by r10. */
#define SHIFT(w) "lsr r11, " w ", #16\n lsl " w ", r10\n lsl r11, r10\n pkhbt " w ", " w ", r11, lsl #16\n"
/* Weights, bias and multiplier of the next channel, and the end of its first run. */
#define CHANNEL                                   \
  "4: ldrd r6, r7, [sp, #52]\n"                   \
  "ldr r10, [sp, #60]\n"                          \
  "ldr r8, [r6], #4\n ldr r9, [r7], #4\n ldr r11, [r10], #4\n" \
  "strd r6, r7, [sp, #52]\n"                      \
  "str r10, [sp, #60]\n"                          \
  "ldr r1, [r8]\n ldr r3, [r8, #3]\n ldr r5, [r8, #5]\n" \
  "sxtb16 r0, r1\n sxtb16 r2, r1, ror #8\n"       \
  "pkhbt r1, r2, r0\n pkhbt r0, r0, r2, lsl #16\n" \
  "sxtb16 r2, r3\n sxtb16 r4, r3, ror #8\n"       \
  "pkhbt r3, r4, r2\n pkhbt r2, r2, r4, lsl #16\n" \
  "sxtb16 r6, r5\n sxtb16 r7, r5, ror #8\n"       \
  "pkhbt r4, r7, r6\n pkhtb r5, r7, r6, asr #16\n" \
  "strd r9, r11, [sp, #12]\n"                     \
  "ldr r10, [sp, #76]\n"                          \
  "cmp r10, #0\n beq 5f\n"                        \
  SHIFT("r0") SHIFT("r1") SHIFT("r2") SHIFT("r3") SHIFT("r4") SHIFT("r5") \
  "lsl r9, r10\n str r9, [sp, #12]\n"             \
  "5: ldrd r6, r7, [sp, #28]\n"                   \
  "ldr r8, [sp, #44]\n"                           \
  "str r7, [sp, #28]\n"                           \
  "add r8, r12\n str r8, [sp]\n"                  \
  "1: ldr r9, [sp, #12]\n"
#define SCALE                                     \
  "ldrd r10, r11, [sp, #16]\n"                    \
  "smmlar r6, r6, r10, r11\n"                     \
  "smmlar r7, r7, r10, r11\n"                     \
  "smmlar r8, r8, r10, r11\n"                     \
  "smmlar r9, r9, r10, r11\n"
#define NEXT_RUN                                  \
  "bne 1b\n"                                      \
  "ldr r6, [sp, #28]\n"                           \
  "subs r6, #1\n"                                 \
  "beq 2f\n"                                      \
  "ldrd r10, r11, [sp, #36]\n"                    \
  "ldr r7, [sp, #44]\n"                           \
  "str r6, [sp, #28]\n"                           \
  "add r12, r10\n add lr, r11\n"                  \
  "add r7, r12\n str r7, [sp]\n"                  \
  "b 1b\n"                                        \
  "2: ldr r6, [sp, #48]\n"                        \
  "subs r6, #1\n"                                 \
  "beq 3f\n"                                      \
  "str r6, [sp, #48]\n"                           \
  "ldrd r10, r11, [sp, #64]\n"                    \
  "add r12, r10\n add lr, r11\n"
#define FINISH                                    \
  "b 4b\n"                                        \
  "3: add sp, #80\n"                              \
  "pop {r4-r11, pc}\n"
#define STORE(third)                              \
  SCALE                                           \
  "ssat r6, #8, r6\n"                             \
  "ssat r7, #8, r7\n"                             \
  "ssat r8, #8, r8\n"                             \
  "ssat r9, #8, r9\n"                             \
  "strb r6, [lr]\n"                               \
  "ldm sp, {r6, r10, r11}\n" /* end, step, reach */ \
  "strb r7, [lr, r10]\n"                          \
  "strb r8, [lr, r10, lsl #1]\n" third            \
  "cmp r12, r6\n" NEXT_RUN FINISH
#define OF_COLUMN "add r7, r10, r10, lsl #1\n strb r9, [lr, r7]\n add lr, r11\n"
#define OF_ROW "strb r9, [lr, r11]\n add lr, lr, r10, lsl #2\n"

/* Clamp a to r10, and a bit to r11: whether that changed it. */
#define CLAMP(a) "ssat r10, #8, " a "\n eor " a ", " a ", r10\n cmp " a ", #1\n adc r11, r11, r11\n"
#define STORE_MASKED                              \
  SCALE                                           \
  "mov r11, #0\n"                                 \
  CLAMP("r9")                                     \
  "ldr r9, [sp, #4]\n"                            \
  "add r9, r9, r9, lsl #1\n"                      \
  "strb r10, [lr, r9]\n"                          \
  CLAMP("r8")                                     \
  "ldrd r8, r9, [sp, #4]\n"                       \
  "strb r10, [lr, r8, lsl #1]\n"                  \
  CLAMP("r7")                                     \
  "strb r10, [lr, r8]\n"                          \
  CLAMP("r6")                                     \
  "strb r10, [lr]\n"                              \
  "add lr, r9\n"                                  \
  "ldr r10, [sp, #24]\n"                          \
  "ldr r6, [sp]\n"                                \
  "strb r11, [r10], #4\n"                         \
  "str r10, [sp, #24]\n"                          \
  "cmp r12, r6\n" NEXT_RUN                        \
  "ldr r6, [sp, #72]\n ldr r7, [sp, #24]\n"       \
  "add r7, r6\n str r7, [sp, #24]\n" FINISH

/* One row at stride 1. a, b, c, d: what the sums start from; from, last: where its first four columns and its last two lie. */
#define ROW_1(u, v, a, b, c, d, from, last)       \
  "ldrd r10, r11, [r12" from "\n"                 \
  "smlad r6, " u ", r10, " a "\n"                 \
  "smlabt r7, " u ", r10, " b "\n"                \
  "smlad r8, " u ", r11, " c "\n"                 \
  "smlabt r9, " u ", r11, " d "\n"                \
  "ldr r10, [r12" last "\n"                       \
  "smlatb r6, " v ", r11, r6\n"                   \
  "smlad r7, " v ", r11, r7\n"                    \
  "smlatb r8, " v ", r10, r8\n"                   \
  "smlad r9, " v ", r10, r9\n"
#define ROWS_1(from1, last1, from2, last2, from3, last3)          \
  ROW_1("r0", "r1", "r9", "r9", "r9", "r9", from1, last1)         \
  ROW_1("r2", "r3", "r6", "r7", "r8", "r9", from2, last2)         \
  ROW_1("r4", "r5", "r6", "r7", "r8", "r9", from3, last3)

/* One row at stride 2. */
#define ROW_2(u, v, a, b, c, d, from, next, last) \
  "ldrd r10, r11, [r12" from "\n"                 \
  "smlad r6, " u ", r10, " a "\n"                 \
  "smlatb r6, " v ", r11, r6\n"                   \
  "smlad r7, " u ", r11, " b "\n"                 \
  "ldrd r10, r11, [r12" next "\n"                 \
  "smlatb r7, " v ", r10, r7\n"                   \
  "smlad r8, " u ", r10, " c "\n"                 \
  "smlatb r8, " v ", r11, r8\n"                   \
  "smlad r9, " u ", r11, " d "\n"                 \
  "ldr r10, [r12" last "\n"                       \
  "smlatb r9, " v ", r10, r9\n"
#define ROWS_2(from1, next1, last1, from2, next2, last2, from3, next3, last3) \
  ROW_2("r0", "r1", "r9", "r9", "r9", "r9", from1, next1, last1)              \
  ROW_2("r2", "r3", "r6", "r7", "r8", "r9", from2, next2, last2)              \
  ROW_2("r4", "r5", "r6", "r7", "r8", "r9", from3, next3, last3)

/* Quads are 32 * slots bytes apart, slots 32 bytes. The first load moves r12 on to the next tile. */
#define COLUMNS_1(slots)                                                                   \
  ROWS_1("], #32", ", #32*" slots "-32]", "]", ", #32*" slots "]", ", #32]", ", #32*" slots "+32]")
#define COLUMNS_2(slots)                                                                   \
  ROWS_2("], #64", ", #32*" slots "-64]", ", #64*" slots "-64]",                           \
         ", #-32]", ", #32*" slots "-32]", ", #64*" slots "-32]",                          \
         "]", ", #32*" slots "]", ", #64*" slots "]")
#define ROWS_OF_1(slots)                                                                   \
  ROWS_1("], #32*" slots, "]", ", #32-32*" slots "]", ", #32]", ", #64-32*" slots "]", ", #64]")
#define ROWS_OF_2(slots)                                                                   \
  ROWS_2("], #64*" slots, ", #-32*" slots "]", "]",                                        \
         ", #32-64*" slots "]", ", #32-32*" slots "]", ", #32]",                           \
         ", #64-64*" slots "]", ", #64-32*" slots "]", ", #64]")

#define KERNEL(name, sums, store) \
  __attribute__((naked)) void name(const tb_window_run_t *run) { __asm volatile(BEGIN CHANNEL sums store); }
#define COLUMNS(stride, slots)                                                                         \
  KERNEL(tb_window_columns_##stride##_##slots, COLUMNS_##stride(#slots), STORE(OF_COLUMN))
#define MASKED(stride, slots) KERNEL(tb_window_masked_##stride##_##slots, COLUMNS_##stride(#slots), STORE_MASKED)
#define ROWS(stride, slots) KERNEL(tb_window_rows_##stride##_##slots, ROWS_OF_##stride(#slots), STORE(OF_ROW))

/* Four pixels to r8-r11, then a word of two columns each: channels 0 to 3, columns 0 and 1, 2 and 3. r0: x; r1: to, up to r2;
 * r3: distance; lr: three times that; r12: add. Stack: row 0, outside 4. */
#define TAKE(name, pixels)                                                                             \
  __attribute__((naked)) void name(const int8_t *x, uint32_t *to, uint32_t rows, const tb_window_source_t *source) { \
    __asm volatile(                                                                                    \
        "push {r4-r11, lr}\n"                                                                          \
        "add r2, r1, r2, lsl #5\n"                                                                     \
        "ldm r3, {r3, r4, r12, lr}\n"                                                                  \
        "push {r4, lr}\n"                                                                              \
        "add lr, r3, r3, lsl #1\n"                                                                     \
        "1: " pixels "ldr r4, [sp]\n"                                                                  \
        "pkhbt r6, r8, r9, lsl #16\n pkhtb r8, r9, r8, asr #16\n"                                      \
        "pkhbt r7, r10, r11, lsl #16\n pkhtb r9, r11, r10, asr #16\n"                                  \
        "add r0, r4\n"                                                                                 \
        "sxtab16 r4, r12, r6\n sxtab16 r5, r12, r7\n"                                                  \
        "sxtab16 r6, r12, r6, ror #8\n sxtab16 r7, r12, r7, ror #8\n"                                  \
        "sxtab16 r10, r12, r8, ror #8\n sxtab16 r11, r12, r9, ror #8\n"                                \
        "sxtab16 r8, r12, r8\n sxtab16 r9, r12, r9\n"                                                  \
        "stm r1!, {r4-r11}\n"                                                                          \
        "cmp r1, r2\n"                                                                                 \
        "bne 1b\n"                                                                                     \
        "pop {r4, lr}\n"                                                                               \
        "pop {r4-r11, pc}\n");                                                                         \
  }
#define OUTSIDE(pixel) "ldr " pixel ", [sp, #4]\n"
#define PIXEL_0 "ldr r8, [r0]\n"
#define PIXEL_1 "ldr r9, [r0, r3]\n"
#define PIXEL_2 "ldr r10, [r0, r3, lsl #1]\n"
#define PIXEL_3 "ldr r11, [r0, lr]\n"
TAKE(tb_take_whole_quad, PIXEL_0 PIXEL_1 PIXEL_2 PIXEL_3)
TAKE(tb_take_first_quad, OUTSIDE("r8") PIXEL_1 PIXEL_2 PIXEL_3)
TAKE(tb_take_one_column, PIXEL_0 OUTSIDE("r9") "mov r10, r9\n mov r11, r9\n")
TAKE(tb_take_two_columns, PIXEL_0 PIXEL_1 OUTSIDE("r10") "mov r11, r10\n")
TAKE(tb_take_three_columns, PIXEL_0 PIXEL_1 PIXEL_2 OUTSIDE("r11"))

#elif TB_DSP
/* The output at column x of a tile. */
static int32_t sum_of(const tb_window_run_t *run, const uint32_t *planes, uint32_t channel, uint32_t x, uint32_t slots) {
  const uint32_t shift = run->shift;
  int32_t sum = (int32_t)((uint32_t)run->biases[channel] << shift);
  for (uint32_t ky = 0; ky < 3; ky++) {
    for (uint32_t kx = 0; kx < 3; kx++) {
      const uint32_t column = x + kx;
      const uint32_t pair = planes[column / 4 * TB_STRIP_WORDS(slots) + ky * TB_ROW_WORDS + column % 4 / 2];
      sum += run->weights[channel][3 * ky + kx] * (1 << shift) * (column % 2 == 0 ? tb_low(pair) : tb_high(pair));
    }
  }
  return sum;
}

TB_INLINE void run_tiles(const tb_window_run_t *run, uint32_t stride, uint32_t slots, int along, int masked) {
  const uint32_t words = stride * (along ? TB_STRIP_WORDS(slots) : TB_ROW_WORDS);
  const uint32_t *planes = run->planes;
  int8_t *y = run->y;
  uint8_t *bits = run->bits;
  for (uint32_t channel = 0; channel < run->channels; channel++) {
    for (uint32_t left = run->runs; left != 0; left--) {
      for (const uint32_t *const end = planes + run->run_bytes / 4; planes != end; planes += words) {
        uint32_t clamped_bits = 0;
        for (uint32_t i = 0; i < 4; i++) {
          const int32_t sum = sum_of(run, planes, channel, i * stride, slots);
          const int32_t value = tb_smmlar(sum, run->multipliers[channel], run->zero), clamped = tb_ssat8(value);
          clamped_bits |= (uint32_t)(value != clamped) << i;
          y[i * run->step] = (int8_t)clamped;
        }
        y += along ? 4 * run->step : run->reach;
        if (masked) *bits = (uint8_t)clamped_bits, bits += TB_GROUP;
      }
      planes += (left > 1 ? run->planes_run : run->planes_channel) / 4;
      y += left > 1 ? run->y_run : run->y_channel;
    }
    if (masked) bits += run->bits_channel;
  }
}
#define COLUMNS(stride, slots) \
  void tb_window_columns_##stride##_##slots(const tb_window_run_t *run) { run_tiles(run, stride, slots, 0, 0); }
#define MASKED(stride, slots) \
  void tb_window_masked_##stride##_##slots(const tb_window_run_t *run) { run_tiles(run, stride, slots, 0, 1); }
#define ROWS(stride, slots) \
  void tb_window_rows_##stride##_##slots(const tb_window_run_t *run) { run_tiles(run, stride, slots, 1, 0); }
#endif

#if TB_DSP
COLUMNS(1, 6) COLUMNS(1, 10) COLUMNS(1, 18) COLUMNS(2, 9) COLUMNS(2, 18)
ROWS(1, 4) ROWS(2, 5)
MASKED(1, 4) MASKED(1, 6) MASKED(1, 10) MASKED(1, 18) MASKED(2, 5) MASKED(2, 9) MASKED(2, 18)
#else
typedef int tb_depthwise_window_tiles_is_empty; /* a file of C needs a declaration */
#endif
