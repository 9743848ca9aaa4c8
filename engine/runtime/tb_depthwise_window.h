/* tb_depthwise_window.h: 3 x 3 depthwise convolution of rows that a window holds at once, four neighbouring channels at a time.
 *
 * The window: [quad of 4 columns][slots][4 channels][4 columns] int16, minus the zero point. Rows and columns count from the
 * first one of padding; outside the image they are 0. A tile is 1 x 4 outputs of one channel.
 */
#ifndef TB_DEPTHWISE_WINDOW_H
#define TB_DEPTHWISE_WINDOW_H

#include "tb_depthwise_planes.h"

#if TB_DSP
#define TB_ROW_WORDS (TB_GROUP * TB_SLOT_WORDS) /* from slot to slot */
#define TB_STRIP_WORDS(slots) ((slots) * TB_ROW_WORDS) /* from quad to quad */

/* Tiles of neighbouring channels, run after run: a run is either a column of tiles or, `along`, a row of them. Distances are
 * bytes; those from behind a run lead to the next run's start. The assembly copies 20 words to its stack as they are. */
typedef struct {
  const uint32_t *end;      /* its own: where the run's last tile is followed by another */
  uint32_t step;            /* of y, from output to output */
  uint32_t reach;           /* of y, from tile to tile; along rows: from a tile's first to its last output */
  int32_t bias, multiplier; /* its own: of the channel */
  int32_t zero;
  uint8_t *bits; /* a byte a tile, four apart: bit i is set where output i was clamped. Unless masked: not used */
  uint32_t left; /* its own: runs of the channel */
  uint32_t runs; /* of a channel, at least one; of at least one tile */
  int32_t planes_run, y_run;
  uint32_t run_bytes; /* of planes */
  uint32_t channels;
  const int8_t *const *weights; /* of each channel, nine */
  const int32_t *biases, *multipliers;
  int32_t planes_channel, y_channel, bits_channel; /* from behind the last run of a channel to the first one of the next */
  uint32_t shift;                                  /* of the accumulator: goes into the weights and the bias */
  const uint32_t *planes; /* the first quad of the first tile */
  int8_t *y;
} tb_window_run_t;

typedef void tb_run_window_t(const tb_window_run_t *run);

/* By stride and slots; the masked ones are of columns. */
tb_run_window_t tb_window_columns_1_6, tb_window_columns_1_10, tb_window_columns_1_18;
tb_run_window_t tb_window_columns_2_9, tb_window_columns_2_18;
tb_run_window_t tb_window_rows_1_4, tb_window_rows_2_5;
tb_run_window_t tb_window_masked_1_4, tb_window_masked_1_6, tb_window_masked_1_10, tb_window_masked_1_18;
tb_run_window_t tb_window_masked_2_5, tb_window_masked_2_9, tb_window_masked_2_18;

/* Rows of an image, four channels of it, to the slots of one quad. */
typedef struct {
  uint32_t distance, row; /* bytes from pixel to pixel and from row to row */
  uint32_t add;           /* the pair (-zero, -zero) */
  uint32_t outside;       /* four bytes of the zero point */
} tb_window_source_t;

#if TB_DSP_ASM
/* `rows` of them, at least one, `x` at the quad's first column; what is inside the image: all columns, all but the first, or the
 * first few. */
typedef void tb_take_quad_t(const int8_t *x, uint32_t *to, uint32_t rows, const tb_window_source_t *source);
tb_take_quad_t tb_take_whole_quad, tb_take_first_quad, tb_take_one_column, tb_take_two_columns, tb_take_three_columns;
#endif

/* The mask bits of a group of channels: `rows` rows of outputs, the first of them at bit `index`. `bits`: [tile][row][channel]. */
void tb_write_depthwise_mask(const tb_conv_t *conv, const uint8_t *bits, uint32_t channels, uint8_t *mask, uint32_t index,
                             uint32_t rows);
#endif

#endif
