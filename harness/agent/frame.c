#include "frame.h"

#include "board.h"

uint32_t agent_crc32(uint32_t crc, const uint8_t *data, uint32_t length) {
  crc = ~crc;
  for (uint32_t i = 0; i < length; i++) {
    crc ^= data[i];
    /* Bit by bit: a table would cost 1 KB of the memory that is being measured. */
    for (uint32_t bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

int32_t agent_cobs_decode(uint8_t *data, uint32_t length) {
  uint32_t in = 0, out = 0;
  while (in < length) {
    uint32_t block = data[in];
    if (block == 0 || in + block > length) return -1;
    for (uint32_t i = 1; i < block; i++) data[out++] = data[in + i];
    in += block;
    if (block < 255 && in < length) data[out++] = 0;
  }
  return (int32_t)out;
}

void agent_cobs_send(const uint8_t *data, uint32_t length) {
  static const uint8_t zero = 0;
  uint32_t start = 0;
  board_uart_write(&zero, 1);
  for (;;) {
    uint32_t run = 0;
    while (start + run < length && data[start + run] != 0 && run < 254) run++;
    uint8_t block = (uint8_t)(run + 1);
    board_uart_write(&block, 1);
    board_uart_write(data + start, run);
    start += run;
    if (start == length) break;
    if (run < 254) start++; /* the zero that the block stands for */
  }
  board_uart_write(&zero, 1);
}
