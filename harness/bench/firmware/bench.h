/* bench.h: one kernel at one shape, and the memory it works on. */
#ifndef BENCH_H
#define BENCH_H

#include "tb_kernels.h"

typedef enum {
  BENCH_CONV2D = 0,
  BENCH_DEPTHWISE_CONV2D = 1,
  BENCH_ADD = 2,
  BENCH_GLOBAL_AVERAGE_POOL = 3,
  BENCH_FULLY_CONNECTED = 4,
  BENCH_CONV2D_GRAD_INPUT_I16 = 5,
  BENCH_DEPTHWISE_CONV2D_GRAD_INPUT_I16 = 6,
  BENCH_CONV2D_UPDATE_I16 = 7,
  BENCH_DEPTHWISE_CONV2D_UPDATE_I16 = 8,
  BENCH_BIAS_UPDATE_I16 = 9,
  BENCH_MASKED_SCALE_I16 = 10,
  BENCH_ADD_GRAD_I16 = 11,
  BENCH_ACCUMULATE_I16 = 12,
  BENCH_GLOBAL_AVERAGE_POOL_GRAD_I16 = 13
} bench_kernel_t;

typedef void bench_function_t(void); /* of any type */

#define BENCH_ALL_IN_ONE_PLACE 0xffffu

typedef struct {
  bench_kernel_t kernel;
  uint8_t masked;
  uint16_t repeats;
  uint16_t trainable; /* input channels, or BENCH_ALL_IN_ONE_PLACE */
  uint32_t weights;   /* number of them */
  uint32_t scratch;   /* bytes, as the compiler plans them */
  int32_t multiplier;
  uint8_t function;   /* which of bench_functions, where there are several */
  tb_conv_t conv;
} bench_case_t;

/* What kernels read and write; sizes in elements. */
typedef struct {
  int8_t *x;           /* input */
  int8_t *other;       /* input: second operand of an addition */
  int8_t *y;           /* output */
  int8_t *frozen;      /* the first `weights`, or all but the trainable ones */
  int8_t *trainable;   /* behind the frozen ones, or NULL */
  uint16_t *channels;  /* input channels, or NULL */
  int32_t *bias;       /* output channels */
  int32_t *multiplier; /* output channels */
  float *scale;        /* output channels */
  int16_t *gradient;   /* output */
  int16_t *second;     /* output: second operand of a sum */
  int16_t *dx;         /* input */
  uint8_t *mask;       /* output, a bit each */
  float *features;     /* input channels */
  float *reals;        /* output channels */
  float *matrix;       /* output channels * input channels, of a classifier alone */
  int32_t *exponent;   /* 1: what the kernel returned */
} bench_data_t;

void bench_run(const bench_case_t *bench, const bench_data_t *data, void *scratch);
void bench_run_reference(const bench_case_t *bench, const bench_data_t *data, void *scratch);

#endif
