/* tb_depthwise_tile.h: four neighbouring outputs of one channel, summed from its plane.
 *
 * A row of weights w0, w1, ... is stored as the pairs that meet a row's pairs of columns (p0, p1), (p2, p3), ...: outputs at even
 * columns take (w0, w1), (w2, w3), ..., those at odd ones w0, (w1, w2), .... Order: the first kind, where their number is odd
 * followed by the last two weights, then what is left of the second kind.
 */
#ifndef TB_DEPTHWISE_TILE_H
#define TB_DEPTHWISE_TILE_H

#include "tb_depthwise_planes.h"

/* Words of a row of so many weights, and of what a tile reads of a row of columns. */
#define TB_TAP_WORDS(taps) ((taps) == 1 ? 1u : (taps) - 1u)
#define TB_TILE_WORDS(taps, stride) ((stride) == 1 ? ((taps) + 4u) / 2u : ((taps) + 7u) / 2u)
/* Of a channel's weights: the rows that a ring starts again with come twice. */
#define TB_TABLE_WORDS(kernel) ((2u * (kernel) - 1u) * TB_TAP_WORDS(kernel))
/* All weights of a tile stay in registers where they are no more words than this. */
#define TB_HELD_WORDS 6u

/* acc[i] += what word `index` of a row of columns gives output i. w: the row's weights. */
TB_INLINE void tb_add_column(const uint32_t *w, uint32_t column, uint32_t index, int32_t acc[4], uint32_t taps,
                             uint32_t stride) {
  const uint32_t half = taps / 2u, odd = taps % 2u;
  TB_UNROLL_BLOCK
  for (uint32_t i = 0; i < 4; i++) {
    const uint32_t k = index - (stride == 2 ? i : i / 2); /* among the words that output i sees */
    if (k > half || (k == half && taps % 2 == 0 && (stride == 2 || i % 2 == 0))) continue;
    if (taps == 1) {
      acc[i] = i % 2 == 0 ? tb_smlabb(w[0], column, acc[i]) : tb_smlabt(w[0], column, acc[i]);
    } else if (stride == 2 || i % 2 == 0) {
      acc[i] = k < half ? tb_smlad(w[k], column, acc[i]) : tb_smlatb(w[half], column, acc[i]);
    } else if (k == 0) {
      acc[i] = tb_smlabt(w[0], column, acc[i]);
    } else if (k < half) {
      acc[i] = tb_smlad(w[half + k - 1u + odd], column, acc[i]);
    } else {
      acc[i] = odd ? tb_smlad(w[half], column, acc[i]) : tb_smlatb(w[half - 1u], column, acc[i]);
    }
  }
}

/* A row w0, w1, ... of 5 or 7 weights as pairs. `start`: the first four; `end`: the last four. */
TB_INLINE void tb_pair_weights(uint32_t *row, uint32_t start, uint32_t end, uint32_t taps) {
  const uint32_t a = tb_sxtb16(start), b = tb_sxtb16_odd(start), c = tb_sxtb16(end), d = tb_sxtb16_odd(end);
  tb_store_pair(row, 0, tb_pack_low(a, b), tb_pack_high(a, b));
  if (taps == 5) {
    tb_store_pair(row, 2, tb_pack_high(b, d), tb_pkhbt(b, a));
  } else {
    tb_store_pair(row, 2, tb_pkhbt(d, c), tb_pack_high(c, d));
    tb_store_pair(row, 4, tb_pkhbt(b, a), tb_pack_low(c, d));
  }
}

/* Three weights: the first bytes of a word, or the last. */
TB_INLINE void tb_pair_first_three(uint32_t *row, uint32_t word) {
  const uint32_t a = tb_sxtb16(word), b = tb_sxtb16_odd(word);
  tb_store_pair(row, 0, tb_pack_low(a, b), tb_pkhbt(b, a));
}

TB_INLINE void tb_pair_last_three(uint32_t *row, uint32_t word) {
  const uint32_t a = tb_sxtb16(word), b = tb_sxtb16_odd(word);
  tb_store_pair(row, 0, tb_pkhbt(b, a), tb_pack_high(a, b));
}

/* Load the weights that stay in registers. */
TB_INLINE void tb_hold_weights(const uint32_t *w, uint32_t held[TB_HELD_WORDS], uint32_t rows, uint32_t taps) {
  const uint32_t words = rows * TB_TAP_WORDS(taps);
  if (words > TB_HELD_WORDS) return;
  for (uint32_t i = 0; i < words; i++) held[i] = w[i];
}

/* The sums of a tile: `rows` rows of `taps` weights. p: its first quad at the slot of the first row. */
TB_INLINE void tb_sum_tile(const uint32_t *w, const uint32_t held[TB_HELD_WORDS], const uint32_t *p, int32_t acc[4],
                           uint32_t rows, uint32_t taps, uint32_t stride, uint32_t slots) {
  const uint32_t row_words = TB_TAP_WORDS(taps), used = stride == 1 ? row_words : taps / 2u + 1u;
  const uint32_t tile_words = TB_TILE_WORDS(taps, stride);
  TB_UNROLL_BLOCK
  for (uint32_t row = 0; row < rows; row++) {
    uint32_t weights[8];
    TB_UNROLL_BLOCK
    for (uint32_t i = 0; i < used; i += 2) {
      const uint32_t at = row * row_words + i;
      if (rows * row_words <= TB_HELD_WORDS) {
        weights[i] = held[at];
        if (i + 1 < used) weights[i + 1] = held[at + 1];
      } else if (i + 1 < used) {
        tb_load_pair(w, at, weights[i], weights[i + 1]);
      } else {
        weights[i] = w[at];
      }
    }
    TB_UNROLL_BLOCK
    for (uint32_t i = 0; i < tile_words; i += 2) {
      const uint32_t at = i / 2 * TB_QUAD_WORDS(slots) + row * TB_SLOT_WORDS;
      uint32_t column, next = 0;
      if (i + 1 < tile_words && at <= TB_FARTHEST_PAIR) {
        tb_load_pair(p, at, column, next);
      } else {
        column = p[at];
        if (i + 1 < tile_words) next = p[at + 1];
      }
      tb_add_column(weights, column, i, acc, taps, stride);
      if (i + 1 < tile_words) tb_add_column(weights, next, i + 1, acc, taps, stride);
    }
  }
}

/* What follows takes place when the sums are complete: until then their operands need the registers. */
#if TB_DSP_ASM
#define TB_SETTLE(acc) __asm__("" : "+r"((acc)[0]), "+r"((acc)[1]), "+r"((acc)[2]), "+r"((acc)[3]))
#else
#define TB_SETTLE(acc) ((void)0)
#endif

#endif
