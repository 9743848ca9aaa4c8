/* tb_conv2d_block.h: how the kernels of conv2d divide their pixels, and what scratch they need. The same rule for the compiler:
 * engine/operators/scratch.py, conv2d_scratch.
 */
#ifndef TB_CONV2D_BLOCK_H
#define TB_CONV2D_BLOCK_H

#include "tb_expand.h"

#define TB_BLOCK_PIXELS 120u
#define TB_BLOCK_NARROW 224u    /* the same of no more than 8 terms */
#define TB_BLOCK_BYTES 4096u    /* of widened activations, ... */
#define TB_BLOCK_FIELDS 2048u   /* of widened receptive fields (they bind the peak: the stem, beside the image), ... */
#define TB_BLOCK_MOST 18560u    /* ... but this many where a block would have fewer than ... */
#define TB_BLOCK_LEAST 16u      /* ... these pixels: each block widens all weights once */

typedef struct {
  uint32_t terms;   /* of a sum, room for the padding of both parts of the weights included */
  uint32_t pixels;  /* a block's, a multiple of 4 */
  uint32_t scratch; /* bytes */
} tb_conv2d_block_t;

/* `pointwise`: of the pointwise kernels; the others copy receptive fields. */
static inline tb_conv2d_block_t tb_conv2d_block(const tb_conv_t *conv, int split, int pointwise) {
  const uint32_t pixels = (uint32_t)conv->out_height * conv->out_width;
  tb_conv2d_block_t block;
  block.terms = TB_TERMS((uint32_t)conv->kernel_height * conv->kernel_width * conv->in_channels) + (split ? 4u : 0u);
  const uint32_t bytes = pointwise ? TB_BLOCK_BYTES : TB_BLOCK_FIELDS;
  uint32_t most = tb_minimum(block.terms > 8 ? TB_BLOCK_PIXELS : TB_BLOCK_NARROW, bytes / (2 * block.terms));
  if (most < TB_BLOCK_LEAST) most = tb_minimum(TB_BLOCK_LEAST, TB_BLOCK_MOST / (2 * block.terms));
  most = most < 4 ? 4 : most & ~3u;
  const uint32_t blocks = (pixels + most - 1) / most;
  block.pixels = TB_TERMS((pixels + blocks - 1) / blocks);
  /* Per pixel the terms and 2 bytes for its tile's mask; two rows of weights; a tile's receptive fields. */
  block.scratch = block.pixels * (2 * block.terms + 2) + 4 * block.terms;
  if (!pointwise) block.scratch += 4 * block.terms;
  return block;
}

#endif
