/* Ticks from the core's cycle counter (DWT CYCCNT), of 32 bits, and how often it wrapped from SysTick, of 24 bits.
 *
 * Both count the processor clock. 2^32 divided by SysTick's period leaves WRAP_SHIFT: with each wrap of CYCCNT,
 * SysTick is WRAP_SHIFT further ahead of it. So nothing has to interrupt what is measured, which would add to its ticks
 * and to its stack. */
#include "board.h"
#include "cortex_m.h"
#include "counter.h"

#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR REGISTER(0xE0001FB0u)
#define LAR_KEY 0xC5ACCE55u /* a Cortex-M7 takes writes to the DWT only after it */
#define CTRL_CYCCNTENA 1u
#define DEMCR REGISTER(0xE000EDFCu)
#define DEMCR_TRCENA (1u << 24)

#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define CSR_ENABLE 1u
#define CSR_PROCESSOR_CLOCK 4u

#define PERIOD ((1u << 24) - 4096u)
#define WRAP_SHIFT (1u << 20) /* 2^32 modulo PERIOD: 256 times 4096 */
#define MOST_WRAPS 15u        /* one more looks like SysTick a little behind, without any */

void counter_start(void) {
  DEMCR |= DEMCR_TRCENA;
  DWT_LAR = LAR_KEY;
  DWT_CTRL |= CTRL_CYCCNTENA;
  SYST_CSR = 0;
  SYST_RVR = PERIOD - 1u;
  SYST_CVR = 0; /* any write clears it */
  SYST_CSR = CSR_ENABLE | CSR_PROCESSOR_CLOCK;
  DWT_CYCCNT = 0;
}

void counter_stop(void) { SYST_CSR = 0; }

uint64_t board_ticks(void) {
  uint32_t count = DWT_CYCCNT;
  uint32_t elapsed = PERIOD - 1u - SYST_CVR;
  uint32_t ahead = (elapsed + PERIOD - count % PERIOD) % PERIOD;
  uint32_t wraps = (ahead + WRAP_SHIFT / 2u) / WRAP_SHIFT;
  uint32_t away = ahead > wraps * WRAP_SHIFT ? ahead - wraps * WRAP_SHIFT : wraps * WRAP_SHIFT - ahead;
  /* They are read a few ticks apart. Where they disagree by more, no count can be trusted. */
  if (away > WRAP_SHIFT / 4u) __builtin_trap();
  if (wraps > MOST_WRAPS) wraps = 0;
  return ((uint64_t)wraps << 32) + count;
}
