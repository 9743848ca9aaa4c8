/* tb_depthwise_group.h: four neighbouring channels on the fast path of a depthwise convolution. */
#ifndef TB_DEPTHWISE_GROUP_H
#define TB_DEPTHWISE_GROUP_H

#include "tb_depthwise_planes.h"
#include "tb_depthwise_tiles.h"

#if TB_DSP
typedef struct tb_group tb_group_t;

/* Transpose rows y, y + 1, ... of the image to the window's slots slot, slot + 1, .... */
typedef void tb_take_rows_t(const tb_group_t *group, uint32_t y, uint32_t count, uint32_t slot);

/* What the kernels differ in. */
typedef struct {
  uint32_t slots; /* of the window: as many as the kernel has rows, or those of a small image */
  void (*open)(uint32_t *table, tb_channels_t *order, uint32_t channels); /* put the weights of channels into pairs */
  tb_take_rows_t *take_rows;
  tb_run_tiles_t *run, *run_masked;
} tb_depthwise_path_t;

/* A group, and what all groups of a layer share. */
struct tb_group {
  const tb_conv_t *conv;
  const tb_depthwise_path_t *path;
  const int8_t *x; /* at the first channel */
  int8_t *y;
  uint32_t *planes, *tables;
  uint8_t *bits;   /* [tile][row][channel] of tb_tiles_t */
  uint32_t slots, quads, channels;
  uint32_t inside; /* columns of the image that are seen */
  const int32_t *bias, *multiplier;
  int32_t shifted_bias[TB_GROUP];
  tb_take_rows_t *take_rows;
  tb_run_tiles_t *run;
};

/* By slots of the window. For whole groups and at least a quad of columns; the slow one for what is left. */
tb_take_rows_t tb_take_rows_3, tb_take_rows_5, tb_take_rows_7, tb_take_rows_20, tb_take_rows_14;
tb_take_rows_t tb_take_rows_slowly;
#endif

#endif
