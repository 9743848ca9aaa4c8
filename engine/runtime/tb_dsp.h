/* tb_dsp.h: the DSP instructions of Armv7E-M that the fast kernels use, one function an instruction. Elsewhere they are
 * plain C with the same bits, so that what runs on the device is tested on the host, under its sanitizers.
 *
 * TB_DSP selects the kernels' fast paths: 1 where the processor has the instructions, else 0 (compilers vectorise the plain
 * loops better there); -DTB_DSP=1 runs the fast paths anywhere. TB_DSP_ASM says whether blocks of assembly may be used.
 * A "pair" is a word of two int16: `low` in bits 0 to 15, `high` above.
 */
#ifndef TB_DSP_H
#define TB_DSP_H

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__GNUC__)
#define TB_ARM_DSP 1
#else
#define TB_ARM_DSP 0
#endif
#if !defined(TB_DSP)
#define TB_DSP TB_ARM_DSP
#endif
/* Assembly that needs all 14 registers: only where GCC leaves them (optimizing, so no frame pointer). */
#if TB_ARM_DSP && defined(__OPTIMIZE__) && !defined(__clang__)
#define TB_DSP_ASM 1
#else
#define TB_DSP_ASM 0
#endif

static inline uint32_t tb_load32(const void *from) {
  uint32_t word;
  memcpy(&word, from, sizeof word);
  return word;
}

static inline void tb_store32(void *to, uint32_t word) { memcpy(to, &word, sizeof word); }

static inline int32_t tb_low(uint32_t pair) { return (int16_t)(uint16_t)pair; }
static inline int32_t tb_high(uint32_t pair) { return (int16_t)(uint16_t)(pair >> 16); }
static inline uint32_t tb_pair(int32_t low, int32_t high) { return (uint16_t)low | (uint32_t)(uint16_t)high << 16; }

/* A constant that the compiler has to keep in a register: with an operand to shift, an instruction takes no constant. */
static inline uint32_t tb_in_register(uint32_t constant) {
#if TB_ARM_DSP
  __asm__("" : "+r"(constant));
#endif
  return constant;
}

