/* Clocks of the STM32L4R5: 120 MHz from the internal 16 MHz oscillator (1 %), range 1 boost.
 * RM0432, chapters on PWR (dynamic voltage scaling), RCC (the step over 80 MHz) and FLASH (wait states). */
#include "clock.h"

#include "dividers.h"
#include "field.h"
#include "part.h"

#define HSI_HZ 16000000u
#define SWITCH_PLL 3u
#define PLL_FROM_HSI 2u
#define RANGE_1 1u
#define BY_2_AHB 8u

const uint32_t clock_registers[] = {RCC_CR, RCC_PLLCFGR, RCC_CFGR, FLASH_ACR, RCC_CCIPR, 0};

void clock_start(void) {
  field_write(RCC_APB1ENR1_PWREN, 1u);
  field_wait(RCC_APB1ENR1_PWREN, 1u);
  field_write(PWR_CR1_VOS, RANGE_1);
  field_wait(PWR_SR2_VOSF, 0u);
  field_write(PWR_CR5_R1MODE, 0u); /* boost */
  field_write(RCC_CR_HSION, 1u);
  field_wait(RCC_CR_HSIRDY, 1u);

  field_write(FLASH_ACR_LATENCY, FLASH_WAIT_STATES);
  field_wait(FLASH_ACR_LATENCY, FLASH_WAIT_STATES);
  field_write(FLASH_ACR_PRFTEN, 1u);
  field_write(FLASH_ACR_ICEN, 1u);
  field_write(FLASH_ACR_DCEN, 1u);

  field_write(RCC_CR_PLLON, 0u);
  field_wait(RCC_CR_PLLRDY, 0u);
  field_write(RCC_PLLCFGR_PLLSRC, PLL_FROM_HSI);
  field_write(RCC_PLLCFGR_PLLM, PLL_M - 1u);
  field_write(RCC_PLLCFGR_PLLN, PLL_N);
  field_write(RCC_PLLCFGR_PLLR, 0u); /* divided by 2 */
  field_write(RCC_PLLCFGR_PLLREN, 1u);
  field_write(RCC_CR_PLLON, 1u);
  field_wait(RCC_CR_PLLRDY, 1u);

  /* Above 80 MHz by way of half the rate, for at least 1 us: 64 turns of a loop at 60 MHz. */
  field_write(RCC_CFGR_HPRE, BY_2_AHB);
  field_write(RCC_CFGR_SW, SWITCH_PLL);
  field_wait(RCC_CFGR_SWS, SWITCH_PLL);
  for (volatile uint32_t turn = 0; turn < 64u; turn++) {
  }
  field_write(RCC_CFGR_HPRE, 0u);
}

static uint32_t msi_hz(uint32_t cr) {
  static const uint32_t ranges[16] = {100000u,  200000u,  400000u,   800000u,   1000000u,  2000000u,
                                      4000000u, 8000000u, 16000000u, 24000000u, 32000000u, 48000000u};
  return field_of(cr, RCC_CR_MSIRGSEL) ? ranges[field_of(cr, RCC_CR_MSIRANGE)] : 4000000u;
}

static uint64_t pll_hz(uint32_t cr, uint32_t pllcfgr, uint32_t hse_hz) {
  const uint32_t sources[4] = {0, msi_hz(cr), HSI_HZ, hse_hz};
  uint64_t vco = (uint64_t)sources[field_of(pllcfgr, RCC_PLLCFGR_PLLSRC)] * field_of(pllcfgr, RCC_PLLCFGR_PLLN);
  uint32_t divisor = (field_of(pllcfgr, RCC_PLLCFGR_PLLM) + 1u) * 2u * (field_of(pllcfgr, RCC_PLLCFGR_PLLR) + 1u);
  return vco / divisor;
}

clock_rates_t clock_rates(const uint32_t *values, uint32_t hse_hz) {
  const uint64_t rates[4] = {msi_hz(values[0]), HSI_HZ, hse_hz, pll_hz(values[0], values[1], hse_hz)};
  uint32_t cfgr = values[2];
  uint32_t core = (uint32_t)(rates[field_of(cfgr, RCC_CFGR_SWS)] >> ahb_shift(field_of(cfgr, RCC_CFGR_HPRE)));
  uint32_t usart = core >> apb_shift(field_of(cfgr, RCC_CFGR_PPRE1)); /* LPUART1 */
  if (field_of(values[4], RCC_CCIPR_LPUART1SEL) != 0) usart = 0;
  return (clock_rates_t){core, usart};
}
