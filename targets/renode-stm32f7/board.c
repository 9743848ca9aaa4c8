/* STM32F746 in Renode: USART1 on PA9 and PB7 for the link, as on the Discovery board; the cycle counter for the ticks.
 *
 * Renode's counter counts executed instructions. Clocks stay as after a reset: they would change nothing. */
#include "board.h"

#include "cortex_m.h"
#include "counter.h"
#include "part.h"
#include "usart.h"

extern uint8_t __stack_bottom[], __stack_top[], __ram_start[], __ram_end[];
extern uint8_t __flash_start[], __flash_end[];

#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_APB2ENR REGISTER(0x40023844u)
#define AHB1ENR_GPIOA (1u << 0)
#define AHB1ENR_GPIOB (1u << 1)
#define APB2ENR_USART1 (1u << 4)

#define GPIOA 0x40020000u
#define GPIOB 0x40020400u
#define GPIO_MODER(port) REGISTER((port) + 0x00u)
#define GPIO_AFR(port, pin) REGISTER((port) + 0x20u + (pin) / 8u * 4u)
#define MODE_ALTERNATE 2u
#define AF_USART1 7u
#define TX_PIN 9u
#define RX_PIN 7u

#define BAUD 115200u

/* The SRAM that may be used, from the start of RAM; the rest faults. */
#ifndef TRAINBENCH_SRAM_BUDGET
#define BUDGET_BYTES ((uint32_t)(__ram_end - __ram_start))
#define ENFORCED_BYTES BUDGET_BYTES
#else
#define BUDGET_BYTES ((uint32_t)(TRAINBENCH_SRAM_BUDGET))
/* What the MPU enforces, for whoever explains a fault. Volatile: read at run time, so that the linker keeps it. */
extern const volatile uint32_t trainbench_sram_budget;
const volatile uint32_t trainbench_sram_budget = BUDGET_BYTES;
#define ENFORCED_BYTES trainbench_sram_budget
#endif

void trainbench_fault(void);

#define INTERRUPTS 98u

__attribute__((section(".vectors.irq"), used)) static void (*const board_vectors[INTERRUPTS])(void) = {
    [0 ... USART_IRQ - 1u] = trainbench_fault,
    [USART_IRQ] = usart_interrupt,
    [USART_IRQ + 1u ... INTERRUPTS - 1u] = trainbench_fault,
};

static void set_alternate_function(uint32_t port, uint32_t pin, uint32_t function) {
  GPIO_AFR(port, pin) = (GPIO_AFR(port, pin) & ~(0xFu << pin % 8u * 4u)) | function << pin % 8u * 4u;
  GPIO_MODER(port) = (GPIO_MODER(port) & ~(3u << 2u * pin)) | MODE_ALTERNATE << 2u * pin;
}

void board_init(void) {
  mpu_protect((uint32_t)__flash_start, (uint32_t)(__flash_end - __flash_start), (uint32_t)__ram_start, ENFORCED_BYTES,
              0, 0);
  RCC_AHB1ENR |= AHB1ENR_GPIOA | AHB1ENR_GPIOB;
  RCC_APB2ENR |= APB2ENR_USART1;
  (void)RCC_APB2ENR; /* a peripheral may be touched two clocks after it was switched on (RM0385, 5.2.12) */
  set_alternate_function(GPIOA, TX_PIN, AF_USART1);
  set_alternate_function(GPIOB, RX_PIN, AF_USART1);
  usart_start(USART_CLOCK_HZ, BAUD);
}

void board_wait(void) { usart_wait(); }

void board_measure_begin(void) { counter_start(); }

void board_measure_end(void) { counter_stop(); }

uint32_t board_tick_unit(void) { return BOARD_INSTRUCTIONS; }

uint32_t board_ticks_per_count(void) { return 1; }

board_range_t board_stack(void) {
  return (board_range_t){(uintptr_t)__stack_bottom, (uintptr_t)__stack_top};
}

board_range_t board_memory(uint32_t index) {
  uintptr_t ram = (uintptr_t)__ram_start;
  return index == 0 ? (board_range_t){ram, ram + BUDGET_BYTES} : (board_range_t){0, 0};
}
