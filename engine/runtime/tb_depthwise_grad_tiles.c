/* tb_depthwise_grad_tiles.c: runs of tiles of an int16 input gradient. */
#include "tb_depthwise_grad_tiles.h"

#include "tb_depthwise_tile.h"

#if TB_DSP

/* tb_round_to_odd; lost: 2^shift - 1. The sum carries into the last bit that is kept unless all that is lost is 0. */
TB_INLINE int16_t round_to_odd(int32_t value, uint32_t lost, uint32_t shift) {
  const uint32_t bits = (uint32_t)value;
  return (int16_t)((int32_t)(bits | ((bits & lost) + lost)) >> shift);
}

TB_INLINE void run_gradient(const tb_gradient_run_t *run, uint32_t rows, uint32_t taps) {
  const uint32_t *w = run->weights, *p = run->planes, *const end = run->end;
  int16_t *dx = run->dx;
  uint32_t shift = run->stored->shift, limit = tb_limit_of(run->stored), lost = (1u << shift) - 1u;
  uint32_t held[TB_HELD_WORDS] = {0};
  tb_planes_written();
  tb_hold_weights(w, held, rows, taps);
  do {
    int32_t acc[4] = {0, 0, 0, 0};
    tb_sum_tile(w, held, p, acc, rows, taps, 1, TB_GRADIENT_SLOTS);
    TB_SETTLE(acc);
    if (run->steps[2] == 0) { /* pixels that do not exist count for nothing, and are overwritten by the first */
      acc[3] = acc[0];
      if (run->steps[1] == 0) acc[2] = acc[0];
      if (run->steps[0] == 0) acc[1] = acc[0];
    }
    const uint32_t magnitudes = tb_magnitude(acc[0]) | tb_magnitude(acc[1]) | tb_magnitude(acc[2]) | tb_magnitude(acc[3]);
    if (magnitudes > limit) {
      tb_raise_shift(run->stored, magnitudes, run->next);
      shift = run->stored->shift;
      limit = tb_limit_of(run->stored);
      lost = (1u << shift) - 1u;
    }
    dx[run->steps[2]] = round_to_odd(acc[3], lost, shift);
    dx[run->steps[1]] = round_to_odd(acc[2], lost, shift);
    dx[run->steps[0]] = round_to_odd(acc[1], lost, shift);
    dx[0] = round_to_odd(acc[0], lost, shift);
    p += TB_SLOT_WORDS, dx += run->tile_step;
  } while (p != end);
}

#define RUN(rows, taps) \
  void tb_run_gradient_##rows##x##taps(const tb_gradient_run_t *run) { run_gradient(run, rows, taps); }
RUN(1, 1)
RUN(1, 2)
RUN(2, 1)
RUN(2, 2)
RUN(2, 3)
RUN(3, 3)
RUN(3, 4)
RUN(4, 3)
RUN(4, 4)
RUN(5, 5)
RUN(7, 7)

#else
typedef int tb_depthwise_grad_tiles_is_empty; /* a file of C needs a declaration */
#endif
