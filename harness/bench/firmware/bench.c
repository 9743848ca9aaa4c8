/* bench.c: a trainer whose training step `label` runs case `label` of cases.h twice, with the kernels of the firmware and with
 * the reference, on equal data, and compares every byte of memory that a kernel may write. */
#include "bench.h"

#include <stddef.h>
#include <string.h>

#include "cases.h"
#include "trainer.h"

#ifndef TRAINER_PROFILE
#error "the benchmark reads the clock through the marks of TRAINER_PROFILE"
#endif
void trainer_profile_start(void);
void trainer_profile_mark(uint32_t operator_index);

/* What the marks count. The agent counts nothing behind the last mark. */
enum { MARK_KERNEL = 0, MARK_REFERENCE = 1, MARK_OTHER = 2 };

enum { STATUS_DONE = 1, STATUS_TOO_LARGE = 2, STATUS_SCRATCH_OVERRUN = 3 };

#define DATA_BYTES (1u << 20)
#define SCRATCH_BYTES (1u << 17)
#define GUARD 0xa5u

extern uint8_t bench_memory[2 * DATA_BYTES + SCRATCH_BYTES];
uint8_t bench_memory[2 * DATA_BYTES + SCRATCH_BYTES] __attribute__((section(".arena"), aligned(16)));
static uint8_t *const results = bench_memory + DATA_BYTES; /* of the first run */
static uint8_t *const scratch = bench_memory + 2 * DATA_BYTES;

/* Of the last case. */
typedef struct {
  uint32_t label, status;
  uint32_t compared, different; /* bytes */
  uint32_t first;               /* offset of the first one that differs */
} bench_result_t;
extern bench_result_t bench_result;
bench_result_t bench_result __attribute__((section(".state"), aligned(16)));

static uint32_t taken; /* bytes of bench_memory */

static void *take(uint32_t count, uint32_t bytes) {
  void *block = bench_memory + taken;
  taken += (count * bytes + 7u) & ~7u;
  return block;
}

static bench_data_t place(const bench_case_t *bench) {
  const tb_conv_t *conv = &bench->conv;
  const uint32_t in = (uint32_t)conv->in_height * conv->in_width * conv->in_channels, out_channels = conv->out_channels;
  const uint32_t out = (uint32_t)conv->out_height * conv->out_width * out_channels;
  const int split = bench->trainable != BENCH_ALL_IN_ONE_PLACE;
  bench_data_t d;
  taken = 0;
  d.x = take(in, 1);
  d.other = take(in, 1);
  d.y = take(out, 1);
  d.frozen = take(bench->weights, 1);
  d.trainable = split ? d.frozen + bench->weights / conv->in_channels * (conv->in_channels - bench->trainable) : NULL;
  d.channels = split ? take(conv->in_channels, 2) : NULL;
  d.bias = take(out_channels, 4);
  d.multiplier = take(out_channels, 4);
  d.scale = take(out_channels, 4);
  d.gradient = take(out, 2);
  d.second = take(out, 2);
  d.dx = take(in, 2);
  d.mask = take((out + 7u) / 8u, 1);
  d.features = take(conv->in_channels, 4);
  d.reals = take(out_channels, 4);
  d.matrix = take(bench->kernel == BENCH_FULLY_CONNECTED ? out_channels * conv->in_channels : 0, 4);
  d.exponent = take(1, 4);
  return d;
}

static uint32_t random_state;

