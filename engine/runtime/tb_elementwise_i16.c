/* tb_elementwise_i16.c: operators that treat every element of an int16 gradient alike. */
#include "tb_dsp.h"
#include "tb_fits.h"
#include "tb_shared_exponent.h"
#include "tb_vector.h"

TB_INLINE int16_t masked_product(int16_t gradient, uint32_t bits, uint32_t bit, int32_t multiplier) {
  const int32_t kept = -(int32_t)((bits >> bit) & 1u);
  return (int16_t)(tb_smmulr(gradient, multiplier) & kept);
}

/* A byte of the mask: multiplier[i] of each element, or multiplier[0] of all where the step is 0. */
TB_INLINE void masked_products(const int16_t *gradient, uint32_t bits, const int32_t *multiplier, uint32_t step,
                               int16_t *dx) {
#if TB_DSP
  /* (g * m + 2^31) >> 32 is the upper half of (g * m >> 16) + 2^15. The bits of a pair come to the top of two halves. */
  uint32_t top = bits << 24 | bits << 9;
  TB_UNROLL_BLOCK
  for (uint32_t l = 8; l > 0; top <<= 2) {
    l -= 2;
    const int32_t m[2] = {multiplier[l * step], multiplier[(l + 1) * step]};
    const uint32_t pair = tb_load32(gradient + l);
    const int32_t low = tb_smlawb(m[0], pair, 1 << 15), high = tb_smlawt(m[1], pair, 1 << 15);
    tb_store32(dx + l, tb_select(top, tb_pack_high((uint32_t)low, (uint32_t)high)));
  }
#elif TB_VECTOR
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i kept = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int32_t)bits), bit), bit);
  const __m256i g = _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(const void *)gradient));
  const __m256i m = step == 0 ? _mm256_set1_epi32(*multiplier) : tb_load_8x(multiplier);
  tb_store_i16_8x(dx, _mm256_and_si256(tb_requantize_8x(g, m, 0, 2147483648), kept));
#else
  for (uint32_t l = 0; l < 8; l++) dx[l] = masked_product(gradient[l], bits, l, multiplier[l * step]);
#endif
}

#if TB_DSP_ASM
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly finds them in r0 to r3 and on the stack */
/* masked_products of two elements: multipliers from r2, a pair in g; bits to shift left until theirs are on top. */
#define PAIR_OF_PRODUCTS(g, shift)                                           \
  "ldrd r8, r9, [r2], #8\n"                                                  \
  "lsl lr, r10, #" shift "\n"                                                \
  "smlawb r8, r8, " g ", r11\n smlawt r9, r9, " g ", r11\n"                  \
  "uadd16 lr, lr, lr\n"                                                      \
  "pkhtb r8, r9, r8, asr #16\n"                                              \
  "sel " g ", r8, r12\n"
/* At least one pixel, of at least 8 channels. Stack: multipliers 0, pixels left 4. */
__attribute__((naked, noinline)) static void masked_scale(int16_t *gradient, const uint8_t *mask, const int32_t *multiplier,
                                                          uint32_t pixels, uint32_t channels) {
  __asm volatile(
      "push {r4-r11, lr}\n"
      "ldr r4, [sp, #36]\n"
      "push {r2, r3}\n"
      "add r3, r2, r4, lsl #2\n"
      "mov r11, #0x8000\n mov r12, #0\n"
      "1: ldrb r10, [r1], #1\n"
      "ldm r0, {r4-r7}\n"
      "add r10, r10, r10, lsl #15\n"
      PAIR_OF_PRODUCTS("r4", "15") PAIR_OF_PRODUCTS("r5", "13") PAIR_OF_PRODUCTS("r6", "11") PAIR_OF_PRODUCTS("r7", "9")
      "stm r0!, {r4-r7}\n"
      "cmp r2, r3\n bne 1b\n"
      "ldrd r2, r4, [sp]\n"
      "subs r4, #1\n str r4, [sp, #4]\n"
      "bne 1b\n"
      "add sp, #8\n"
      "pop {r4-r11, pc}\n");
}
#pragma GCC diagnostic pop
#else
static void masked_scale(int16_t *gradient, const uint8_t *mask, const int32_t *multiplier, uint32_t pixels, uint32_t channels) {
  for (uint32_t p = 0; p < pixels; p++) {
    const int32_t *const end = multiplier + channels;
    for (const int32_t *m = multiplier; m != end; m += 8, gradient += 8) {
      masked_products(gradient, *mask++, m, 1, gradient);
    }
  }
}
#endif

void tb_masked_scale_bytes_i16(int16_t *gradient, const uint8_t *mask, const int32_t *multiplier, uint32_t pixels,
                               uint32_t channels) {
  TB_EXPECT(channels % 8 == 0);
  if (pixels != 0 && channels != 0) masked_scale(gradient, mask, multiplier, pixels, channels);
}

