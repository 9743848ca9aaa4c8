/* frame.h: COBS frames with CRC-32, byte by byte. The other end is harness/link/frames.py. */
#ifndef FRAME_H
#define FRAME_H

#include <stdint.h>

/* CRC-32 of zlib; start with 0, feed the result back in to continue. */
uint32_t agent_crc32(uint32_t crc, const uint8_t *data, uint32_t length);

/* Decode COBS in place. Returns the decoded length, or -1 when the bytes are not valid COBS. */
int32_t agent_cobs_decode(uint8_t *data, uint32_t length);

/* Send `data` as COBS between two zero bytes. */
void agent_cobs_send(const uint8_t *data, uint32_t length);

#endif
