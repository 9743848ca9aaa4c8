/* trainer.h: the interface between a trainer and whatever drives it. Version 1.
 *
 * A trainer owns all of its memory: constants in flash, state and arena in SRAM. It allocates nothing, prints nothing,
 * needs no operating system and no libm. Any C code that implements these functions can be benchmarked by trainbench.
 */
#ifndef TRAINER_H
#define TRAINER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TRAINER_ABI_VERSION 1u

typedef struct {
  uint32_t abi_version;    /* TRAINER_ABI_VERSION */
  const char *network;     /* name of the network */
  const char *scheme;      /* name of the update scheme */
  const char *plan_digest; /* hexadecimal SHA-256 of plan.json, "" if there is none */
  uint32_t input_height;   /* pixels */
  uint32_t input_width;    /* pixels */
  uint32_t input_channels; /* 3 for RGB */
  uint32_t input_bytes;    /* height * width * channels, one int8 each, HWC order */
  uint32_t classes;        /* number of logits */
  uint32_t arena_bytes;    /* planned bytes of activations, gradients and scratch */
  uint32_t state_bytes;    /* trainable weights, biases and what the update rule keeps, in SRAM */
} trainer_info_t;

/* A contiguous part of the trainable state. */
typedef struct {
  const char *name; /* e.g. "block12.pointwise1.weight" */
  void *data;
  uint32_t bytes;
} trainer_span_t;

const trainer_info_t *trainer_info(void);

/* Restore the compiled-in weights; `seed` starts the generator of stochastic rounding. */
void trainer_reset(uint32_t seed);

/* SGD step size per image, finite and at most 2^30. Set after reset; kept until the next reset. */
void trainer_set_learning_rate(float learning_rate);

/* Where a sample goes: `input_bytes` bytes, int8 (pixel - 128), HWC. Fill it before every predict and train step;
 * both may overwrite it. */
int8_t *trainer_input(void);

/* Logits of the sample in the input buffer: `classes` floats, valid until the next call. */
const float *trainer_predict(void);

/* One training step on the sample in the input buffer; label < classes. Returns the cross-entropy loss before the
 * update. The logits of the step's forward pass are at trainer_logits() afterwards. */
float trainer_train_step(uint32_t label);
const float *trainer_logits(void);

/* Number of state spans, and span `index` (network order: what the state digest is computed over). */
uint32_t trainer_state_count(void);
trainer_span_t trainer_state_span(uint32_t index);

/* Planned arena, for painting: never cleared by start-up code. */
trainer_span_t trainer_arena_span(void);

#ifdef __cplusplus
}
#endif
#endif
