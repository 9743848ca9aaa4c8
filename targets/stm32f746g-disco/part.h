/* part.h: the STM32F746NG of the Discovery board. Pins and crystal: UM1907. */
#ifndef PART_H
#define PART_H

#include "stm32f7.h"

#define PART_INTERRUPTS 98u
#define PART_HAS_CACHES 1
#define PART_DEBUG_IN_SLEEP DBGMCU_CR_DBG_SLEEP

#define HSE_HZ 25000000u
#define HSE_IS_CLOCK 0u      /* a crystal */
#define PLL_M 25u            /* 1 MHz into the PLL */
#define PLL_N 432u           /* 432 MHz, halved: 216 MHz */
#define FLASH_WAIT_STATES 7u /* 210 to 216 MHz at 2.7 to 3.6 V: RM0385, FLASH wait states */

#define LINK_TX_PORT GPIOA_BASE
#define LINK_TX_PIN 9u
#define LINK_RX_PORT GPIOB_BASE
#define LINK_RX_PIN 7u
#define LINK_FUNCTION 7u
#define USART_BASE USART1_BASE
#define USART_IRQ USART1_IRQ
#include "usart_isr.h"

/* Clocks of USART and pins on. */
void part_enable_link(void);

#endif
