/* usart_sr.h: the USART of the STM32F4, whose status is in SR. */
#ifndef STM32_USART_SR_H
#define STM32_USART_SR_H

#include "cortex_m.h"

#define USART_SR REGISTER(USART_BASE + 0x00u)
#define USART_DR REGISTER(USART_BASE + 0x04u)
#define USART_BRR REGISTER(USART_BASE + 0x08u)
#define USART_CR1 REGISTER(USART_BASE + 0x0Cu)
#define USART_CR2 REGISTER(USART_BASE + 0x10u)
#define USART_CR3 REGISTER(USART_BASE + 0x14u)
#define CR1_RE (1u << 2)
#define CR1_TE (1u << 3)
#define CR1_RXNEIE (1u << 5)
#define CR1_UE (1u << 13)
#define SR_ORE (1u << 3)
#define SR_RXNE (1u << 5)
#define SR_TXE (1u << 7)

#define USART_BRR_PER_CLOCK 1u

/* Reading DR after SR clears an overrun (RM0390, USART_SR), and takes a byte: so only where taking one would not. */
static inline INTERRUPT_HANDLER void usart_forget_overrun(void) {
  if ((USART_SR & (SR_ORE | SR_RXNE)) == SR_ORE) (void)USART_DR;
}
static inline INTERRUPT_HANDLER int usart_has_byte(void) { return (USART_SR & SR_RXNE) != 0; }
static inline INTERRUPT_HANDLER uint8_t usart_take_byte(void) { return (uint8_t)USART_DR; }
static inline int usart_may_put(void) { return (USART_SR & SR_TXE) != 0; }
static inline void usart_put_byte(uint8_t byte) { USART_DR = byte; }

#endif
