/* Maintenance by set and way. Armv7-M ARM, cache maintenance operations and cache size identification. */
#include "cache.h"

#include "cortex_m.h"

#define SCB_CCSIDR REGISTER(0xE000ED80u)
#define SCB_CSSELR REGISTER(0xE000ED84u)
#define SCB_ICIALLU_ADDRESS 0xE000EF50u
#define SCB_DCISW_ADDRESS 0xE000EF60u
#define SCB_DCCISW_ADDRESS 0xE000EF74u
#define CCR_DC (1u << 16)
#define CCR_IC (1u << 17)
#define FIRST_LEVEL_DATA 0u

static void barrier(void) { __asm volatile("dsb\n isb" ::: "memory"); }

/* Do the operation of register `operation` with every line of the data cache. */
static void every_line(uint32_t operation) {
  SCB_CSSELR = FIRST_LEVEL_DATA;
  barrier();
  uint32_t ccsidr = SCB_CCSIDR;
  uint32_t line_bits = (ccsidr & 7u) + 4u; /* log2 of bytes */
  uint32_t last_way = ccsidr >> 3 & 0x3FFu;
  uint32_t last_set = ccsidr >> 13 & 0x7FFFu;
  uint32_t way_bit = last_way == 0 ? 0u : (uint32_t)__builtin_clz(last_way);
  for (uint32_t set = 0; set <= last_set; set++) {
    for (uint32_t way = 0; way <= last_way; way++) REGISTER(operation) = way << way_bit | set << line_bits;
  }
  barrier();
}

void cache_enable(void) {
  barrier();
  REGISTER(SCB_ICIALLU_ADDRESS) = 0;
  every_line(SCB_DCISW_ADDRESS);
  SCB_CCR |= CCR_IC | CCR_DC;
  barrier();
}

void cache_clean_and_invalidate(void) {
  barrier();
  every_line(SCB_DCCISW_ADDRESS);
}
