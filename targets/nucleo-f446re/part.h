/* part.h: the STM32F446RE of the Nucleo-64 board MB1136. Pins and clock: UM1724. */
#ifndef PART_H
#define PART_H

#include "stm32f4.h"

#define PART_INTERRUPTS 97u
#define PART_HAS_CACHES 0
#define PART_DEBUG_IN_SLEEP DBGMCU_CR_DBG_SLEEP

#define HSE_HZ 8000000u
#define HSE_IS_CLOCK 1u      /* from the ST-Link */
#define PLL_M 4u             /* 2 MHz into the PLL */
#define PLL_N 180u           /* 360 MHz, halved: 180 MHz */
#define FLASH_WAIT_STATES 5u /* 150 to 180 MHz at 2.7 to 3.6 V: RM0390, FLASH wait states */

#define LINK_TX_PORT GPIOA_BASE
#define LINK_TX_PIN 2u
#define LINK_RX_PORT GPIOA_BASE
#define LINK_RX_PIN 3u
#define LINK_FUNCTION 7u
#define USART_BASE USART2_BASE
#define USART_IRQ USART2_IRQ
#include "usart_sr.h"

/* Clocks of USART and pins on. */
void part_enable_link(void);

#endif
