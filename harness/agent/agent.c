#include "agent.h"

#include <stddef.h>
#include <string.h>

#include "board.h"
#include "frame.h"
#include "trainer.h"

#define HEADER_BYTES 4u
#define CRC_BYTES 4u
#define PLAIN_BYTES (HEADER_BYTES + AGENT_MAX_BODY + CRC_BYTES)
#define ENCODED_BYTES (PLAIN_BYTES + PLAIN_BYTES / 254u + 1u)

/* The numbers are those of harness/link/messages.py. */
enum {
  COMMAND_HELLO = 1,
  COMMAND_INFO = 2,
  COMMAND_RESET = 3,
  COMMAND_SET_LEARNING_RATE = 4,
  COMMAND_PREDICT = 5,
  COMMAND_TRAIN = 6,
  COMMAND_STATE_SPAN = 7,
  COMMAND_READ = 8,
  COMMAND_WRITE = 9,
  REPLY_BIT = 0x80,
  REPLY_ERROR = 0xFF
};

enum {
  ERROR_DAMAGED_FRAME = 1,
  ERROR_PROTOCOL_VERSION = 2,
  ERROR_UNKNOWN_COMMAND = 3,
  ERROR_NO_SESSION = 4,
  ERROR_MALFORMED = 5,
  ERROR_LABEL_RANGE = 6,
  ERROR_SPAN_RANGE = 7,
  ERROR_TRAINER_ABI = 8,
  ERROR_TOO_LARGE = 9,
  ERROR_ADDRESS = 10,
  ERROR_TRAINER_BROKEN = 11
};

/* Details of ERROR_TRAINER_BROKEN: the functions of trainer.h in order. */
enum { FUNCTION_INFO = 1, FUNCTION_INPUT = 4, FUNCTION_PREDICT = 5, FUNCTION_LOGITS = 7, FUNCTION_SPAN = 9 };

static uint8_t agent_request[ENCODED_BYTES];
static uint32_t agent_received;
static uint8_t agent_reply[PLAIN_BYTES];
static uint32_t agent_reply_bytes; /* body bytes wanted so far; may exceed AGENT_MAX_BODY */

static uint8_t agent_session; /* a HELLO came since start-up */

/* The last request executed: a resent one is answered from agent_reply, never executed again. */
static uint32_t agent_sent_bytes; /* of the frame in agent_reply, 0 before the first */
static uint32_t agent_executed_crc;
static uint8_t agent_executed_sequence[2];

static uint32_t agent_get_u32(const uint8_t *data) {
  return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

static uint64_t agent_get_u64(const uint8_t *data) {
  return (uint64_t)agent_get_u32(data) | (uint64_t)agent_get_u32(data + 4) << 32;
}

static void agent_put(const void *data, uint32_t length) {
  if (length <= AGENT_MAX_BODY && agent_reply_bytes <= AGENT_MAX_BODY - length) {
    memcpy(agent_reply + HEADER_BYTES + agent_reply_bytes, data, length);
  }
  agent_reply_bytes += length;
}

static void agent_put_u32(uint32_t value) {
  uint8_t bytes[4];
  for (uint32_t i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (8 * i));
  agent_put(bytes, sizeof bytes);
}

static void agent_put_u64(uint64_t value) {
  agent_put_u32((uint32_t)value);
  agent_put_u32((uint32_t)(value >> 32));
}

static void agent_put_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  agent_put_u32(bits);
}

/* A string longer than 255 bytes makes the reply too large instead of being cut. */
static void agent_put_string(const char *text) {
  size_t length = text == NULL ? 0 : strlen(text);
  if (length > 255) {
    agent_reply_bytes = AGENT_MAX_BODY + 1;
    return;
  }
  uint8_t prefix = (uint8_t)length;
  agent_put(&prefix, 1);
  agent_put(text, (uint32_t)length);
}

static uint8_t agent_error(uint32_t code, uint32_t detail) {
  agent_reply_bytes = 0;
  agent_put_u32(code);
  agent_put_u32(detail);
  return REPLY_ERROR;
}

/* Append the CRC to a frame of `length` bytes and send it; returns the length with CRC. */
static uint32_t agent_send(uint8_t *frame, uint32_t length) {
  uint32_t crc = agent_crc32(0, frame, length);
  for (uint32_t i = 0; i < CRC_BYTES; i++) frame[length + i] = (uint8_t)(crc >> (8 * i));
  agent_cobs_send(frame, length + CRC_BYTES);
  return length + CRC_BYTES;
}

