/* tb_depthwise_planes.h: what the fast depthwise kernels share. Four neighbouring channels of HWC rows are transposed into
 * int16 planes, so that one SMLAD takes two neighbouring columns.
 *
 * A window holds as many rows as the kernel has, in a ring: row v, counted from the first row of padding, lies in slot v mod K.
 * Layout: [quad of 4 columns][4 channels][K slots][4 columns] int16. All that a tile reads lies at constant
 * distances from one address. Columns count from the first one of padding too; outside the image they are 0.
 */
#ifndef TB_DEPTHWISE_PLANES_H
#define TB_DEPTHWISE_PLANES_H

#include "tb_dsp.h"
#include "tb_internal.h"

#define TB_GROUP 4u /* channels */
#define TB_QUAD 4u  /* columns */

static inline uint32_t tb_reverse_bytes(uint32_t word) {
#if defined(__GNUC__)
  return __builtin_bswap32(word);
#else
  return word >> 24 | (word >> 8 & 0xff00u) | (word & 0xff00u) << 8 | word << 24;
#endif
}

/* Where the weights of each channel lie, in the network's order of channels. */
typedef struct {
  const tb_weights_t *weights;
  uint32_t taps, trainable, frozen; /* channels passed so far */
} tb_channels_t;

static inline tb_channels_t tb_first_channel(const tb_conv_t *conv, const tb_weights_t *weights) {
  tb_channels_t channels = {weights, (uint32_t)conv->kernel_height * conv->kernel_width, 0, 0};
  return channels;
}

/* The weights [KH][KW] of the next channel. */
static inline const int8_t *tb_next_channel(tb_channels_t *channels) {
  const tb_weights_t *weights = channels->weights;
  if (weights->channels == NULL) {
    return (weights->trainable != NULL ? weights->trainable : weights->frozen) + channels->taps * channels->frozen++;
  }
  const uint32_t trainable = channels->trainable;
  if (trainable < weights->trainable_count && weights->channels[trainable] == trainable + channels->frozen) {
    channels->trainable++;
    return weights->trainable + channels->taps * trainable;
  }
  return weights->frozen + channels->taps * channels->frozen++;
}

/* Whether a row of outputs never ends behind the rows that it sees, so that a window of these rows is enough where y is x. */
static inline int tb_depthwise_slides(const tb_conv_t *conv) {
  return 2 * conv->padding < conv->kernel_height && 2 * conv->padding < conv->kernel_width;
}

/* Words of a slot; the next channel and the next quad lie that far where a channel has that many slots. */
#define TB_SLOT_WORDS 2u
#define TB_PLANE_WORDS(slots) (TB_SLOT_WORDS * (slots))
#define TB_QUAD_WORDS(slots) (TB_GROUP * TB_PLANE_WORDS(slots))

/* Two words of aligned memory by LDRD and STRD, which GCC seldom forms. With memory operands it keeps every address in a
 * register, or spills it; so the compiler does not see what is read, and stores made before go in front of
 * tb_planes_written. `first` is a constant once everything is inlined and unrolled. */
#if TB_DSP_ASM
#define tb_load_pair(from, first, a, b)                                                           \
  do {                                                                                            \
    if (__builtin_constant_p(first)) {                                                            \
      __asm__ volatile("ldrd %0, %1, [%2, %3]" : "=&r"(a), "=r"(b) : "r"(from), "i"((first) * 4)); \
    } else {                                                                                      \
      (a) = (from)[(first)], (b) = (from)[(first) + 1u];                                          \
    }                                                                                             \
  } while (0)
#define tb_store_pair(to, first, a, b)                                                                       \
  do {                                                                                                       \
    if (__builtin_constant_p(first)) {                                                                       \
      __asm__ volatile("strd %0, %1, [%2, %3]" : : "r"(a), "r"(b), "r"(to), "i"((first) * 4) : "memory");     \
    } else {                                                                                                 \
      (to)[(first)] = (a), (to)[(first) + 1u] = (b);                                                         \
    }                                                                                                        \
  } while (0)
#define TB_FARTHEST_PAIR 254u /* words: as far as LDRD reaches */
#define tb_planes_written() __asm__ volatile("" : : : "memory")
#else
#define tb_load_pair(from, first, a, b) ((a) = (from)[(first)], (b) = (from)[(first) + 1u])
#define tb_store_pair(to, first, a, b) ((to)[(first)] = (a), (to)[(first) + 1u] = (b))
#define TB_FARTHEST_PAIR UINT32_MAX
#define tb_planes_written() ((void)0)
#endif

#endif
