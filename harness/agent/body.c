#include "body.h"

#include <stddef.h>
#include <string.h>

#include "protocol.h"

uint32_t agent_get_u32(const uint8_t *data) {
  return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

uint64_t agent_get_u64(const uint8_t *data) {
  return (uint64_t)agent_get_u32(data) | (uint64_t)agent_get_u32(data + 4) << 32;
}

void agent_put(agent_body_t *body, const void *data, uint32_t length) {
  if (length <= AGENT_MAX_BODY && body->bytes <= AGENT_MAX_BODY - length) {
    memcpy(body->data + body->bytes, data, length);
  }
  body->bytes += length;
}

void agent_put_u32(agent_body_t *body, uint32_t value) {
  uint8_t bytes[4];
  for (uint32_t i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (8 * i));
  agent_put(body, bytes, sizeof bytes);
}

void agent_put_u64(agent_body_t *body, uint64_t value) {
  agent_put_u32(body, (uint32_t)value);
  agent_put_u32(body, (uint32_t)(value >> 32));
}

void agent_put_float(agent_body_t *body, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  agent_put_u32(body, bits);
}

void agent_put_string(agent_body_t *body, const char *text) {
  size_t length = text == NULL ? 0 : strlen(text);
  if (length > 255) {
    body->bytes = AGENT_MAX_BODY + 1;
    return;
  }
  uint8_t prefix = (uint8_t)length;
  agent_put(body, &prefix, 1);
  if (length > 0) agent_put(body, text, (uint32_t)length);
}
