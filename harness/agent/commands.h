/* commands.h: what the agent can be asked to do. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include <stdint.h>

#include "body.h"

/* Execute one command of `length` body bytes; fills `reply`, which has to be empty, and returns the reply's kind. */
uint8_t agent_execute(agent_body_t *reply, uint8_t command, const uint8_t *body, uint32_t length);

/* Make `reply` a refusal; returns its kind. */
uint8_t agent_error(agent_body_t *reply, uint32_t code, uint32_t detail);

#endif
