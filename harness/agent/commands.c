#include "commands.h"

#include <stddef.h>
#include <string.h>

#include "board.h"
#include "protocol.h"
#include "trainer.h"

/* Details of ERROR_TRAINER_BROKEN: the functions of trainer.h in order. */
enum { FUNCTION_INFO = 1, FUNCTION_INPUT = 4, FUNCTION_PREDICT = 5, FUNCTION_LOGITS = 7, FUNCTION_SPAN = 9 };

static uint8_t agent_session; /* a HELLO came since start-up */

uint8_t agent_error(agent_body_t *reply, uint32_t code, uint32_t detail) {
  reply->bytes = 0;
  agent_put_u32(reply, code);
  agent_put_u32(reply, detail);
  return REPLY_ERROR;
}

static uint8_t agent_info(agent_body_t *reply) {
  const trainer_info_t *info = trainer_info();
  const int8_t *input = trainer_input();
  trainer_span_t arena = trainer_arena_span();
  if (input == NULL) return agent_error(reply, ERROR_TRAINER_BROKEN, FUNCTION_INPUT);
  board_range_t stack = board_stack();
  board_measure_begin();
  uint64_t before = board_ticks();
  uint64_t overhead = board_ticks() - before;
  board_measure_end();

  agent_put_u32(reply, info->abi_version);
  agent_put_u32(reply, info->input_height);
  agent_put_u32(reply, info->input_width);
  agent_put_u32(reply, info->input_channels);
  agent_put_u32(reply, info->input_bytes);
  agent_put_u32(reply, info->classes);
  agent_put_u32(reply, info->arena_bytes);
  agent_put_u32(reply, info->state_bytes);
  agent_put_u32(reply, trainer_state_count());
  agent_put_u32(reply, board_tick_unit());
  agent_put_u32(reply, board_ticks_per_count());
  agent_put_u32(reply, (uint32_t)overhead);
  agent_put_u64(reply, (uintptr_t)input);
  agent_put_u64(reply, (uintptr_t)arena.data);
  agent_put_u64(reply, arena.bytes);
  agent_put_u64(reply, stack.start);
  agent_put_u64(reply, stack.end);
  agent_put_string(reply, info->network);
  agent_put_string(reply, info->scheme);
  agent_put_string(reply, info->plan_digest);
  return REPLY_BIT | COMMAND_INFO;
}

/* Checked before the trainer runs, so that no step is done whose result cannot be told. */
static int agent_logits_fit(uint32_t head_bytes) {
  return trainer_info()->classes <= (AGENT_MAX_BODY - head_bytes) / 4u;
}

static void agent_put_logits(agent_body_t *reply, const float *logits) {
  uint32_t classes = trainer_info()->classes;
  for (uint32_t i = 0; i < classes; i++) agent_put_float(reply, logits[i]);
}

static uint8_t agent_predict(agent_body_t *reply) {
  if (!agent_logits_fit(8)) return agent_error(reply, ERROR_TOO_LARGE, 8u + 4u * trainer_info()->classes);
  board_measure_begin();
  uint64_t before = board_ticks();
  const float *logits = trainer_predict();
  uint64_t counts = board_ticks() - before;
  board_measure_end();
  if (logits == NULL) return agent_error(reply, ERROR_TRAINER_BROKEN, FUNCTION_PREDICT);
  agent_put_u64(reply, counts);
  agent_put_logits(reply, logits);
  return REPLY_BIT | COMMAND_PREDICT;
}

static void agent_set_learning_rate(const uint8_t *body) {
  uint32_t bits = agent_get_u32(body);
  float learning_rate;
  memcpy(&learning_rate, &bits, sizeof learning_rate);
  trainer_set_learning_rate(learning_rate);
}

/* `rate` NULL: the learning rate is as it was. */
static uint8_t agent_train(agent_body_t *reply, uint32_t label, const uint8_t *rate) {
  uint32_t classes = trainer_info()->classes;
  if (label >= classes) return agent_error(reply, ERROR_LABEL_RANGE, classes);
  if (!agent_logits_fit(12)) return agent_error(reply, ERROR_TOO_LARGE, 12u + 4u * classes);
  if (rate != NULL) agent_set_learning_rate(rate);
  board_measure_begin();
  uint64_t before = board_ticks();
  float loss = trainer_train_step(label);
  uint64_t counts = board_ticks() - before;
  board_measure_end();
  const float *logits = trainer_logits();
  if (logits == NULL) return agent_error(reply, ERROR_TRAINER_BROKEN, FUNCTION_LOGITS);
  agent_put_u64(reply, counts);
  agent_put_float(reply, loss);
  agent_put_logits(reply, logits);
  return REPLY_BIT | COMMAND_TRAIN;
}

