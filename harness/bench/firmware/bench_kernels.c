/* bench_kernels.c: calls one kernel. Compiled twice: against the kernels of the firmware, and as a part of
 * reference_bench_kernels.c against their plain C. */
#include "bench.h"
#include "functions.h"

#include <stddef.h>

#ifndef BENCH_RUN
#define BENCH_RUN bench_run
#endif

#define EXPONENT (-22)
#define BIAS_LIMIT (1 << 30)

static const tb_step_t step = {.learning_rate = 0.01f, .step_key = 77u, .apply = 1, .accumulate = 0, .mean = 1.0f};
/* Of inputs on scales about half the output's: hardly a sum is clamped. */
static const tb_add_t addition = {.multiplier_a = 2180000, .multiplier_b = 2180000, .offset = 1 << 21, .shift = 22};

static void run_once(const bench_case_t *bench, const bench_data_t *d, void *scratch) {
  tb_conv_t conv = bench->conv;
  conv.multiplier = d->multiplier;
  const tb_weights_t weights = {d->frozen, d->trainable, d->channels, d->channels == NULL ? 0 : bench->trainable};
  const tb_weights_t all_trainable = {NULL, d->frozen, NULL, conv.in_channels};
  const tb_weights_t *const trained = d->channels == NULL ? &all_trainable : &weights;
  const tb_update_t update = {d->scale, 3u, TB_STOCHASTIC, NULL, NULL, 0, NULL};
  const uint32_t pixels = (uint32_t)conv.in_height * conv.in_width, channels = conv.in_channels;
  uint8_t *const mask = bench->masked ? d->mask : NULL;
  bench_function_t *const function = bench_functions[bench->function];
  switch (bench->kernel) {
    case BENCH_CONV2D:
    case BENCH_DEPTHWISE_CONV2D:
      ((tb_convolution_t *)function)(&conv, d->x, &weights, d->bias, d->y, mask, scratch);
      break;
    case BENCH_ADD:
      ((tb_addition_t *)function)(&addition, d->x, d->other, d->y, mask, pixels * channels);
      break;
    case BENCH_GLOBAL_AVERAGE_POOL:
      tb_global_average_pool_i8(d->x, d->y, pixels, channels, conv.in_zero, conv.out_zero, bench->multiplier, 0);
      break;
    case BENCH_FULLY_CONNECTED:
      tb_fully_connected_f32(d->features, d->matrix, d->scale, d->reals, conv.out_channels, channels);
      break;
    case BENCH_CONV2D_GRAD_INPUT_I16:
      *d->exponent = ((tb_grad_input_i16_t *)function)(&conv, d->gradient, EXPONENT, &weights, d->dx, scratch);
      break;
    case BENCH_DEPTHWISE_CONV2D_GRAD_INPUT_I16:
      *d->exponent = tb_depthwise_conv2d_grad_input_i16((tb_depthwise_grad_t *)function, &conv, d->gradient, EXPONENT, &weights,
                                                        d->dx, scratch);
      break;
    case BENCH_CONV2D_UPDATE_I16:
      ((tb_update_i16_t *)function)(&conv, d->gradient, EXPONENT, d->x, trained, &update, &step, scratch);
      break;
    case BENCH_DEPTHWISE_CONV2D_UPDATE_I16:
      ((tb_update_i16_t *)function)(&conv, d->gradient, EXPONENT, d->x, trained, &update, &step, scratch);
      break;
    case BENCH_BIAS_UPDATE_I16:
      tb_bias_update_i16(d->gradient, EXPONENT, d->bias, &update, &step, pixels, channels, BIAS_LIMIT, scratch);
      break;
    case BENCH_MASKED_SCALE_I16:
      ((tb_masked_scale_i16_t *)function)(d->gradient, d->mask, d->multiplier, pixels, channels);
      break;
    case BENCH_ADD_GRAD_I16:
      tb_add_grad_i16(d->gradient, d->mask, bench->multiplier, d->dx, pixels * channels);
      break;
    case BENCH_ACCUMULATE_I16:
      *d->exponent = tb_accumulate_i16(d->gradient, EXPONENT, d->second, EXPONENT - 2, d->dx, pixels * channels);
      break;
    case BENCH_GLOBAL_AVERAGE_POOL_GRAD_I16:
      *d->exponent = tb_global_average_pool_grad_i16(d->features, d->dx, pixels, channels, 0.0625f);
      break;
  }
}

void BENCH_RUN(const bench_case_t *bench, const bench_data_t *data, void *scratch) {
  for (uint32_t i = 0; i < bench->repeats; i++) run_once(bench, data, scratch);
}
