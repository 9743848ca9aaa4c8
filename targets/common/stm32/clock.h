/* clock.h: the clock tree of an STM32: set up once, and what its registers come to. A file per family. */
#ifndef STM32_CLOCK_H
#define STM32_CLOCK_H

#include <stdint.h>

/* In Hz; 0: the registers say something this firmware never writes. */
typedef struct {
  uint32_t core;
  uint32_t usart; /* of the kernel clock of the link's USART */
} clock_rates_t;

#define CLOCK_MOST_REGISTERS 12u

/* Addresses of what decides the rates, and of the flash wait states; ended by 0. The order is that of
 * `harness/devices/clocks.py`. */
extern const uint32_t clock_registers[];

/* Full rate, from the state after a reset. Traps in clock_did_not_start where an oscillator, PLL or regulator does not. */
void clock_start(void);

/* What the values of `clock_registers` come to with an external clock of `hse_hz`. Pure. */
clock_rates_t clock_rates(const uint32_t *values, uint32_t hse_hz);

#endif
