/* tb_depthwise_mask.c: the mask of a depthwise convolution, written four channels at a time: half a byte a pixel. */
#include "tb_depthwise_window.h"

#if TB_DSP

/* Bit `column` of each of the four bytes of `bits`, whose upper halves are 0. The terms of the product do not meet. */
TB_INLINE uint32_t gather(uint32_t bits, uint32_t column) {
  return ((bits & (0x01010101u << column)) * 0x01020408u) >> (24u + column);
}

/* The bits of up to four pixels, half a byte each. No other group has this half; the first of two writes the whole. */
TB_INLINE void write_pixels(uint8_t *mask, uint32_t distance, uint32_t kept, uint32_t pixels, int high) {
  TB_UNROLL_BLOCK
  for (uint32_t i = 0; i < pixels; i++, mask += distance) {
    *mask = (uint8_t)(high ? *mask | gather(kept, i) << 4 : gather(kept, i));
  }
}

TB_INLINE void write_halves(const tb_conv_t *conv, const uint8_t *bits, uint8_t *mask, uint32_t rows, int high) {
  const uint32_t width = conv->out_width, bytes = conv->out_channels / 8u, row_bytes = width * bytes;
  for (uint32_t left = width; left != 0; left -= tb_minimum(TB_QUAD, left), mask += TB_QUAD * bytes) {
    uint8_t *byte = mask;
    if (left >= TB_QUAD) {
      for (uint32_t i = rows; i != 0; i--, bits += TB_GROUP, byte += row_bytes) {
        write_pixels(byte, bytes, tb_load32(bits) ^ 0x0f0f0f0fu, TB_QUAD, high);
      }
    } else {
      for (uint32_t i = rows; i != 0; i--, bits += TB_GROUP, byte += row_bytes) {
        const uint32_t kept = tb_load32(bits) ^ 0x0f0f0f0fu;
        for (uint32_t x = 0; x < left; x++) write_pixels(byte + x * bytes, 0, kept >> x & 0x01010101u, 1, high);
      }
    }
  }
}

void tb_write_depthwise_mask(const tb_conv_t *conv, const uint8_t *bits, uint32_t channels, uint8_t *mask, uint32_t index,
                             uint32_t rows) {
  const uint32_t width = conv->out_width, all = conv->out_channels;
  if (all % 8u == 0) {
    if (index % 8u == 0) {
      write_halves(conv, bits, mask + index / 8u, rows, 0);
    } else {
      write_halves(conv, bits, mask + index / 8u, rows, 1);
    }
    return;
  }
  const uint32_t lanes = (1u << channels) - 1u;
  for (uint32_t x = 0; x < width; x += TB_QUAD) {
    for (uint32_t row = 0; row < rows; row++, bits += TB_GROUP) {
      const uint32_t kept = tb_load32(bits) ^ 0x0f0f0f0fu, first = index + (row * width + x) * all;
      for (uint32_t i = 0; i < tb_minimum(TB_QUAD, width - x); i++) {
        tb_mask_set(mask, first + i * all, gather(kept, i) & lanes);
      }
    }
  }
}

#else
typedef int tb_depthwise_mask_is_empty; /* a file of C needs a declaration */
#endif
