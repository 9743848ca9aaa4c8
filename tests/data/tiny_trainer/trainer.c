/* The smallest trainer that does everything trainer.h asks for: logistic regression on the mean red, green and blue of
 * an 8x8 picture, in float32. The tests drive it; nothing generated it.
 *
 * Macros cause the faults the tests need: TINY_ABI (version it claims), TINY_ARENA (extra arena bytes), TINY_CLASSES,
 * TINY_POKE (a training step writes to the address that the first input bytes give), TINY_SPIN (turns of an empty loop in a training step),
 * TINY_LOSS (value returned instead of the loss), TINY_CRASH (in a training step: 1 stack overflow, 2 write to
 * address 0, 3 endless loop, 4 undefined instruction, 5 read beyond an array).
 */
#include "trainer.h"

#include <string.h>

#ifndef TINY_ABI
#define TINY_ABI TRAINER_ABI_VERSION
#endif
#ifndef TINY_ARENA
#define TINY_ARENA 0
#endif
#ifndef TINY_CLASSES
#define TINY_CLASSES 3
#endif
#ifndef TINY_SPIN
#define TINY_SPIN 0
#endif
#ifndef TINY_CRASH
#define TINY_CRASH 0
#endif

#define SIDE 8
#define CHANNELS 3
#define INPUT_BYTES (SIDE * SIDE * CHANNELS)

typedef struct {
  int8_t input[INPUT_BYTES];
  float features[CHANNELS];
  float probabilities[TINY_CLASSES];
  uint8_t more[TINY_ARENA + 4];
} tiny_arena_t;

typedef struct {
  float weight[TINY_CLASSES][CHANNELS];
  float bias[TINY_CLASSES];
} tiny_state_t;

__attribute__((section(".arena"))) static tiny_arena_t trainer_arena;
__attribute__((section(".state"))) static tiny_state_t trainer_state;

static float learning_rate;
static float logits[TINY_CLASSES];

static const trainer_info_t info = {TINY_ABI,    "tiny",       "full", "",           SIDE,
                                    SIDE,        CHANNELS,     INPUT_BYTES, TINY_CLASSES, sizeof(tiny_arena_t),
                                    sizeof(tiny_state_t)};

const trainer_info_t *trainer_info(void) { return &info; }

void trainer_reset(uint32_t seed) {
  uint32_t noise = seed;
  for (int c = 0; c < TINY_CLASSES; c++) {
    for (int i = 0; i < CHANNELS; i++) {
      noise = noise * 1664525u + 1013904223u;
      trainer_state.weight[c][i] = (float)(int32_t)(noise >> 16 & 0xFFu) / 1024.0f - 0.125f;
    }
    trainer_state.bias[c] = 0.0f;
  }
  learning_rate = 0.0f;
}

void trainer_set_learning_rate(float value) { learning_rate = value; }

int8_t *trainer_input(void) { return trainer_arena.input; }

const float *trainer_predict(void) {
  for (int i = 0; i < CHANNELS; i++) {
    int32_t sum = 0;
    for (int p = 0; p < SIDE * SIDE; p++) sum += trainer_arena.input[p * CHANNELS + i];
    trainer_arena.features[i] = (float)sum / (float)(SIDE * SIDE * 128);
  }
  for (int c = 0; c < TINY_CLASSES; c++) {
    float sum = trainer_state.bias[c];
    for (int i = 0; i < CHANNELS; i++) sum += trainer_state.weight[c][i] * trainer_arena.features[i];
    logits[c] = sum;
  }
  return logits;
}

const float *trainer_logits(void) { return logits; }

/* exp(x) for x <= 0 as (1 + x/4096)^4096: good enough to learn with, and the same bits everywhere. */
static float tiny_exp(float x) {
  float y = 1.0f + x / 4096.0f;
  if (y < 0.0f) y = 0.0f;
  for (int i = 0; i < 12; i++) y *= y;
  return y;
}

#if TINY_CRASH == 1
__attribute__((noinline)) static uint32_t overflow(volatile uint32_t *below) {
  volatile uint32_t frame[64];
  for (uint32_t i = 0; i < 64; i++) frame[i] = *below + i;
  return overflow(frame) + frame[1];
}
#endif

static void crash(void) {
#if TINY_CRASH == 1
  volatile uint32_t first = 1;
  first = overflow(&first);
#elif TINY_CRASH == 2
  volatile uint32_t *volatile nowhere = 0;
  *nowhere = 1;
#elif TINY_CRASH == 3
  for (volatile int i = 0;; i = 1) {
  }
#elif TINY_CRASH == 4
  __builtin_trap();
#elif TINY_CRASH == 5
  volatile int beyond = TINY_CLASSES;
  logits[0] = logits[beyond];
#endif
}

/* Returns 1 - p(label), not the cross-entropy: a logarithm would need libm. */
float trainer_train_step(uint32_t label) {
  crash();
#ifdef TINY_POKE
  uintptr_t address = 0;
  memcpy(&address, trainer_arena.input, sizeof address);
  *(volatile uint32_t *)address = 1;
#endif
#if TINY_SPIN && defined(__arm__)
  __asm volatile("mov r0, %0\n1: subs r0, r0, #1\n bne 1b" ::"r"(TINY_SPIN) : "r0", "cc");
#endif
  trainer_predict();
  float largest = logits[0], total = 0.0f;
  for (int c = 1; c < TINY_CLASSES; c++) largest = logits[c] > largest ? logits[c] : largest;
  for (int c = 0; c < TINY_CLASSES; c++) total += trainer_arena.probabilities[c] = tiny_exp(logits[c] - largest);
  for (int c = 0; c < TINY_CLASSES; c++) trainer_arena.probabilities[c] /= total;
  float loss = 1.0f - trainer_arena.probabilities[label];
  trainer_arena.probabilities[label] -= 1.0f;
  for (int c = 0; c < TINY_CLASSES; c++) {
    float step = learning_rate * trainer_arena.probabilities[c];
    for (int i = 0; i < CHANNELS; i++) trainer_state.weight[c][i] -= step * trainer_arena.features[i];
    trainer_state.bias[c] -= step;
  }
  memset(trainer_arena.input, 0, INPUT_BYTES); /* a trainer may overwrite its input */
  trainer_arena.more[TINY_ARENA + 3] = 1;      /* the whole arena is used, to its last byte */
#ifdef TINY_LOSS
  loss = TINY_LOSS;
#endif
  return loss;
}

uint32_t trainer_state_count(void) { return 2; }

trainer_span_t trainer_state_span(uint32_t index) {
  if (index == 0) return (trainer_span_t){"classifier.weight", trainer_state.weight, sizeof trainer_state.weight};
  return (trainer_span_t){"classifier.bias", trainer_state.bias, sizeof trainer_state.bias};
}

trainer_span_t trainer_arena_span(void) {
  return (trainer_span_t){"arena", &trainer_arena, sizeof trainer_arena};
}
