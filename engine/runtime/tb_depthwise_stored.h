/* tb_depthwise_stored.h: the int16 gradient of a depthwise convolution's input while its shift is still being found. */
#ifndef TB_DEPTHWISE_STORED_H
#define TB_DEPTHWISE_STORED_H

#include "tb_dsp.h"
#include "tb_shared_exponent.h"

/* The int16 gradient as far as it is stored: of each pixel, channels before `channels` and some of those that are next. */
typedef struct {
  int16_t *dx;
  uint32_t pixels, distance; /* from pixel to pixel */
  uint32_t channels;
  uint32_t magnitudes; /* of the largest values so far */
  uint32_t shift;
} tb_stored_t;

static inline tb_stored_t tb_nothing_stored(const tb_conv_t *conv, int16_t *dx, uint32_t magnitudes) {
  const uint32_t pixels = (uint32_t)conv->in_height * conv->in_width;
  const tb_stored_t stored = {dx, pixels, conv->in_channels, 0, magnitudes, tb_shift_for(magnitudes)};
  return stored;
}

/* The largest magnitude that needs nothing done: 0 as long as nothing but 0 was met. */
static inline uint32_t tb_limit_of(const tb_stored_t *stored) {
  return stored->magnitudes == 0 ? 0 : 0xffffffffu >> (16u - stored->shift);
}

/* A larger value came: halve all that is stored, as often as its magnitude asks for. `next`: how many of the next channels are
 * in progress; what they have not stored yet is overwritten anyway. */
void tb_raise_shift(tb_stored_t *stored, uint32_t magnitudes, uint32_t next);

#endif
