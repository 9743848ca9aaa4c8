/* fuzz_common.h: what both fuzz drivers share: a fixed generator, and frames as the host would send them. */
#ifndef FUZZ_COMMON_H
#define FUZZ_COMMON_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "protocol.h"

#define HEADER 4u
#define CRC 4u
#define PLAIN_MAX (HEADER + AGENT_MAX_BODY + CRC)
#define WIRE_MAX (PLAIN_MAX + PLAIN_MAX / 254u + 3u)

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" (2016). */
static uint64_t fuzz_state = 1;

static uint32_t fuzz_u32(void) {
  fuzz_state ^= fuzz_state >> 12;
  fuzz_state ^= fuzz_state << 25;
  fuzz_state ^= fuzz_state >> 27;
  return (uint32_t)((fuzz_state * UINT64_C(2685821657736338717)) >> 32);
}

static uint32_t fuzz_below(uint32_t bound) { return (uint32_t)(((uint64_t)fuzz_u32() * bound) >> 32); }

/* Mostly short, sometimes at the limit. */
static uint32_t fuzz_length(void) {
  switch (fuzz_below(16)) {
    case 0:
      return AGENT_MAX_BODY - fuzz_below(3);
    case 1:
      return 200 + fuzz_below(120); /* around one full COBS block */
    default:
      return fuzz_below(40);
  }
}

/* A third of the bytes are zero or 0xFF, which COBS and runs of ones treat apart. */
static void fuzz_bytes(uint8_t *data, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) {
    uint32_t random = fuzz_u32();
    data[i] = (random & 7u) < 2u ? 0 : (random & 7u) == 2u ? 0xFF : (uint8_t)(random >> 8);
  }
}

/* Everything the agent sends is collected here. */
static uint8_t fuzz_sent[8 * WIRE_MAX];
static uint32_t fuzz_sent_bytes;

void board_uart_write(const uint8_t *data, uint32_t length);
void board_uart_write(const uint8_t *data, uint32_t length) {
  if (length > sizeof fuzz_sent - fuzz_sent_bytes) {
    fprintf(stderr, "the agent sent more than %zu bytes for one trial\n", sizeof fuzz_sent);
    abort();
  }
  if (length > 0) memcpy(fuzz_sent + fuzz_sent_bytes, data, length);
  fuzz_sent_bytes += length;
}

/* The wire form of a frame of `content` bytes, for which `plain` has room for a CRC; returns its length. */
static uint32_t fuzz_encode(uint8_t *wire, uint8_t *plain, uint32_t content) {
  uint32_t crc = agent_crc32(0, plain, content);
  for (uint32_t i = 0; i < CRC; i++) plain[content + i] = (uint8_t)(crc >> (8 * i));
  fuzz_sent_bytes = 0;
  agent_cobs_send(plain, content + CRC);
  uint32_t length = fuzz_sent_bytes;
  memcpy(wire, fuzz_sent, length);
  fuzz_sent_bytes = 0;
  return length;
}

/* The next reply from `*at` on in what was sent, decoded into `plain`; its length, or 0 when there is none. */
static uint32_t fuzz_reply(uint32_t *at, uint8_t *plain) {
  while (*at < fuzz_sent_bytes && fuzz_sent[*at] == 0) (*at)++;
  uint32_t start = *at;
  while (*at < fuzz_sent_bytes && fuzz_sent[*at] != 0) (*at)++;
  if (start == *at) return 0;
  uint32_t encoded = *at - start;
  if (encoded > WIRE_MAX) abort();
  memcpy(plain, fuzz_sent + start, encoded);
  int32_t length = agent_cobs_decode(plain, encoded);
  if (length < (int32_t)(HEADER + CRC)) {
    fprintf(stderr, "the agent sent a reply that is no frame\n");
    abort();
  }
  return (uint32_t)length;
}

#endif
