/* part.h: the STM32L4R5ZI of the Nucleo-144 board MB1312. Pins: UM2179. */
#ifndef PART_H
#define PART_H

#include "stm32l4.h"

#define PART_INTERRUPTS 95u
#define PART_HAS_CACHES 0
#define PART_DEBUG_IN_SLEEP DBGMCU_CR_DBG_SLEEP

#define HSE_HZ 8000000u      /* the ST-Link's, which is not used: it is not connected on all boards */
#define PLL_M 4u             /* 4 MHz into the PLL */
#define PLL_N 60u            /* 240 MHz, halved: 120 MHz */
#define FLASH_WAIT_STATES 5u /* 100 to 120 MHz in range 1 boost: RM0432, FLASH wait states */

#define LINK_TX_PORT GPIOG_BASE
#define LINK_TX_PIN 7u
#define LINK_RX_PORT GPIOG_BASE
#define LINK_RX_PIN 8u
#define LINK_FUNCTION 8u
#define USART_BASE LPUART1_BASE
#define USART_IRQ LPUART1_IRQ
#define USART_IS_LOW_POWER
#include "usart_isr.h"

/* Clocks of UART and pins on, and the pins' supply. */
void part_enable_link(void);

#endif
