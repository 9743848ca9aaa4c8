/* tb_vector.h: vectors of integers for the plain paths of a host: what x86 with AVX2 multiplies and sums at once, by name.
 *
 * TB_VECTOR selects the kernels in tb_*_vector.c in place of the plain loops: 1 where the processor has AVX2 and DSP paths are not
 * asked for, else 0 (on microcontrollers always). -DTB_VECTOR=0 runs the plain loops anywhere. All sums wrap and are exact
 * modulo 2^32, so their order is free. With AVX-512 and its VNNI a vector is twice as wide and products sum up in one instruction.
 */
#ifndef TB_VECTOR_H
#define TB_VECTOR_H

#include "tb_dsp.h"
#include "tb_internal.h"

#if !defined(TB_VECTOR)
#if !TB_DSP && defined(__GNUC__) && defined(__AVX2__)
#define TB_VECTOR 1
#else
#define TB_VECTOR 0
#endif
#endif

#if TB_VECTOR
#include <immintrin.h>

#if defined(__AVX512VNNI__) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define TB_VECTOR_512 1
#else
#define TB_VECTOR_512 0
#endif

/* Loops that vanish: registers cannot be indexed. clang unrolls them by itself. */
#if defined(__clang__)
#define TB_UNROLL_VECTORS
#else
#define TB_UNROLL_VECTORS _Pragma("GCC unroll 16")
#endif

/* Eight int32. */
typedef __m256i tb_int8x_t;

TB_INLINE tb_int8x_t tb_load_8x(const void *from) { return _mm256_loadu_si256((const __m256i *)from); }
TB_INLINE void tb_store_8x(void *to, tb_int8x_t values) { _mm256_storeu_si256((__m256i *)to, values); }

/* acc + a0 * b0 + a1 * b1, pairs of int16. */
TB_INLINE tb_int8x_t tb_dot2_8x(tb_int8x_t acc, tb_int8x_t a, tb_int8x_t b) {
#if TB_VECTOR_512
  return _mm256_dpwssd_epi32(acc, a, b);
#else
  return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
#endif
}

/* tb_requantize of eight sums. */
TB_INLINE tb_int8x_t tb_requantize_8x(tb_int8x_t acc, tb_int8x_t multiplier, uint32_t shift, int64_t rounding) {
  const __m256i round = _mm256_set1_epi64x(rounding), value = _mm256_sll_epi32(acc, _mm_cvtsi32_si128((int)shift));
  const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(value, multiplier), round);
  const __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(value, 32), _mm256_srli_epi64(multiplier, 32));
  return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), _mm256_add_epi64(odd, round), 0xaa);
}

/* tb_store_i8 of the first `count` of eight values: returns their bits of the mask. */
TB_INLINE uint32_t tb_store_i8_8x(int8_t *y, tb_int8x_t values, uint32_t count) {
  const __m256i low = _mm256_max_epi32(values, _mm256_set1_epi32(-128));
  const __m256i clamped = _mm256_min_epi32(low, _mm256_set1_epi32(127));
  const uint32_t bits = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(values, clamped)));
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(clamped), _mm256_extracti128_si256(clamped, 1));
  const int64_t bytes = _mm_cvtsi128_si64(_mm_packs_epi16(words, words));
  if (count >= 8) {
    memcpy(y, &bytes, 8);
    return bits;
  }
  for (uint32_t l = 0; l < count; l++) y[l] = (int8_t)(uint8_t)((uint64_t)bytes >> (8 * l));
  return bits & ((1u << count) - 1u);
}

/* Eight int16 with zeros above them (tb_dot2_8x then multiplies them alone), eight int8 with their signs. */
TB_INLINE tb_int8x_t tb_load_i16_8x(const int16_t *from) {
  return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)from));
}
TB_INLINE tb_int8x_t tb_load_i8_8x(const int8_t *from) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)from));
}

