/* A board with an STM32: clocks, memory limits, caches, the serial port of its ST-Link, the cycle counter.
 *
 * The target's `part.h` says which part, pins and clocks; `part_enable_link` switches on what the link needs. */
#include "board.h"

#include "cache.h"
#include "clock.h"
#include "cortex_m.h"
#include "counter.h"
#include "field.h"
#include "gpio.h"
#include "part.h"
#include "usart.h"

extern uint8_t __stack_bottom[], __stack_top[], __ram_start[], __ram_end[];
extern uint8_t __flash_start[], __flash_end[];

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

#define CLOCK_MAGIC 0xC10CC10Cu
#ifndef CLOCK_MOST_TURNS /* of waiting for something to start; tests wait less */
#define CLOCK_MOST_TURNS 2000000u
#endif

/* Read by the harness and compared with what it finds: magic, Hz of core and USART, values of clock_registers. */
volatile uint32_t trainbench_clock_record[3u + CLOCK_MOST_REGISTERS] __attribute__((used));

void trainbench_fault(void);
void clock_did_not_start(void);
void board_fault_recorded(void);

__attribute__((section(".vectors.irq"), used)) static void (*const board_vectors[PART_INTERRUPTS])(void) = {
    [0 ... USART_IRQ - 1u] = trainbench_fault,
    [USART_IRQ] = usart_interrupt,
    [USART_IRQ + 1u ... PART_INTERRUPTS - 1u] = trainbench_fault,
};

/* Its name is what the harness reports as the place of the fault. */
__attribute__((noinline)) void clock_did_not_start(void) { __builtin_trap(); }

void field_wait(uint32_t address, uint32_t bit, uint32_t bits, uint32_t value) {
  for (uint32_t turn = 0; field_read(address, bit, bits) != value; turn++) {
    if (turn == CLOCK_MOST_TURNS) clock_did_not_start();
  }
}

static clock_rates_t record_clock(void) {
  uint32_t values[CLOCK_MOST_REGISTERS];
  for (uint32_t i = 0; clock_registers[i] != 0; i++) {
    values[i] = register_read(clock_registers[i]);
    trainbench_clock_record[3u + i] = values[i];
  }
  clock_rates_t rates = clock_rates(values, HSE_HZ);
  trainbench_clock_record[1] = rates.core;
  trainbench_clock_record[2] = rates.usart;
  trainbench_clock_record[0] = CLOCK_MAGIC;
  return rates;
}

void board_init(void) {
  SCB_VTOR = (uint32_t)__flash_start; /* the part may have started at an alias, which the MPU closes */
  clock_start();
  clock_rates_t rates = record_clock();
  if (rates.core == 0 || rates.usart == 0) clock_did_not_start();
  mpu_protect((uint32_t)__flash_start, (uint32_t)(__flash_end - __flash_start), (uint32_t)__ram_start, ENFORCED_BYTES,
              0, 0);
  if (PART_HAS_CACHES) cache_enable();
  field_write(PART_DEBUG_IN_SLEEP, 1u); /* the probe reads and writes memory while the core sleeps */
  part_enable_link();
  gpio_alternate(LINK_TX_PORT, LINK_TX_PIN, LINK_FUNCTION);
  gpio_alternate(LINK_RX_PORT, LINK_RX_PIN, LINK_FUNCTION);
  usart_start(rates.usart, BAUD);
}

/* The probe goes past the caches: whenever the core is idle, memory holds everything and the caches nothing. */
static void settle_memory(void) {
  if (PART_HAS_CACHES) cache_clean_and_invalidate();
}

void board_wait(void) {
  settle_memory();
  usart_wait();
}

/* Each call that is measured starts with an empty data cache. */
void board_measure_begin(void) {
  settle_memory();
  counter_start();
}

void board_measure_end(void) { counter_stop(); }

void board_fault_recorded(void) { settle_memory(); }

uint32_t board_tick_unit(void) { return BOARD_CYCLES; }

uint32_t board_ticks_per_count(void) { return 1; }

board_range_t board_stack(void) {
  return (board_range_t){(uintptr_t)__stack_bottom, (uintptr_t)__stack_top};
}

board_range_t board_memory(uint32_t index) {
  uintptr_t ram = (uintptr_t)__ram_start;
  return index == 0 ? (board_range_t){ram, ram + BUDGET_BYTES} : (board_range_t){0, 0};
}
