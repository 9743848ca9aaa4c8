#include "agent.h"

#include <string.h>

#include "body.h"
#include "commands.h"
#include "frame.h"
#include "protocol.h"

#define HEADER_BYTES 4u
#define CRC_BYTES 4u
#define PLAIN_BYTES (HEADER_BYTES + AGENT_MAX_BODY + CRC_BYTES)
#define ENCODED_BYTES (PLAIN_BYTES + PLAIN_BYTES / 254u + 1u)

static uint8_t agent_request[ENCODED_BYTES];
static uint32_t agent_received;

/* The last request executed and the frame that answered it: resent, it is answered again and never executed again. */
static uint8_t agent_reply[PLAIN_BYTES];
static uint32_t agent_sent_bytes; /* 0 before the first */
static uint32_t agent_executed_crc;
static uint8_t agent_executed_sequence[2];

/* Append the CRC to a frame of `length` bytes and send it; returns the length with CRC. */
static uint32_t agent_send(uint8_t *frame, uint32_t length) {
  uint32_t crc = agent_crc32(0, frame, length);
  for (uint32_t i = 0; i < CRC_BYTES; i++) frame[length + i] = (uint8_t)(crc >> (8 * i));
  agent_cobs_send(frame, length + CRC_BYTES);
  return length + CRC_BYTES;
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
  agent_body_t reply = {agent_reply + HEADER_BYTES, 0};
  if (frame[0] == AGENT_PROTOCOL_VERSION) {
    kind = agent_execute(&reply, frame[1], frame + HEADER_BYTES, content - HEADER_BYTES);
  } else {
    kind = agent_error(&reply, ERROR_PROTOCOL_VERSION, AGENT_PROTOCOL_VERSION);
  }
  if (reply.bytes > AGENT_MAX_BODY) kind = agent_error(&reply, ERROR_TOO_LARGE, reply.bytes);
  agent_reply[0] = AGENT_PROTOCOL_VERSION;
  agent_reply[1] = kind;
  memcpy(agent_reply + 2, sequence, 2);
  memcpy(agent_executed_sequence, sequence, 2);
  agent_executed_crc = crc;
  agent_sent_bytes = agent_send(agent_reply, HEADER_BYTES + reply.bytes);
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
