/* The memory limits, in the 8 regions of an Armv7-M MPU (PMSAv7). A region with a higher number wins. */
#include "cortex_m.h"

#define QUARTER_BITS 29u /* 512 MB: code 0x00000000, SRAM 0x20000000 */

#define ACCESS_NONE (0u << 24)
#define ACCESS_FULL (3u << 24)
#define ACCESS_READ_ONLY (6u << 24)
#define EXECUTE_NEVER (1u << 28)
#define NORMAL_MEMORY (1u << 19 | 1u << 17 | 1u << 16) /* write-back, not shared: TEX 1, C, B */
#define ENABLE 1u

static uint32_t log2_up(uint32_t bytes) {
  uint32_t bits = 5; /* the smallest region is 32 bytes */
  while (bits < 31 && (1u << bits) < bytes) bits++;
  return bits;
}

static void set_region(uint32_t number, uint32_t start, uint32_t size_bits, uint32_t closed_eighths, uint32_t access) {
  MPU_RNR = number;
  MPU_RASR = 0;
  MPU_RBAR = start;
  MPU_RASR = access | NORMAL_MEMORY | closed_eighths << 8 | (size_bits - 1) << 1 | ENABLE;
}

/* Any multiple of 1 KB is a sum of eighths of ever smaller regions: each region opens the whole eighths that fit, the
 * next one is the eighth where the limit lies. */
static uint32_t open_prefix(uint32_t number, uint32_t start, uint32_t bytes) {
  uint32_t bits = log2_up(bytes);
  while (bytes > 0) {
    uint32_t eighth = 1u << (bits - 3);
    uint32_t open = bytes / eighth;
    if (open > 0) set_region(number++, start, bits, 0xFFu & (0xFFu << open), ACCESS_FULL | EXECUTE_NEVER);
    start += open * eighth;
    bytes -= open * eighth;
    bits -= 3;
  }
  return number;
}

void mpu_protect(uint32_t flash, uint32_t flash_bytes, uint32_t ram, uint32_t sram_bytes, uint32_t extra,
                 uint32_t extra_bytes) {
  uint32_t regions = MPU_TYPE >> 8 & 0xFFu;
  MPU_CTRL = 0;
  /* Below the stack, the code quarter; above the budget, the SRAM quarter with every alias of the RAM. */
  set_region(0, 0x00000000u, QUARTER_BITS, 0, ACCESS_NONE | EXECUTE_NEVER);
  set_region(1, 0x20000000u, QUARTER_BITS, 0, ACCESS_NONE | EXECUTE_NEVER);
  set_region(2, flash, log2_up(flash_bytes), 0, ACCESS_READ_ONLY);
  uint32_t next = 3;
  if (extra_bytes > 0) set_region(next++, extra, log2_up(extra_bytes), 0, ACCESS_FULL | EXECUTE_NEVER);
  next = open_prefix(next, ram, sram_bytes);
  if (next > regions) __builtin_trap();
  MPU_CTRL = 1u | 1u << 2; /* on, with the default map for what no region covers: peripherals */
  __asm volatile("dsb\n isb" ::: "memory");
}
