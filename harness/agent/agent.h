/* agent.h: the server of the link protocol. The other end is harness/link/ of trainbench. */
#ifndef AGENT_H
#define AGENT_H

#include <stdint.h>

/* Take one byte from the serial port; answers when it completes a request. */
void agent_receive(uint8_t byte);

/* Serve requests for ever. */
void agent_main(void);

#endif