static uint32_t draw(void) { /* xorshift */
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

static float draw_float(void) { return (float)(int32_t)draw() * 4.6566e-10f; }

/* Trainable channels spread evenly, then the others; both parts ascending. */
static void choose_channels(uint16_t *channels, uint32_t total, uint32_t trainable) {
  uint32_t first = 0, second = trainable;
  for (uint32_t c = 0; c < total; c++) {
    channels[(c + 1) * trainable / total > c * trainable / total ? first++ : second++] = (uint16_t)c;
  }
}

static void fill(const bench_case_t *bench, const bench_data_t *d) {
  const tb_conv_t *conv = &bench->conv;
  const uint32_t out = (uint32_t)conv->out_height * conv->out_width * conv->out_channels;
  random_state = 2463534242u;
  for (uint32_t i = 0; i < taken; i += 4) {
    const uint32_t word = draw();
    memcpy(bench_memory + i, &word, 4);
  }
  if (d->channels != NULL) choose_channels(d->channels, conv->in_channels, bench->trainable);
  for (uint32_t c = 0; c < conv->out_channels; c++) {
    d->bias[c] = (int32_t)draw() >> 20;
    d->multiplier[c] = bench->multiplier - (int32_t)(c % 16u) * (bench->multiplier / 64);
    d->scale[c] = 64.0f;
  }
  for (uint32_t i = 0; i < out; i++) {
    d->gradient[i] = (int16_t)(d->gradient[i] / 2); /* the largest that input gradients are made from */
    d->second[i] = (int16_t)(d->second[i] / 2);
  }
  for (uint32_t c = 0; c < conv->in_channels; c++) d->features[c] = draw_float();
  if (bench->kernel == BENCH_FULLY_CONNECTED) {
    for (uint32_t i = 0; i < (uint32_t)conv->in_channels * conv->out_channels; i++) d->matrix[i] = draw_float();
  }
  for (uint32_t i = 0; i < SCRATCH_BYTES; i++) scratch[i] = GUARD;
}

static uint32_t scratch_status(uint32_t planned) {
  for (uint32_t i = planned; i < SCRATCH_BYTES; i++) {
    if (scratch[i] != GUARD) return STATUS_SCRATCH_OVERRUN;
  }
  return STATUS_DONE;
}

static void compare(bench_result_t *result) {
  result->compared = taken;
  for (uint32_t i = taken; i-- > 0;) {
    if (bench_memory[i] != results[i]) {
      result->different++;
      result->first = i;
    }
  }
}

float trainer_train_step(uint32_t label) {
  trainer_profile_start();
  const bench_case_t *bench = &bench_cases[label];
  const bench_data_t data = place(bench);
  bench_result = (bench_result_t){label, STATUS_TOO_LARGE, 0, 0, 0};
  if (taken > DATA_BYTES || bench->scratch > SCRATCH_BYTES) return 0.0f;

  fill(bench, &data);
  trainer_profile_mark(MARK_KERNEL);
  bench_run(bench, &data, scratch);
  trainer_profile_mark(MARK_OTHER);
  bench_result.status = scratch_status(bench->scratch);
  memcpy(results, bench_memory, taken);

  fill(bench, &data);
  trainer_profile_mark(MARK_REFERENCE);
  bench_run_reference(bench, &data, scratch);
  trainer_profile_mark(MARK_OTHER);
  if (bench_result.status == STATUS_DONE) bench_result.status = scratch_status(bench->scratch);
  compare(&bench_result);
  return (float)bench_result.different;
}

const trainer_info_t *trainer_info(void) {
  static const trainer_info_t info = {
      .abi_version = TRAINER_ABI_VERSION,
      .network = "kernel benchmark",
      .scheme = "",
      .plan_digest = "",
      .input_height = 1u,
      .input_width = 1u,
      .input_channels = 1u,
      .input_bytes = 1u,
      .classes = BENCH_CASES,
      .arena_bytes = sizeof bench_memory,
      .state_bytes = sizeof bench_result};
  return &info;
}

static const float no_logits[BENCH_CASES];

void trainer_reset(uint32_t seed) { (void)seed; }
void trainer_set_learning_rate(float learning_rate) { (void)learning_rate; }
int8_t *trainer_input(void) { return (int8_t *)bench_memory; }
const float *trainer_predict(void) { return no_logits; }
const float *trainer_logits(void) { return no_logits; }
uint32_t trainer_state_count(void) { return 1; }

trainer_span_t trainer_state_span(uint32_t index) {
  (void)index;
  return (trainer_span_t){"result", &bench_result, sizeof bench_result};
}

trainer_span_t trainer_arena_span(void) {
  return (trainer_span_t){"arena", bench_memory, sizeof bench_memory};
}
