/* tb_conv2d_tiles.c: the inner loops of tb_conv2d_dsp.c; in assembly so that no register is spilled between tiles. */
#include "tb_conv2d_tiles.h"

#if TB_DSP
void tb_conv2d_tile(tb_conv2d_tiles_t *tiles, int masked, uint32_t channels, uint32_t pixels) {
  const int32_t zero = masked ? tiles->zero - 128 : tiles->zero;
  int32_t acc[8];
  for (uint32_t i = 0; i < 8; i++) acc[i] = tiles->bias[i >> 2];
  tb_gemm_tile(tiles->rows, tiles->columns, tiles->pairs, acc);
  tiles->columns += tiles->pairs * TB_TILE_COLUMNS;
  uint32_t bits = masked ? *tiles->columns : 0;
  for (uint32_t p = 0; p < 4; p++) {
    for (uint32_t c = 0; c < 2; c++) {
      const int32_t scaled = (int32_t)((uint32_t)acc[c * 4 + p] << tiles->shift);
      const int32_t value = tb_smmlar(scaled, tiles->multiplier[c], zero), kept = tb_ssat8(value);
      bits = bits >> 1 | (uint32_t)(value != kept) << 31;
      if (p < pixels && c < channels) tiles->y[c] = (int8_t)kept;
    }
    if (p < pixels) tiles->y += tiles->step;
  }
  if (!masked) return;
  *tiles->columns = bits;
  tiles->columns += TB_TILE_MASK_WORDS;
}

#if TB_DSP_ASM
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly finds it in r0 */
/* Stack: step 0, multiplier 4, zero 12, y 16, bias 20, rows 28, entry 32, rows_end 36, columns_end 40, columns 44, tiles 48.
 * At label 3 a tile begins, r1 at its columns; its sums start at the bias. */
#define BEGIN                                                                \
  "push {r0, r4-r11, lr}\n"                                                  \
  "ldm r0, {r1-r12}\n"                                                       \
  "push {r1-r12}\n"                                                          \
  "mov r1, r12\n"                                                            \
  "sub r9, #1\n" TB_ASM_ENTRY("r4", "r9", "r5")                              \
  "str r4, [sp, #32]\n"                                                      \
  "3: ldr r0, [sp, #28]\n"                                                   \
  "ldrd r9, lr, [sp, #20]\n" TB_ASM_FIRST_PAIR                               \
  "ldr pc, [sp, #32]\n" TB_ASM_PAIRS("36")                                   \
  "ldm sp, {r0, r2-r5}\n" /* step, multipliers, zero, y */
#define END                                                                  \
  "str r5, [sp, #16]\n"                                                      \
  "ldr r2, [sp, #40]\n"                                                      \
  "cmp r1, r2\n"                                                             \
  "bne 3b\n"                                                                 \
  "ldr r2, [sp, #48]\n"                                                      \
  "str r5, [r2, #16]\n"                                                      \
  "str r1, [r2, #44]\n"                                                      \
  "add sp, #48\n"                                                            \
  "pop {r0, r4-r11, pc}\n"

/* Requantize and saturate sums a and b, the two channels of a pixel, and put both bytes in a. */
#define OUTPUTS(a, b)                                                        \
  "smmlar " a ", " a ", r2, r4\n smmlar " b ", " b ", r3, r4\n"              \
  "ssat " a ", #8, " a "\n ssat " b ", #8, " b "\n"                          \
  "bfi " a ", " b ", #8, #8\n"

TB_ASSEMBLY void tb_conv2d_whole_tiles(tb_conv2d_tiles_t *tiles) {
  __asm volatile(BEGIN
                 OUTPUTS("r6", "r10") "strh r6, [r5]\n"
                 OUTPUTS("r7", "r11") "strh r7, [r5, r0]\n"
                 OUTPUTS("r8", "r12") "strh r8, [r5, r0, lsl #1]\n"
                 OUTPUTS("r9", "lr") "add r3, r5, r0\n strh r9, [r3, r0, lsl #1]\n"
                 "add r5, r5, r0, lsl #2\n" END);
}

/* The same for a constant number of pairs: rows are copied to the stack, so that r0 keeps y and nothing is counted.
 * Stack: step 0, multiplier 4, zero 12, columns_end 16, bias 20, rows 32. */
#define PAIR_AT(row, a, b, c, d, e, f, g, h)                                 \
  "ldrd r2, r3, [sp, #32 + 8 * " row "]\n"                                   \
  "ldrd r4, r5, [r1], #8\n"                                                  \
  "smlad r6, r2, r4, " a "\n smlad r7, r2, r5, " b "\n"                      \
  "smlad r10, r3, r4, " e "\n smlad r11, r3, r5, " f "\n"                    \
  "ldrd r4, r5, [r1], #8\n"                                                  \
  "smlad r8, r2, r4, " c "\n smlad r9, r2, r5, " d "\n"                      \
  "smlad r12, r3, r4, " g "\n smlad lr, r3, r5, " h "\n"