void tb_masked_scale_general_i16(int16_t *gradient, const uint8_t *mask, const int32_t *multiplier, uint32_t pixels,
                                 uint32_t channels) {
  uint32_t i = 0;
  for (uint32_t p = 0; p < pixels; p++) {
    for (uint32_t c = 0; c < channels; c++, i++) {
      gradient[i] = masked_product(gradient[i], mask[i >> 3], i & 7u, multiplier[c]);
    }
  }
}

void tb_add_grad_i16(const int16_t *gradient, const uint8_t *mask, int32_t multiplier, int16_t *dx, uint32_t count) {
  const int16_t *const end = gradient + (count & ~7u);
  for (; gradient != end; gradient += 8, dx += 8) masked_products(gradient, *mask++, &multiplier, 0, dx);
  for (uint32_t l = 0; l < (count & 7u); l++) dx[l] = masked_product(gradient[l], *mask, l, multiplier);
}

/* The operand of higher exponent is shifted up, the other one down. */
typedef struct {
  const int16_t *high, *low;
  int32_t scale; /* 2^bits up */
  uint32_t down;
} operands_t;

static operands_t align(const int16_t *a, int32_t exponent_a, const int16_t *b, int32_t exponent_b,
                        int32_t *exponent) {
  const uint32_t a_is_high = exponent_a >= exponent_b;
  const uint32_t distance = (uint32_t)(a_is_high ? exponent_a - exponent_b : exponent_b - exponent_a);
  const uint32_t up = tb_minimum(distance, TB_ALIGNMENT);
  const operands_t operands = {a_is_high ? a : b, a_is_high ? b : a, 1 << up, tb_minimum(distance - up, 16)};
  *exponent = (a_is_high ? exponent_a : exponent_b) - (int32_t)up;
  return operands;
}

TB_INLINE int32_t sum_of(int32_t high, int32_t scale, int32_t low, uint32_t down) {
  return high * scale + (down == 0 ? low : tb_round_to_odd(low, down));
}

/* Shift what is stored so far as sums of these magnitudes need it; returns the new shift. */
TB_NOINLINE uint32_t make_room(int16_t *y, uint32_t count, uint32_t magnitudes, uint32_t shift) {
  const uint32_t larger = tb_shift_for(magnitudes);
  tb_shift_stored(y, count, larger - shift);
  return larger;
}

/* tb_round_to_odd without a condition, of which GCC makes worse; below = 2^shift - 1. */
TB_INLINE uint32_t rounded(int32_t value, uint32_t shift, uint32_t below) {
  const uint32_t lost = (uint32_t)value & below;
  return (uint32_t)((int32_t)((lost + below) | (uint32_t)value) >> shift);
}

/* `down` is a constant 0 in the usual case. Stores words, or GCC would build vectors of two int16 bit by bit. */
TB_INLINE uint32_t accumulate(const operands_t *operands, uint32_t down, int16_t *start, uint32_t count,
                              uint32_t *magnitudes) {
  const int16_t *high = operands->high, *low = operands->low;
  const int32_t scale = operands->scale;
  int16_t *y = start;
  uint32_t shift = 0, below = 0, seen = 0;
  for (int16_t *const end = start + (count & ~3u); y != end; high += 4, low += 4, y += 4) {
    int32_t sums[4];
    TB_UNROLL_BLOCK
    for (uint32_t l = 0; l < 4; l++) {
      sums[l] = sum_of(high[l], scale, low[l], down);
      seen |= tb_magnitude(sums[l]);
    }
    if (seen >> (TB_GRADIENT_BITS + 1) >> shift != 0) {
      shift = make_room(start, (uint32_t)(y - start), seen, shift);
      below = (1u << shift) - 1;
    }
    TB_UNROLL_BLOCK
    for (uint32_t l = 0; l < 4; l += 2) {
      tb_store32(y + l, tb_pack_low(rounded(sums[l], shift, below), rounded(sums[l + 1], shift, below)));
    }
  }
  for (uint32_t l = 0; l < (count & 3u); l++, y++) {
    const int32_t sum = sum_of(high[l], scale, low[l], down);
    seen |= tb_magnitude(sum);
    if (seen >> (TB_GRADIENT_BITS + 1) >> shift != 0) shift = make_room(start, (uint32_t)(y - start), seen, shift);
    *y = tb_round_to_odd(sum, shift);
  }
  *magnitudes = seen;
  return shift;
}

int32_t tb_accumulate_i16(const int16_t *a, int32_t exponent_a, const int16_t *b, int32_t exponent_b, int16_t *y,
                          uint32_t count) {
  int32_t exponent;
  uint32_t magnitudes;
  const operands_t operands = align(a, exponent_a, b, exponent_b, &exponent);
  const uint32_t shift = operands.down == 0 ? accumulate(&operands, 0, y, count, &magnitudes)
                                            : accumulate(&operands, operands.down, y, count, &magnitudes);
  return tb_exponent(exponent, magnitudes, shift);
}
