/* Arm MPS2 with the CMSDK peripherals of AN385, AN386 and AN500: UART0 for the link, timer 0 for the ticks. */
#include "board.h"

#include "cortex_m.h"

extern uint8_t __stack_bottom[], __stack_top[], __ram_start[], __ram_end[], __psram_start[], __psram_end[];
extern uint8_t __flash_start[], __flash_end[];

#define UART_DATA REGISTER(0x40004000u)
#define UART_STATE REGISTER(0x40004004u)
#define UART_CTRL REGISTER(0x40004008u)
#define UART_INTCLEAR REGISTER(0x4000400Cu)
#define UART_BAUDDIV REGISTER(0x40004010u)
#define STATE_TX_FULL 1u
#define STATE_RX_FULL 2u
#define CTRL_TX_ENABLE 1u
#define CTRL_RX_ENABLE 2u
#define CTRL_RX_INTERRUPT 8u
#define INTERRUPT_RX 2u

#define TIMER_CTRL REGISTER(0x40000000u)
#define TIMER_VALUE REGISTER(0x40000004u)
#define TIMER_RELOAD REGISTER(0x40000008u)
#define TIMER_INTCLEAR REGISTER(0x4000000Cu)
#define TIMER_ENABLE 1u
#define TIMER_INTERRUPT 8u

#define UART_IRQ 0u
#define TIMER_IRQ 8u

#define CLOCK_HZ 25000000u
#define BAUD 115200u

/* The counter's first value; smaller only in the test of its wrap-around. */
#ifndef BOARD_TIMER_RELOAD
#define BOARD_TIMER_RELOAD 0xFFFFFFFFu
#endif

/* The SRAM that may be used, from the start of RAM; the rest faults. */
#ifndef TRAINBENCH_SRAM_BUDGET
#define BUDGET_BYTES ((uint32_t)(__ram_end - __ram_start))
#define PSRAM_BYTES ((uint32_t)(__psram_end - __psram_start))
#else
#define BUDGET_BYTES ((uint32_t)(TRAINBENCH_SRAM_BUDGET))
#define PSRAM_BYTES 0u
#endif

#ifdef TRAINBENCH_SRAM_BUDGET
/* What the MPU enforces, for whoever explains a fault. Volatile: read at run time, so that the linker keeps it. */
extern const volatile uint32_t trainbench_sram_budget;
const volatile uint32_t trainbench_sram_budget = BUDGET_BYTES;
#define ENFORCED_BYTES trainbench_sram_budget
#else
#define ENFORCED_BYTES BUDGET_BYTES
#endif

#define RING_BYTES 128u /* a power of two */

static volatile uint8_t board_ring[RING_BYTES];
static volatile uint32_t board_ring_in, board_ring_out; /* bytes so far, modulo 2^32 */
static volatile uint32_t board_timer_wraps;

void trainbench_fault(void);

INTERRUPT_HANDLER static void uart_interrupt(void) {
  while (UART_STATE & STATE_RX_FULL) {
    if (board_ring_in - board_ring_out == RING_BYTES) {
      NVIC_ICER(0) = 1u << UART_IRQ; /* the byte stays in the UART until board_wait comes round again */
      return;
    }
    UART_INTCLEAR = INTERRUPT_RX;
    board_ring[board_ring_in % RING_BYTES] = (uint8_t)UART_DATA;
    board_ring_in++;
  }
}

INTERRUPT_HANDLER static void timer_interrupt(void) {
  TIMER_INTCLEAR = 1u;
  board_timer_wraps++;
}

typedef void (*handler_t)(void);

#define UNEXPECTED trainbench_fault
__attribute__((section(".vectors.irq"), used)) static const handler_t board_vectors[32] = {
    uart_interrupt, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED,
    timer_interrupt, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED,
    UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED,
    UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED};

void board_init(void) {
  mpu_protect((uint32_t)__flash_start, (uint32_t)(__flash_end - __flash_start), (uint32_t)__ram_start, ENFORCED_BYTES,
              (uint32_t)__psram_start, PSRAM_BYTES);
  UART_BAUDDIV = CLOCK_HZ / BAUD;
  UART_CTRL = CTRL_TX_ENABLE | CTRL_RX_ENABLE | CTRL_RX_INTERRUPT;
  (void)UART_DATA; /* QEMU asks its character device for bytes only after a read: without this one it may never */
  TIMER_CTRL = 0;
  NVIC_ISER(0) = 1u << TIMER_IRQ;
}

int board_uart_read(void) {
  if (board_ring_in == board_ring_out) return -1;
  uint8_t byte = board_ring[board_ring_out % RING_BYTES];
  board_ring_out++;
  return byte;
}

void board_uart_write(const uint8_t *data, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) {
    while (UART_STATE & STATE_TX_FULL) {
    }
    UART_DATA = data[i];
  }
}

/* The UART interrupts only here, where the stack is shallow: elsewhere its frame would add to the high-water mark of the
 * stack by chance. With interrupts masked, WFI still wakes for a pending one, so that no byte is missed before the
 * sleep. */
void board_wait(void) {
  __asm volatile("cpsid i" ::: "memory");
  NVIC_ISER(0) = 1u << UART_IRQ;
  if (board_ring_in == board_ring_out) __asm volatile("wfi" ::: "memory");
  __asm volatile("cpsie i\n isb" ::: "memory");
  NVIC_ICER(0) = 1u << UART_IRQ;
  __asm volatile("dsb\n isb" ::: "memory");
}

/* The timer runs only while something is measured: a running one would wake QEMU's sleep over and over, and restarting
 * it gives the same phase to every measurement. */
void board_measure_begin(void) {
  board_timer_wraps = 0;
  TIMER_RELOAD = BOARD_TIMER_RELOAD;
  TIMER_VALUE = BOARD_TIMER_RELOAD;
  TIMER_INTCLEAR = 1u;
  TIMER_CTRL = TIMER_ENABLE | TIMER_INTERRUPT;
}

void board_measure_end(void) {
  TIMER_CTRL = 0;
  TIMER_INTCLEAR = 1u;
}

uint64_t board_ticks(void) {
  uint32_t wraps, value;
  do {
    wraps = board_timer_wraps;
    value = TIMER_VALUE;
  } while (TIMER_INTCLEAR != 0 || wraps != board_timer_wraps); /* reads as the interrupt's state */
  return (uint64_t)wraps * ((uint64_t)BOARD_TIMER_RELOAD + 1u) + (BOARD_TIMER_RELOAD - value);
}

uint32_t board_tick_unit(void) { return BOARD_INSTRUCTIONS; }

/* QEMU's -icount shift=0 makes an instruction 1 ns, and the timer counts at 25 MHz. */
uint32_t board_ticks_per_count(void) { return 1000000000u / CLOCK_HZ; }

board_range_t board_stack(void) {
  return (board_range_t){(uintptr_t)__stack_bottom, (uintptr_t)__stack_top};
}

board_range_t board_memory(uint32_t index) {
  uintptr_t ram = (uintptr_t)__ram_start, psram = (uintptr_t)__psram_start;
  if (index == 0) return (board_range_t){ram, ram + BUDGET_BYTES};
  if (index == 1) return (board_range_t){psram, psram + PSRAM_BYTES};
  return (board_range_t){0, 0};
}
