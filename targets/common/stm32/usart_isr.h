/* usart_isr.h: the USART of the STM32F7, H7 and L4, whose status is in ISR; and the LPUART of the L4. */
#ifndef STM32_USART_ISR_H
#define STM32_USART_ISR_H

#include "cortex_m.h"

#define USART_CR1 REGISTER(USART_BASE + 0x00u)
#define USART_CR2 REGISTER(USART_BASE + 0x04u)
#define USART_CR3 REGISTER(USART_BASE + 0x08u)
#define USART_BRR REGISTER(USART_BASE + 0x0Cu)
#define USART_ISR REGISTER(USART_BASE + 0x1Cu)
#define USART_ICR REGISTER(USART_BASE + 0x20u)
#define USART_RDR REGISTER(USART_BASE + 0x24u)
#define USART_TDR REGISTER(USART_BASE + 0x28u)
#define CR1_UE (1u << 0)
#define CR1_RE (1u << 2)
#define CR1_TE (1u << 3)
#define CR1_RXNEIE (1u << 5)
#define ISR_RXNE (1u << 5)
#define ISR_TXE (1u << 7)
#define ICR_ORECF (1u << 3)

/* BRR counts clocks of the kernel clock a bit; the LPUART's counts 256 times as finely. */
#ifdef USART_IS_LOW_POWER
#define USART_BRR_PER_CLOCK 256u
#else
#define USART_BRR_PER_CLOCK 1u
#endif

static inline INTERRUPT_HANDLER void usart_forget_overrun(void) { USART_ICR = ICR_ORECF; }
static inline INTERRUPT_HANDLER int usart_has_byte(void) { return (USART_ISR & ISR_RXNE) != 0; }
static inline INTERRUPT_HANDLER uint8_t usart_take_byte(void) { return (uint8_t)USART_RDR; }
static inline int usart_may_put(void) { return (USART_ISR & ISR_TXE) != 0; }
static inline void usart_put_byte(uint8_t byte) { USART_TDR = byte; }

#endif