#if TB_ARM_DSP
#define TB_DSP_2(name, instruction, type)                                              \
  static inline type name(uint32_t a, uint32_t b) {                                    \
    type result;                                                                       \
    __asm__(instruction " %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));                \
    return result;                                                                     \
  }
#define TB_DSP_3(name, instruction)                                                    \
  static inline int32_t name(uint32_t a, uint32_t b, int32_t acc) {                    \
    int32_t result;                                                                    \
    __asm__(instruction " %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(acc));  \
    return result;                                                                     \
  }
TB_DSP_3(tb_smlad, "smlad")   /* acc + a.low * b.low + a.high * b.high */
TB_DSP_3(tb_smlabb, "smlabb") /* acc + a.low * b.low */
TB_DSP_3(tb_smlabt, "smlabt") /* acc + a.low * b.high */
TB_DSP_3(tb_smlatb, "smlatb") /* acc + a.high * b.low */
TB_DSP_3(tb_smlatt, "smlatt") /* acc + a.high * b.high */
TB_DSP_2(tb_pkhbt, "pkhbt", uint32_t) /* (low: a.low, high: b.high) */
static inline uint32_t tb_pack_low(uint32_t a, uint32_t b) { /* (a.low, b.low) */
  uint32_t result;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
static inline uint32_t tb_pack_high(uint32_t a, uint32_t b) { /* (a.high, b.high) */
  uint32_t result;
  __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
TB_DSP_2(tb_shadd16, "shadd16", uint32_t) /* half the sum of the halves, rounded down */
TB_DSP_2(tb_sadd16, "sadd16", uint32_t)   /* the sums of the halves, which fit a half */
static inline int32_t tb_sxtah(int32_t add, uint32_t pair) { /* add + low */
  int32_t result;
  __asm__("sxtah %0, %1, %2" : "=r"(result) : "r"(add), "r"(pair));
  return result;
}
/* Bytes 0 and 2 of a word, sign-extended, each plus the half of `add`. */
static inline uint32_t tb_sxtab16(uint32_t add, uint32_t bytes) {
  uint32_t result;
  __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(add), "r"(bytes));
  return result;
}
/* The same of bytes 1 and 3. */
static inline uint32_t tb_sxtab16_odd(uint32_t add, uint32_t bytes) {
  uint32_t result;
  __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(add), "r"(bytes));
  return result;
}
static inline uint32_t tb_sxtb16(uint32_t bytes) {
  uint32_t result;
  __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(bytes));
  return result;
}
static inline uint32_t tb_sxtb16_odd(uint32_t bytes) {
  uint32_t result;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(bytes));
  return result;
}
/* (a * b + add * 2^32 + 2^31) >> 32: requantization in one instruction. */
static inline int32_t tb_smmlar(int32_t a, int32_t b, int32_t add) {
  int32_t result;
  __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(add));
  return result;
}
/* (a * b + 2^31) >> 32 */
static inline int32_t tb_smmulr(int32_t a, int32_t b) {
  int32_t result;
  __asm__("smmulr %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
/* acc + ((a * b.low) >> 16), and with b.high */
static inline int32_t tb_smlawb(int32_t a, uint32_t b, int32_t acc) {
  int32_t result;
  __asm__("smlawb %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(acc));
  return result;
}
static inline int32_t tb_smlawt(int32_t a, uint32_t b, int32_t acc) {
  int32_t result;
  __asm__("smlawt %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(acc));
  return result;
}
static inline int32_t tb_ssat8(int32_t value) {
  int32_t result;
  __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value));
  return result;
}
/* The halves of `pair` whose highest bit in `bits` is set; 0 for the others. */
static inline uint32_t tb_select(uint32_t bits, uint32_t pair) {
  uint32_t result;
  __asm__("uadd16 %0, %1, %1\n\tsel %0, %2, %3" : "=&r"(result) : "r"(bits), "r"(pair), "r"(0) : "cc");
  return result;
}
/* Both halves of a pair kept within `bits` bits, a literal. */
#define TB_SSAT16(name, bits)                                              \
  static inline uint32_t name(uint32_t pair) {                             \
    uint32_t result;                                                       \
    __asm__("ssat16 %0, #" #bits ", %1" : "=r"(result) : "r"(pair));       \
    return result;                                                         \
  }
#else
/* Sums wrap as the instructions' do; no caller relies on it. */
static inline int32_t tb_wrap(int64_t value) { return (int32_t)(uint32_t)(uint64_t)value; }
static inline int32_t tb_smlad(uint32_t a, uint32_t b, int32_t acc) {
  return tb_wrap((int64_t)acc + tb_low(a) * tb_low(b) + (int64_t)(tb_high(a) * tb_high(b)));
}
static inline int32_t tb_smlabb(uint32_t a, uint32_t b, int32_t acc) { return tb_wrap((int64_t)acc + tb_low(a) * tb_low(b)); }
static inline int32_t tb_smlabt(uint32_t a, uint32_t b, int32_t acc) { return tb_wrap((int64_t)acc + tb_low(a) * tb_high(b)); }
static inline int32_t tb_smlatb(uint32_t a, uint32_t b, int32_t acc) { return tb_wrap((int64_t)acc + tb_high(a) * tb_low(b)); }
static inline int32_t tb_smlatt(uint32_t a, uint32_t b, int32_t acc) { return tb_wrap((int64_t)acc + tb_high(a) * tb_high(b)); }
static inline uint32_t tb_pkhbt(uint32_t a, uint32_t b) { return (a & 0xffffu) | (b & 0xffff0000u); }
static inline uint32_t tb_pack_low(uint32_t a, uint32_t b) { return (a & 0xffffu) | b << 16; }
static inline uint32_t tb_pack_high(uint32_t a, uint32_t b) { return a >> 16 | (b & 0xffff0000u); }
static inline uint32_t tb_sadd16(uint32_t a, uint32_t b) {
  return tb_pair(tb_low(a) + tb_low(b), tb_high(a) + tb_high(b));
}
static inline int32_t tb_sxtah(int32_t add, uint32_t pair) { return tb_wrap((int64_t)add + tb_low(pair)); }
static inline uint32_t tb_shadd16(uint32_t a, uint32_t b) {
  return tb_pair((tb_low(a) + tb_low(b)) >> 1, (tb_high(a) + tb_high(b)) >> 1);
}
static inline uint32_t tb_sxtb16(uint32_t bytes) {
  return tb_pair((int8_t)(uint8_t)bytes, (int8_t)(uint8_t)(bytes >> 16));
}
static inline uint32_t tb_sxtb16_odd(uint32_t bytes) { return tb_sxtb16(bytes >> 8); }
static inline uint32_t tb_sxtab16(uint32_t add, uint32_t bytes) {
  const uint32_t pair = tb_sxtb16(bytes);
  return tb_pair(tb_low(add) + tb_low(pair), tb_high(add) + tb_high(pair));
}
static inline uint32_t tb_sxtab16_odd(uint32_t add, uint32_t bytes) { return tb_sxtab16(add, bytes >> 8); }
static inline int32_t tb_smmlar(int32_t a, int32_t b, int32_t add) {
  const uint64_t sum = (uint64_t)((int64_t)a * b) + ((uint64_t)(uint32_t)add << 32) + 0x80000000u;
  return (int32_t)(uint32_t)(sum >> 32);
}
static inline int32_t tb_smmulr(int32_t a, int32_t b) { return tb_smmlar(a, b, 0); }
static inline int32_t tb_smlawb(int32_t a, uint32_t b, int32_t acc) {
  return tb_wrap(acc + (((int64_t)a * tb_low(b)) >> 16));
}
static inline int32_t tb_smlawt(int32_t a, uint32_t b, int32_t acc) {
  return tb_wrap(acc + (((int64_t)a * tb_high(b)) >> 16));
}
static inline uint32_t tb_select(uint32_t bits, uint32_t pair) {
  return pair & ((bits >> 15 & 1u) * 0xffffu | (bits >> 31) * 0xffff0000u);
}
static inline int32_t tb_saturate(int32_t value, int32_t limit) {
  return value < -limit ? -limit : (value > limit - 1 ? limit - 1 : value);
}
static inline int32_t tb_ssat8(int32_t value) { return tb_saturate(value, 128); }
#define TB_SSAT16(name, bits)                                                                      \
  static inline uint32_t name(uint32_t pair) {                                                     \
    return tb_pair(tb_saturate(tb_low(pair), 1 << (bits - 1)), tb_saturate(tb_high(pair), 1 << (bits - 1))); \
  }
#endif
TB_SSAT16(tb_ssat16_11, 11)
TB_SSAT16(tb_ssat16_12, 12)
TB_SSAT16(tb_ssat16_13, 13)
TB_SSAT16(tb_ssat16_14, 14)

#endif