/* The low halves of eight int32 that fit. */
TB_INLINE void tb_store_i16_8x(int16_t *to, tb_int8x_t values) {
  const __m128i low = _mm256_castsi256_si128(values), high = _mm256_extracti128_si256(values, 1);
  _mm_storeu_si128((__m128i *)(void *)to, _mm_packs_epi32(low, high));
}

/* tb_magnitude; tb_round_to_odd where below = 2^shift - 1. */
TB_INLINE tb_int8x_t tb_magnitudes_8x(tb_int8x_t values) { return _mm256_xor_si256(values, _mm256_add_epi32(values, values)); }
TB_INLINE tb_int8x_t tb_round_to_odd_8x(tb_int8x_t values, uint32_t shift) {
  const __m256i below = _mm256_set1_epi32((int32_t)((1u << shift) - 1u));
  const __m256i lost = _mm256_add_epi32(_mm256_and_si256(values, below), below);
  return _mm256_sra_epi32(_mm256_or_si256(values, lost), _mm_cvtsi32_si128((int)shift));
}
TB_INLINE uint32_t tb_or_of_8x(tb_int8x_t values) {
  __m128i some = _mm_or_si128(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
  some = _mm_or_si128(some, _mm_srli_si128(some, 8));
  some = _mm_or_si128(some, _mm_srli_si128(some, 4));
  return (uint32_t)_mm_cvtsi128_si32(some);
}

/* Up to 16 bytes, the others 0. */
TB_INLINE __m128i tb_load_some(const int8_t *from, uint32_t count) {
  int8_t bytes[16] = {0};
  if (count >= 16) return _mm_loadu_si128((const __m128i *)(const void *)from);
  if (count == 8) return _mm_loadl_epi64((const __m128i *)(const void *)from);
  for (uint32_t i = 0; i < count; i++) bytes[i] = from[i];
  return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* The widest vectors: TB_WIDE int32. */
#if TB_VECTOR_512
#define TB_WIDE 16u
typedef __m512i tb_wide_t;
TB_INLINE tb_wide_t tb_load_wide(const void *from) { return _mm512_loadu_si512(from); }
TB_INLINE void tb_store_wide(void *to, tb_wide_t values) { _mm512_storeu_si512(to, values); }
TB_INLINE tb_wide_t tb_all_wide(int32_t value) { return _mm512_set1_epi32(value); }
TB_INLINE tb_wide_t tb_add_wide(tb_wide_t a, tb_wide_t b) { return _mm512_add_epi32(a, b); }
/* Bytes of two rows side by side, widened to pairs. */
TB_INLINE tb_wide_t tb_pair_bytes_wide(__m128i a, __m128i b) {
  const __m256i low = _mm256_castsi128_si256(_mm_unpacklo_epi8(a, b));
  return _mm512_cvtepi8_epi16(_mm256_inserti128_si256(low, _mm_unpackhi_epi8(a, b), 1));
}
TB_INLINE tb_wide_t tb_subtract_pairs_wide(tb_wide_t a, int32_t value) {
  return _mm512_sub_epi16(a, _mm512_set1_epi16((int16_t)value));
}
TB_INLINE tb_wide_t tb_magnitudes_wide(tb_wide_t seen, tb_wide_t values) {
  return _mm512_or_si512(seen, _mm512_xor_si512(values, _mm512_add_epi32(values, values)));
}
TB_INLINE uint32_t tb_or_of_wide(tb_wide_t values) {
  return tb_or_of_8x(_mm256_or_si256(_mm512_castsi512_si256(values), _mm512_extracti64x4_epi64(values, 1)));
}
TB_INLINE void tb_store_odd_wide(int16_t *to, tb_wide_t values, uint32_t shift) {
  tb_store_i16_8x(to, tb_round_to_odd_8x(_mm512_castsi512_si256(values), shift));
  tb_store_i16_8x(to + 8, tb_round_to_odd_8x(_mm512_extracti64x4_epi64(values, 1), shift));
}
TB_INLINE tb_wide_t tb_dot2_wide(tb_wide_t acc, tb_wide_t a, tb_wide_t b) { return _mm512_dpwssd_epi32(acc, a, b); }
/* acc + products of four uint8 and four int8. */
TB_INLINE tb_wide_t tb_dot4_wide(tb_wide_t acc, tb_wide_t a, tb_wide_t b) { return _mm512_dpbusd_epi32(acc, a, b); }
TB_INLINE tb_wide_t tb_requantize_wide(tb_wide_t acc, tb_wide_t multiplier, uint32_t shift, int64_t rounding) {
  const __m512i round = _mm512_set1_epi64(rounding), value = _mm512_sll_epi32(acc, _mm_cvtsi32_si128((int)shift));
  const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(value, multiplier), round);
  const __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(value, 32), _mm512_srli_epi64(multiplier, 32));
  return _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), _mm512_add_epi64(odd, round));
}
TB_INLINE uint32_t tb_store_i8_wide(int8_t *y, tb_wide_t values, uint32_t count) {
  const __m512i low = _mm512_max_epi32(values, _mm512_set1_epi32(-128));
  const __m512i clamped = _mm512_min_epi32(low, _mm512_set1_epi32(127));
  const __mmask16 some = (__mmask16)((1u << tb_minimum(count, 16)) - 1u);
  _mm512_mask_cvtepi32_storeu_epi8(y, some, clamped);
  return _mm512_mask_cmpeq_epi32_mask(some, values, clamped);
}
#else
#define TB_WIDE 8u
typedef tb_int8x_t tb_wide_t;
TB_INLINE tb_wide_t tb_load_wide(const void *from) { return tb_load_8x(from); }
TB_INLINE void tb_store_wide(void *to, tb_wide_t values) { tb_store_8x(to, values); }
TB_INLINE tb_wide_t tb_all_wide(int32_t value) { return _mm256_set1_epi32(value); }
TB_INLINE tb_wide_t tb_add_wide(tb_wide_t a, tb_wide_t b) { return _mm256_add_epi32(a, b); }
TB_INLINE tb_wide_t tb_pair_bytes_wide(__m128i a, __m128i b) { return _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b)); }
TB_INLINE tb_wide_t tb_subtract_pairs_wide(tb_wide_t a, int32_t value) {
  return _mm256_sub_epi16(a, _mm256_set1_epi16((int16_t)value));
}
TB_INLINE tb_wide_t tb_magnitudes_wide(tb_wide_t seen, tb_wide_t values) {
  return _mm256_or_si256(seen, tb_magnitudes_8x(values));
}
TB_INLINE uint32_t tb_or_of_wide(tb_wide_t values) { return tb_or_of_8x(values); }
TB_INLINE void tb_store_odd_wide(int16_t *to, tb_wide_t values, uint32_t shift) {
  tb_store_i16_8x(to, tb_round_to_odd_8x(values, shift));
}
TB_INLINE tb_wide_t tb_dot2_wide(tb_wide_t acc, tb_wide_t a, tb_wide_t b) { return tb_dot2_8x(acc, a, b); }
/* In int16: there is an instruction for bytes, but it saturates. */
TB_INLINE tb_wide_t tb_dot4_wide(tb_wide_t acc, tb_wide_t a, tb_wide_t b) {
  const __m256i a_even = _mm256_and_si256(a, _mm256_set1_epi16(255)), a_odd = _mm256_srli_epi16(a, 8);
  const __m256i b_even = _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8), b_odd = _mm256_srai_epi16(b, 8);
  acc = _mm256_add_epi32(acc, _mm256_madd_epi16(a_even, b_even));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(a_odd, b_odd));
}
TB_INLINE tb_wide_t tb_requantize_wide(tb_wide_t acc, tb_wide_t multiplier, uint32_t shift, int64_t rounding) {
  return tb_requantize_8x(acc, multiplier, shift, rounding);
}
TB_INLINE uint32_t tb_store_i8_wide(int8_t *y, tb_wide_t values, uint32_t count) { return tb_store_i8_8x(y, values, count); }
#endif

#endif
#endif
