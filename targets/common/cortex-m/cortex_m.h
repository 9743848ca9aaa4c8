/* cortex_m.h: the few Armv7-M registers the firmware needs. Names and bits: Armv7-M ARM, sections B3.2 and B3.5. */
#ifndef CORTEX_M_H
#define CORTEX_M_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define SCB_VTOR REGISTER(0xE000ED08u)
#define SCB_CCR REGISTER(0xE000ED14u)
#define SCB_SHCSR REGISTER(0xE000ED24u)
#define SCB_CFSR REGISTER(0xE000ED28u)
#define SCB_HFSR REGISTER(0xE000ED2Cu)
#define SCB_MMFAR REGISTER(0xE000ED34u)
#define SCB_BFAR REGISTER(0xE000ED38u)
#define SCB_CPACR REGISTER(0xE000ED88u)

#define FPU_FPCCR REGISTER(0xE000EF34u)

#define CCR_DIV_0_TRP (1u << 4)
#define SHCSR_MEMFAULTENA (1u << 16)
#define SHCSR_BUSFAULTENA (1u << 17)
#define SHCSR_USGFAULTENA (1u << 18)
#define CFSR_MSTKERR (1u << 4)
#define CFSR_STKERR (1u << 12)
#define FPCCR_ASPEN (1u << 31)
#define FPCCR_LSPEN (1u << 30)

#define NVIC_ISER(word) REGISTER(0xE000E100u + 4u * (word)) /* interrupts 32 * word and up */
#define NVIC_ICER(word) REGISTER(0xE000E180u + 4u * (word))

#define MPU_TYPE REGISTER(0xE000ED90u)
#define MPU_CTRL REGISTER(0xE000ED94u)
#define MPU_RNR REGISTER(0xE000ED98u)
#define MPU_RBAR REGISTER(0xE000ED9Cu)
#define MPU_RASR REGISTER(0xE000EDA0u)

/* Exception frames do not hold floating-point registers (startup.c), so handlers must not use them. */
#define INTERRUPT_HANDLER __attribute__((target("general-regs-only")))

/* Open the first `sram_bytes` (a multiple of 1 KB) of the RAM at `ram`, make the rest of the code and SRAM quarters of
 * the address space fault, and flash read-only. Sizes of flash are powers of two. `extra` of `extra_bytes` (a power of
 * two, or 0 for none) is opened too. */
void mpu_protect(uint32_t flash, uint32_t flash_bytes, uint32_t ram, uint32_t sram_bytes, uint32_t extra,
                 uint32_t extra_bytes);

#endif
