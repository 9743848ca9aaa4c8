/* Bare-metal firmware for the device tests: does what the word `command` says, and counts. */
#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))

extern uint32_t stack_top, data_start, data_end, data_load, bss_start, bss_end;

volatile uint32_t counter;
volatile uint32_t command;
volatile uint32_t watched;
volatile uint32_t ticks;
volatile uint32_t initialised = 0x12345678;
volatile uint32_t trainbench_fault_record[7];
uint8_t buffer[65536];
const volatile uint32_t trainbench_sram_budget = 256U * 1024U;

static void uart_init(void) {
  REG(0x40004010) = 16;
  REG(0x40004008) = 3;
  (void)REG(0x40004000); /* QEMU polls its character device again only after a read */
}

static void echo(void) {
  while (REG(0x40004004) & 2U) {
    REG(0x40004000) = REG(0x40004000) + 1U;
  }
}

/* Everything is forbidden but 256 KB of RAM, the code and the peripherals. */
static void protect(void) {
  static const uint32_t regions[4][2] = {
      {0x20000000U, (3U << 24) | (21U << 1) | 1U | (1U << 28) | (0U << 24)},
      {0x20000000U, (3U << 24) | (17U << 1) | 1U},
      {0x00000000U, (6U << 24) | (17U << 1) | 1U},
      {0x40000000U, (3U << 24) | (28U << 1) | 1U},
  };
  (void)trainbench_sram_budget; /* so that the linker keeps it */
  for (uint32_t n = 0; n < 4; ++n) {
    REG(0xE000ED98) = n;
    REG(0xE000ED9C) = regions[n][0];
    REG(0xE000EDA0) = n == 0 ? (21U << 1) | 1U | (1U << 28) : regions[n][1];
  }
  REG(0xE000ED24) |= 7U << 16;
  REG(0xE000ED94) = 1;
  __asm volatile("dsb\nisb");
}

__attribute__((noinline)) void tick(void) { ++counter; }

__attribute__((noinline)) void poke_far(uint32_t address) { REG(address) = 1; }

/* Ticks of the 25 MHz timer around 80 million instructions. */
__attribute__((noinline)) uint32_t timed_loop(void) {
  REG(0x40000008) = 0xFFFFFFFFU;
  REG(0x40000004) = 0xFFFFFFFFU;
  REG(0x40000000) = 1;
  uint32_t before = REG(0x40000004);
  for (uint32_t n = 0; n < 40000000U; ++n) {
    __asm volatile("");
  }
  return before - REG(0x40000004);
}

__attribute__((noinline)) void wait_here(void) {
  for (;;) {
    __asm volatile("wfi");
  }
}

#ifdef __ARM_FP
volatile float product = 1.5F;
static void use_fpu(void) {
  REG(0xE000ED88) |= 0xFU << 20;
  __asm volatile("dsb\nisb");
  __asm volatile("vmov.f32 s3, #2.5");
  product = product * 2.0F;
}
#else
static void use_fpu(void) {}
#endif

__attribute__((used)) int main(void) {
  uart_init();
  use_fpu();
  for (;;) {
    tick();
    echo();
    switch (command) {
      case 1:
        watched = watched + 1U;
        command = 0;
        break;
      case 2:
        protect();
        poke_far(0x20050000U);
        break;
      case 3:
        wait_here();
        break;
      case 4:
        __asm volatile("udf #1");
        break;
      case 5:
        protect();
        command = 0;
        break;
      case 6: /* vectors that point nowhere, then a fault: lockup */
        REG(0xE000ED08) = 0x00800000U;
        __asm volatile("dsb\nudf #1");
        break;
      case 7:
        ticks = timed_loop();
        command = 0;
        break;
      default:
        break;
    }
  }
}

__attribute__((used)) void record(const uint32_t *frame) {
  trainbench_fault_record[1] = REG(0xE000ED28);
  trainbench_fault_record[2] = REG(0xE000ED2C);
  trainbench_fault_record[3] = REG(0xE000ED34);
  trainbench_fault_record[4] = REG(0xE000ED38);
  trainbench_fault_record[5] = frame[6];
  trainbench_fault_record[6] = frame[5];
  trainbench_fault_record[0] = 0xFA17FA17U;
}

__attribute__((naked)) void trainbench_fault(void) {
  __asm volatile(
      "mrs r0, msp\n"
      "bl record\n"
      "1: b 1b\n");
}

__attribute__((naked)) void reset(void) {
  __asm volatile("b start");
}

__attribute__((used)) void start(void) {
  for (uint32_t *to = &data_start, *from = &data_load; to < &data_end;) {
    *to++ = *from++;
  }
  for (uint32_t *to = &bss_start; to < &bss_end;) {
    *to++ = 0;
  }
  (void)main();
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (const void *)reset, (const void *)trainbench_fault, (const void *)trainbench_fault,
    (const void *)trainbench_fault, (const void *)trainbench_fault, (const void *)trainbench_fault};