#define OUTPUTS_AT(a, b)                                                     \
  "smmlar " a ", " a ", r3, r5\n smmlar " b ", " b ", r4, r5\n"              \
  "ssat " a ", #8, " a "\n ssat " b ", #8, " b "\n"                          \
  "bfi " a ", " b ", #8, #8\n"
#define FIXED(name, pairs)                                                   \
  TB_ASSEMBLY void name(tb_conv2d_tiles_t *tiles) {                          \
    __asm volatile(                                                          \
        "push {r0, r4-r11, lr}\n"                                            \
        "sub sp, #32 + 8 * " pairs "\n"                                      \
        "ldr r1, [r0, #28]\n add lr, sp, #32\n"                              \
        ".rept " pairs " / 2\n ldm r1!, {r2-r5}\n stm lr!, {r2-r5}\n .endr\n" \
        "ldm r0, {r2-r8}\n ldrd r9, r1, [r0, #40]\n"                         \
        "mov r0, r6\n mov r6, r9\n"                                          \
        "stm sp, {r2-r8}\n"                                                  \
        "3: ldrd r9, lr, [sp, #20]\n"                                        \
        PAIR_AT("0", "r9", "r9", "r9", "r9", "lr", "lr", "lr", "lr")         \
        ".set row, 1\n .rept " pairs " - 1\n"                               \
        PAIR_AT("row", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr")    \
        ".set row, row + 1\n .endr\n"                                       \
        "ldm sp, {r2-r5}\n" /* step, multipliers, zero */                    \
        OUTPUTS_AT("r6", "r10") "strh r6, [r0]\n"                            \
        OUTPUTS_AT("r7", "r11") "strh r7, [r0, r2]\n"                        \
        OUTPUTS_AT("r8", "r12") "strh r8, [r0, r2, lsl #1]\n"                \
        OUTPUTS_AT("r9", "lr") "add r3, r0, r2\n strh r9, [r3, r2, lsl #1]\n" \
        "add r0, r0, r2, lsl #2\n"                                           \
        "ldr r2, [sp, #16]\n"                                                \
        "cmp r1, r2\n"                                                       \
        "bne 3b\n"                                                           \
        "add sp, #32 + 8 * " pairs "\n"                                      \
        "pop {r2, r4-r11, lr}\n"                                             \
        "str r0, [r2, #16]\n str r1, [r2, #44]\n"                            \
        "bx lr\n");                                                          \
  }
FIXED(tb_conv2d_whole_tiles_4, "4")
FIXED(tb_conv2d_whole_tiles_8, "8")
FIXED(tb_conv2d_whole_tiles_12, "12")
FIXED(tb_conv2d_whole_tiles_14, "14")

/* The same as tb_conv2d_whole_tiles with the mask in r0: values are 128 too large, so that the clamped ones are those that are, unsigned, 256 or
 * more: CMP leaves that in the carry, RRX shifts it in. EOR takes the 128 off both outputs. */
#define MASKED_OUTPUTS(a, b)                                                 \
  "smmlar " a ", " a ", r2, r4\n smmlar " b ", " b ", r3, r4\n"              \
  "cmp " a ", #256\n rrx r0, r0\n usat " a ", #8, " a "\n"                   \
  "cmp " b ", #256\n rrx r0, r0\n usat " b ", #8, " b "\n"                   \
  "orr " a ", " a ", " b ", lsl #8\n eor " a ", " a ", #0x80808080\n"

TB_ASSEMBLY void tb_conv2d_masked_tiles(tb_conv2d_tiles_t *tiles) {
  __asm volatile(BEGIN
                 "ldr r0, [r1]\n"
                 MASKED_OUTPUTS("r6", "r10") "strh r6, [r5]\n ldr r10, [sp]\n"
                 MASKED_OUTPUTS("r7", "r11") "strh r7, [r5, r10]\n"
                 MASKED_OUTPUTS("r8", "r12") "strh r8, [r5, r10, lsl #1]\n"
                 MASKED_OUTPUTS("r9", "lr") "add r3, r5, r10\n strh r9, [r3, r10, lsl #1]\n"
                 "add r5, r5, r10, lsl #2\n"
                 "str r0, [r1], #8\n" END);
}

_Static_assert(offsetof(tb_conv2d_tiles_t, shift) == 48, "the assembly knows where each member lies");
#endif
#endif
