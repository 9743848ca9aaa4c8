/* part.h: the STM32H743ZI of the Nucleo-144 board MB1364. Pins and clock: UM2407. */
#ifndef PART_H
#define PART_H

#include "stm32h7.h"

#define PART_INTERRUPTS 150u
#define PART_HAS_CACHES 1
#define PART_DEBUG_IN_SLEEP DBGMCU_CR_DBGSLEEP_D1

#define HSE_HZ 8000000u
#define HSE_IS_CLOCK 1u /* from the ST-Link */

#define LINK_TX_PORT GPIOD_BASE
#define LINK_TX_PIN 8u
#define LINK_RX_PORT GPIOD_BASE
#define LINK_RX_PIN 9u
#define LINK_FUNCTION 7u
#define USART_BASE USART3_BASE
#define USART_IRQ USART3_IRQ
#include "usart_isr.h"

/* Clocks of USART and pins on. */
void part_enable_link(void);

#endif
