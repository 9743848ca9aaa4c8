/* usart.h: the serial port of the link on an STM32 whose USART has the registers ISR, ICR, RDR and TDR (F7, H7, L4).
 *
 * The target's own `part.h` says which one: USART_BASE, USART_IRQ (interrupt number) and USART_CLOCK_HZ. */
#ifndef STM32_USART_H
#define STM32_USART_H

#include "cortex_m.h"

/* Sends and receives 8N1 at `baud` from now on. Clock and pins are set up already. */
void usart_start(uint32_t baud);

/* For the vector table, at USART_IRQ. */
INTERRUPT_HANDLER void usart_interrupt(void);

#endif
