/* Vectors, start-up and fault record of an Armv7-M core with FPU and MPU. */
#include <stdint.h>

#include "agent.h"
#include "cortex_m.h"

extern uint32_t __stack_bottom[], __stack_top[];
extern uint32_t __static_data_start[], __static_data_end[], __static_data_load[];
extern uint32_t __static_bss_start[], __static_bss_end[];
extern uint32_t __agent_data_start[], __agent_data_end[], __agent_data_load[];
extern uint32_t __agent_bss_start[], __agent_bss_end[];

#define FAULT_MAGIC 0xFA17FA17u

/* Read by the harness: magic, CFSR, HFSR, MMFAR, BFAR, stacked PC, stacked LR. The last two are 0 when the stack was
 * not fit to hold them. All 0 while there was no fault. */
volatile uint32_t trainbench_fault_record[7] __attribute__((used));

void trainbench_reset(void);
void trainbench_fault(void);
void trainbench_record_fault(const uint32_t *frame);

/* Of a board where the probe does not see what the core wrote at once. */
void board_fault_recorded(void) __attribute__((weak));

typedef void (*handler_t)(void);

__attribute__((section(".vectors.core"), used)) static const struct {
  uint32_t *stack;
  handler_t handlers[15];
} vectors = {__stack_top,
             {trainbench_reset, trainbench_fault, trainbench_fault, trainbench_fault, trainbench_fault,
              trainbench_fault, trainbench_fault, trainbench_fault, trainbench_fault, trainbench_fault,
              trainbench_fault, trainbench_fault, trainbench_fault, trainbench_fault, trainbench_fault}};

static void copy_words(uint32_t *to, const uint32_t *end, const uint32_t *from) {
  while (to < end) *to++ = *from++;
}

static void clear_words(uint32_t *to, const uint32_t *end) {
  while (to < end) *to++ = 0;
}

/* The arena and the state stay as they are: the harness painted them. */
void trainbench_reset(void) {
  SCB_CPACR |= 0xFu << 20; /* FPU on, before the compiler may use it */
  /* No room for floating-point registers in exception frames: no handler uses them, and the stack is measured. */
  FPU_FPCCR &= ~(FPCCR_ASPEN | FPCCR_LSPEN);
  __asm volatile("dsb\n isb" ::: "memory");
  copy_words(__static_data_start, __static_data_end, __static_data_load);
  clear_words(__static_bss_start, __static_bss_end);
  copy_words(__agent_data_start, __agent_data_end, __agent_data_load);
  clear_words(__agent_bss_start, __agent_bss_end);
  SCB_SHCSR |= SHCSR_MEMFAULTENA | SHCSR_BUSFAULTENA | SHCSR_USGFAULTENA;
  SCB_CCR |= CCR_DIV_0_TRP;
  agent_main();
}

/* The stack may be what overflowed, so it is thrown away before the first push. */
__attribute__((naked)) void trainbench_fault(void) {
  __asm volatile(
      "mrs r0, msp\n"
      "ldr r1, =__stack_top\n"
      "msr msp, r1\n"
      "b trainbench_record_fault\n");
}

__attribute__((used, noreturn)) void trainbench_record_fault(const uint32_t *frame) {
  uint32_t cfsr = SCB_CFSR;
  uintptr_t at = (uintptr_t)frame;
  int stacked = (cfsr & (CFSR_MSTKERR | CFSR_STKERR)) == 0 && at % 4 == 0 && at >= (uintptr_t)__stack_bottom &&
                at + 32 <= (uintptr_t)__stack_top;
  trainbench_fault_record[1] = cfsr;
  trainbench_fault_record[2] = SCB_HFSR;
  trainbench_fault_record[3] = SCB_MMFAR;
  trainbench_fault_record[4] = SCB_BFAR;
  trainbench_fault_record[5] = stacked ? frame[6] : 0;
  trainbench_fault_record[6] = stacked ? frame[5] : 0;
  __asm volatile("dmb" ::: "memory");
  trainbench_fault_record[0] = FAULT_MAGIC;
  if (board_fault_recorded) board_fault_recorded();
  for (;;) __asm volatile("wfi");
}