static uint8_t agent_info(void) {
  const trainer_info_t *info = trainer_info();
  const int8_t *input = trainer_input();
  trainer_span_t arena = trainer_arena_span();
  if (input == NULL) return agent_error(ERROR_TRAINER_BROKEN, FUNCTION_INPUT);
  board_range_t stack = board_stack();
  board_measure_begin();
  uint64_t before = board_ticks();
  uint64_t overhead = board_ticks() - before;
  board_measure_end();

  agent_put_u32(info->abi_version);
  agent_put_u32(info->input_height);
  agent_put_u32(info->input_width);
  agent_put_u32(info->input_channels);
  agent_put_u32(info->input_bytes);
  agent_put_u32(info->classes);
  agent_put_u32(info->arena_bytes);
  agent_put_u32(info->state_bytes);
  agent_put_u32(trainer_state_count());
  agent_put_u32(board_tick_unit());
  agent_put_u32(board_ticks_per_count());
  agent_put_u32((uint32_t)overhead);
  agent_put_u64((uintptr_t)input);
  agent_put_u64((uintptr_t)arena.data);
  agent_put_u64(arena.bytes);
  agent_put_u64(stack.start);
  agent_put_u64(stack.end);
  agent_put_string(info->network);
  agent_put_string(info->scheme);
  agent_put_string(info->plan_digest);
  return REPLY_BIT | COMMAND_INFO;
}

/* Checked before the trainer runs, so that no step is done whose result cannot be told. */
static int agent_logits_fit(uint32_t head_bytes) {
  return trainer_info()->classes <= (AGENT_MAX_BODY - head_bytes) / 4u;
}

static void agent_put_logits(const float *logits) {
  uint32_t classes = trainer_info()->classes;
  for (uint32_t i = 0; i < classes; i++) agent_put_float(logits[i]);
}

static uint8_t agent_predict(void) {
  if (!agent_logits_fit(8)) return agent_error(ERROR_TOO_LARGE, 8u + 4u * trainer_info()->classes);
  board_measure_begin();
  uint64_t before = board_ticks();
  const float *logits = trainer_predict();
  uint64_t counts = board_ticks() - before;
  board_measure_end();
  if (logits == NULL) return agent_error(ERROR_TRAINER_BROKEN, FUNCTION_PREDICT);
  agent_put_u64(counts);
  agent_put_logits(logits);
  return REPLY_BIT | COMMAND_PREDICT;
}

static uint8_t agent_train(uint32_t label) {
  uint32_t classes = trainer_info()->classes;
  if (label >= classes) return agent_error(ERROR_LABEL_RANGE, classes);
  if (!agent_logits_fit(12)) return agent_error(ERROR_TOO_LARGE, 12u + 4u * classes);
  board_measure_begin();
  uint64_t before = board_ticks();
  float loss = trainer_train_step(label);
  uint64_t counts = board_ticks() - before;
  board_measure_end();
  const float *logits = trainer_logits();
  if (logits == NULL) return agent_error(ERROR_TRAINER_BROKEN, FUNCTION_LOGITS);
  agent_put_u64(counts);
  agent_put_float(loss);
  agent_put_logits(logits);
  return REPLY_BIT | COMMAND_TRAIN;
}

static uint8_t agent_state_span(uint32_t index) {
  uint32_t count = trainer_state_count();
  if (index >= count) return agent_error(ERROR_SPAN_RANGE, count);
  trainer_span_t span = trainer_state_span(index);
  if (span.data == NULL) return agent_error(ERROR_TRAINER_BROKEN, FUNCTION_SPAN);
  agent_put_u64((uintptr_t)span.data);
  agent_put_u32(span.bytes);
  agent_put_string(span.name);
  return REPLY_BIT | COMMAND_STATE_SPAN;
}

static int agent_accessible(uint64_t address, uint32_t length) {
  for (uint32_t index = 0;; index++) {
    board_range_t range = board_memory(index);
    if (range.start == range.end) return 0;
    if (address >= range.start && address <= range.end && length <= range.end - address) return 1;
  }
}

static uint8_t agent_read(uint64_t address, uint32_t length) {
  if (length > AGENT_MAX_BODY) return agent_error(ERROR_TOO_LARGE, length);
  if (!agent_accessible(address, length)) return agent_error(ERROR_ADDRESS, length);
  agent_put((const void *)(uintptr_t)address, length);
  return REPLY_BIT | COMMAND_READ;
}

static uint8_t agent_write(uint64_t address, const uint8_t *data, uint32_t length) {
  if (!agent_accessible(address, length)) return agent_error(ERROR_ADDRESS, length);
  memcpy((void *)(uintptr_t)address, data, length);
  return REPLY_BIT | COMMAND_WRITE;
}

