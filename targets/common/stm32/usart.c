#include "usart.h"

#include "board.h"
#include "part.h"

#define RING_BYTES 128u /* a power of two */

static volatile uint8_t usart_ring[RING_BYTES];
static volatile uint32_t usart_ring_in, usart_ring_out; /* bytes so far, modulo 2^32 */

#define IRQ_WORD (USART_IRQ / 32u)
#define IRQ_MASK (1u << USART_IRQ % 32u)

INTERRUPT_HANDLER void usart_interrupt(void) {
  usart_forget_overrun(); /* an overrun would interrupt for ever; the frame that lacks a byte is sent again */
  while (usart_has_byte()) {
    if (usart_ring_in - usart_ring_out == RING_BYTES) {
      NVIC_ICER(IRQ_WORD) = IRQ_MASK; /* the byte stays in the USART until usart_wait comes round again */
      return;
    }
    usart_ring[usart_ring_in % RING_BYTES] = usart_take_byte();
    usart_ring_in++;
  }
}

void usart_start(uint32_t clock_hz, uint32_t baud) {
  USART_CR1 = 0;
  USART_CR2 = 0;
  USART_CR3 = 0;
  USART_BRR = (uint32_t)(((uint64_t)clock_hz * USART_BRR_PER_CLOCK + baud / 2u) / baud);
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
    while (!usart_may_put()) {
    }
    usart_put_byte(data[i]);
  }
}

/* The USART interrupts only here, where the stack is shallow: elsewhere its frame would add to the high-water mark of
 * the stack by chance. With interrupts masked, WFI still wakes for a pending one, so that no byte is missed before the
 * sleep. */
void usart_wait(void) {
  __asm volatile("cpsid i" ::: "memory");
  NVIC_ISER(IRQ_WORD) = IRQ_MASK;
  if (usart_ring_in == usart_ring_out) __asm volatile("wfi" ::: "memory");
  __asm volatile("cpsie i\n isb" ::: "memory");
  NVIC_ICER(IRQ_WORD) = IRQ_MASK;
  __asm volatile("dsb\n isb" ::: "memory");
}