static uint8_t agent_state_span(agent_body_t *reply, uint32_t index) {
  uint32_t count = trainer_state_count();
  if (index >= count) return agent_error(reply, ERROR_SPAN_RANGE, count);
  trainer_span_t span = trainer_state_span(index);
  if (span.data == NULL) return agent_error(reply, ERROR_TRAINER_BROKEN, FUNCTION_SPAN);
  agent_put_u64(reply, (uintptr_t)span.data);
  agent_put_u32(reply, span.bytes);
  agent_put_string(reply, span.name);
  return REPLY_BIT | COMMAND_STATE_SPAN;
}

static int agent_accessible(uint64_t address, uint32_t length) {
  for (uint32_t index = 0;; index++) {
    board_range_t range = board_memory(index);
    if (range.start == range.end) return 0;
    if (address >= range.start && address <= range.end && length <= range.end - address) return 1;
  }
}

static uint8_t agent_read(agent_body_t *reply, uint64_t address, uint32_t length) {
  if (length > AGENT_MAX_BODY) return agent_error(reply, ERROR_TOO_LARGE, length);
  if (!agent_accessible(address, length)) return agent_error(reply, ERROR_ADDRESS, length);
  agent_put(reply, (const void *)(uintptr_t)address, length);
  return REPLY_BIT | COMMAND_READ;
}

static uint8_t agent_write(agent_body_t *reply, uint64_t address, const uint8_t *data, uint32_t length) {
  if (!agent_accessible(address, length)) return agent_error(reply, ERROR_ADDRESS, length);
  memcpy((void *)(uintptr_t)address, data, length);
  return REPLY_BIT | COMMAND_WRITE;
}

uint8_t agent_execute(agent_body_t *reply, uint8_t command, const uint8_t *body, uint32_t length) {
  if (command == COMMAND_HELLO) {
    if (length != 8) return agent_error(reply, ERROR_MALFORMED, length);
    agent_session = 1;
    agent_put(reply, body, length);
    return REPLY_BIT | COMMAND_HELLO;
  }
  if (!agent_session) return agent_error(reply, ERROR_NO_SESSION, 0);
  const trainer_info_t *info = trainer_info();
  if (info == NULL) return agent_error(reply, ERROR_TRAINER_BROKEN, FUNCTION_INFO);
  if (info->abi_version != TRAINER_ABI_VERSION) return agent_error(reply, ERROR_TRAINER_ABI, info->abi_version);

  static const uint8_t body_bytes[] = {
      [COMMAND_INFO] = 0,  [COMMAND_RESET] = 4,      [COMMAND_SET_LEARNING_RATE] = 4,
      [COMMAND_PREDICT] = 0, [COMMAND_TRAIN] = 4,      [COMMAND_STATE_SPAN] = 4,
      [COMMAND_READ] = 12, [COMMAND_WRITE] = 8};
  if (command >= sizeof body_bytes) return agent_error(reply, ERROR_UNKNOWN_COMMAND, command);
  int rated = command == COMMAND_TRAIN && length == 8; /* a learning rate before the step, which saves a round trip */
  if (length < body_bytes[command] || (length > body_bytes[command] && command != COMMAND_WRITE && !rated)) {
    return agent_error(reply, ERROR_MALFORMED, length);
  }
  switch (command) {
    case COMMAND_INFO:
      return agent_info(reply);
    case COMMAND_RESET:
      trainer_reset(agent_get_u32(body));
      return REPLY_BIT | COMMAND_RESET;
    case COMMAND_SET_LEARNING_RATE:
      agent_set_learning_rate(body);
      return REPLY_BIT | COMMAND_SET_LEARNING_RATE;
    case COMMAND_PREDICT:
      return agent_predict(reply);
    case COMMAND_TRAIN:
      return agent_train(reply, agent_get_u32(body), rated ? body + 4 : NULL);
    case COMMAND_STATE_SPAN:
      return agent_state_span(reply, agent_get_u32(body));
    case COMMAND_READ:
      return agent_read(reply, agent_get_u64(body), agent_get_u32(body + 8));
    case COMMAND_WRITE:
      return agent_write(reply, agent_get_u64(body), body + 8, length - 8);
    default:
      return agent_error(reply, ERROR_UNKNOWN_COMMAND, command);
  }
}