/* Execute one command of `length` body bytes; returns the reply's kind, its body is in agent_reply. */
static uint8_t agent_execute(uint8_t command, const uint8_t *body, uint32_t length) {
  if (command == COMMAND_HELLO) {
    if (length != 8) return agent_error(ERROR_MALFORMED, length);
    agent_session = 1;
    agent_put(body, length);
    return REPLY_BIT | COMMAND_HELLO;
  }
  if (!agent_session) return agent_error(ERROR_NO_SESSION, 0);
  const trainer_info_t *info = trainer_info();
  if (info == NULL) return agent_error(ERROR_TRAINER_BROKEN, FUNCTION_INFO);
  if (info->abi_version != TRAINER_ABI_VERSION) return agent_error(ERROR_TRAINER_ABI, info->abi_version);

  static const uint8_t body_bytes[] = {
      [COMMAND_INFO] = 0,  [COMMAND_RESET] = 4,      [COMMAND_SET_LEARNING_RATE] = 4,
      [COMMAND_PREDICT] = 0, [COMMAND_TRAIN] = 4,      [COMMAND_STATE_SPAN] = 4,
      [COMMAND_READ] = 12, [COMMAND_WRITE] = 8};
  if (command >= sizeof body_bytes) return agent_error(ERROR_UNKNOWN_COMMAND, command);
  if (length < body_bytes[command] || (length > body_bytes[command] && command != COMMAND_WRITE)) {
    return agent_error(ERROR_MALFORMED, length);
  }
  switch (command) {
    case COMMAND_INFO:
      return agent_info();
    case COMMAND_RESET:
      trainer_reset(agent_get_u32(body));
      return REPLY_BIT | COMMAND_RESET;
    case COMMAND_SET_LEARNING_RATE: {
      uint32_t bits = agent_get_u32(body);
      float learning_rate;
      memcpy(&learning_rate, &bits, sizeof learning_rate);
      trainer_set_learning_rate(learning_rate);
      return REPLY_BIT | COMMAND_SET_LEARNING_RATE;
    }
    case COMMAND_PREDICT:
      return agent_predict();
    case COMMAND_TRAIN:
      return agent_train(agent_get_u32(body));
    case COMMAND_STATE_SPAN:
      return agent_state_span(agent_get_u32(body));
    case COMMAND_READ:
      return agent_read(agent_get_u64(body), agent_get_u32(body + 8));
    case COMMAND_WRITE:
      return agent_write(agent_get_u64(body), body + 8, length - 8);
    default:
      return agent_error(ERROR_UNKNOWN_COMMAND, command);
  }
}

static int agent_is_intact(const uint8_t *frame, int32_t length) {
  if (length < (int32_t)(HEADER_BYTES + CRC_BYTES) || length > (int32_t)PLAIN_BYTES) return 0;
  uint32_t content = (uint32_t)length - CRC_BYTES;
  return agent_crc32(0, frame, content) == agent_get_u32(frame + content);
}

/* In a buffer of its own: agent_reply may hold the answer to a request that will be resent. */
static void agent_complain(void) {
  uint8_t frame[HEADER_BYTES + 8 + CRC_BYTES] = {AGENT_PROTOCOL_VERSION, REPLY_ERROR, 0, 0, ERROR_DAMAGED_FRAME};
  agent_send(frame, HEADER_BYTES + 8);
}

static void agent_answer(const uint8_t *frame, uint32_t content) {
  uint32_t crc = agent_get_u32(frame + content);
  const uint8_t *sequence = frame + 2;
  if (agent_sent_bytes > 0 && crc == agent_executed_crc && memcmp(sequence, agent_executed_sequence, 2) == 0) {
    agent_cobs_send(agent_reply, agent_sent_bytes);
    return;
  }
  uint8_t kind;
  agent_reply_bytes = 0;
  if (frame[0] == AGENT_PROTOCOL_VERSION) {
    kind = agent_execute(frame[1], frame + HEADER_BYTES, content - HEADER_BYTES);
  } else {
    kind = agent_error(ERROR_PROTOCOL_VERSION, AGENT_PROTOCOL_VERSION);
  }
  if (agent_reply_bytes > AGENT_MAX_BODY) kind = agent_error(ERROR_TOO_LARGE, agent_reply_bytes);
  agent_reply[0] = AGENT_PROTOCOL_VERSION;
  agent_reply[1] = kind;
  memcpy(agent_reply + 2, sequence, 2);
  memcpy(agent_executed_sequence, sequence, 2);
  agent_executed_crc = crc;
  agent_sent_bytes = agent_send(agent_reply, HEADER_BYTES + agent_reply_bytes);
}

void agent_receive(uint8_t byte) {
  if (byte != 0) {
    /* One byte more than fits is counted, so that a frame that is too long is not taken for its beginning. */
    if (agent_received < ENCODED_BYTES) agent_request[agent_received] = byte;
    if (agent_received <= ENCODED_BYTES) agent_received++;
    return;
  }
  if (agent_received == 0) return;
  int32_t length = agent_received > ENCODED_BYTES ? -1 : agent_cobs_decode(agent_request, agent_received);
  agent_received = 0;
  if (agent_is_intact(agent_request, length)) {
    agent_answer(agent_request, (uint32_t)length - CRC_BYTES);
  } else {
    agent_complain();
  }
}
