/* tb_square_root.h: square root of a float32, rounded to nearest even: an instruction, or the same bits from integers. */
#ifndef TB_SQUARE_ROOT_H
#define TB_SQUARE_ROOT_H

#include "tb_internal.h"

/* For processors without an instruction; value >= 0 and finite. */
TB_INLINE float tb_square_root_of_bits(float value) {
  union {
    float value;
    uint32_t bits;
  } number;
  number.value = value;
  if (number.bits == 0) return 0.0f;
  int32_t exponent = (int32_t)(number.bits >> 23) - 150; /* value = mantissa * 2^exponent */
  uint32_t mantissa = number.bits & 0x007fffffu;
  if (number.bits >> 23 != 0) {
    mantissa |= 0x00800000u;
  } else {
    for (exponent = -149; mantissa < 0x00800000u; exponent--) mantissa <<= 1;
  }
  const uint32_t shift = (exponent & 1) != 0 ? 25 : 26; /* exponent - shift is even, the radicand has 49 or 50 bits */
  uint64_t rest = (uint64_t)mantissa << shift, root = 0;
  for (uint64_t bit = (uint64_t)1 << 48; bit != 0; bit >>= 2) {
    if (rest >= root + bit) {
      rest -= root + bit;
      root = (root >> 1) + bit;
    } else {
      root >>= 1;
    }
  }
  /* The root has 25 bits, and none lies halfway between two floats. */
  number.bits = (uint32_t)((exponent - (int32_t)shift) / 2 + 1 + 127) << 23;
  return (float)(uint32_t)((root + 1) >> 1) * number.value;
}

/* value >= 0. Not sqrtf: compilers call a library for it, which sets errno. */
TB_INLINE float tb_square_root(float value) {
#if defined(TB_NO_SQUARE_ROOT) || !defined(__GNUC__)
  return tb_square_root_of_bits(value);
#elif defined(__arm__) && defined(__ARM_FP)
  float root;
  __asm("vsqrt.f32 %0, %1" : "=t"(root) : "t"(value));
  return root;
#elif defined(__aarch64__)
  float root;
  __asm("fsqrt %s0, %s1" : "=w"(root) : "w"(value));
  return root;
#elif defined(__SSE__)
  float root;
  __asm("sqrtss %1, %0" : "=x"(root) : "x"(value));
  return root;
#else
  return tb_square_root_of_bits(value);
#endif
}

#endif
