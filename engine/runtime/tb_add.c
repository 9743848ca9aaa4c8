/* tb_add.c: addition of two int8 feature maps. */
#include "tb_dsp.h"
#include "tb_fits.h"
#include "tb_internal.h"

/* Up to 8 elements; returns their mask. */
TB_INLINE uint32_t add_elements(const tb_add_t *add, const int8_t *a, const int8_t *b, int8_t *y, uint32_t count) {
  uint32_t bits = 0;
  for (uint32_t l = 0; l < count; l++) {
    bits |= tb_store_i8((a[l] * add->multiplier_a + b[l] * add->multiplier_b + add->offset) >> add->shift, y + l) << l;
  }
  return bits;
}

/* Any number of elements, from a byte of the mask on. */
TB_NOINLINE void add_rest(const tb_add_t *add, const int8_t *a, const int8_t *b, int8_t *y, uint8_t *mask, uint32_t count) {
  const tb_add_t constants = *add;
  for (uint32_t i = 0; i < count; i += 8) {
    const uint32_t bits = add_elements(&constants, a + i, b + i, y + i, tb_minimum(count - i, 8));
    if (mask != NULL) mask[i >> 3] = (uint8_t)bits;
  }
}

#if TB_DSP
/* A byte in the upper half of an int16 is 256 times its value: times 256 * multiplier >> 16 is the product itself, for which
 * SMLAWB and SMLAWT need no byte of its own. The upper 16 bits of a sum, saturated to shift - 8 bits, are the result
 * followed by shift - 16 bits of fraction. */
typedef uint32_t (*saturate_t)(uint32_t pair);

typedef struct {
  int32_t multiplier_a, multiplier_b; /* times 256 */
  int32_t offset;
  uint32_t odd_bytes; /* mask of the upper bytes of both halves */
} constants_t;

/* Upper halves of the sums of the elements in the upper bytes of a word's halves. */
TB_INLINE uint32_t pair_of_sums(const constants_t *add, uint32_t a, uint32_t b) {
  int32_t low = tb_smlawb(add->multiplier_a, a, add->offset), high = tb_smlawt(add->multiplier_a, a, add->offset);
  low = tb_smlawb(add->multiplier_b, b, low);
  high = tb_smlawt(add->multiplier_b, b, high);
  return tb_pack_high((uint32_t)low, (uint32_t)high);
}

/* Four elements; a byte of *clamped is 0 where the element was not. */
TB_INLINE uint32_t add_word(const constants_t *add, const int8_t *a, const int8_t *b, uint32_t shift,
                            saturate_t saturate, uint32_t *clamped) {
  const uint32_t word_a = tb_load32(a), word_b = tb_load32(b), select = add->odd_bytes;
  const uint32_t odd = pair_of_sums(add, word_a & select, word_b & select), odd_kept = saturate(odd);
  const uint32_t even = pair_of_sums(add, select & word_a << 8, select & word_b << 8), even_kept = saturate(even);
  /* Clamping a sum changes at least its highest bits. */
  *clamped = (select & (odd ^ odd_kept)) | (select & (even ^ even_kept)) >> 8;
  return (select & odd_kept << (24 - shift)) | (select & even_kept << (24 - shift)) >> 8;
}

/* A bit for each byte that is 0. Rarely needed: few sums are clamped. */
TB_NOINLINE uint8_t zero_bytes(uint32_t first, uint32_t second) {
  uint32_t bits = 0;
  for (uint32_t l = 0; l < 4; l++) {
    bits |= (uint32_t)((first >> 8 * l & 255u) == 0) << l;
    bits |= (uint32_t)((second >> 8 * l & 255u) == 0) << (4 + l);
  }
  return (uint8_t)bits;
}

/* Whole bytes of the mask. */
TB_INLINE void add_words(const tb_add_t *add, const int8_t *a, const int8_t *b, int8_t *y, uint8_t *mask,
                         uint32_t bytes, uint32_t shift, saturate_t saturate) {
  const constants_t constants = {add->multiplier_a * 256, add->multiplier_b * 256, add->offset,
                                 tb_in_register(0xff00ff00u)};
  const int8_t *const end = a + 8 * bytes;
  for (uint32_t unused; mask == NULL && a != end; a += 8, b += 8, y += 8) {
    tb_store32(y, add_word(&constants, a, b, shift, saturate, &unused));
    tb_store32(y + 4, add_word(&constants, a + 4, b + 4, shift, saturate, &unused));
  }
  for (; a != end; a += 8, b += 8, y += 8) {
    uint32_t first, second;
    tb_store32(y, add_word(&constants, a, b, shift, saturate, &first));
    tb_store32(y + 4, add_word(&constants, a + 4, b + 4, shift, saturate, &second));
    *mask++ = (first | second) == 0 ? 255u : zero_bytes(first, second);
  }
}

#define KERNEL(name, shift, saturate)                                                                                  \
  void name(const tb_add_t *add, const int8_t *a, const int8_t *b, int8_t *y, uint8_t *mask, uint32_t count) {         \
    const uint32_t whole = count & ~7u;                                                                                \
    TB_EXPECT(tb_fits_add(add, shift));                                                                                \
    add_words(add, a, b, y, mask, count / 8, shift, saturate);                                                         \
    add_rest(add, a + whole, b + whole, y + whole, mask == NULL ? NULL : mask + count / 8, count - whole);             \
  }
#else
#define KERNEL(name, shift, saturate)                                                                                  \
  void name(const tb_add_t *add, const int8_t *a, const int8_t *b, int8_t *y, uint8_t *mask, uint32_t count) {         \
    TB_EXPECT(tb_fits_add(add, shift));                                                                                \
    add_rest(add, a, b, y, mask, count);                                                                               \
  }
#endif
KERNEL(tb_add_s22_i8, 22, tb_ssat16_14)
KERNEL(tb_add_s21_i8, 21, tb_ssat16_13)
KERNEL(tb_add_s20_i8, 20, tb_ssat16_12)
KERNEL(tb_add_s19_i8, 19, tb_ssat16_11)

void tb_add_general_i8(const tb_add_t *add, const int8_t *a, const int8_t *b, int8_t *y, uint8_t *mask, uint32_t count) {
  add_rest(add, a, b, y, mask, count);
}
