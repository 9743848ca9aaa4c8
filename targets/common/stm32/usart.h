/* usart.h: the serial port of the link on an STM32: board_uart_read and board_uart_write, and what a board needs.
 *
 * The target's own `part.h` says which one: USART_BASE and USART_IRQ (interrupt number); and of which kind, by what it
 * includes: usart_isr.h or usart_sr.h. */
#ifndef STM32_USART_H
#define STM32_USART_H

#include "cortex_m.h"

/* Sends and receives 8N1 at `baud` from now on. Kernel clock, its rate and pins are set up already. */
void usart_start(uint32_t clock_hz, uint32_t baud);

/* Sleep until a byte may have arrived. */
void usart_wait(void);

/* For the vector table, at USART_IRQ. */
INTERRUPT_HANDLER void usart_interrupt(void);

#endif
