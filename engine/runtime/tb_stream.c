/* tb_stream.c: forward operators by strips of rows. */
#include "tb_stream.h"

#include "tb_dsp.h"
#include "tb_internal.h"

/* First input row that output row `row` sees. */
static uint32_t rows_from(const tb_conv_t *conv, uint32_t row) {
  const int32_t top = (int32_t)(row * conv->stride) - conv->padding;
  const int32_t first = tb_clamp_i32(top, 0, conv->in_height);
  return (uint32_t)first;
}

uint32_t tb_rows_until(const tb_conv_t *conv, uint32_t end) {
  const int32_t bottom = (int32_t)((end - 1u) * conv->stride) - conv->padding + conv->kernel_height;
  return (uint32_t)tb_clamp_i32(bottom, 0, conv->in_height);
}

static int8_t *row_of(const tb_window_t *window, uint32_t row) {
  return window->data + (size_t)(row - window->first) * window->row_bytes;
}

/* Copy towards lower addresses; what is written may reach into what is read. */
static void move_down(int8_t *to, const int8_t *from, size_t count) {
#if TB_DSP_ASM
  /* Eight words in one instruction; the C library takes one by one. They need addresses of words. */
  size_t blocks = (((uintptr_t)to | (uintptr_t)from) & 3u) == 0 ? count / 32 : 0;
  count -= 32 * blocks;
  if (blocks != 0) {
    __asm volatile(
        "1: ldm %[from]!, {r4-r6, r8-r10, r12, lr}\n stm %[to]!, {r4-r6, r8-r10, r12, lr}\n"
        "subs %[blocks], #1\n bne 1b\n"
        : [to] "+r"(to), [from] "+r"(from), [blocks] "+l"(blocks)
        :
        : "r4", "r5", "r6", "r8", "r9", "r10", "r12", "lr", "cc", "memory");
  }
#endif
  memmove(to, from, count);
}

/* Move what is kept of a window to its start; rows below `first` are gone. */
static void drop_rows(tb_window_t *window, uint32_t first) {
  if (window->whole || first <= window->first) return;
  if (first < window->end) move_down(window->data, row_of(window, first), (size_t)(window->end - first) * window->row_bytes);
  window->first = first;
  if (window->end < first) window->end = first;
}

void tb_stream_convolution(tb_convolution_t *kernel, const tb_conv_t *conv, tb_window_t *x, const tb_weights_t *weights,
                           const int32_t *bias, tb_window_t *y, uint32_t end, uint8_t *mask, void *scratch) {
  if (end > y->end) {
    tb_conv_t strip = *conv;
    const uint32_t first = y->end, from = rows_from(conv, first), until = tb_rows_until(conv, end);
    const int32_t above = (int32_t)conv->padding - (int32_t)(first * conv->stride);
    strip.pad_top = (uint16_t)(above > 0 ? above : 0);
    strip.in_height = (uint16_t)(until - from);
    strip.out_height = (uint16_t)(end - first);
    if (mask != NULL) mask += (size_t)first * y->row_bytes / 8u;
    kernel(&strip, row_of(x, from), weights, bias, row_of(y, first), mask, scratch);
    y->end = end;
  }
  drop_rows(x, rows_from(conv, end));
}

void tb_stream_add(tb_addition_t *kernel, const tb_add_t *add, const tb_window_t *a, tb_window_t *b, tb_window_t *y,
                   uint32_t end, uint8_t *mask) {
  if (end > y->end) {
    const uint32_t first = y->end;
    if (mask != NULL) mask += (size_t)first * y->row_bytes / 8u;
    kernel(add, row_of(a, first), row_of(b, first), row_of(y, first), mask, (end - first) * y->row_bytes);
    y->end = end;
  }
  drop_rows(b, end);
}
