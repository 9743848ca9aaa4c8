#include "usart.h"

#include "board.h"
#include "part.h"

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

#define RING_BYTES 128u /* a power of two */

static volatile uint8_t usart_ring[RING_BYTES];
static volatile uint32_t usart_ring_in, usart_ring_out; /* bytes so far, modulo 2^32 */

#define IRQ_WORD (USART_IRQ / 32u)
#define IRQ_MASK (1u << USART_IRQ % 32u)

INTERRUPT_HANDLER void usart_interrupt(void) {
  USART_ICR = ICR_ORECF; /* an overrun would interrupt for ever; the frame that lacks a byte is sent again */
  while (USART_ISR & ISR_RXNE) {
    if (usart_ring_in - usart_ring_out == RING_BYTES) {
      NVIC_ICER(IRQ_WORD) = IRQ_MASK; /* the byte stays in the USART until board_wait comes round again */
      return;
    }
    usart_ring[usart_ring_in % RING_BYTES] = (uint8_t)USART_RDR;
    usart_ring_in++;
  }
}

void usart_start(uint32_t baud) {
  USART_CR1 = 0;
  USART_CR2 = 0;
  USART_CR3 = 0;
  USART_BRR = (USART_CLOCK_HZ + baud / 2u) / baud;
  USART_CR1 = CR1_TE | CR1_RE | CR1_RXNEIE | CR1_UE;
}

int board_uart_read(void) {
  if (usart_ring_in == usart_ring_out) return -1;
  uint8_t byte = usart_ring[usart_ring_out % RING_BYTES];
  usart_ring_out++;
  return byte;
}

void board_uart_write(const uint8_t *data, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) {
    while ((USART_ISR & ISR_TXE) == 0) {
    }
    USART_TDR = data[i];
  }
}

/* The USART interrupts only here, where the stack is shallow: elsewhere its frame would add to the high-water mark of
 * the stack by chance. With interrupts masked, WFI still wakes for a pending one, so that no byte is missed before the
 * sleep. */
void board_wait(void) {
  __asm volatile("cpsid i" ::: "memory");
  NVIC_ISER(IRQ_WORD) = IRQ_MASK;
  if (usart_ring_in == usart_ring_out) __asm volatile("wfi" ::: "memory");
  __asm volatile("cpsie i\n isb" ::: "memory");
  NVIC_ICER(IRQ_WORD) = IRQ_MASK;
  __asm volatile("dsb\n isb" ::: "memory");
}
