/* tb_depthwise_take.c: rows of int8 HWC images transposed into planes of four channels, minus the zero point. */
#include "tb_depthwise_group.h"

#if TB_DSP

/* Pixels first to end - 1 of a quad to the same slot of the group's planes; the others are outside. */
TB_INLINE void take_quad(uint32_t *to, const int8_t *x, uint32_t distance, uint32_t first, uint32_t end, uint32_t outside,
                         uint32_t add, uint32_t slots) {
  const uint32_t plane = TB_PLANE_WORDS(slots);
  uint32_t pixel[TB_QUAD];
  TB_UNROLL_BLOCK
  for (uint32_t i = 0; i < TB_QUAD; i++) {
    pixel[i] = outside;
    if (i < first || i >= end) continue;
    pixel[i] = tb_load32(x);
    x += distance;
  }
  const uint32_t a = tb_pack_low(pixel[0], pixel[1]), b = tb_pack_low(pixel[2], pixel[3]); /* channels 0 and 1 */
  tb_store_pair(to, 0, tb_sxtab16(add, a), tb_sxtab16(add, b));
  tb_store_pair(to, plane, tb_sxtab16_odd(add, a), tb_sxtab16_odd(add, b));
  const uint32_t c = tb_pack_high(pixel[0], pixel[1]), d = tb_pack_high(pixel[2], pixel[3]); /* channels 2 and 3 */
  tb_store_pair(to, 2 * plane, tb_sxtab16(add, c), tb_sxtab16(add, d));
  tb_store_pair(to, 3 * plane, tb_sxtab16_odd(add, c), tb_sxtab16_odd(add, d));
}

/* Transpose rows y, y + 1, ... of the image: four channels, and the padding that goes with the kernel. */
TB_INLINE void take_rows(const tb_group_t *group, uint32_t y, uint32_t count, uint32_t slot, uint32_t padding, uint32_t slots) {
  const tb_conv_t *conv = group->conv;
  uint32_t distance = conv->in_channels;
  const uint32_t seen = group->inside * distance;
  const uint32_t skipped = conv->in_width * distance - seen; /* behind what is seen of a row */
  const uint32_t add = tb_pair(-conv->in_zero, -conv->in_zero), outside = 0x01010101u * (uint8_t)conv->in_zero;
  const uint32_t after = group->inside - (TB_QUAD - padding), left = after % TB_QUAD;
  const int8_t *x = group->x + y * (seen + skipped);
  uint32_t *to_row = group->planes + slot * TB_SLOT_WORDS;
  for (; count != 0; count--, x += skipped, to_row += TB_SLOT_WORDS) {
    uint32_t *to = to_row;
    take_quad(to, x, distance, padding, TB_QUAD, outside, add, slots);
    x += (TB_QUAD - padding) * distance;
    for (uint32_t i = after / TB_QUAD; i != 0; i--) {
      distance = tb_in_register(distance); /* no loop of its own for distance 1 */
      to += TB_QUAD_WORDS(slots);
      take_quad(to, x, distance, 0, TB_QUAD, outside, add, slots);
      x += TB_QUAD * distance;
    }
    to += TB_QUAD_WORDS(slots);
    if (left == 1) {
      take_quad(to, x, distance, 0, 1, outside, add, slots);
    } else if (left == 2) {
      take_quad(to, x, distance, 0, 2, outside, add, slots);
    } else if (left == 3) {
      take_quad(to, x, distance, 0, 3, outside, add, slots);
    }
    x += left * distance;
  }
}

/* The same for fewer channels, and images narrower than a quad. */
void tb_take_rows_slowly(const tb_group_t *group, uint32_t y, uint32_t count, uint32_t slot) {
  const tb_conv_t *conv = group->conv;
  const uint32_t padding = conv->padding, slots = group->slots;
  for (uint32_t row = 0; row < count; row++) {
    const int8_t *x = group->x + (size_t)(y + row) * conv->in_width * conv->in_channels;
    uint32_t *const to = group->planes + (slot + row) * TB_SLOT_WORDS;
    for (uint32_t column = 0; column < padding + group->inside; column++, x += column > padding ? conv->in_channels : 0) {
      for (uint32_t channel = 0; channel < TB_GROUP; channel++) {
        uint32_t *word = to + column / TB_QUAD * TB_QUAD_WORDS(slots) + channel * TB_PLANE_WORDS(slots) + column % TB_QUAD / 2;
        const int32_t value = column < padding || channel >= group->channels ? 0 : x[channel] - conv->in_zero;
        *word = column % 2 == 0 ? tb_pair(value, 0) : tb_pack_low(*word, (uint32_t)value);
      }
    }
  }
}

#define TAKE(kernel, slots)                                                                                   \
  void tb_take_rows_##slots(const tb_group_t *group, uint32_t y, uint32_t count, uint32_t slot) {             \
    take_rows(group, y, count, slot, kernel / 2u, slots);                                                     \
  }
TAKE(3, 3)
TAKE(5, 5) TAKE(5, 20)
TAKE(7, 7) TAKE(7, 14)

#else
typedef int tb_depthwise_take_is_empty; /* a file of C needs a declaration */
#endif
