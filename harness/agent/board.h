/* board.h: what the agent needs from a board. Implemented under targets/. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* Units of the tick source; the numbers go over the link. */
#define BOARD_INSTRUCTIONS 1u
#define BOARD_CYCLES 2u
#define BOARD_NANOSECONDS 3u

typedef struct {
  uintptr_t start;
  uintptr_t end; /* first byte after */
} board_range_t;

/* Bring up clock, serial port and tick source. */
void board_init(void);

/* Next received byte, or -1 when there is none. Never waits. */
int board_uart_read(void);

/* Send all bytes. */
void board_uart_write(const uint8_t *data, uint32_t length);

/* Sleep until a byte may have arrived. */
void board_wait(void);

/* Between these two no received byte interrupts the processor, and board_ticks() counts from 0. */
void board_measure_begin(void);
void board_measure_end(void);

/* Counts since board_measure_begin. */
uint64_t board_ticks(void);
uint32_t board_tick_unit(void);
uint32_t board_ticks_per_count(void); /* what one count is worth in the unit */

/* The stack the trainer runs on. */
board_range_t board_stack(void);

/* Memory range `index` that the link may read and write, or an empty range after the last. */
board_range_t board_memory(uint32_t index);

#endif
