/* part.h: what of the STM32F746 the link uses, for common/stm32/usart.c. Names: RM0385. */
#ifndef PART_H
#define PART_H

#define USART_BASE 0x40011000u /* USART1 */
#define USART_IRQ 37u
#define USART_CLOCK_HZ 16000000u /* APB2 after a reset: HSI, not divided */

#include "usart_isr.h"

#endif
