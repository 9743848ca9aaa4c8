/* body.h: the body of a reply, written field by field, little endian. */
#ifndef BODY_H
#define BODY_H

#include <stdint.h>

typedef struct {
  uint8_t *data;  /* AGENT_MAX_BODY bytes */
  uint32_t bytes; /* wanted so far; more than AGENT_MAX_BODY are counted but not written */
} agent_body_t;

void agent_put(agent_body_t *body, const void *data, uint32_t length);
void agent_put_u32(agent_body_t *body, uint32_t value);
void agent_put_u64(agent_body_t *body, uint64_t value);
void agent_put_float(agent_body_t *body, float value);

/* Length in one byte, then the characters; NULL is "". More than 255 make the body too large instead of being cut. */
void agent_put_string(agent_body_t *body, const char *text);

uint32_t agent_get_u32(const uint8_t *data);
uint64_t agent_get_u64(const uint8_t *data);

#endif
